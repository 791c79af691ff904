"""Scan patterns, scaled so that the mean distance to the nearest position is what was asked.

Patterns are drawn in arbitrary units and scaled afterwards: the achieved overlap is then exact for
every pattern, jittered and random ones included.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from pinn.data.geometry import LENGTH_UNITS
from pinn.errors import ConfigError, ScanError
from pinn.simulate.config import SimulateConfig
from pinn.simulate.forward import FOURIER_PAD
from pinn.simulate.object_file import ObjectFile
from pinn.simulate.options import JITTER, N_FRAMES, OVERLAP
from pinn.simulate.position_errors import growth
from pinn.simulate.position_files import read_positions

GOLDEN_ANGLE = math.pi * (3.0 - math.sqrt(5.0))
MAX_SIZE = 16384
MAX_FRAMES = 10_000_000


@dataclass(frozen=True)
class Layout:
    """Where the probe goes and how large the object is.

    Attributes:
        positions_px: `(M, 2)` float64 (y, x), true positions in the object frame (origin 0).
        size: side of the object in pixels.
        extent_px: larger side of the positions' bounding box.
        whole: the object is all of its file, of whatever shape, and `size` its longer side.
    """

    positions_px: np.ndarray
    size: int
    extent_px: float
    whole: bool = False


def unit_pattern(kind: str, n: int, jitter: float, seed: np.random.SeedSequence) -> np.ndarray:
    """A pattern of `n` positions in arbitrary units, `(n, 2)` float64 (y, x).

    Args:
        kind: `raster` (rows of equal length, the last may be shorter; each coordinate displaced
            uniformly by up to `jitter` steps), `random` (uniform in a square), `fermat`
            (equal-area spiral, radius proportional to the root of the index at multiples of the
            golden angle; Huang et al., Opt. Express 22, 12634 (2014)) or `spiral` (Archimedean:
            turns one unit apart, positions one unit apart along it).
        n: number of positions.
        jitter: for `raster`.
        seed: the same seed gives the same pattern.
    """
    return _PATTERNS[kind](n, jitter, np.random.default_rng(seed))


def _raster(n: int, jitter: float, rng: np.random.Generator) -> np.ndarray:
    grid = np.stack(np.divmod(np.arange(n), math.ceil(math.sqrt(n))), -1).astype(np.float64)
    return np.asarray(grid + jitter * rng.uniform(-1.0, 1.0, (n, 2)))


def _fermat(n: int, jitter: float, rng: np.random.Generator) -> np.ndarray:
    index = np.arange(n) + 0.5
    angle = index * GOLDEN_ANGLE
    return np.sqrt(index)[:, None] * np.stack([np.sin(angle), np.cos(angle)], -1)


def _archimedean(n: int, jitter: float, rng: np.random.Generator) -> np.ndarray:
    # arc length of r = t / 2 pi is (t sqrt(1 + t^2) + asinh t) / 4 pi: Newton from the large-t root
    length = np.arange(n, dtype=np.float64)
    turn = np.sqrt(4 * math.pi * length)
    for _ in range(8):
        root = np.sqrt(1 + turn**2)
        turn -= ((turn * root + np.arcsinh(turn)) / 2 - math.tau * length) / root
    return np.asarray(turn[:, None] / math.tau * np.stack([np.sin(turn), np.cos(turn)], -1))


_PATTERNS: dict[str, Callable[[int, float, np.random.Generator], np.ndarray]] = {
    "raster": _raster,
    "random": lambda n, jitter, rng: rng.random((n, 2)),
    "fermat": _fermat,
    "spiral": _archimedean,
}


def mean_nearest_distance(positions: np.ndarray) -> float:
    """Mean over positions `(M, 2)` of the distance to the nearest other one; M at least 2."""
    distances, _ = cKDTree(positions).query(positions, k=2)
    return float(distances[:, 1].mean())


def margin_px(config: SimulateConfig) -> int:
    """Object pixels kept outside the outermost patch.

    Two for the interpolation and for rounding, four standard deviations and the limit of
    positions in error, and the border that Fourier interpolation reads.
    """
    border = FOURIER_PAD if config.interpolation == "fourier" else 0
    return 2 + border + math.ceil(4 * config.position_error + config.position_error_limit)


def plan(
    config: SimulateConfig,
    diameter_px: float,
    seed: np.random.SeedSequence,
    side: int | None = None,
) -> Layout:
    """Resolve frames, spacing and size, any two of which fix the third, and lay out the scan.

    Args:
        config: the recipe.
        diameter_px: probe diameter (4 sigma), which turns `overlap` into a distance.
        seed: of the pattern.
        side: of an object taken pixel for pixel from a file; it is the size unless frames and
            spacing are both stated.

    Raises:
        ConfigError: what was asked does not fit together.
    """
    border, grow = config.N + 2 * margin_px(config), growth(config)
    size = _stated_size(config, side)
    room = None if size is None else (size - border) / grow
    if room is not None and room < 0:
        raise ConfigError(
            f"size {size} leaves no room for frames of {config.N} pixels and a margin of "
            f"{margin_px(config)} on each side; take {border} or more"
        )
    step, n_frames = config.step, config.n_frames
    if config.overlap is not None:
        step = (1.0 - config.overlap) * diameter_px
    if step is None and (room is None or n_frames is None):
        step = (1.0 - OVERLAP) * diameter_px
    if n_frames is None and room is not None and step is not None:
        n_frames = _largest(config, step, room, seed)
    n_frames = n_frames or N_FRAMES
    unit, extent, distance = _pattern(config, n_frames, seed)
    if n_frames == 1:
        factor, step = 0.0, None
    elif step is not None:
        factor = step / distance
    elif room is not None:  # size and frames fix the spacing
        factor = room / extent
        step = factor * distance
    extent *= factor
    needed = math.ceil(extent * grow) + border
    if room is not None and extent > room + 1e-9:
        raise ConfigError(
            f"{n_frames} frames {step:.4g} px apart cover {extent:.0f} px and need an object of "
            f"{needed} px, but size is {size}; leave out one of n_frames, size and overlap or step"
        )
    if room is not None and step is not None and step <= 1e-6:
        raise ConfigError(f"size {size} leaves no room to move; take {border + 16} or more")
    size = needed if size is None else size
    if side is not None and size > side:
        raise ConfigError(
            f"the scan needs an object of {size} px on a side, but {config.object_file} has "
            f"{side}; ask for fewer frames or a larger overlap, or say object_fit resize"
        )
    if size > MAX_SIZE:
        raise ConfigError(
            f"the scan needs an object of {size} px on a side, more than {MAX_SIZE}; ask for fewer "
            "frames or a larger overlap"
        )
    middle = (unit.min(0) + unit.max(0)) / 2
    return Layout((unit - middle) * factor + size / 2, size, extent)


def _stated_size(config: SimulateConfig, side: int | None) -> int | None:
    """Side of the object that the recipe or the object file fixes; None: neither does."""
    if side is None:
        return config.size
    if config.size is None:
        spaced = config.step is not None or config.overlap is not None
        return None if spaced and config.n_frames is not None else side
    if config.size > side:
        raise ConfigError(
            f"size is {config.size}, but {config.object_file} has {side} pixels; lower it or say "
            "object_fit resize"
        )
    return config.size


def _pattern(
    config: SimulateConfig, n: int, seed: np.random.SeedSequence
) -> tuple[np.ndarray, float, float]:
    """Positions in arbitrary units, the larger side of their box, their nearest distance."""
    jitter = JITTER if config.jitter is None else config.jitter
    unit = unit_pattern(config.pattern, n, jitter, seed)
    extent = float(np.ptp(unit, axis=0).max())
    return unit, extent, mean_nearest_distance(unit) if n > 1 else math.inf


def _largest(config: SimulateConfig, step: float, room: float, seed: np.random.SeedSequence) -> int:
    """The most frames that fit, by bisection: the extent grows with the number of frames."""

    def fits(n: int) -> bool:
        _, extent, distance = _pattern(config, n, seed)
        return extent * step / distance <= room

    # at a mean nearest distance of one, no pattern has fewer than 0.2 positions per unit area
    if 0.2 * (room / step) ** 2 > MAX_FRAMES:
        raise ConfigError(
            f"more than {MAX_FRAMES} frames {step:.3g} px apart fit into the object; give n_frames"
        )
    low, high = 1, 2
    while fits(high):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    if low == 1:
        raise ConfigError(
            f"no two frames {step:.4g} px apart fit into the object; enlarge size or the overlap"
        )
    return low


def plan_from_file(
    config: SimulateConfig, pixel_size_m: float | None, given: ObjectFile | None
) -> Layout:
    """Positions from a file, over the middle of the object or where they say.

    Args:
        config: the recipe.
        pixel_size_m: object pixel, for positions in metres.
        given: what the object file holds, if there is one.

    Raises:
        ScanError: the file cannot be used.
        ConfigError: the object does not hold all patches.
    """
    assert config.positions_file is not None
    name = f"the positions in {config.positions_file}"
    positions = read_positions(config.positions_file)
    if config.positions_unit not in (None, "px"):
        assert pixel_size_m is not None
        positions = positions * (LENGTH_UNITS[str(config.positions_unit)] / pixel_size_m)
    low, high = positions.min(0), positions.max(0)
    extent = float((high - low).max())
    # distorted positions need more room than the true ones
    border = config.N + 2 * margin_px(config) + math.ceil(extent * (growth(config) - 1.0))
    if not extent + border <= MAX_SIZE:
        raise ScanError(
            f"{name} cover {extent:.4g} px, more than the {MAX_SIZE - border} an object can have; "
            "state their unit with positions_unit"
        )
    crop = given if given is not None and given.crop else None
    if config.positions_place != "absolute":
        size = config.size or (crop.side if crop else math.ceil(extent) + border)
        available = min(size, crop.side) if crop else size
        if extent + border > size + 1e-9 or size > available:
            raise ConfigError(
                f"{name} cover {extent:.0f} px and need an object of {math.ceil(extent) + border} "
                f"px, but it has {available}; enlarge it, or take other positions"
            )
        return Layout(positions - (low + high) / 2 + size / 2, size, extent)
    if crop is not None:
        if config.size is not None:
            raise ConfigError(
                f"size has no meaning with absolute positions on all of {config.object_file}; "
                "leave it out"
            )
        positions, shape = positions - crop.origin_px, np.array(crop.values.shape)
    else:
        shape = np.array([config.size or math.ceil(high.max()) + border // 2] * 2)
    reach = border / 2 - 2  # the margin less what is there for rounding alone
    low, high = positions.min(0), positions.max(0)
    if np.any(low < reach) or np.any(high > shape - reach):
        raise ConfigError(
            f"{name} lie from {low.round(1).tolist()} to {high.round(1).tolist()} (y, x) on an "
            f"object of {shape.tolist()} px, but {reach:g} px are needed on every side; leave out "
            "positions_place to put them over its middle"
        )
    return Layout(positions, int(shape.max()), extent, whole=crop is not None)
