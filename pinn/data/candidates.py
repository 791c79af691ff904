"""Who may be in a group: frames kept, seeds inside bounds, neighbours at the right distance."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pinn.data.neighbours import frames_in_range
from pinn.errors import ConfigError, ScanError

Bounds = tuple[float, float, float, float]


@dataclass(frozen=True)
class Reach:
    """How far the members of a group may lie from its seed.

    Attributes:
        low, high: distances in pixels, both included (to one part in a billion).

    Raises:
        ConfigError: an empty range.
    """

    low: float = 0.0
    high: float = math.inf

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high or self.high == 0:
            raise ConfigError(
                f"members of a group should be {self.low:g} to {self.high:g} px from its seed, "
                "which no frame is; make max_distance larger than min_distance"
            )

    @property
    def limited(self) -> bool:
        """True if not every distance is allowed."""
        return self.low > 0 or self.high < math.inf

    def __str__(self) -> str:
        if not self.limited:
            return "at any distance"
        if self.high == math.inf:
            return f"at least {self.low:g} px away"
        if self.low == 0:
            return f"at most {self.high:g} px away"
        return f"{self.low:g} to {self.high:g} px away"


@dataclass(frozen=True, eq=False)
class Candidates:
    """Seeds, and from whom the rest of their groups can be drawn.

    Attributes:
        seeds: int64 `(S,)`, frames, ascending.
        near: int64 `(S, P)`, frames of the same scan in reach, nearest first; -1: no more.
    """

    seeds: np.ndarray
    near: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """int64 `(S,)`, candidates of each seed."""
        return (self.near >= 0).sum(1)


def checked(positions: np.ndarray) -> np.ndarray:
    """Positions as float64.

    Raises:
        ScanError: not `(M, 2)`.
    """
    positions = np.asarray(positions, np.float64)
    if positions.ndim != 2 or positions.shape[1] != 2:
        raise ScanError(f"positions have shape {positions.shape}, but (M, 2) is required")
    return positions


def frames_kept(M: int, subsample: int | None, seed: int, sequential: bool) -> np.ndarray:
    """Numbers of the frames to use, ascending: a random subset, or the first ones.

    Raises:
        ConfigError: none are to be kept.
    """
    if subsample is None or subsample >= M:
        return np.arange(M)
    if subsample < 1:
        raise ConfigError(f"subsample is {subsample}, but at least 1 frame is required")
    if sequential:
        return np.arange(subsample)
    # a stream of its own: the same frames, whatever else is drawn with this seed
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
    return np.sort(rng.choice(M, subsample, replace=False))


def rows_within(positions: np.ndarray, rows: np.ndarray, bounds: Bounds | None) -> np.ndarray:
    """The frames among `rows` whose position lies in `bounds` (y0, x0, y1, x1), ends included.

    Raises:
        ScanError: there are none.
    """
    if bounds is None:
        return rows
    low, high = np.array(bounds[:2], np.float64), np.array(bounds[2:], np.float64)
    places = positions[rows]
    inside = rows[((places >= low) & (places <= high)).all(1)]
    if not len(inside):
        spans = [
            f"{name} {a:g} to {b:g}"
            for name, a, b in zip("yx", places.min(0), places.max(0), strict=True)
        ]
        raise ScanError(
            f"none of {len(rows)} frames lies within the bounds y {low[0]:g} to {high[0]:g}, x "
            f"{low[1]:g} to {high[1]:g} px; they lie at {', '.join(spans)} px: change bounds"
        )
    return inside


def scans(rows: np.ndarray, scan_index: np.ndarray, C: int, M: int) -> Iterator[np.ndarray]:
    """The frames among `rows` of each value of `scan_index`, all of them enough for a group.

    Args:
        rows: frames that are used.
        scan_index: `(M,)`.
        C: frames in a group.
        M: frames of the scan.

    Raises:
        ScanError: too few frames of one value.
    """
    index = scan_index[rows]
    values = np.unique(index) if len(index) else np.zeros(1, np.int64)
    for value in values:
        mine = rows[index == value]
        if len(mine) < C:
            where = f"scan_index {value} has" if len(values) > 1 else "there are"
            kept = f" left by subsample ({len(rows)} of {M})" if len(rows) < M else ""
            remedy = "raise subsample or use" if kept else "use"
            raise ScanError(
                f"{where} {len(mine)} frames{kept}, but a group has {C}; {remedy} a smaller "
                "gridsize"
            )
        yield mine


def index_of(scan_index: np.ndarray | None, M: int) -> np.ndarray:
    """Scan of each frame, all the same where none is given.

    Raises:
        ScanError: another length.
    """
    index = np.zeros(M, np.int64) if scan_index is None else np.asarray(scan_index)
    if index.shape != (M,):
        raise ScanError(f"scan_index has shape {index.shape}, but there are {M} positions")
    return index


def find_candidates(
    positions: np.ndarray,
    rows: np.ndarray,
    seeds: np.ndarray,
    scan_index: np.ndarray,
    C: int,
    pool: int,
    reach: Reach,
) -> Candidates:
    """The `pool` nearest frames in reach of each seed, of the same scan.

    Args:
        positions: `(M, 2)` [y, x] in pixels.
        rows: frames that are used.
        seeds: those of them that may be seeds, ascending.
        scan_index: `(M,)`.
        C: frames in a group.
        pool: candidates of each seed.
        reach: allowed distances.

    Raises:
        ScanError: too few frames.
    """
    near = np.full((len(seeds), pool), -1, np.int64)
    for mine in scans(rows, scan_index, C, len(positions)):
        own = np.flatnonzero(np.isin(seeds, mine))
        count = min(pool, len(mine) - 1)
        found = frames_in_range(
            positions[mine], count, np.searchsorted(mine, seeds[own]), reach.low, reach.high
        )
        near[own, :count] = np.where(found >= 0, mine[found], -1)
    return Candidates(seeds, near)
