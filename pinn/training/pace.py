"""How far a run is, how fast it goes and what is left."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """Counts groups and tells the time.

    The clock of the rate starts after the first step, which compiles; validation and saving
    count, so that the time left is what it will take.

    Args:
        total: groups of this call; an epoch that was begun before counts with what is left of it.
        clock: in seconds.
    """

    def __init__(self, total: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self.total, self.done, self._clock = total, 0, clock
        self._begun = self._since = clock()
        self._warm = 0

    def step(self, groups: int) -> None:
        """`groups` more are done."""
        self.done += groups
        if not self._warm:
            self._warm, self._since = self.done, self._clock()

    @property
    def rate(self) -> float:
        """Groups per second."""
        now = self._clock()
        counted, seconds = self.done - self._warm, now - self._since
        if counted <= 0:  # nothing but the first step: better than no answer
            counted, seconds = self.done, now - self._begun
        return counted / max(seconds, 1e-9)
