"""What a refinement tells while it works: of every batch, and of every round over all frames."""

from __future__ import annotations

import time
from collections.abc import Callable

from pinn.progress import Deadline, Progress
from pinn.refinement.outputs import Pass


class Reports:
    """Reports of one stage.

    Args:
        stage: its name.
        frames: of the scan.
        rounds: epochs, or iterations, at most.
        done: rounds that were made before.
        deadline: looked at before every batch.
        progress: gets the reports, or None.

    Attributes:
        seen: frames of the present pass that are done.
    """

    def __init__(
        self,
        stage: str,
        frames: int,
        rounds: int,
        done: int,
        deadline: Deadline,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self._stage, self._frames, self._rounds, self._done = stage, frames, rounds, done
        self._deadline, self._progress = deadline, progress
        self._first = self._work = done * frames
        self._began, self.seen = time.perf_counter(), 0

    def before(self, done: int) -> None:
        """Before each batch, when so many frames of a pass are done.

        Raises:
            OutOfTime: the time is over.
        """
        self.seen = done
        self._deadline.step(done)
        # a line search may look at all frames several times
        self._work = max(self._work, self._done * self._frames + done)
        self._tell(min(self._done + 1, self._rounds))

    def after_round(self, number: int, seen: Pass, held_out: bool) -> None:
        """After a round that was accepted: its number, from 1, and what it says of the frames."""
        self._done = number
        self._work = max(self._work, number * self._frames)
        self._tell(number, seen.per_pixel(), seen.per_pixel(held=True) if held_out else None)

    def _tell(self, number: int, loss: float | None = None, held: float | None = None) -> None:
        if self._progress is not None:
            work = self._work, self._rounds * self._frames
            rate = (self._work - self._first) / max(time.perf_counter() - self._began, 1e-9)
            self._progress(Progress(self._stage, *work, rate, number, self._rounds, loss, held))
