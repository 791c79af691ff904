"""One process at a time computes a run, so that several may work on one study.

The claim is a lock on a file that the operating system drops when its owner ends, however it ends.
A child that inherits it keeps it while it lives. Systems without such locks (Windows) have none:
start a study there once at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pinn.errors import OutputError

_NAME = ".claim"


@contextmanager
def claimed(folder: Path) -> Iterator[int | None]:
    """Hold a run's folder, made if need be.

    Yields:
        The descriptor of the lock, which a child may inherit; None if another process holds it.

    Raises:
        OutputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / _NAME, "a")
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {error.strerror}") from None
    with file:
        yield file.fileno() if _lock(file) else None


def _lock(file: IO[str]) -> bool:
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
