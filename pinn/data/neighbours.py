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
    return frames_in_range(positions, count)


def frames_in_range(
    positions: np.ndarray,
    count: int,
    rows: np.ndarray | None = None,
    low: float = 0.0,
    high: float = math.inf,
) -> np.ndarray:
    """The nearest other frames of some frames whose distance lies in a range, nearest first.

    Both ends belong to the range, to one part in a billion: on a raster of step 3, `high = 3`
    reaches the next frame whatever its coordinates were rounded to. Ties are decided as in
    `nearest_frames`.

    Args:
        positions: `(M, 2)` pixels.
        count: neighbours of each, at most `M - 1`.
        rows: `(n,)` frames whose neighbours are wanted; default all.
        low: smallest distance in pixels.
        high: largest distance in pixels.

    Returns:
        int64 `(n, count)`; where a frame has fewer, its row ends in -1.
    """
    rows = np.arange(len(positions)) if rows is None else rows
    result = np.full((len(rows), count), -1, np.int64)
    if count:
        search = _Search(positions, count, low, high)
        for first in range(0, len(rows), _BLOCK):
            part = slice(first, first + _BLOCK)
            result[part] = search.find(rows[part], count + _SPARE)
    return result


class _Search:
    def __init__(self, positions: np.ndarray, count: int, low: float, high: float) -> None:
        self.positions, self.count = positions, count
        self.low, self.high = low * (1 - TIE), high * (1 + TIE)
        self.tree = cKDTree(positions)

    def find(self, rows: np.ndarray, width: int) -> np.ndarray:
        """Neighbours of `rows`, chosen from the first `width` frames from `low` on; a row whose
        ties are longer than that is asked for again."""
        nearer = np.zeros(len(rows), np.int64)  # frames too near, the frame itself included
        if self.low > 0:
            radius = np.nextafter(self.low, 0)
            nearer = self.tree.query_ball_point(self.positions[rows], radius, return_length=True)
        # Rows of like number together: a few crowded places do not slow all the others.
        order = np.argsort(nearer, kind="stable")
        result = np.empty((len(rows), self.count), np.int64)
        while len(order):
            most = max(_CELLS, _BLOCK * (self.count + _SPARE))
            size = min(len(order), max(1, most // (int(nearer[order[-1]]) + width)))
            part, order = order[-size:], order[:-size]
            result[part] = self._find(rows[part], nearer[part], width)
        return result

    def _find(self, rows: np.ndarray, nearer: np.ndarray, width: int) -> np.ndarray:
        M = len(self.positions)
        candidates = min(M, int(nearer.max()) + width)
        # an upper limit is exclusive for the tree, and lets it stop early
        distance, found = self.tree.query(
            self.positions[rows],
            k=candidates,
            distance_upper_bound=np.nextafter(self.high, math.inf),
        )
        distance, found = distance.reshape(len(rows), -1), found.reshape(len(rows), -1)
        columns = nearer[:, None] + np.arange(width)
        past = columns >= candidates
        columns[past] = 0
        distance = np.where(past, math.inf, np.take_along_axis(distance, columns, 1))
        found = np.where(past, M, np.take_along_axis(found, columns, 1))
        return self._choose(rows, distance, found, width)

    def _choose(
        self, rows: np.ndarray, distance: np.ndarray, found: np.ndarray, width: int
    ) -> np.ndarray:
        M, count = len(self.positions), self.count
        here = found == rows[:, None]
        usable = np.isfinite(distance) & ~here
        result = np.full((len(rows), count), -1, np.int64)
        # With the frame itself in the list, or without: `last` is the last neighbour wanted.
        wanted = np.minimum(count - 1 + here.any(1), width - 1)
        last = np.take_along_axis(distance, wanted[:, None], 1)[:, 0]
        more = np.isfinite(distance[:, -1]) & (width < M)
        again = more & (distance[:, -1] <= last * (1 + TIE))
        if again.any():
            result[again] = self.find(rows[again], 2 * width)
        rows, found, usable = rows[~again], found[~again], usable[~again]
        near = self.positions[np.minimum(found, M - 1)]
        squared = ((near - self.positions[rows][:, None]) ** 2).sum(-1)
        squared[~usable] = math.inf
        order = np.lexsort((found, near[..., 1], near[..., 0], squared), axis=-1)[:, :count]
        chosen = np.take_along_axis(np.where(usable, found, -1), order, -1)
        result[np.flatnonzero(~again), : chosen.shape[1]] = chosen
        return result
