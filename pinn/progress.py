"""What long work reports to a command line, a GUI or a log."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
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
    """When work has to end.

    Attributes:
        at: by `time.perf_counter`, or None for never.
        kept: seconds before that are for what comes after the work.
    """

    at: float | None = None
    kept: float = 0.0

    def check(self) -> None:
        """Raises `OutOfTime` when it is over."""
        if self.at is not None and time.perf_counter() >= self.at - self.kept:
            raise OutOfTime
