"""From expected counts to what a detector writes: noise, dead and stuck pixels, saturation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pinn.simulate.config import SimulateConfig
from pinn.simulate.random_fields import gaussian_field

STUCK_FLOAT = 65535.0  # what a stuck pixel reads when the frames are not integers
_BACKGROUND_WIDTH = 0.25  # correlation length of the uneven background over N
_BACKGROUND_SPREAD = 0.7  # standard deviation of its logarithm


@dataclass(frozen=True)
class Detector:
    """One detector, the same for all frames of a scan.

    Attributes:
        config: the recipe.
        bad: `(N, N)` bool, True = bad (dead, stuck, in a gap or behind the beamstop).
        stuck: `(N, N)` bool, the bad pixels that read the highest value; the other bad ones read 0.
        dtype: of the frames.
        background: counts per pixel, one number or `(N, N)` float64.
    """

    config: SimulateConfig
    bad: np.ndarray
    stuck: np.ndarray
    dtype: np.dtype
    background: float | np.ndarray

    @property
    def valid_mask(self) -> np.ndarray:
        """`(N, N)` bool, True = use."""
        return ~self.bad

    @property
    def ceiling(self) -> float:
        """Largest count of the frames."""
        integer, level = self.dtype.kind == "u", self.config.saturation
        largest = float(np.iinfo(self.dtype).max) if integer else float(2**53)
        if level is None:
            return largest
        return min(largest, float(math.floor(level) if integer else level))

    @property
    def written_saturation(self) -> float | None:
        """The value in the frames from which on a pixel is saturated; None: not stated."""
        if self.config.saturation is None:
            return None
        level = math.sqrt(self.ceiling) if self.config.frames == "amplitude" else self.ceiling
        return float(np.asarray(level, self.dtype))

    def expose(self, rate: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One frame.

        Args:
            rate: `(N, N)` float64, expected counts without background.
            rng: source of randomness.

        Returns:
            `(N, N)` of `dtype`: counts, or their square root. Counts above `saturation`, or the
            range of an integer dtype, read that value, as on a detector.
        """
        integer, saturates = self.dtype.kind == "u", self.config.saturation is not None
        counts = rate + self.background
        if self.config.poisson:
            counts = rng.poisson(counts).astype(np.float64)
        if saturates:
            counts = np.minimum(counts, self.ceiling)
        counts[self.bad] = 0.0
        counts[self.stuck] = self.ceiling if integer or saturates else STUCK_FLOAT
        if self.config.frames == "amplitude":
            counts = np.sqrt(counts)
        elif integer:
            counts = np.minimum(np.rint(counts), self.ceiling)
        return counts.astype(self.dtype)


def make_detector(
    config: SimulateConfig, brightest: float, rng: np.random.Generator, uneven: np.ndarray | float
) -> Detector:
    """The detector of a recipe.

    Args:
        config: the recipe.
        brightest: expected photons of the brightest frame. No pixel can hold more than its frame:
            what `frames_dtype = auto` goes by.
        rng: draws the bad pixels.
        uneven: `(N, N)` float64, background besides the even one; 0.0: none.
    """
    N, background = config.N, config.background + uneven
    stop = beamstop_mask(N, config.beamstop) | gap_mask(config)
    open_pixels = np.flatnonzero(~stop)
    chosen = rng.choice(open_pixels, round(config.bad_pixels * len(open_pixels)), replace=False)
    bad, stuck = stop.copy(), np.zeros((N, N), bool)
    bad.flat[chosen] = True
    stuck.flat[chosen[: len(chosen) // 2]] = True
    dtype = _dtype(config, brightest + float(np.max(background)))
    return Detector(config, bad, stuck, dtype, background)


def uneven_background(N: int, mean: float, rng: np.random.Generator) -> np.ndarray:
    """A smooth positive background `(N, N)` float64 of this mean, log-normal."""
    field = gaussian_field(N, _BACKGROUND_WIDTH * N, 6.0, rng)
    field = np.exp(_BACKGROUND_SPREAD * (field - field.mean()) / field.std())
    return np.asarray(field * (mean / field.mean()))


def beamstop_mask(N: int, radius: float) -> np.ndarray:
    """`(N, N)` bool, True for the pixels nearer than `radius` to the zero frequency [N/2, N/2]."""
    index = np.arange(N) - N // 2
    return index[:, None] ** 2 + index**2 < radius**2


def gap_mask(config: SimulateConfig) -> np.ndarray:
    """`(N, N)` bool, True for the pixels between detector modules."""
    mask = np.zeros((config.N, config.N), bool)
    for lines, first in ((mask, config.gap_row), (mask.T, config.gap_column)):
        if first is not None:
            lines[first : first + (config.gap_width or 0)] = True
    return mask


def _dtype(config: SimulateConfig, peak: float) -> np.dtype:
    if config.frames_dtype != "auto":
        return np.dtype(config.frames_dtype)
    if config.frames == "amplitude" or not config.poisson:
        return np.dtype(np.float32)
    # ten standard deviations above the most a pixel can expect; below the stuck value of the type
    peak += 10.0 * np.sqrt(peak) + 10.0
    if config.saturation is not None:
        peak = min(peak, config.saturation)
    fitting = (dtype for dtype in (np.uint16, np.uint32) if peak < np.iinfo(dtype).max)
    return np.dtype(next(fitting, np.float32))
