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
# What may be unpacked of one archive, zips inside it included: a share of its own size.
LEAST_BUDGET, MOST_BUDGET, BUDGET_SHARE = 256 << 20, 8 << 30, 4

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


class Budget:
    """Bytes that may still be unpacked of one archive, however they are nested in it.

    Args:
        size: of the archive in bytes.
    """

    def __init__(self, size: int) -> None:
        self.whole = min(max(BUDGET_SHARE * size, LEAST_BUDGET), MOST_BUDGET)
        self.left = self.whole

    def spend(self, size: int, where: str) -> None:
        """Take some of it.

        Raises:
            ArchiveError: there is not so much left.
        """
        self.left -= size
        if self.left < 0:
            raise ArchiveError(
                f"{where} unpacks to more than {self.whole >> 20} MB, far beyond its own size; "
                "it is damaged or made to do harm: get another copy"
            )


class Members:
    """Files by name.

    Attributes:
        where: what they belong to, for messages.
        names: of all files, with `/` between folders.
        budget: what may be unpacked of them; each file counts once.
    """

    def __init__(self, where: str, names: list[str], budget: Budget) -> None:
        self.where, self.budget = where, budget
        self._counted: set[str] = set()
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
        self._names = frozenset(names)

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
            ArchiveError: missing, larger than `limit` bytes, beyond the budget, or damaged.
        """
        size = self.size(name)
        if size > limit:
            raise self._too_large(name, size, limit)
        if name not in self._counted:
            self._counted.add(name)
            self.budget.spend(size, self.where)
        copy = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)
        try:
            with self._source(name) as source:
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

    def size(self, name: str) -> int:
        """Bytes of a file when it is unpacked.

        Raises:
            ArchiveError: there is no such file.
        """
        if name not in self._names:
            raise ArchiveError(f"{self.where} is incomplete: {name} is missing")
        return self._size(name)

    def _size(self, name: str) -> int:
        raise NotImplementedError

    def _source(self, name: str) -> IO[bytes]:
        raise NotImplementedError

    def _too_large(self, name: str, size: int, limit: int) -> ArchiveError:
        return ArchiveError(
            f"{self.where} states that {name} has {size} bytes, but at most {limit} make sense; "
            "get another copy"
        )


class ZipMembers(Members):
    """Files in a zip."""

    def __init__(
        self, file: str | Path | IO[bytes], where: str, budget: Budget | None = None
    ) -> None:
        try:
            if budget is None:
                budget = Budget(_bytes_of(file))
            self.zip = zipfile.ZipFile(file)
        except _DAMAGE as error:
            raise ArchiveError(f"{where} is no whole zip file ({_reason(error)})") from None
        infos = [info for info in self.zip.infolist() if not info.is_dir()]
        super().__init__(where, [info.filename for info in infos], budget)
        self.infos = {info.filename: info for info in infos}

    def _size(self, name: str) -> int:
        return self.infos[name].file_size

    def _source(self, name: str) -> IO[bytes]:
        info = self.infos[name]
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
        size = sum((folder / name).stat().st_size for name in found)
        super().__init__(f"folder {folder}", sorted(found), Budget(size))

    def _size(self, name: str) -> int:
        return (self.folder / name).stat().st_size

    def _source(self, name: str) -> IO[bytes]:
        return (self.folder / name).open("rb")


@contextmanager
def inner_zip(members: Members, name: str, limit: int) -> Iterator[ZipMembers]:
    """The files of a zip that is itself one of the files.

    Raises:
        ArchiveError: missing, too large, or no zip.
    """
    with contextlib.closing(members.open(name, limit)) as file:
        yield ZipMembers(file, f"{name} of {members.where}", members.budget)


def starts_as_zip(path: Path) -> bool:
    """Whether a file begins as a zip does."""
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"PK\x03\x04"
    except OSError:
        return False


def _bytes_of(file: str | Path | IO[bytes]) -> int:
    if isinstance(file, str | Path):
        return Path(file).stat().st_size
    size = file.seek(0, 2)
    file.seek(0)
    return size


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
