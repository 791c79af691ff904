"""Contrast of a stitched object, calibrated against the frames it was made from.

A network that is not sure predicts the mean, and averaging overlapping patches smooths what is
left: amplitude and phase come out too flat by a common factor. The frames tell the factor. The
object is split as `O = m (1 + r + i s)`, m its mean times its phase ramp (which a detector that is
off centre by a fraction of a pixel puts there), and `m (c0 + c1 r + i c2 s)` is fitted to a sample
of frames (`contrast_fit`): c0 carries the intensity scale, `c1/c0` and `c2/c0` are applied.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from pinn import backend
from pinn.data.masks import decode
from pinn.ops import forward, windows
from pinn.ops.pairs import Pair
from pinn.quality.register import phase_gradient, phase_ramp
from pinn.reconstruction import contrast_fit

SAMPLE_PIXELS = 1 << 20  # frame pixels that are looked at: 256 frames of 64 x 64
_BATCH_PIXELS = 1 << 17


@dataclass(frozen=True)
class Contrast:
    """Factors found for the real (amplitude-like) and imaginary (phase-like) deviations.

    Attributes:
        real, imaginary: factors; 1 where nothing was changed.
        residual_before, residual_after: weighted squared distance of model and measured
            intensities, relative to that of no model at all.
        note: a sentence when the factors found were not applied, else None.
    """

    real: float = 1.0
    imaginary: float = 1.0
    residual_before: float = math.nan
    residual_after: float = math.nan
    note: str | None = None


def calibrate(
    obj: np.ndarray,
    coverage: np.ndarray,
    origin: np.ndarray,
    probe: np.ndarray,
    positions: np.ndarray,
    read: Callable[[np.ndarray], np.ndarray],
    instrument: forward.Instrument | None = None,
) -> tuple[np.ndarray, Contrast]:
    """Scale the deviations of an object from its mean so that it explains the frames best.

    Which frames are looked at depends on the positions only, not on their order.

    Args:
        obj: `(H, W)` complex.
        coverage: `(H, W)` weight of each pixel, 0 where there is no object.
        origin: (y, x) of pixel `[0, 0]`.
        probe: `(P, N, N)` complex, any scale.
        positions: `(M, 2)` [y, x] in the frame of `origin`.
        read: numbers `(n,)` of positions to encoded frames `(n, N, N)`: amplitude in any scale,
            -1 at masked pixels.
        instrument: what lies between the exit wave and the detector; default the far field.

    Returns:
        complex64 `(H, W)`, and what was done.
    """
    N = probe.shape[-1]
    rows = _sample(positions - origin, obj.shape, N)
    gradient = phase_gradient(obj)
    ramp = phase_ramp(gradient, obj.shape)
    flat = obj * np.conj(ramp)
    total = float(coverage.sum())
    mean = complex(np.sum(coverage * flat) / total) if total else 0j
    spread = float(np.sum(coverage * np.abs(obj) ** 2) / total) if total else 0.0
    if not len(rows) or abs(mean) ** 2 < 0.25 * spread or spread == 0.0:
        return obj, Contrast(
            note="contrast was not calibrated: the object has no mean to speak of, or no frame "
            "lies wholly inside it"
        )
    deviation = np.where(coverage > 0, flat / mean - 1.0, 0.0)
    tilted = probe * phase_ramp(gradient, (N, N))  # elsewhere: another phase as a whole
    sums = _sums(deviation, positions[rows] - origin, tilted, rows, read, instrument)
    best = contrast_fit.fit(sums)
    if best is None or not best.plausible:
        before = math.nan if best is None else best.before
        return obj, Contrast(
            residual_before=before,
            residual_after=before,
            note="contrast was not calibrated: no plausible factor explains the frames better; "
            "look at the reconstruction with care",
        )
    real, imaginary = best.real, best.imaginary
    scaled = mean * ramp * (1.0 + real * deviation.real + 1j * imaginary * deviation.imag)
    scaled = np.where(coverage > 0, scaled, 0.0).astype(np.complex64)
    return scaled, Contrast(real, imaginary, best.before, best.after)


def _sample(places: np.ndarray, shape: tuple[int, ...], N: int) -> np.ndarray:
    """Numbers of frames spread over the scan whose patches lie inside the object."""
    inside = np.all((places >= N / 2) & (places <= np.asarray(shape) - N / 2 - 1), axis=1)
    rows = np.flatnonzero(inside)
    rows = rows[np.lexsort((places[rows, 1], places[rows, 0]))]
    count = min(len(rows), max(8, SAMPLE_PIXELS // N**2))
    return rows[np.unique(np.linspace(0, len(rows) - 1, count).astype(int))] if count else rows


class _Features(keras.Model):
    """Features `(B, 6, N, N)` of the frames at `corners` `(B, 2)` and `fractions` `(B, 2)`."""

    def __init__(self, instrument: forward.Instrument, deviation: Pair, probe: Pair) -> None:
        super().__init__(name="contrast")
        self.instrument, self.deviation, self.probe = instrument, deviation, probe
        self.built = True

    def call(self, inputs):
        deviation, probe = (
            tuple(ops.convert_to_tensor(part) for part in pair)
            for pair in (self.deviation, self.probe)
        )
        N = probe[0].shape[-1]
        view = forward.canvas_view(deviation, inputs["corners"], inputs["fractions"], N)
        real, imaginary = view.patches
        nothing = ops.zeros_like(real)
        parts = (ops.ones_like(real), nothing), (real, nothing), (nothing, imaginary)
        return contrast_fit.features(self.instrument, parts, probe)


def _sums(
    deviation: np.ndarray,
    places: np.ndarray,
    probe: np.ndarray,
    rows: np.ndarray,
    read: Callable[[np.ndarray], np.ndarray],
    instrument: forward.Instrument | None,
) -> contrast_fit.Sums:
    """Sums of the frames `rows`, which lie at `places` `(n, 2)` of the deviation `(H, W)`."""
    N = probe.shape[-1]
    backend.full_precision()
    # one more row and column, which fraction zero never reaches
    padded = np.pad(deviation, [(0, 1), (0, 1)], mode="edge")
    model = _Features(instrument or forward.instrument(), _pair(padded), _pair(probe))
    features = backend.compile_inference(model)
    size = min(len(rows), max(1, _BATCH_PIXELS // N**2))
    corners, fractions = windows.split(places, N)
    floor = _mean_intensity(rows, size, read)
    sums = contrast_fit.Sums()
    for first in range(0, len(rows), size):
        count = len(rows[first : first + size])
        filled = np.resize(np.arange(first, first + count), size)
        found = features({"corners": corners[filled], "fractions": fractions[filled]})[:count]
        sums.add(np.moveaxis(found, 1, 0), read(rows[first : first + count]), floor)
    return sums


def _mean_intensity(rows: np.ndarray, size: int, read: Callable[[np.ndarray], np.ndarray]) -> float:
    total, pixels = 0.0, 0
    for first in range(0, len(rows), size):
        amplitude, valid = decode(read(rows[first : first + size]))
        total += float(np.sum(np.square(amplitude, dtype=np.float64)))
        pixels += int(valid.sum())
    return max(total / max(pixels, 1), 1e-30)


def _pair(array: np.ndarray) -> Pair:
    return array.real.astype(np.float32), array.imag.astype(np.float32)
