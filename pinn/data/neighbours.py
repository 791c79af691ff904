"""Nearest frames of every frame, with ties decided by place and not by order."""

from __future__ import annotations

import math

import numpy as np
from scipy.spatial import cKDTree

_BLOCK = 8192  # rows asked for at once, of few candidates each
_CELLS = 1 << 19  # rows times candidates, where there are many candidates
_SPARE = 9  # candidates beyond those wanted: the frame itself, and room for ties
# Relative; far above rounding, far below any stage.
TIE = 1e-9


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
    M = len(positions)
    result = np.empty((M, count), np.int64)
    if count:
        search = _Search(positions, count)
        for first in range(0, M, _BLOCK):
            rows = np.arange(first, min(first + _BLOCK, M))
            result[rows] = search.find(rows, count + _SPARE)
    return result


class _Search:
    def __init__(self, positions: np.ndarray, count: int) -> None:
        self.positions, self.count = positions, count
        self.tree = cKDTree(positions)

    def find(self, rows: np.ndarray, width: int) -> np.ndarray:
        """Neighbours of `rows`, chosen from the `width` nearest frames; a row whose ties are longer
        than that is asked for again."""
        size = max(1, max(_CELLS, _BLOCK * (self.count + _SPARE)) // width)
        blocks = range(0, len(rows), size)
        return np.concatenate([self._find(rows[at : at + size], width) for at in blocks])

    def _find(self, rows: np.ndarray, width: int) -> np.ndarray:
        M, count = len(self.positions), self.count
        distance, found = self.tree.query(self.positions[rows], k=min(width, M))
        distance, found = distance.reshape(len(rows), -1), found.reshape(len(rows), -1)
        here = found == rows[:, None]
        # With the frame itself in the list, or without: `last` is the last neighbour wanted.
        wanted = count - 1 + here.any(1)
        last = np.take_along_axis(distance, wanted[:, None], 1)[:, 0]
        again = (width < M) & (distance[:, -1] <= last * (1 + TIE))
        places = self.positions[found]
        squared = ((places - self.positions[rows][:, None]) ** 2).sum(-1)
        squared[here] = math.inf
        order = np.lexsort((found, places[..., 1], places[..., 0], squared), axis=-1)[:, :count]
        result = np.take_along_axis(found, order, -1)
        if again.any():
            result[again] = self.find(rows[again], 2 * width)
        return result
