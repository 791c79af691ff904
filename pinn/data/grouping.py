"""Groups of neighbouring frames: which frames a network sees and merges together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

from pinn.data.candidates import (
    Candidates,
    checked,
    find_candidates,
    frames_kept,
    index_of,
    scans,
)
from pinn.data.combinations import combinations, counts_table, draw_ranks, share_out
from pinn.data.legacy_grouping import legacy_indices
from pinn.data.neighbours import nearest_frames
from pinn.data.quadrants import Quadrants
from pinn.errors import ConfigError, ScanError

Method = Literal["nearest", "quadrants", "legacy"]


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups of C frames each.

    Attributes:
        indices: int64 `(G, C)`, numbers of the frames in the scan.
        centres: float64 `(G, 2)` [y, x], mean position of the members in pixels.
        offsets: float64 `(G, C, 2)` [y, x], position of each member minus the centre.
        seeds: int64 `(G,)`, the frame each group was made for; the first member, except in legacy
            groups.
        notes: sentences worth showing: frames that could not be seeds, quadrants that were empty.
    """

    indices: np.ndarray
    centres: np.ndarray
    offsets: np.ndarray
    seeds: np.ndarray
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def max_offset(self) -> float:
        """Largest `|offset|` along either axis in pixels; 0 without groups."""
        return float(np.abs(self.offsets).max(initial=0.0))

    def select(self, rows: np.ndarray) -> Groups:
        """Some of the groups, by number or by bool mask."""
        return replace(
            self,
            indices=self.indices[rows],
            centres=self.centres[rows],
            offsets=self.offsets[rows],
            seeds=self.seeds[rows],
        )

    @classmethod
    def of(
        cls,
        positions: np.ndarray,
        indices: np.ndarray,
        seeds: np.ndarray,
        notes: tuple[str, ...] = (),
    ) -> Groups:
        """Groups from member indices `(G, C)` and positions `(M, 2)`."""
        indices = np.asarray(indices, np.int64)
        places = positions[indices]
        centres = places.mean(1)
        return cls(indices, centres, places - centres[:, None], np.asarray(seeds, np.int64), notes)


def make_groups(
    positions: np.ndarray,
    gridsize: int,
    n_groups: int | None = None,
    neighbours: int | None = None,
    seed: int = 0,
    scan_index: np.ndarray | None = None,
    method: Method = "nearest",
    sequential: bool = False,
    oversample: bool = False,
    *,
    subsample: int | None = None,
    subsample_seed: int | None = None,
    at_most: int | None = None,
) -> Groups:
    """Groups to train on.

    Each group has a seed, always its first member, and C - 1 members drawn without replacement
    from the candidates of the seed, nearest first: the `neighbours` nearest frames that are kept
    by `subsample` and have the seed's scan index. A frame that has fewer than C - 1 of them in a
    quadrant, where quadrants are asked for, is no seed (a note counts them); it can still be a
    member. Only indices are handled, no frame is read. No two groups have the same seed and
    members, and the same arguments give the same groups.

    Args:
        positions: `(M, 2)` [y, x] in pixels.
        gridsize: C = gridsize squared.
        n_groups: default one per seed. Fewer: a random subset of the seeds. More: each seed gets
            several groups, all different.
        neighbours: candidates of a seed. Default: the C - 1 nearest themselves, as in inference,
            or 2 (C - 1) where there are more groups than seeds; 4 (C - 1) for quadrants; the
            larger of 4 and C for legacy.
        seed: of the random generator.
        scan_index: `(M,)`, a group never mixes frames of different values.
        method: `nearest`: any of the candidates. `quadrants`: the quadrants around the seed give
            one member in turn, where they have one (see `pinn.data.quadrants`). `legacy`: the
            rule of the reference system, whose seeds need not be members (see
            `pinn.data.legacy_grouping`).
        sequential: where fewer frames or groups are asked for than there are: the first frames
            instead of random ones.
        oversample: legacy only: allow more groups than frames.
        subsample: use only this many frames, drawn at random; all where there are fewer.
        subsample_seed: of the draw of those frames; default `seed`.
        at_most: without `n_groups`: make no more groups than this.

    Raises:
        ScanError: too few frames, or none with enough neighbours in a quadrant.
        ConfigError: numbers that cannot be had.
    """
    positions = checked(positions)
    C = _members(gridsize)
    if n_groups is not None and n_groups < 1:
        raise ConfigError(f"n_groups is {n_groups}, but at least 1 is required")
    index = index_of(scan_index, len(positions))
    kept = frames_kept(
        len(positions), subsample, seed if subsample_seed is None else subsample_seed, sequential
    )
    if method == "legacy":
        if len(np.unique(index)) > 1:
            raise ConfigError(
                "legacy grouping ignores scan_index and would mix the scans of this file; use "
                "grouping 'nearest'"
            )
        if n_groups is None and at_most is not None:
            n_groups = min(at_most, len(kept))
        indices, seeds = legacy_indices(
            positions[kept], C, n_groups, neighbours or max(4, C), seed, sequential, oversample
        )
        return Groups.of(positions, kept[indices], kept[seeds])
    if method not in ("nearest", "quadrants"):
        raise ConfigError(f"grouping is {method!r}, but nearest, quadrants or legacy is required")
    candidates = find_candidates(positions, kept, index, C, _pool(C, neighbours, method))
    rule: _Rule
    notes: tuple[str, ...] = ()
    if method == "nearest":
        if neighbours is None and (n_groups or 0) <= len(kept):
            candidates = Candidates(candidates.seeds, candidates.near[:, : C - 1])
        rule = _Nearest(candidates, C - 1)
    else:
        steps = positions[candidates.near] - positions[candidates.seeds][:, None]
        rule = quadrants = Quadrants(steps, candidates.near >= 0, C - 1)
        notes = _check_quadrants(quadrants, C)
    rng = np.random.default_rng(seed)
    pool = candidates.near.shape[1]
    counts = _groups_of_seeds(rule, n_groups, at_most, sequential, rng, C, pool)
    chosen = np.repeat(np.arange(len(counts)), counts)
    columns = rule.members(chosen, draw_ranks(rule.capacity, counts, rng))
    seeds = candidates.seeds[chosen]
    drawn = np.take_along_axis(candidates.near[chosen], columns, 1)
    return Groups.of(positions, np.concatenate([seeds[:, None], drawn], axis=1), seeds, notes)


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
    positions = checked(positions)
    C, M = _members(gridsize), len(positions)
    indices = np.empty((M, C), np.int64)
    for rows in scans(np.arange(M), index_of(scan_index, M), C, M):
        indices[rows, 0] = rows
        indices[rows, 1:] = rows[nearest_frames(positions[rows], C - 1)]
    return Groups.of(positions, indices, np.arange(M))


class _Rule(Protocol):
    """The sets of members a seed can have, by number."""

    capacity: np.ndarray

    def members(self, rows: np.ndarray, ranks: np.ndarray) -> np.ndarray: ...


class _Nearest:
    """Any `size` of the candidates."""

    def __init__(self, candidates: Candidates, size: int) -> None:
        self.pool, self.size = candidates.near.shape[1], size
        self.capacity = counts_table(self.pool, size)[candidates.counts]

    def members(self, rows: np.ndarray, ranks: np.ndarray) -> np.ndarray:
        return combinations(ranks, self.pool, self.size)


def _members(gridsize: int) -> int:
    if gridsize < 1:
        raise ConfigError(f"gridsize is {gridsize}, but at least 1 is required")
    return gridsize**2


def _pool(C: int, neighbours: int | None, method: Method) -> int:
    if neighbours is None:
        return (4 if method == "quadrants" else 2) * (C - 1)
    if neighbours < C - 1:
        raise ConfigError(
            f"neighbours is {neighbours}, but a group of {C} frames needs at least {C - 1} of them"
        )
    return neighbours


def _check_quadrants(rule: Quadrants, C: int) -> tuple[str, ...]:
    """Notes on the frames that cannot be seeds, if there are others that can.

    Raises:
        ScanError: none can.
    """
    total, without = len(rule.capacity), int((rule.capacity == 0).sum())
    remedy = "raise neighbours or use a smaller gridsize"
    if without == total:
        raise ScanError(
            f"a group of {C} frames needs {C - 1} in a quadrant from its seed, but none of {total} "
            f"frames has as many (at most {int(rule.found.sum(1).max(initial=0))}); {remedy}"
        )
    notes = []
    if without:
        notes.append(
            f"{without} of {total} frames have fewer than {C - 1} others in a quadrant and are "
            f"seeds of no group; {remedy} if they should be"
        )
    occupied = (rule.found > 0).sum(1)
    sparse = int(((occupied < min(4, C - 1)) & (rule.capacity > 0)).sum())
    if sparse:
        notes.append(
            f"{sparse} of {total} frames have neighbours in fewer than {min(4, C - 1)} "
            "quadrants, as at the rim of a scan; the other quadrants give more members there"
        )
    return tuple(notes)


def _groups_of_seeds(
    rule: _Rule,
    n_groups: int | None,
    at_most: int | None,
    sequential: bool,
    rng: np.random.Generator,
    C: int,
    pool: int,
) -> np.ndarray:
    """How many groups each candidate seed gets, `(S,)`."""
    usable = int((rule.capacity > 0).sum())
    if n_groups is None:
        n_groups = usable if at_most is None else min(usable, at_most)
    possible = int(np.minimum(rule.capacity, n_groups).sum())
    if n_groups > possible:
        if C == 1:
            raise ConfigError(
                f"{n_groups} groups were asked for, but with gridsize 1 there are only {usable} "
                "different ones, one per frame; ask for fewer n_groups"
            )
        raise ConfigError(
            f"{n_groups} groups were asked for, but {usable} seeds with up to {pool} neighbours "
            f"give only {possible} different ones; ask for fewer n_groups or more neighbours"
        )
    return share_out(n_groups, rule.capacity, sequential, rng)
