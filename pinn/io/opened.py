"""Which files a reader opened: a scan may lie in more than the one that was named.

Frames beside a product, external links and virtual datasets all bring in further files, and none
of them may be overwritten by what is written from them. Readers need not keep count: whatever
opens a file says so to `opened`, and `pinn.io.load` collects it with `collected`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

__all__ = ["collected", "opened"]

_FILES: ContextVar[dict[Path, None] | None] = ContextVar("_FILES", default=None)


def opened(path: str | Path) -> None:
    """Say that a file is read; nobody needs to be listening."""
    files = _FILES.get()
    if files is not None:
        files[Path(os.path.abspath(path))] = None


@contextmanager
def collected() -> Iterator[dict[Path, None]]:
    """Absolute paths of the files that are opened inside, in order; they are the keys."""
    files: dict[Path, None] = {}
    token = _FILES.set(files)
    try:
        yield files
    finally:
        _FILES.reset(token)
