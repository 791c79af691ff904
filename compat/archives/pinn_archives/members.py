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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pinn.errors import ArchiveError
from pinn.io.convert_archive import names_in

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

    Args:
        where: what they belong to, for messages.
        sizes: name and bytes of each file when it is unpacked, with `/` between folders.
        source: name to the file itself, to be read once.
        budget: what may be unpacked of them; each file counts once.

    Raises:
        ArchiveError: too many files, one name twice, or a name that leads out of a folder.
    """

    def __init__(
        self,
        where: str,
        sizes: list[tuple[str, int]],
        source: Callable[[str], IO[bytes]],
        budget: Budget,
    ) -> None:
        self.where, self.budget, self._source = where, budget, source
        self.names = [name for name, _ in sizes]
        self._sizes, self._counted = dict(sizes), set[str]()
        if len(sizes) > MOST_MEMBERS:
            raise ArchiveError(f"{where} holds {len(sizes)} files, so it is no model archive")
        for name in self.names:
            parts = name.replace("\\", "/").split("/")
            if not name.isprintable():
                raise ArchiveError(f"{where} is damaged: it holds a file named {ascii(name)[:80]}")
            if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
                raise ArchiveError(
                    f"{where} holds a file named {name[:80]!r}, which would lead out of any folder "
                    "it is unpacked in: nothing was read, find out where the archive comes from"
                )
        if len(self._sizes) < len(sizes):
            raise ArchiveError(f"{where} is damaged: it holds two files of one name")

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
            raise ArchiveError(
                f"{self.where} states that {name} has {size} bytes, but at most {limit} make "
                "sense; get another copy"
            )
        if name not in self._counted:
            self._counted.add(name)
            self.budget.spend(size, self.where)
        copy = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)
        try:
            with self._source(name) as source:
                shutil.copyfileobj(source, copy, 1 << 20)
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
        if name not in self._sizes:
            raise ArchiveError(f"{self.where} is incomplete: {name} is missing")
        return self._sizes[name]


def zip_members(file: str | Path | IO[bytes], where: str, budget: Budget | None = None) -> Members:
    """Files in a zip.

    Raises:
        ArchiveError: it is no whole zip, or as of `Members`.
    """
    try:
        budget = budget or Budget(_bytes_of(file))
        archive = zipfile.ZipFile(file)
    except _DAMAGE as error:
        raise ArchiveError(f"{where} is no whole zip file ({_reason(error)})") from None

    def source(name: str) -> IO[bytes]:
        info = archive.getinfo(name)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError("it is compressed by a method that no archive uses")
        return archive.open(info)

    infos = [info for info in archive.infolist() if not info.is_dir()]
    return Members(where, [(info.filename, info.file_size) for info in infos], source, budget)


def folder_members(folder: Path) -> Members:
    """Files in a folder: an archive that somebody unpacked.

    Raises:
        ArchiveError: as of `Members`.
    """
    sizes = [(name, (folder / name).stat().st_size) for name in sorted(names_in(folder))]
    budget = Budget(sum(size for _, size in sizes))
    return Members(f"folder {folder}", sizes, lambda name: (folder / name).open("rb"), budget)


@contextmanager
def inner_zip(members: Members, name: str, limit: int) -> Iterator[Members]:
    """The files of a zip that is itself one of the files.

    Raises:
        ArchiveError: missing, too large, or no zip.
    """
    with contextlib.closing(members.open(name, limit)) as file:
        yield zip_members(file, f"{name} of {members.where}", members.budget)


def _bytes_of(file: str | Path | IO[bytes]) -> int:
    if isinstance(file, str | Path):
        return Path(file).stat().st_size
    size = file.seek(0, 2)
    file.seek(0)
    return size


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
