"""The files of an old archive, from a zip or from a folder, by name and with limits.

Nothing is unpacked under a name from the file. An archive that holds a name which would lead out
of its folder, a name twice, or files beyond any sensible size was made to do harm and is refused.
"""

from __future__ import annotations

import contextlib
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pinn.errors import ArchiveError

MOST_MEMBERS = 10_000
IN_MEMORY = 16 << 20

_DAMAGE = (
    EOFError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


class Members:
    """Files by name.

    Attributes:
        where: what they belong to, for messages.
        names: of all files, with `/` between folders.
    """

    def __init__(self, where: str, names: list[str]) -> None:
        self.where = where
        if len(names) > MOST_MEMBERS:
            raise ArchiveError(f"{where} holds {len(names)} files, so it is no model archive")
        for name in names:
            parts = name.replace("\\", "/").split("/")
            if not name.isprintable():
                raise ArchiveError(f"{where} is damaged: it holds a file named {ascii(name)[:80]}")
            if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in name:
                raise ArchiveError(
                    f"{where} holds a file named {name[:80]!r}, which would lead out of any folder "
                    "it is unpacked in: nothing was read, find out where the archive comes from"
                )
        if len(set(names)) < len(names):
            raise ArchiveError(f"{where} is damaged: it holds two files of one name")
        self.names = names

    def read(self, name: str, limit: int) -> bytes:
        """A whole file.

        Raises:
            ArchiveError: missing, larger than `limit` bytes, or damaged.
        """
        with self.open(name, limit) as file:
            return file.read()

    def open(self, name: str, limit: int) -> IO[bytes]:
        """A file to read and to move about in, a copy in memory or on disk.

        Raises:
            ArchiveError: missing, larger than `limit` bytes, or damaged.
        """
        if name not in self.names:
            raise ArchiveError(f"{self.where} is incomplete: {name} is missing")
        copy = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)
        try:
            with self._source(name, limit) as source:
                shutil.copyfileobj(source, copy, 1 << 20)
        except ArchiveError:
            copy.close()
            raise
        except _DAMAGE as error:
            copy.close()
            raise ArchiveError(
                f"{self.where} is damaged: {name} cannot be read ({_reason(error)})"
            ) from None
        copy.seek(0)
        return copy

    def _source(self, name: str, limit: int) -> IO[bytes]:
        raise NotImplementedError

    def _too_large(self, name: str, size: int, limit: int) -> ArchiveError:
        return ArchiveError(
            f"{self.where} states that {name} has {size} bytes, but at most {limit} make sense; "
            "get another copy"
        )


class ZipMembers(Members):
    """Files in a zip."""

    def __init__(self, file: str | Path | IO[bytes], where: str) -> None:
        try:
            self.zip = zipfile.ZipFile(file)
        except _DAMAGE as error:
            raise ArchiveError(f"{where} is no whole zip file ({_reason(error)})") from None
        infos = [info for info in self.zip.infolist() if not info.is_dir()]
        super().__init__(where, [info.filename for info in infos])
        self.infos = {info.filename: info for info in infos}

    def _source(self, name: str, limit: int) -> IO[bytes]:
        info = self.infos[name]
        if info.file_size > limit:
            raise self._too_large(name, info.file_size, limit)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError("it is compressed by a method that no archive uses")
        return self.zip.open(info)


class FolderMembers(Members):
    """Files in a folder: an archive that somebody unpacked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        found: list[str] = []
        # Two levels are all an archive has; a folder of anything else is not searched to its end.
        for pattern in ("*", "*/*", "*/*/*"):
            for path in folder.glob(pattern):
                if len(found) > MOST_MEMBERS:
                    break
                if path.is_file() and not path.is_symlink():
                    found.append(path.relative_to(folder).as_posix())
        super().__init__(f"folder {folder}", sorted(found))

    def _source(self, name: str, limit: int) -> IO[bytes]:
        path = self.folder / name
        if (size := path.stat().st_size) > limit:
            raise self._too_large(name, size, limit)
        return path.open("rb")


@contextmanager
def inner_zip(members: Members, name: str, limit: int) -> Iterator[ZipMembers]:
    """The files of a zip that is itself one of the files.

    Raises:
        ArchiveError: missing, too large, or no zip.
    """
    with contextlib.closing(members.open(name, limit)) as file:
        yield ZipMembers(file, f"{name} of {members.where}")


def starts_as_zip(path: Path) -> bool:
    """Whether a file begins as a zip does."""
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"PK\x03\x04"
    except OSError:
        return False


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
