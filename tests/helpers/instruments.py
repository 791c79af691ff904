"""A propagator and a detector response of the tests' own, registered as a user would."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np
from keras import ops

from pinn.ops import fourier, pairs
from pinn.ops.detector import responses
from pinn.ops.propagate import propagators


@dataclass(frozen=True)
class DefocusPhase:
    """The far field of a wave a little off focus: a quadratic phase in the plane of the object.

    At the detector a phase alone would change no intensity, so it acts on the exit wave.
    """

    strength: float

    def forward(self, waves):
        return fourier.fft2c(pairs.multiply(waves, self._phase(waves)))

    def adjoint(self, waves):
        near = fourier.ifft2c(waves)
        return pairs.multiply(near, pairs.conj(self._phase(near)))

    def _phase(self, waves):
        phase = np.angle(quadratic(waves[0].shape[-1], self.strength)).astype("float32")
        return ops.convert_to_tensor(np.cos(phase)), ops.convert_to_tensor(np.sin(phase))


@dataclass(frozen=True)
class Leak:
    """A part of each pixel's intensity is seen by the one to its right, beyond the edge by none."""

    part: float

    def forward(self, intensity):
        return (1.0 - self.part) * intensity + self.part * self._moved(intensity, (1, 0))

    def adjoint(self, values):
        return (1.0 - self.part) * values + self.part * self._moved(values, (0, 1))

    def _moved(self, image, pad):
        before = [(0, 0)] * (len(image.shape) - 1)
        wide = ops.pad(image, [*before, pad])
        return wide[..., :-1] if pad[0] else wide[..., 1:]


def quadratic(side, strength):
    """`exp(i strength r^2)` `(side, side)` complex128, r in pixels from the middle."""
    axis = np.arange(side) - side // 2
    return np.exp(1j * strength * (axis[:, None] ** 2 + axis[None, :] ** 2))


@contextlib.contextmanager
def registered():
    """`defocus:STRENGTH` and `leak:PART`, while it lasts."""
    before = dict(propagators._kinds), dict(responses._kinds)
    propagators.register("defocus", DefocusPhase)
    responses.register("leak", Leak)
    try:
        yield
    finally:
        propagators._kinds, responses._kinds = before
