"""Groups of neighbouring frames: which frames a network sees and merges together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pinn.data.legacy_grouping import legacy_indices
from pinn.data.neighbours import nearest_frames
from pinn.errors import ConfigError, ScanError

_RANKS = 2**62  # combinations are numbered with int64


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups of C frames each.

    Attributes:
        indices: int64 `(G, C)`, numbers of the frames in the scan.
        centres: float64 `(G, 2)` [y, x], mean position of the members in pixels.
        offsets: float64 `(G, C, 2)` [y, x], position of each member minus the centre.
        seeds: int64 `(G,)`, the frame each group was made for; the first member, except in legacy
            groups.
    """

    indices: np.ndarray
    centres: np.ndarray
    offsets: np.ndarray
    seeds: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def max_offset(self) -> float:
        """Largest `|offset|` along either axis in pixels; 0 without groups."""
        return float(np.abs(self.offsets).max(initial=0.0))

    def select(self, rows: np.ndarray) -> Groups:
        """Some of the groups, by number or by bool mask."""
        return Groups(self.indices[rows], self.centres[rows], self.offsets[rows], self.seeds[rows])

    @classmethod
    def of(cls, positions: np.ndarray, indices: np.ndarray, seeds: np.ndarray) -> Groups:
        """Groups from member indices `(G, C)` and positions `(M, 2)`."""
        indices = np.asarray(indices, np.int64)
        places = positions[indices]
        centres = places.mean(1)
        return cls(indices, centres, places - centres[:, None], np.asarray(seeds, np.int64))


def make_groups(
    positions: np.ndarray,
    gridsize: int,
    n_groups: int | None = None,
    neighbours: int | None = None,
    seed: int = 0,
    scan_index: np.ndarray | None = None,
    method: Literal["nearest", "legacy"] = "nearest",
    sequential: bool = False,
    oversample: bool = False,
) -> Groups:
    """Groups to train on.

    Each group has a seed, always its first member, and C - 1 members drawn without replacement
    from the nearest frames of the seed, nearest first. The same arguments give the same groups.

    Args:
        positions: `(M, 2)` [y, x] in pixels.
        gridsize: C = gridsize squared.
        n_groups: default one per frame. Fewer: a random subset of seeds. More: each seed gets
            several groups, all different.
        neighbours: nearest frames to draw from; default 2 (C - 1), or in legacy groups the larger
            of 4 and C. With C - 1 the nearest are taken.
        seed: of the random generator.
        scan_index: `(M,)`, a group never mixes frames of different values.
        method: `nearest`, or `legacy` for the rule of the reference system, whose seeds need not
            be members (see `pinn.data.legacy_grouping`).
        sequential: with fewer groups than frames: the first frames instead of a random subset.
        oversample: legacy only: allow more groups than frames.

    Raises:
        ScanError: too few frames.
        ConfigError: numbers that cannot be had.
    """
    positions = _checked(positions)
    C = _members(gridsize)
    if n_groups is not None and n_groups < 1:
        raise ConfigError(f"n_groups is {n_groups}, but at least 1 is required")
    if method == "legacy":
        if scan_index is not None and len(np.unique(scan_index)) > 1:
            raise ConfigError(
                "legacy grouping ignores scan_index and would mix the scans of this file; use "
                "grouping 'nearest'"
            )
        indices, seeds = legacy_indices(
            positions, C, n_groups, neighbours or max(4, C), seed, sequential, oversample
        )
        return Groups.of(positions, indices, seeds)
    if method != "nearest":
        raise ConfigError(f"grouping is {method!r}, but nearest or legacy is required")
    pool = _pool(C, neighbours)
    rng = np.random.default_rng(seed)
    repeats = _repeats(len(positions), C, n_groups, sequential, rng)
    members: list[np.ndarray] = []
    starts_of: list[np.ndarray] = []
    for rows in _scans(positions, scan_index, C):
        wanted = repeats[rows]
        near = rows[nearest_frames(positions[rows], min(pool, len(rows) - 1))]
        chosen = np.repeat(np.arange(len(rows)), wanted)
        drawn = _draw(wanted, near.shape[1], C - 1, rng)
        members.append(np.take_along_axis(near[chosen], drawn, 1))
        starts_of.append(rows[chosen])
    starts = np.concatenate(starts_of)
    grouped = np.concatenate([starts[:, None], np.concatenate(members)], axis=1)
    return Groups.of(positions, grouped, starts)


def groups_for_inference(
    positions: np.ndarray, gridsize: int, scan_index: np.ndarray | None = None
) -> Groups:
    """One group per frame, in the order of the frames: the frame, then its C - 1 nearest.

    Nothing is random, and which frames form a group does not depend on the order of the frames
    (see `nearest_frames`).

    Args:
        positions: `(M, 2)` [y, x] in pixels.
        gridsize: C = gridsize squared.
        scan_index: `(M,)`, a group never mixes frames of different values.

    Raises:
        ScanError: too few frames.
    """
    positions = _checked(positions)
    C = _members(gridsize)
    indices = np.empty((len(positions), C), np.int64)
    for rows in _scans(positions, scan_index, C):
        indices[rows, 0] = rows
        indices[rows, 1:] = rows[nearest_frames(positions[rows], C - 1)]
    return Groups.of(positions, indices, np.arange(len(positions)))


def _checked(positions: np.ndarray) -> np.ndarray:
    positions = np.asarray(positions, np.float64)
    if positions.ndim != 2 or positions.shape[1] != 2:
        raise ScanError(f"positions have shape {positions.shape}, but (M, 2) is required")
    return positions


def _members(gridsize: int) -> int:
    if gridsize < 1:
        raise ConfigError(f"gridsize is {gridsize}, but at least 1 is required")
    return gridsize**2


def _pool(C: int, neighbours: int | None) -> int:
    if neighbours is None:
        return 2 * (C - 1)
    if neighbours < C - 1:
        raise ConfigError(
            f"neighbours is {neighbours}, but a group of {C} frames needs at least {C - 1} of them"
        )
    return neighbours


def _scans(positions: np.ndarray, scan_index: np.ndarray | None, C: int) -> Iterator[np.ndarray]:
    """Frame numbers of each value of `scan_index`, all of them large enough for a group."""
    index = np.zeros(len(positions), np.int64) if scan_index is None else np.asarray(scan_index)
    if index.shape != (len(positions),):
        raise ScanError(
            f"scan_index has shape {index.shape}, but there are {len(positions)} positions"
        )
    values = np.unique(index) if len(index) else [0]
    for value in values:
        rows = np.flatnonzero(index == value)
        if len(rows) < C:
            where = f"scan_index {value} has" if len(values) > 1 else "there are"
            raise ScanError(
                f"{where} {len(rows)} frames, but a group has {C}; use a smaller gridsize"
            )
        yield rows


def _repeats(
    M: int, C: int, n_groups: int | None, sequential: bool, rng: np.random.Generator
) -> np.ndarray:
    """How many groups each frame is the seed of, `(M,)`."""
    if n_groups is None or n_groups == M:
        return np.ones(M, np.int64)
    if C == 1 and n_groups > M:
        raise ConfigError(
            f"{n_groups} groups were asked for, but with gridsize 1 there are only {M} different "
            "ones, one per frame; ask for fewer n_groups"
        )
    each, rest = divmod(n_groups, M) if M else (0, 0)
    repeats = np.full(M, each, np.int64)
    repeats[np.arange(rest) if sequential else rng.choice(M, rest, replace=False)] += 1
    return repeats


def _draw(wanted: np.ndarray, pool: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Random combinations of `size` out of `pool`, all different for one seed.

    Args:
        wanted: `(M,)`, combinations for each seed.

    Returns:
        int64 `(sum of wanted, size)`, each row ascending.
    """
    total = int(wanted.sum())
    if size == 0:
        return np.zeros((total, 0), np.int64)
    possible = min(math.comb(pool, size), _RANKS)
    most = int(wanted.max(initial=0))
    if most > possible:
        raise ConfigError(
            f"{most} groups per frame were asked for, but {pool} neighbours give only {possible} "
            "different ones; ask for fewer n_groups or more neighbours"
        )
    if most <= 1:
        ranks = rng.integers(0, possible, total)
    else:
        draws = [rng.choice(possible, count, replace=False) for count in wanted[wanted > 0]]
        ranks = np.concatenate(draws).astype(np.int64)
    return _combinations(ranks, pool, size)


def _combinations(ranks: np.ndarray, pool: int, size: int) -> np.ndarray:
    """Combination number `rank` in the combinatorial number system, members ascending.

    Every rank below `comb(pool, size)` is `comb(c_size, size) + ... + comb(c_1, 1)` for exactly
    one `c_size > ... > c_1 >= 0` (Knuth, The Art of Computer Programming 4A, 7.2.1.3).
    """
    chosen = np.empty((len(ranks), size), np.int64)
    left = ranks.copy()
    for place in range(size, 0, -1):
        table = np.array([min(math.comb(c, place), _RANKS) for c in range(pool)], np.int64)
        chosen[:, place - 1] = np.searchsorted(table, left, side="right") - 1
        left -= table[chosen[:, place - 1]]
    return chosen
