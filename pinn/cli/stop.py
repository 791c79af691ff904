"""Ctrl-C and SIGTERM as a request: the first ends after the step and saves, the second at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

from pinn.progress import Progress, StopRequested

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_WORDS = b"\nstopping after this step; once more to stop at once, without saving\n"


class StopOnSignal:
    """While entered, the first signal makes the next progress report raise `StopRequested`.

    Use as a context manager, and as the progress callback.

    Args:
        report: gets every report first.

    Attributes:
        asked: whether there was a signal.
    """

    def __init__(self, report: Callable[[Progress], None]) -> None:
        self._report = report
        self.asked = False
        self._before: dict[int, object] = {}

    def __call__(self, progress: Progress) -> None:
        """Pass a report on, or stop."""
        self._report(progress)
        if self.asked:
            raise StopRequested

    def __enter__(self) -> StopOnSignal:
        if threading.current_thread() is threading.main_thread():  # others cannot
            self._before = {number: signal.signal(number, self._ask) for number in _SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        self._restore()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self._restore()
        os.write(2, _WORDS)  # print is not allowed here: it may be what was interrupted

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before = {}
