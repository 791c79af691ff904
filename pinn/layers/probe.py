"""The probe as a layer: a real-pair weight in the gauge `sum |P|^2 = (N/2)^2`."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from pinn.layers import PACKAGE
from pinn.layers.base import PhysicsLayer
from pinn.ops import pairs


@keras.saving.register_keras_serializable(PACKAGE)
class Probe(PhysicsLayer):
    """Probe of every scan, normalised when it is used.

    The weight `probe` has shape `(S, V, P, N, N, 2)`: S scans, V orthogonal variations (1 here),
    P incoherent modes, real and imaginary part last. The call applies the support mask, then
    fixes the sum over modes and pixels of `|P|^2` at `(N/2)^2`, so that the norm of a trainable
    probe can never trade places with the intensity scale.

    Args:
        N: side in pixels.
        modes: incoherent modes P.
        scans: scans S.
        trainable: whether the optimiser may change it.
        support: radius in pixels outside which it is zero, or None.
    """

    def __init__(
        self,
        N: int,
        modes: int = 1,
        scans: int = 1,
        trainable: bool = False,
        support: float | None = None,
        **kwargs,
    ):
        super().__init__(trainable=trainable, **kwargs)
        self.N, self.modes, self.scans = N, modes, scans
        self.support = support

    def build(self, input_shape=None):
        self.pair = self.add_weight(
            name="probe",
            shape=(self.scans, 1, self.modes, self.N, self.N, 2),
            initializer="ones",
            trainable=self.trainable,
        )
        axis = np.arange(self.N) - self.N // 2
        self._mask = None
        if self.support is not None:
            inside = np.hypot(axis[:, None], axis[None, :]) <= self.support
            self._mask = inside.astype("float32")
        super().build(input_shape)

    def set_probe(self, probe: np.ndarray) -> None:
        """Assign complex probes, `(N, N)`, `(P, N, N)` or `(S, P, N, N)`; the gauge is ours."""
        probe = np.asarray(probe, np.complex128)
        probe = probe.reshape(-1, self.modes, self.N, self.N)
        if probe.shape[0] != self.scans:
            raise ValueError(f"{probe.shape[0]} probes given for {self.scans} scans")
        re, im = (
            ops.convert_to_tensor(part.astype("float32")) for part in (probe.real, probe.imag)
        )
        self.pair.assign(pairs.stack(self._in_gauge((re, im)))[:, None])

    def call(self, scan=None):
        """Probe pair `(S or B, P, N, N)`; `scan` `(B,)` picks one per group."""
        probe = self.pair[:, 0]
        if scan is not None and self.scans > 1:
            probe = ops.take(probe, scan, axis=0)
        re, im = pairs.unstack(probe)
        if self._mask is not None:
            mask = ops.convert_to_tensor(self._mask)
            re, im = pairs.scale((re, im), mask)
        return self._in_gauge((re, im))

    def _in_gauge(self, probe: pairs.Pair) -> pairs.Pair:
        power = ops.sum(pairs.abs2(probe), axis=(1, 2, 3), keepdims=True)
        return pairs.scale(probe, (0.5 * self.N) * ops.rsqrt(power + 1e-20))

    def get_config(self):
        return {
            **super().get_config(),
            "N": self.N,
            "modes": self.modes,
            "scans": self.scans,
            "trainable": self.trainable,
            "support": self.support,
        }


def illumination_weight(probe: pairs.Pair, floor: float = 0.01) -> pairs.Tensor:
    """Weights `(..., N, N)` proportional to `sum_modes |P|^2`, maximum 1 plus `floor`.

    The floor keeps the object defined over the whole patch, where the illumination is too weak
    to determine it but strong enough to matter for the rate.
    """
    intensity = ops.sum(pairs.abs2(probe), axis=-3)
    peak = ops.max(intensity, axis=(-2, -1), keepdims=True)
    return intensity / (peak + 1e-20) + floor
