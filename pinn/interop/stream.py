"""Work that reports by calls, turned into an iterator of its reports."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from pinn.progress import StopRequested

Report = TypeVar("Report")
Result = TypeVar("Result")


class Stream(Generic[Report, Result]):
    """Runs a function in a thread and yields what it tells, as it tells it.

    The function gets a callable that it hands its reports to. Whoever stops iterating early
    cancels the work: the next report raises `StopRequested` in it, and the iterator waits until
    it has ended.

    Args:
        work: the function; an exception in it is raised to whoever iterates.

    Attributes:
        result: what the function returned, once it has, or None.
    """

    def __init__(self, work: Callable[[Callable[[Report], None]], Result]) -> None:
        self.result: Result | None = None
        self._work = work
        self._cancelled = threading.Event()
        self._queue: queue.Queue[tuple[str, Report | BaseException | None]] = queue.Queue()

    def check(self) -> None:
        """For the work, between reports.

        Raises:
            StopRequested: nobody listens any more.
        """
        if self._cancelled.is_set():
            raise StopRequested

    def __iter__(self) -> Iterator[Report]:
        thread = threading.Thread(target=self._run, name="pinn", daemon=True)
        thread.start()
        try:
            while True:
                kind, value = self._queue.get()
                if kind == "report":
                    yield value  # type: ignore[misc]
                elif isinstance(value, BaseException):
                    raise value
                else:
                    return
        finally:
            self._cancelled.set()
            thread.join()

    def _tell(self, report: Report) -> None:
        self.check()
        self._queue.put(("report", report))

    def _run(self) -> None:
        try:
            self.result = self._work(self._tell)
        except StopRequested:
            self._queue.put(("end", None))
        except BaseException as error:
            self._queue.put(("end", error))
        else:
            self._queue.put(("end", None))
