"""Which process a temporary file or a lock belongs to, and whether that process is still there.

A mark is `HOST-PID`: eight digits that stand for the machine (with its name space of processes, so
that two containers are two machines), and the number of the process.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

MARK = r"(?P<host>[0-9a-f]{8})-(?P<pid>[0-9]+)"
_TEMPORARY = re.compile(rf"\..*\.{MARK}-[0-9a-z_]+\.tmp(?:\.\w+)?")


@lru_cache(maxsize=1)
def host_mark() -> str:
    """Eight digits for this machine."""
    names = socket.gethostname()
    with suppress(OSError):
        names += os.readlink("/proc/self/ns/pid")
    return hashlib.sha256(names.encode()).hexdigest()[:8]


def own_mark() -> str:
    """The mark of this process."""
    return f"{host_mark()}-{os.getpid()}"


def alive(pid: int) -> bool:
    """Whether a process of this machine is there; True where that cannot be told."""
    if os.name != "posix":  # elsewhere signal 0 is not a question
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # somebody else's
        return True
    return True


def gone(host: str, pid: int) -> bool:
    """Whether a process was one of this machine and is there no more."""
    return host == host_mark() and not alive(pid)


def remove_abandoned(folder: str | Path) -> None:
    """Remove temporary files in a folder whose writers, on this machine, are gone."""
    with suppress(OSError):
        for place in Path(folder).iterdir():
            match = _TEMPORARY.fullmatch(place.name)
            if match and gone(match["host"], int(match["pid"])):
                with suppress(OSError):
                    place.unlink(missing_ok=True)
