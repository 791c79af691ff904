"""What counting noise alone would do: expected deviance, and frames that are worse than others.

`deviance` is the NumPy twin of `pinn.ops.likelihood.poisson_deviance_per_pixel`, for what must not
load Keras and for tables in float64; there is no third.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, xlogy

_LOW, _HIGH, _POINTS = 1e-6, 100.0, 600
_MOST_COUNTS = 400  # a rate of 100 never counts as many
_OUTLIER_MADS = 6.0
_OUTLIER_RATIO = 2.0
_A_COUNT, _BRIGHT = 1.0, 0.1  # mean counts of a pixel, and of the brightest one's, that count


def deviance(counts: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """Poisson deviance of every pixel in float64, `2 (rate - k + k log(k / rate))`."""
    k, r = np.asarray(counts, np.float64), np.maximum(np.asarray(rate, np.float64), 1e-12)
    return np.maximum(2.0 * (r - k + xlogy(k, k / r)), 0.0)


def expected_deviance(rate: np.ndarray) -> np.ndarray:
    """Mean deviance of Poisson counts from their own rate: the noise floor of a pixel.

    Towards 1 for many counts, and towards 0 for few; the exact sum over all counts up to a rate of
    100, interpolated, and `1 + 1 / (6 rate)` beyond.

    Args:
        rate: counts, any shape.
    """
    rate = np.asarray(rate, np.float64)
    few = np.interp(np.log(np.maximum(rate, _LOW)), _TABLE[0], _TABLE[1])
    few = few * np.minimum(rate / _LOW, 1.0)
    return np.where(rate > _HIGH, 1.0 + 1.0 / (6.0 * np.maximum(rate, _HIGH)), few)


def mean_expected_deviance(rate: np.ndarray, valid: np.ndarray) -> float | None:
    """Mean of `expected_deviance` over the valid pixels, or None where there is none.

    Args:
        rate: counts, any shape.
        valid: bool, same shape.
    """
    return float(expected_deviance(rate[valid]).mean()) if valid.any() else None


def intensity_ratio(counts: np.ndarray, rate: np.ndarray, valid: np.ndarray) -> float:
    """Median over the frames of measured over predicted counts, of valid pixels.

    Args:
        counts, rate: `(n, N, N)`.
        valid: bool `(n, N, N)`.

    Returns:
        1 where no frame has both.
    """
    measured, predicted = (np.sum(image * valid, (1, 2)) for image in (counts, rate))
    lit = (measured > 0) & (predicted > 0)
    return float(np.median(measured[lit] / predicted[lit])) if lit.any() else 1.0


@dataclass(frozen=True)
class Fit:
    """Deviances per pixel of frames that something is said to explain, where the light is.

    Amplitudes that are fitted predict too little where a pixel has a hundredth of a count, and a
    single photon there weighs as much as a bright pixel that is wrong. So pixels count whose mean
    is at least one count, or a tenth of the brightest one's.

    Attributes:
        deviance: of the fitted pixels, or of all.
        held_out: of those that were not fitted, or None.
        noise_floor: what counting noise alone would make it; None for values that are not counts.
        one_pattern: see `deviance_of_one_pattern`.
        pixels, held_pixels: how many `deviance` and `held_out` rest on.
    """

    deviance: float
    held_out: float | None
    noise_floor: float | None
    one_pattern: float | None
    pixels: int
    held_pixels: int


def fit_of(
    counts: np.ndarray,
    rate: np.ndarray,
    valid: np.ndarray,
    counted: bool,
    held: np.ndarray | None = None,
) -> Fit | None:
    """How a sample of frames is explained.

    Args:
        counts, rate: `(n, N, N)` measured and predicted.
        valid: bool, same shape.
        counted: the values are counts of photons.
        held: bool, same shape: pixels that were not fitted; None: there are none.

    Returns:
        None where no pixel is lit.
    """
    seen = valid.sum(0)
    mean = np.sum(counts * valid, axis=0) / np.maximum(seen, 1)
    bright = (mean >= min(_A_COUNT, _BRIGHT * float(mean.max()))) & (mean > 0)
    used = valid & bright
    held = np.zeros(used.shape, bool) if held is None else held & used
    fitted = used & ~held
    if not fitted.any():
        return None
    values = deviance(counts, rate)
    return Fit(
        deviance=float(values[fitted].mean()),
        held_out=float(values[held].mean()) if held.any() else None,
        noise_floor=mean_expected_deviance(rate, used) if counted else None,
        one_pattern=deviance_of_one_pattern(counts, used),
        pixels=int(np.count_nonzero(fitted)),
        held_pixels=int(np.count_nonzero(held)),
    )


def deviance_of_one_pattern(counts: np.ndarray, valid: np.ndarray) -> float | None:
    """Deviance per pixel if all frames were one pattern but for their intensity.

    What a sample does to the frames is in this number, and what noise does. It is the statistic G
    of independence between frames and pixels (Sokal and Rohlf, Biometry), per degree of freedom:
    where there is nothing but counting noise, about the noise floor.

    Args:
        counts: `(n, N, N)`.
        valid: bool, same shape. Pixels that are masked in some frame are left out.

    Returns:
        None for fewer than two frames with counts, or no common pixel.
    """
    common = valid.all(axis=0)
    k = np.asarray(counts, np.float64)[:, common]
    k = k[k.sum(1) > 0]
    if len(k) < 2 or k.shape[1] < 2:
        return None
    frames, pixels = k.sum(1), k.sum(0)
    total = frames.sum()
    parts = xlogy(k, k).sum() - xlogy(frames, frames).sum() - xlogy(pixels, pixels).sum()
    freedom = (len(k) - 1) * (k.shape[1] - 1)
    return float(max(2.0 * (parts + xlogy(total, total)), 0.0) / freedom)


def outliers(values: np.ndarray) -> np.ndarray:
    """Numbers of the frames whose deviance is out of line.

    Those above the median of the logarithms by six times their median distance from it (times
    1.4826, the standard deviation where they are normally distributed), and above twice the
    median: in a scan whose frames are all alike, a small difference is no fault.

    Args:
        values: `(M,)` deviance; what is not finite or zero is left out.
    """
    known = np.isfinite(values) & (values > 0)
    if np.count_nonzero(known) < 8:
        return np.zeros(0, np.int64)
    logs = np.log(np.where(known, values, 1.0))
    middle = np.median(logs[known])
    spread = 1.4826 * np.median(np.abs(logs[known] - middle))
    limit = middle + max(_OUTLIER_MADS * spread, np.log(_OUTLIER_RATIO))
    return np.flatnonzero(known & (logs > limit))


def _table() -> tuple[np.ndarray, np.ndarray]:
    logs = np.linspace(np.log(_LOW), np.log(_HIGH), _POINTS)
    k = np.arange(_MOST_COUNTS)
    rate = np.exp(logs)[:, None]
    probability = np.exp(k * logs[:, None] - rate - gammaln(k + 1.0))
    return logs, np.sum(probability * deviance(k[None], rate), axis=1)


_TABLE = _table()
