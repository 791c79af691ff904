"""Probe illumination and far-field diffraction to the detector rate."""

from __future__ import annotations

import keras

from pinn.layers import PACKAGE
from pinn.layers.base import PhysicsLayer
from pinn.ops import diffraction, illumination, pairs


@keras.saving.register_keras_serializable(PACKAGE)
class FarField(PhysicsLayer):
    """Object patches `(B, C, N, N, 2)` to the mean counts of their frames `(B, C, N, N)`.

    Call: `patches`, probe pair `(S or B, P, N, N)`, log-scale `(S or B,)`.
    """

    def call(self, patches, probe, log_scale):
        exit_waves = illumination.illuminate(
            pairs.unstack(patches), tuple(part[:, None] for part in probe)
        )
        return diffraction.detector_rate(exit_waves, log_scale)
