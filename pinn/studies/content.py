"""Checksums of whole files, each read once as long as it stays as it is."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path


def file_checksum(path: str | Path) -> str:
    """SHA-256 of a file in hexadecimal, remembered by path, size and time of its last change."""
    path = Path(path)
    known = path.stat()
    return _checksum(path, known.st_size, known.st_mtime_ns)


@lru_cache(maxsize=4096)
def _checksum(path: Path, size: int, changed_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
