"""Fourier ring correlation of two complex images.

`FRC(k) = |sum_ring A conj(B)| / sqrt(sum_ring |A|^2 sum_ring |B|^2)` (Saxton and Baumeister,
J. Microsc. 127, 127, 1982), of the images less their mean and times a separable Hann window (the
mean would leak through the window into the lowest rings and hide them; the window keeps the edges
of the crop from correlating). Rings are one Fourier pixel of the shorter side wide, centred on
whole pixels; the unit is cycles per pixel, Nyquist 0.5. The magnitude of the sum is taken, so the
curve of unrelated images is not zero but about `sqrt(pi / 4n)` in a ring of n coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from pinn.errors import InputError

THRESHOLDS = {"0.5": 0.5, "1/7": 1.0 / 7.0}
FLAT = 1e-5  # standard deviation over norm below which an image has nothing to compare


@dataclass(frozen=True)
class FrcCurve:
    """A Fourier ring correlation.

    Attributes:
        frequency: `(K,)` float64, cycles per pixel, 0 to at most 0.5.
        correlation: `(K,)` float64 in [0, 1].
        count: `(K,)` int64: Fourier coefficients in each ring.
    """

    frequency: np.ndarray
    correlation: np.ndarray
    count: np.ndarray

    def crossing(self, threshold: float | str) -> tuple[float, bool]:
        """Where the curve first falls below a threshold.

        Args:
            threshold: a number, or `half-bit`.

        Returns:
            The frequency in cycles per pixel, interpolated between rings, and whether the curve
            falls at all; where it does not, the highest frequency measured.
        """
        level = half_bit(self.count) if threshold == "half-bit" else float(threshold)
        index, crossed = threshold_crossing(self.correlation, level)
        return float(np.interp(index, np.arange(len(self.frequency)), self.frequency)), crossed


def frc(
    first: np.ndarray,
    second: np.ndarray,
    valid: np.ndarray | None = None,
) -> FrcCurve:
    """Fourier ring correlation of two aligned images of one shape.

    Args:
        first: `(h, w)` complex or real.
        second: `(h, w)` complex or real.
        valid: `(h, w)` bool; pixels that are False count as equal to the mean in both images.

    Raises:
        InputError: shapes differ, the image is too small, values are not finite, or an image has
            no variance (its correlation would be that of rounding errors).
    """
    first, second = np.asarray(first), np.asarray(second)
    if first.ndim != 2 or first.shape != second.shape or min(first.shape) < 8:
        raise InputError(
            f"the images have shapes {first.shape} and {second.shape}; the Fourier ring "
            "correlation needs two images of one shape, at least 8 x 8"
        )
    window = hann(first.shape)
    if valid is not None:
        window = window * valid
    spectra = []
    for name, image in (("first", first), ("second", second)):
        used = image if valid is None else image[valid]
        if not np.all(np.isfinite(used)):
            raise InputError(f"the {name} image has values that are not finite; mask them")
        if not has_variance(image, valid):
            raise InputError(
                f"the {name} image has no variance; a Fourier ring correlation of a constant "
                "means nothing"
            )
        deviation = image - used.mean()
        if valid is not None:
            deviation = np.where(valid, deviation, 0.0)
        spectra.append(fft.fft2(deviation * window))
    return _rings(*spectra)


def half_bit(count: np.ndarray) -> np.ndarray:
    """The half-bit threshold of rings of `count` coefficients.

    van Heel and Schatz, J. Struct. Biol. 151, 250, 2005. All coefficients count: a complex
    image has no Friedel pairs.
    """
    root = np.sqrt(np.maximum(np.asarray(count, np.float64), 1.0))
    return (0.2071 + 1.9102 / root) / (1.2071 + 0.9102 / root)


def threshold_crossing(curve: np.ndarray, threshold: float | np.ndarray) -> tuple[float, bool]:
    """Index, interpolated, at which a curve first falls below a threshold.

    Args:
        curve: `(K,)`.
        threshold: one number, or one for each index.

    Returns:
        The index and True; 0.0 where the first value is below already; the last index and False
        where the curve never falls below.
    """
    above = np.asarray(curve, np.float64) - threshold
    below = np.flatnonzero(above < 0)
    if not len(below):
        return float(len(above) - 1), False
    index = int(below[0])
    if index == 0:
        return 0.0, True
    return index - 1 + float(above[index - 1] / (above[index - 1] - above[index])), True


def has_variance(image: np.ndarray, valid: np.ndarray | None = None) -> bool:
    """Whether an image varies by more than rounding (a part `FLAT` of its size)."""
    values = image[valid] if valid is not None else np.ravel(image)
    if not values.size:
        return False
    size = float(np.sqrt(np.mean(np.abs(values) ** 2)))
    return bool(np.std(values) > FLAT * size) if size > 0 else False


def hann(shape: tuple[int, ...]) -> np.ndarray:
    """Separable symmetric Hann window `(h, w)`, zero at the outermost pixels."""
    return np.hanning(shape[0])[:, None] * np.hanning(shape[1])[None, :]


def _rings(first: np.ndarray, second: np.ndarray) -> FrcCurve:
    side = min(first.shape)
    rows, cols = (fft.fftfreq(n) for n in first.shape)
    ring = np.rint(np.hypot(rows[:, None], cols[None, :]) * side).astype(np.int64).ravel()
    keep = side // 2 + 1

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(ring, values.ravel())[:keep]

    cross = first * np.conj(second)
    power = np.sqrt(total(np.abs(first) ** 2) * total(np.abs(second) ** 2))
    value = np.hypot(total(cross.real), total(cross.imag))
    correlation = np.divide(value, power, out=np.zeros(keep), where=power > 0)
    # Ring 0 is one coefficient: its magnitude correlation is 1 by construction, or 0/0.
    correlation[0] = 1.0
    return FrcCurve(np.arange(keep) / side, np.minimum(correlation, 1.0), np.bincount(ring)[:keep])
