"""What two processes say to each other: lines of JSON. Errors, progress and log records in them.

Nothing here is executed on arrival: a line holds text, numbers and paths.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np

from pinn import errors
from pinn.errors import ConfigError, PinnError

LOGGERS = ("pinn", "ptycho")
_RECORD = ("name", "levelno", "levelname", "pathname", "filename", "module", "lineno", "funcName")
_TIMES = ("created", "msecs", "thread", "threadName", "process", "exc_text")


def line_of(message: dict[str, Any]) -> bytes:
    """A message as a line.

    Raises:
        ConfigError: a value that JSON cannot hold.
    """
    return (json.dumps(message, default=_plain) + "\n").encode()


def message_of(line: bytes) -> dict[str, Any] | None:
    """The message of a line; None where the sender ended before the line did."""
    if not line.endswith(b"\n"):
        return None
    found: dict[str, Any] = json.loads(line)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise ConfigError(
        f"an option is a {type(value).__name__} ({str(value)[:80]}), which cannot be passed to a "
        "worker process; give text, numbers, paths, or lists of them"
    )


# -- errors ------------------------------------------------------------------------------


def from_error(error: PinnError) -> dict[str, Any]:
    """An error as names of its classes, the nearest first, and its sentence."""
    return {"classes": [cls.__name__ for cls in type(error).__mro__], "text": str(error)}


def to_error(found: dict[str, Any]) -> PinnError:
    """The same error; of the nearest class that `pinn.errors` knows."""
    for name in found["classes"]:
        kind = getattr(errors, name, None)
        if isinstance(kind, type) and issubclass(kind, PinnError):
            return kind(found["text"])
    return PinnError(found["text"])


# -- log ---------------------------------------------------------------------------------


class Sender(logging.Handler):
    """Sends the records of a logger as messages."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record; its text is made here, since its arguments may be anything."""
        try:
            if record.exc_info and not record.exc_text:
                record.exc_text = logging.Formatter().formatException(record.exc_info)
            fields = {name: getattr(record, name) for name in (*_RECORD, *_TIMES)}
            self._stream.write(line_of({"log": {**fields, "msg": record.getMessage()}}))
        except BrokenPipeError:
            pass  # nobody is there to be told
        except Exception:
            self.handleError(record)


def levels() -> dict[str, int]:
    """From which level on this process hears each logger."""
    return {name: logging.getLogger(name).getEffectiveLevel() for name in LOGGERS}


@contextmanager
def sending(stream: IO[bytes], wanted: dict[str, int]) -> Iterator[None]:
    """While entered, the loggers send what the other process would hear."""
    handler = Sender(stream)
    loggers = [(logging.getLogger(name), wanted[name]) for name in LOGGERS]
    for logger, level in loggers:
        logger.addHandler(handler)
        logger.setLevel(max(level, 1))
        logger.propagate = False
    try:
        yield
    finally:
        for logger, _ in loggers:
            logger.removeHandler(handler)


def hear(fields: dict[str, Any]) -> None:
    """Give a record of the other process to the logger of the same name here."""
    record = logging.makeLogRecord(fields)
    logger = logging.getLogger(record.name)
    if record.name.split(".")[0] in LOGGERS and logger.isEnabledFor(record.levelno):
        logger.handle(record)
