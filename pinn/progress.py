"""What long work reports to a command line, a GUI or a log."""

from __future__ import annotations

import math
import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

# Why a refinement ended, as its statistics and the command line say it.
OVER, STOPPED = "the time is over", "stopped on request"
SETTLED, ALL_DONE = "the likelihood no longer improves", "all epochs done"


@dataclass(frozen=True)
class Progress:
    """A progress report. A callback that raises `StopRequested` ends the work after this step.

    Attributes:
        stage: `train`, `reconstruct`, `simulate`, `convert`, `start` (the network's part of a
            refinement), `refine` or `lbfgs`.
        done, total: groups (or frames) of the whole job.
        rate: groups (or frames) per second.
        epoch, epochs: in training, counted from 1.
        loss, val_loss: at the end of an epoch, else None.
        message: a line of text for the user, or empty.
    """

    stage: str
    done: int
    total: int
    rate: float = 0.0
    epoch: int | None = None
    epochs: int | None = None
    loss: float | None = None
    val_loss: float | None = None
    message: str = ""


class StopRequested(Exception):
    """Raised by a progress callback to stop: what was done so far is saved."""


def wanted(watch: Callable[[Any], None] | None) -> bool:
    """Whether a `watch` is to be called now: one with a method `due` is asked before any work."""
    due = getattr(watch, "due", None)
    return watch is not None and (due is None or bool(due()))


class OutOfTime(Exception):
    """Raised inside the program when the time to spend is over; the best so far is the result."""


@dataclass
class Deadline:
    """When work has to end, and how much of the time is kept for what comes after it.

    Both are learned from the work itself: steps that look at frames say how far they are.

    Attributes:
        at: by `clock`, or None for never.
        clock: tells the time.
        later: frames that are looked at after the work, once each, to judge its result.
        judged: whether there is time for that.
        writing: seconds that writing the result will take, set by who knows.
        longest: seconds of the longest step so far: the first one compiles.
    """

    at: float | None = None
    clock: Callable[[], float] = time.perf_counter
    later: int = 0
    judged: bool = True
    writing: float = 0.0
    longest: float = 0.0
    _before: tuple[float, int] | None = field(default=None, init=False)
    _paces: deque[float] = field(default_factory=lambda: deque(maxlen=9), init=False)
    _size: int = field(default=0, init=False)  # frames of the last step

    @property
    def pace(self) -> float:
        """Seconds for a frame, of the last steps; 0 where there were none."""
        return statistics.median_low(self._paces) if self._paces else 0.0

    @property
    def judging(self) -> float:
        """Seconds that judging the result will take: of another function, compiled anew."""
        return self.pace * self.later + self.longest

    @property
    def left(self) -> float:
        """Seconds for the work itself."""
        if self.at is None:
            return math.inf
        return self.at - self.writing - self.judged * self.judging - self.clock()

    def decide(self, most: float) -> None:
        """Judge the result where that takes so many seconds at most, and they are there still."""
        self.judged = self.judging <= most and (self.judged or self.left >= self.judging)

    def check(self, needed: float = 0.0) -> None:
        """Raises `OutOfTime` where less time is left than what comes next needs."""
        if self.left <= needed:
            raise OutOfTime

    def step(self, done: int) -> None:
        """Before each step, when so many frames of a round are done; after the last one too.

        Raises:
            OutOfTime: the step would end too late.
        """
        self.learn(done)
        self.check(self.pace * self._size)

    def learn(self, done: int) -> None:
        """As `step`, without an end."""
        now = self.clock()
        if self._before is not None and done > self._before[1]:
            seconds, self._size = now - self._before[0], done - self._before[1]
            self.longest = max(self.longest, seconds)
            self._paces.append(seconds / self._size)
        self._before = now, done

    def pause(self) -> None:
        """What comes until the next step is not part of one."""
        self._before = None
