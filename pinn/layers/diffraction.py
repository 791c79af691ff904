"""From the object under each frame to the rate at the detector."""

from __future__ import annotations

import keras
from keras import ops

from pinn.layers import PACKAGE
from pinn.layers.base import PhysicsLayer
from pinn.ops import forward, pairs


@keras.saving.register_keras_serializable(PACKAGE)
class Diffraction(PhysicsLayer):
    """Object patches `(B, C, N, N, 2)` to the mean counts of their frames `(B, C, N, N)`.

    Args:
        propagation, detector_response: of the scans, see `pinn.ops.forward.instrument`.

    Call: `patches`, probe pair `(S or B, P, N, N)`, log-scale `(S or B,)`.
    """

    def __init__(self, propagation: str = "far", detector_response: str = "none", **kwargs):
        super().__init__(**kwargs)
        self.propagation, self.detector_response = propagation, detector_response
        self.through = forward.instrument(propagation, detector_response)

    def call(self, patches, probe, log_scale):
        waves = forward.exit_waves(pairs.unstack(patches), (probe[0][:, None], probe[1][:, None]))
        scale = ops.exp(ops.reshape(log_scale, (-1, 1, 1, 1)))
        return forward.predict(self.through, waves, scale).rate

    def get_config(self):
        return {
            **super().get_config(),
            "propagation": self.propagation,
            "detector_response": self.detector_response,
        }
