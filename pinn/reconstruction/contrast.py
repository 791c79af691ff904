"""Contrast of a stitched object, calibrated against the frames it was made from.

A network that is not sure predicts the mean, and averaging overlapping patches smooths what is
left: amplitude and phase come out too flat by a common factor. The frames know the factor. With
the object split as `O = m (1 + r + i s)`, m its mean times its phase ramp (which a detector that is
off centre by a fraction of a pixel puts there), r and s real, the intensities of
`m (c0 + c1 r + i c2 s)` are quadratic in c, so the weighted squared distance to the measured ones
is a polynomial of fourth degree in three numbers, whose coefficients are sums over pixels: one
pass over a sample of frames, then a minimum in closed form for all practical purposes. This is
variable projection with one more unknown than the two of Golub and Pereyra's rectangular
calibration (Inverse Problems 19, R1, 2003); c0 carries the intensity scale, `c1/c0` and `c2/c0`
are applied.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from pinn import backend
from pinn.ops import diffraction, illumination, shift
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

    Returns:
        complex64 `(H, W)`, and what was done.
    """
    N = probe.shape[-1]
    rows = _sample(positions - origin, obj.shape, N)
    slope = _slope(obj)
    ramp = _ramp(slope, obj.shape)
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
    lit = probe * _ramp(slope, (N, N))  # where a patch lies only turns its phase as a whole
    gram, right, energy = _moments(deviation, positions[rows] - origin, lit, rows, read)
    found = contrast_fit.fit(gram, right, energy)
    if found is None or not found.plausible:
        before = math.nan if found is None else found.before
        return obj, Contrast(
            residual_before=before,
            residual_after=before,
            note="contrast was not calibrated: no plausible factor explains the frames better; "
            "look at the reconstruction with care",
        )
    real, imaginary = found.real, found.imaginary
    scaled = mean * ramp * (1.0 + real * deviation.real + 1j * imaginary * deviation.imag)
    scaled = np.where(coverage > 0, scaled, 0.0).astype(np.complex64)
    return scaled, Contrast(real, imaginary, found.before, found.after)


def _slope(obj: np.ndarray) -> np.ndarray:
    """Mean phase gradient (y, x) in radians per pixel, bright pixels counting most."""
    wide = obj.astype(np.complex128)
    y, x = np.sum(np.conj(wide[:-1]) * wide[1:]), np.sum(np.conj(wide[:, :-1]) * wide[:, 1:])
    return np.array([np.angle(y), np.angle(x)])


def _ramp(slope: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    lines = [np.exp(1j * g * (np.arange(n) - n // 2)) for g, n in zip(slope, shape, strict=True)]
    return lines[0][:, None] * lines[1]


def _sample(places: np.ndarray, shape: tuple[int, ...], N: int) -> np.ndarray:
    """Numbers of frames spread over the scan whose patches lie inside the object."""
    inside = np.all((places >= N / 2) & (places <= np.asarray(shape) - N / 2 - 1), axis=1)
    rows = np.flatnonzero(inside)
    rows = rows[np.lexsort((places[rows, 1], places[rows, 0]))]
    count = min(len(rows), max(8, SAMPLE_PIXELS // N**2))
    return rows[np.unique(np.linspace(0, len(rows) - 1, count).astype(int))] if count else rows


class _Features(keras.Model):
    """Intensities of the three parts of an object and of their products, summed over modes.

    `parts` `(B, 2, N+1, N+1)`: real and imaginary deviation around a position, `places` `(B, 2)`
    its fraction; to `(B, 6, N, N)`: 00, 01, 02, 11, 12, 22.
    """

    def __init__(self, probe: np.ndarray) -> None:
        super().__init__(name="contrast")
        self.probe = probe.real.astype("float32"), probe.imag.astype("float32")
        self.built = True

    def call(self, inputs):
        parts, places = inputs["parts"], inputs["places"]
        side = parts.shape[-1] - 1
        # T[i, j] = max(0, 1 - |j - i - f|): sampling at +f is moving by -f
        T = shift.interpolation_matrix(0.5 - places, side + 1, side)
        rows, columns = T[:, 0][:, None], ops.swapaxes(T[:, 1], -1, -2)[:, None]
        moved = ops.matmul(ops.matmul(rows, parts), columns)
        one, nothing = ops.ones_like(moved[:, :1]), ops.zeros_like(moved[:, :1])
        waves = (
            ops.concatenate([one, moved[:, :1], nothing], axis=1),
            ops.concatenate([nothing, nothing, moved[:, 1:]], axis=1),
        )
        probe = ops.convert_to_tensor(self.probe[0]), ops.convert_to_tensor(self.probe[1])
        re, im = diffraction.far_field(illumination.illuminate(waves, probe))
        out = []
        for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)):
            product = re[:, i] * re[:, j] + im[:, i] * im[:, j]
            out.append(ops.sum(product, axis=1) * (1.0 if i == j else 2.0))
        return ops.stack(out, axis=1)


def _moments(
    deviation: np.ndarray,
    places: np.ndarray,
    probe: np.ndarray,
    rows: np.ndarray,
    read: Callable[[np.ndarray], np.ndarray],
) -> tuple[np.ndarray, np.ndarray, float]:
    """Weighted sums of feature products `(6, 6)`, of features times intensity `(6,)`, and of
    squared intensity; weights are those of photon noise with a floor, from the frames alone."""
    N = probe.shape[-1]
    backend.full_precision()
    features = backend.compile_inference(_Features(probe))
    size = min(len(rows), max(1, _BATCH_PIXELS // N**2))
    whole = np.floor(places).astype(np.int64)
    corner = whole - N // 2
    fraction = (places - whole).astype(np.float32)
    # one more row and column, which fraction zero never reaches
    padded = np.pad(deviation, [(0, 1), (0, 1)], mode="edge")
    planes = np.stack([padded.real, padded.imag]).astype(np.float32)
    gram, right, energy = np.zeros((6, 6)), np.zeros(6), 0.0
    floor = _mean_intensity(rows, size, read)
    for first in range(0, len(rows), size):
        chosen = slice(first, first + size)
        count = len(rows[chosen])
        parts = np.zeros((size, 2, N + 1, N + 1), np.float32)
        fractions = np.zeros((size, 2), np.float32)
        for k, (y, x) in enumerate(corner[chosen]):
            parts[k] = planes[:, y : y + N + 1, x : x + N + 1]
        fractions[:count] = fraction[chosen]
        found = features({"parts": parts, "places": fractions})[:count].astype(np.float64)
        frames = read(rows[chosen]).astype(np.float64)
        valid = frames >= 0
        intensity = np.where(valid, frames, 0.0) ** 2
        weight = valid / (intensity + floor)
        gram += np.einsum("bikl,bkl,bjkl->ij", found, weight, found, optimize=True)
        right += np.einsum("bikl,bkl->i", found, weight * intensity)
        energy += float(np.sum(weight * intensity**2))
    return gram, right, energy


def _mean_intensity(rows: np.ndarray, size: int, read: Callable[[np.ndarray], np.ndarray]) -> float:
    total, pixels = 0.0, 0
    for first in range(0, len(rows), size):
        frames = read(rows[first : first + size]).astype(np.float64)
        valid = frames >= 0
        total, pixels = total + float(np.sum(frames[valid] ** 2)), pixels + int(valid.sum())
    return max(total / max(pixels, 1), 1e-30)
