"""Files that are either whole or not there: temporary name, flush to disk, rename.

A temporary file carries the mark of its process, so that the next process which writes into the
folder can clear away what a killed one left.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pinn.errors import OutputError
from pinn.io.owners import MARK, gone, own_mark, remove_abandoned
from pinn.io.text import csv_text, json_text


@contextmanager
def atomic_path(final: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `final`; on success it becomes `final`.

    The body creates the file at the yielded path, which ends in the same suffix (libraries that
    choose a format by suffix work). When the body raises anything, interrupts included, the
    temporary file goes and what was at `final` stays as it was. The folder is made if need be;
    a symbolic link at `final` is followed, not replaced.

    Raises:
        OutputError: the folder or the file cannot be written (missing right, full disk, ...).
    """
    final = Path(os.path.realpath(final))
    name = f".{final.stem[:40]}.{own_mark()}-{secrets.token_hex(6)}.tmp{final.suffix}"
    temporary = final.with_name(name)
    try:
        if final.is_dir():
            raise OutputError(f"cannot write {final}: it is a folder; name a file inside it")
        final.parent.mkdir(parents=True, exist_ok=True)
        clear_once(final.parent)
        yield temporary
        _flush(temporary)
        os.replace(temporary, final)
        _flush_folder(final.parent)
    except OSError as error:
        raise OutputError(f"cannot write {final}: {reason(error)}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


_cleared: set[tuple[int, Path]] = set()


def clear_once(folder: Path) -> None:
    """Clear away, once in a process, what killed processes left in a folder."""
    if (os.getpid(), folder) not in _cleared:
        _cleared.add((os.getpid(), folder))
        remove_abandoned(folder)


def remove_leftovers(folder: str | Path, names: Iterable[str]) -> None:
    """Remove what a killed writer of these files left in `folder`: its temporary files.

    Only for files that nobody else writes meanwhile: of a version that did not mark its temporary
    files, all go. Other files' stay, and so do those of a process that may be at work.

    Args:
        folder: may be missing.
        names: final names of the files, as `wts.h5.zip`.
    """
    stems = "|".join(sorted({re.escape(Path(name).stem[:40]) for name in names}))
    pattern = re.compile(rf"\.(?:{stems})\.(?:{MARK}-)?[0-9a-z_]+\.tmp(?:\.\w+)?")
    with suppress(OSError):
        for place in Path(folder).iterdir():
            match = pattern.fullmatch(place.name)
            if match and (match["host"] is None or gone(match["host"], int(match["pid"]))):
                place.unlink(missing_ok=True)


def check_writable(folder: str | Path) -> None:
    """Make sure, before long work, that files can be written into `folder`.

    A folder that is not there is made for the trial and removed again, so that a command that is
    refused afterwards leaves nothing behind.

    Raises:
        OutputError: it is a file, cannot be made, or does not take a file.
    """
    folder = Path(folder)
    probe = folder / f".pinn.{own_mark()}-{secrets.token_hex(6)}.tmp"
    made: list[Path] = []
    try:
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"cannot write into {folder}: it is a file; name a folder")
        made = [place for place in (folder, *folder.parents) if not place.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"pinn")
        _flush(probe)
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {reason(error)}") from error
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
        for place in made:
            with suppress(OSError):
                place.rmdir()


def atomic_write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8 with `\\n` line ends.

    Raises:
        OutputError: the place cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def atomic_write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON; numbers that are not finite become null (see `json_text`).

    Raises:
        OutputError: the place cannot be written.
        TypeError: a value has no JSON form.
    """
    atomic_write_text(path, json_text(value))


def atomic_write_csv(path: str | Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV with a header (see `csv_text`).

    Raises:
        OutputError: the place cannot be written.
    """
    atomic_write_text(path, csv_text(rows))


def _flush(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    # The rename itself must reach the disk; file systems without that notion refuse, harmlessly.
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def reason(error: OSError) -> str:
    """What the system says, to stand at the end of a sentence."""
    return (error.strerror or str(error) or type(error).__name__).lower()
