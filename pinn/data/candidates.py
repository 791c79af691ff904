"""Who may be in a group: the frames kept, and the nearest ones of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pinn.data.neighbours import nearest_frames
from pinn.errors import ConfigError, ScanError


@dataclass(frozen=True, eq=False)
class Candidates:
    """Seeds, and from whom the rest of their groups can be drawn.

    Attributes:
        seeds: int64 `(S,)`, frames, ascending.
        near: int64 `(S, P)`, frames of the same scan, nearest first; -1: no more.
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
    positions: np.ndarray, rows: np.ndarray, scan_index: np.ndarray, C: int, pool: int
) -> Candidates:
    """The `pool` nearest frames of each frame, of the same scan.

    Args:
        positions: `(M, 2)` [y, x] in pixels.
        rows: frames that are used, ascending.
        scan_index: `(M,)`.
        C: frames in a group.
        pool: candidates of each seed.

    Raises:
        ScanError: too few frames.
    """
    near = np.full((len(rows), pool), -1, np.int64)
    for mine in scans(rows, scan_index, C, len(positions)):
        count = min(pool, len(mine) - 1)
        near[np.searchsorted(rows, mine), :count] = mine[nearest_frames(positions[mine], count)]
    return Candidates(rows, near)
