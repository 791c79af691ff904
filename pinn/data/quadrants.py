"""Groups whose members lie all around the seed: the four quadrants take turns."""

from __future__ import annotations

import numpy as np

from pinn.data.combinations import RANKS, combinations, counts_table

_MOST = RANKS // 16  # sets of one choice of quadrants: sixteen of them can be added up in int64
_SUBSETS = np.array([[(number >> q) & 1 for q in range(4)] for number in range(16)], np.int64)


class Quadrants:
    """The sets of members that the rule of quadrants allows each seed.

    A quadrant includes one of its two axes, so that the four next frames of a raster lie in four
    different ones; a frame at the seed's own place lies in none. Each quadrant gives one member,
    then each a second, and so on until there are enough; a quadrant that has no more is passed
    over, and which quadrants give the last ones is open. All sets that can come about in this way
    are numbered.

    Args:
        steps: `(S, P, 2)` [y, x], candidates' positions minus the seed's.
        present: bool `(S, P)`, False where there is no candidate.
        size: members of a group besides the seed.

    Attributes:
        capacity: int64 `(S,)`, sets each seed has (0: too few candidates).
        found: int64 `(S, 4)`, candidates in each quadrant.
    """

    def __init__(self, steps: np.ndarray, present: np.ndarray, size: int) -> None:
        self.size, self.pool = size, steps.shape[1]
        y, x = steps[..., 0], steps[..., 1]
        quadrant = np.full(steps.shape[:2], 4)
        for number, where in enumerate(
            ((x > 0) & (y >= 0), (y > 0) & (x <= 0), (x < 0) & (y <= 0), (y < 0) & (x >= 0))
        ):
            quadrant[where & present] = number
        self._order = np.argsort(quadrant, axis=1, kind="stable")
        self.found = np.stack([(quadrant == q).sum(1) for q in range(4)], 1)
        level = np.zeros(len(steps), np.int64)  # members that every quadrant gives, if it can
        for number in range(1, size + 1):
            level[np.minimum(self.found, number).sum(1) <= size] = number
        self._sure = np.minimum(self.found, level[:, None])
        rest = size - self._sure.sum(1)
        sets = self._sets()
        allowed = (_SUBSETS[None] <= (self.found > level[:, None])[:, None]).all(2)
        allowed &= _SUBSETS.sum(1)[None] == rest[:, None]
        self._weights = np.where(allowed, sets, 0)
        self.capacity = self._weights.sum(1)

    def members(self, rows: np.ndarray, ranks: np.ndarray) -> np.ndarray:
        """Set number `rank` of some seeds.

        Args:
            rows: int64 `(n,)`, seeds.
            ranks: int64 `(n,)`, below their capacities.

        Returns:
            int64 `(n, size)`, which of the P candidates, ascending.
        """
        edges = np.cumsum(self._weights[rows], axis=1)
        subset = (ranks[:, None] >= edges).sum(1)
        left = ranks - np.take_along_axis(edges - self._weights[rows], subset[:, None], 1)[:, 0]
        seats = self._sure[rows] + _SUBSETS[subset]
        starts = np.cumsum(self.found, axis=1) - self.found
        result = np.empty((len(rows), self.size), np.int64)
        filled = np.zeros(len(rows), np.int64)
        for q in range(4):
            for count in range(1, int(seats[:, q].max(initial=0)) + 1):
                mine = np.flatnonzero(seats[:, q] == count)
                choices = counts_table(self.pool, count, _MOST)[self.found[rows[mine], q]]
                left[mine], rank = np.divmod(left[mine], choices)
                chosen = combinations(rank, self.pool, count) + starts[rows[mine], q][:, None]
                columns = np.take_along_axis(self._order[rows[mine]], chosen, 1)
                result[mine[:, None], filled[mine, None] + np.arange(count)] = columns
            filled += seats[:, q]
        return np.sort(result, axis=1)

    def _sets(self) -> np.ndarray:
        """How many sets there are if the quadrants of each subset give one member more."""
        table = np.stack([counts_table(self.pool, s, _MOST) for s in range(self.size + 2)])
        sets = np.ones((len(self.found), 16), np.int64)
        for q in range(4):
            seats = self._sure[:, q, None] + _SUBSETS[None, :, q]
            choices = table[np.minimum(seats, self.size + 1), self.found[:, q, None]]
            too_many = sets.astype(np.float64) * choices > _MOST
            sets = np.where(too_many, _MOST, sets * np.where(too_many, 1, choices))
        return sets
