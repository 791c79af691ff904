"""What a run has to say for itself: told at once, once, and kept in its provenance."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

_log = logging.getLogger("pinn")


class Journal:
    """Remarks on a run, at most one of each kind.

    A remark goes to the one who watches (a line of the progress, or the log where nobody does)
    and into `events`, which the archive holds and a resumed run takes over.

    Args:
        events: those of the run so far; new ones are added to this list.
        tell: shows a line to whoever watches; None where nobody does.
    """

    def __init__(
        self, events: list[dict[str, Any]], tell: Callable[[str], None] | None = None
    ) -> None:
        self.events, self.tell = events, tell

    def note(self, kind: str, epoch: int, text: str) -> bool:
        """Say something about an epoch; False if its kind was said before."""
        if any(event["kind"] == kind for event in self.events):
            return False
        self.events.append({"kind": kind, "epoch": epoch, "text": text})
        self.say(f"epoch {epoch}: {text}")
        return True

    def say(self, text: str) -> None:
        """Show a line without keeping it."""
        if self.tell is None:
            _log.warning("%s", text)
        else:
            self.tell(text)

    def forget(self, *kinds: str) -> None:
        """Take back what a longer run has overtaken."""
        self.events[:] = [event for event in self.events if event["kind"] not in kinds]
