"""Bookkeeping of frames that arrive one by one: where they lie, what is placed, what waits."""

from __future__ import annotations

import numpy as np


class Arrivals:
    """Frames that have arrived, by their number in the scan, in some 150 bytes each."""

    def __init__(self) -> None:
        self._row: dict[int, int] = {}
        self._numbers = np.zeros(256, np.int64)
        self._positions = np.zeros((256, 2))
        self._placed = np.zeros(256, bool)

    def __len__(self) -> int:
        return len(self._row)

    def fresh(self, numbers: np.ndarray) -> np.ndarray:
        """Places in `numbers` of frames not seen before, each once."""
        seen: set[int] = set()
        places = []
        for place, number in enumerate(numbers.tolist()):
            if number not in self._row and number not in seen:
                seen.add(number)
                places.append(place)
        return np.array(places, np.int64)

    def next_rows(self, count: int) -> np.ndarray:
        """The rows that the next `count` recorded frames will have."""
        return np.arange(len(self), len(self) + count)

    def record(self, numbers: np.ndarray, positions: np.ndarray) -> None:
        """Remember frames that are `fresh`, with copies of their positions `(n, 2)`."""
        rows = self.next_rows(len(numbers))
        while rows.size and rows[-1] >= len(self._numbers):
            self._numbers = np.concatenate([self._numbers, np.zeros_like(self._numbers)])
            self._positions = np.concatenate([self._positions, np.zeros_like(self._positions)])
            self._placed = np.concatenate([self._placed, np.zeros_like(self._placed)])
        self._numbers[rows] = numbers
        self._positions[rows] = positions
        self._row.update(zip(numbers.tolist(), rows.tolist(), strict=True))

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """Rows of recorded frames, same shape."""
        flat = [self._row[number] for number in np.ravel(numbers).tolist()]
        return np.array(flat, np.int64).reshape(np.shape(numbers))

    def positions(self, numbers: np.ndarray) -> np.ndarray:
        """Positions of recorded frames, `(..., 2)`."""
        return self._positions[self.rows(numbers)]

    def mark_placed(self, numbers: np.ndarray) -> None:
        """The groups of these frames are on the canvas."""
        self._placed[self.rows(numbers)] = True

    @property
    def placed(self) -> int:
        """How many frames have their group on the canvas."""
        return int(self._placed.sum())

    def sorted(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Numbers in ascending order, their positions, and whether they are placed."""
        count = len(self)
        order = np.argsort(self._numbers[:count])
        return self._numbers[order], self._positions[order], self._placed[order]


class Plan:
    """Groups `(G, C)` that are placed as soon as all their members have arrived.

    Args:
        groups: int frame numbers 0 to G - 1; group g is that of frame g.
    """

    def __init__(self, groups: np.ndarray) -> None:
        self.groups = groups.astype(np.int32)
        flat = self.groups.ravel()
        self._order = np.argsort(flat, kind="stable").astype(np.int32)
        self._first = np.searchsorted(flat[self._order], np.arange(len(groups) + 1))
        self._missing = np.full(len(groups), groups.shape[1], np.int16)

    def arrive(self, numbers: np.ndarray) -> np.ndarray:
        """Groups `(n, C)` that these frames, arriving for the first time, complete."""
        done = []
        members = self.groups.shape[1]
        for number in numbers.tolist():
            touched = self._order[self._first[number] : self._first[number + 1]] // members
            self._missing[touched] -= 1
            done.extend(touched[self._missing[touched] == 0].tolist())
        return self.groups[np.array(done, np.int64)]
