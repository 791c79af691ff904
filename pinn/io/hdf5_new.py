"""HDF5 files that are written anew, on a disk that may be full.

HDF5 does not outlive a write that fails: a file that cannot be closed is tried again when the
process ends, and crashes it. So the library writes through an object of ours, for which nothing
ever fails: the first failure is kept, and what comes after it goes to memory. When all is closed it
is raised.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import h5py

_SMALL = 1 << 16  # bytes; larger pieces are data, which the library does not read again
_open: dict[int, list[_Guarded]] = {}


@contextmanager
def new_hdf5(target: str | Path | IO[bytes]) -> Iterator[h5py.File]:
    """Open a new HDF5 file; it is closed in any case.

    Args:
        target: path, or a file open for reading and writing, which stays open.

    Raises:
        OSError: what the system said when it could not be written.
    """
    if isinstance(target, str | Path):
        with open(target, "w+b", buffering=0) as file, new_hdf5(file) as h5:
            yield h5
        return
    guarded = _Guarded(target)
    mine = _open.setdefault(threading.get_ident(), [])
    mine.append(guarded)
    h5 = h5py.File(guarded, "w")
    try:
        yield h5
        h5.close()
        guarded.flush()
    finally:
        guarded.give_up()  # a body that raised: no need to write what waits
        mine.remove(guarded)
        h5.close()
        if guarded.failure is not None:
            raise guarded.failure


def check_room() -> None:
    """Between two pieces of a long write: raise where the one before has failed.

    Raises:
        OSError: what the system said.
    """
    for guarded in _open.get(threading.get_ident(), ()):
        if guarded.failure is not None:
            raise guarded.failure


class _Guarded:
    """A file that keeps its first failure to itself, and from then on only pretends."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._place = self._end = 0
        self._pretends = False
        self._kept: list[tuple[int, bytes]] = []  # what was written since, for who reads it again
        self.failure: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of `data`: a disk that is nearly full takes a part, and then nothing."""
        view = memoryview(data).cast("B")
        start, done = self._place, 0
        try:
            if not self._pretends:
                self._file.seek(start)
            while not self._pretends and done < len(view):
                done += self._file.write(view[done:])
        except OSError as error:
            self._fail(error)
        if self._pretends and len(view) <= _SMALL:
            self._kept.append((start, bytes(view)))
        self._place += len(view)
        self._end = max(self._end, self._place)
        return len(view)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Only remembered; the end is that of what was written, or seemed to be."""
        self._place = offset if whence == 0 else self._end + offset
        return self._place

    def tell(self) -> int:
        return self._place

    def read(self, size: int = -1) -> bytes:
        """h5py knows a file by having it; it reads by `readinto`."""
        raise NotImplementedError

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        first, last = self._place, self._place + len(view)
        with suppress(OSError):
            self._file.seek(first)
            self._file.readinto(view)  # type: ignore[attr-defined]
        for start, piece in self._kept:
            low, high = max(start, first), min(start + len(piece), last)
            if low < high:
                view[low - first : high - first] = piece[low - start : high - start]
        self._place = last
        return len(view)

    def truncate(self, size: int) -> int:
        self._end = size
        if not self._pretends:
            try:
                self._file.truncate(size)
            except OSError as error:
                self._fail(error)
        return size

    def flush(self) -> None:
        if not self._pretends:
            try:
                self._file.flush()
            except OSError as error:
                self._fail(error)

    def give_up(self) -> None:
        """Write nothing any more."""
        self._pretends = True

    def _fail(self, error: OSError) -> None:
        self.failure, self._pretends = error, True
