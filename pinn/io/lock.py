"""One process at a time writes into a folder: a lock that ends with its owner, however that ends.

The lock is the system's (`flock`) on a small file that says who holds it. Where a file system has
no such locks the file alone decides: it counts while its process is there, and on another machine
until somebody removes it.
"""

from __future__ import annotations

import importlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pinn.errors import OutputError
from pinn.io.atomic import clear_once, reason
from pinn.io.owners import gone, host_mark

fcntl: Any = None  # Windows has none
with suppress(ImportError):
    fcntl = importlib.import_module("fcntl")

LOCK = ".pinn.lock"
_PAUSE = 0.1  # seconds between two looks at a lock that is awaited


class BusyError(OutputError):
    """Another run holds the folder."""


@dataclass
class _Held:
    """A lock of this process."""

    path: Path
    handle: int
    pid: int
    thread: int
    made: tuple[Path, ...]  # folders that were not there before


_held: dict[Path, _Held] = {}
_guard = threading.Lock()


@contextmanager
def held(folder: str | Path, name: str = LOCK, again: bool = True) -> Iterator[None]:
    """Hold a folder, which is made if need be, against other processes and threads.

    A folder that was made and stayed empty goes.

    Args:
        folder: the folder.
        name: of the lock's file in it.
        again: what holds it already may hold it again.

    Raises:
        BusyError: another process or thread holds it.
        OutputError: the folder cannot be written.
    """
    folder = Path(os.path.realpath(folder))
    path = folder / name
    with _guard:
        ours = _held.get(path)
        inside = ours is not None and ours.pid == os.getpid()
        if inside and not (again and ours and ours.thread == threading.get_ident()):
            raise _busy(folder, "this process")
        taken = None if inside else _taken(folder, path)
        if taken is not None:
            _held[path] = taken
    try:
        clear_once(folder)
        yield
    finally:
        if taken is not None and taken.pid == os.getpid():  # not in a fork of the owner
            with _guard:
                del _held[path]
                _release(taken)


@contextmanager
def awaited(folder: str | Path, name: str) -> Iterator[None]:
    """As `held`, but waits until it is free."""
    while True:
        with ExitStack() as stack:
            try:
                stack.enter_context(held(folder, name, again=False))
            except BusyError:
                time.sleep(_PAUSE)
                continue
            yield
            return


def _taken(folder: Path, path: Path) -> _Held:
    try:
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"cannot write into {folder}: it is a file; name a folder")
        made = tuple(place for place in (folder, *folder.parents) if not place.exists())
        while True:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            except FileNotFoundError:  # the folder went, with the run that had made it
                continue
            try:
                _lock(handle, folder, path)
                if _same(handle, path):
                    os.ftruncate(handle, 0)
                    os.lseek(handle, 0, os.SEEK_SET)
                    os.write(handle, json.dumps(_own()).encode())
                    return _Held(path, handle, os.getpid(), threading.get_ident(), made)
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)  # its owner removed it between our two steps: once more
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {reason(error)}") from error


def _release(lock: _Held) -> None:
    with suppress(OSError):
        lock.path.unlink()  # before the lock goes: nobody takes a file that has no name any more
    os.close(lock.handle)
    if fcntl is None:  # where an open file cannot be removed
        with suppress(OSError):
            lock.path.unlink()
    for place in lock.made:
        with suppress(OSError):
            place.rmdir()  # only if nothing is in it


def _lock(handle: int, folder: Path, path: Path) -> None:
    """Take the lock, or raise where it is another's."""
    stated = _stated(handle)
    if fcntl is not None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            raise _busy(folder, _words(stated)) from None
        except OSError:  # a file system without locks
            pass
    if stated and not gone(str(stated.get("mark", "")), int(stated.get("process", 0))):
        raise _busy(folder, f"{_words(stated)}; if it is gone, remove {path}")


def _same(handle: int, path: Path) -> bool:
    """Whether the file is still that of its name."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def _own() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "mark": host_mark(),
        "process": os.getpid(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def _stated(handle: int) -> dict[str, Any]:
    """What the file says, or nothing where it is new."""
    try:
        content = json.loads(os.read(handle, 4096))
        return {**content, "process": int(content["process"])}
    except (ValueError, TypeError, KeyError):
        return {}


def _words(stated: dict[str, Any]) -> str:
    if not stated:
        return "another process"
    return (
        f"process {stated['process']} on {stated.get('host', 'a machine')} since "
        f"{stated.get('since', 'a while')}"
    )


def _busy(folder: Path, who: str) -> BusyError:
    return BusyError(
        f"another run writes into {folder} ({who}); wait until it ends, or choose another --output"
    )
