"""Nearest frames of every frame, with ties decided by place and not by order."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

_BLOCK = 8192
_TIE = 1e-9  # relative; far above rounding, far below any stage


def nearest_frames(positions: np.ndarray, count: int) -> np.ndarray:
    """The nearest other frames of each frame, nearest first.

    Equal distances (rasters are full of them) are decided by the neighbour's y, then x, then
    number, so the result does not depend on the order of the frames, save for frames that share
    one place exactly. A frame is never its own neighbour, also where positions repeat.

    Args:
        positions: `(M, 2)` pixels.
        count: neighbours of each, at most `M - 1`.

    Returns:
        int64 `(M, count)`.
    """
    if count == 0:
        return np.empty((len(positions), 0), np.int64)
    tree = cKDTree(positions)
    result = np.empty((len(positions), count), np.int64)
    for first in range(0, len(positions), _BLOCK):
        rows = np.arange(first, min(first + _BLOCK, len(positions)))
        _fill(result, tree, positions, rows, count, count + 9)
    return result


def _fill(
    result: np.ndarray,
    tree: cKDTree,
    positions: np.ndarray,
    rows: np.ndarray,
    count: int,
    candidates: int,
) -> None:
    """Write `result[rows]`; rows whose tie is longer than the candidates are asked again."""
    candidates = min(candidates, len(positions))
    distance, found = tree.query(positions[rows], k=candidates)
    distance, found = distance.reshape(len(rows), -1), found.reshape(len(rows), -1)
    if candidates < len(positions):
        # Index `count` is the last neighbour wanted, since the frame itself is in the list.
        tied = distance[:, -1] <= distance[:, count] * (1 + _TIE)
        if tied.any():
            open_rows, half = rows[tied], (len(rows) + 1) // 2  # the same memory as this call
            for first in range(0, len(open_rows), half):
                part = open_rows[first : first + half]
                _fill(result, tree, positions, part, count, 2 * candidates)
            rows, found = rows[~tied], found[~tied]
    if not len(rows):
        return
    # The frame itself comes first. It is in the list: if more frames share its place than there are
    # candidates, their distances tie.
    step = positions[found] - positions[rows][:, None]
    squared = np.where(found == rows[:, None], -1.0, (step**2).sum(-1))
    order = np.lexsort((found, positions[found, 1], positions[found, 0], squared), axis=-1)
    result[rows] = np.take_along_axis(found, order[:, 1 : count + 1], -1)
