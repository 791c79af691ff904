"""What a run has to say for itself: told at once, once, and kept in its provenance."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

_log = logging.getLogger("pinn")


class RunLog:
    """Remarks on a run, at most one of each kind.

    A remark goes to the progress callback (or to the logger where there is none) and into
    `events`, which the archive holds and a resumed run takes over.

    Args:
        events: those of the run so far; new ones are added to this list.
        tell: shows a line; None where there is no progress callback.
    """

    def __init__(
        self, events: list[dict[str, Any]], tell: Callable[[str], None] | None = None
    ) -> None:
        self.events, self.tell = events, tell

    def note(self, kind: str, epoch: int, text: str) -> None:
        """Say something about an epoch, unless its kind was said before."""
        if not any(event["kind"] == kind for event in self.events):
            self.events.append({"kind": kind, "epoch": epoch, "text": text})
            self.say(f"epoch {epoch}: {text}")

    def say(self, text: str) -> None:
        """Show a line without keeping it."""
        if self.tell is None:
            _log.warning("%s", text)
        else:
            self.tell(text)

    def forget(self, kind: str) -> None:
        """Take back what a longer run has overtaken."""
        self.events[:] = [event for event in self.events if event["kind"] != kind]
