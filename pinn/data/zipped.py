"""Arrays inside a zip file, read without unpacking: header, memory map, copy in pieces.

Only the header of a member is parsed here; a member that holds Python objects is recognised by
its dtype and never decoded, so nothing in a file can run.
"""

from __future__ import annotations

import logging
import lzma
import math
import os
import re
import shutil
import struct
import tempfile
import tokenize
import warnings
import weakref
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from pinn.errors import ScanError

_log = logging.getLogger("pinn")
_SLAB_BYTES = 16 << 20
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_LARGEST_ARRAY = 4 << 30
# What the zip module, its decompressors and NumPy's parser of headers raise for damaged files.
BROKEN = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, tokenize.TokenError),
    *(OSError, EOFError, ValueError, TypeError, LookupError, RuntimeError, SyntaxError),
    *(OverflowError, MemoryError, NotImplementedError),
)


@dataclass(frozen=True)
class Member:
    """A `.npy` member of a zip file.

    Attributes:
        key: its name without `.npy`.
        shape: of the array.
        dtype: of the array.
        fortran: the bytes are in Fortran order.
        header_bytes: length of the `.npy` header before the numbers.
        info: entry of the zip file's directory.
    """

    key: str
    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    header_bytes: int
    info: zipfile.ZipInfo

    @property
    def objects(self) -> bool:
        """True for an array of Python objects, which is never read."""
        return self.dtype.hasobject

    @property
    def nbytes(self) -> int:
        """Size of the numbers in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_members(path: Path) -> dict[str, Member]:
    """The arrays of an NPZ file by key; reads their headers only.

    Raises:
        ScanError: the file is missing, not a zip file, damaged or encrypted.
    """
    members = {}
    with open_zip(path) as archive:
        for info in archive.infolist():
            if info.filename.endswith(".npy"):
                key = info.filename.removesuffix(".npy")
                members[key] = _read_header(path, archive, key, info)
    return members


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip file for reading.

    Raises:
        ScanError: one sentence that tells a missing, foreign or truncated file apart.
    """
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError:
        raise ScanError(f"scan file {path} does not exist; check the path") from None
    except IsADirectoryError:
        raise ScanError(f"{path} is a folder; name the scan file in it") from None
    except PermissionError:
        raise ScanError(f"scan file {path} may not be read; change its permissions") from None
    except BROKEN as error:
        with open(path, "rb") as file:
            start = file.read(4)
        if start.startswith(b"PK") and "not a zip" in str(error):
            raise ScanError(
                f"scan file {path} ends before its zip directory; it is truncated, copy it again"
            ) from None
        if start.startswith(b"PK"):
            raise ScanError(
                f"scan file {path} has a damaged zip directory ({_reason(error)}); copy or write "
                "it again"
            ) from None
        raise ScanError(
            f"scan file {path} begins with {start!r} and is not an NPZ (zip) file, despite its "
            "name; convert it"
        ) from None


def load_member(path: Path, member: Member) -> np.ndarray:
    """Read a whole member into memory: for positions, probes and the like.

    Raises:
        ScanError: a member of Python objects, or a damaged one.
    """
    _refuse_objects(path, member)
    if member.nbytes > _LARGEST_ARRAY:
        raise ScanError(
            f"{member.key!r} in {path} is {member.shape} of {member.dtype}, which is too large to "
            "be what its name says; write the file again"
        )
    with open_zip(path) as archive, _faults(path, member.key), archive.open(member.info) as file:
        return npy.read_array(file, allow_pickle=False)


class MappedArray:
    """An array backed by a file, and that file when it is a temporary copy of ours."""

    def __init__(self, array: np.ndarray, file: IO[bytes] | None = None) -> None:
        self.array = array
        # An unnamed file vanishes with its last handle: on close, on collection, at exit, on kill.
        self._finalizer = None if file is None else weakref.finalize(self, file.close)

    def close(self) -> None:
        """Drop the map and give the disk space of a temporary copy back."""
        self.array = np.empty(0)
        if self._finalizer is not None:
            self._finalizer()


def map_member(path: Path, member: Member, frame_axis: int = 0) -> MappedArray:
    """Map a member as `(M, ...)` frames.

    Args:
        frame_axis: axis of the stored array that counts the frames; it is moved to the front. A
            trailing axis of length one is dropped first.

    Raises:
        ScanError: a damaged member, Python objects, or no room for a temporary copy.
    """
    _refuse_objects(path, member)
    shape = member.shape[:-1] if member.shape[-1:] == (1,) else member.shape
    axes = list(range(len(shape)))
    axes.insert(0, axes.pop(frame_axis))
    if member.fortran:
        # The bytes of a Fortran array are those of the C array with the axes reversed.
        shape, axes = shape[::-1], [len(shape) - 1 - axis for axis in axes]
    stored = member.info.compress_type == zipfile.ZIP_STORED
    if stored and axes[0] == 0:
        with _faults(path, member.key):
            mapped = np.memmap(path, member.dtype, "r", _data_offset(path, member), shape)
        return MappedArray(mapped.transpose(axes))
    return _copy(path, member, shape, axes)


def _copy(path: Path, member: Member, shape: tuple[int, ...], axes: list[int]) -> MappedArray:
    """Copy a member to an unnamed temporary file, frames first, in pieces of bounded size."""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    text = f"{member.key} of {path} ({member.nbytes / 1e6:.0f} MB)"
    if free < member.nbytes:
        raise ScanError(
            f"{text} must be unpacked, but {folder} has only {free / 1e6:.0f} MB free; set TMPDIR "
            "to a larger disk, or store the file uncompressed with the frames on the first axis"
        )
    _log.info("unpacking %s into a temporary file in %s, removed at exit", text, folder)
    file = tempfile.TemporaryFile(prefix="pinn-frames-", dir=folder)
    try:
        _reserve(file, member.nbytes)
        frames = np.memmap(file, member.dtype, "r+", shape=tuple(shape[axis] for axis in axes))
        target = frames.transpose(np.argsort(axes))  # the same bytes, axes as they are stored
        row_bytes = max(1, member.nbytes // shape[0])
        rows = max(1, _SLAB_BYTES // row_bytes)
        with open_zip(path) as archive, archive.open(member.info) as stream:
            stream.read(member.header_bytes)
            for first in range(0, shape[0], rows):
                slab = target[first : first + rows]
                # The last piece is compared with the checksum of the whole member.
                data = stream.read(slab.size * member.dtype.itemsize)
                slab[...] = np.frombuffer(data, member.dtype).reshape(slab.shape)
        frames.flush()
    except ScanError:
        file.close()
        raise
    except BROKEN as error:
        file.close()
        raise _damaged(path, member.key, error) from None
    except BaseException:
        file.close()
        raise
    frames.flags.writeable = False
    return MappedArray(frames, file)


def _reserve(file: IO[bytes], size: int) -> None:
    # Writing through a map to a full disk kills the process, so take the space beforehand.
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
    else:
        file.truncate(size)


def _data_offset(path: Path, member: Member) -> int:
    # The directory of a zip file does not say where the data begin: the local header has name and
    # extra fields of its own lengths.
    with open(path, "rb") as file:
        file.seek(member.info.header_offset)
        fields = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    if fields[0] != b"PK\3\4":
        raise zipfile.BadZipFile("its local header is not where the directory says")
    begin = member.info.header_offset + _LOCAL_HEADER.size + fields[-2] + fields[-1]
    return begin + member.header_bytes


def _read_header(path: Path, archive: zipfile.ZipFile, key: str, info: zipfile.ZipInfo) -> Member:
    if info.flag_bits & 0x1:
        raise ScanError(f"{key!r} in {path} is encrypted; write the file without a password")
    with _faults(path, key), archive.open(info) as file:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(file)
        header_bytes = file.tell()
    member = Member(key, tuple(shape), dtype, bool(fortran), header_bytes, info)
    bad = min(shape, default=0) < 0
    if bad or (not member.objects and header_bytes + member.nbytes != info.file_size):
        raise ScanError(
            f"{key!r} in {path} says it is {member.shape} of {dtype}, but holds "
            f"{info.file_size - header_bytes} bytes; the file is damaged, write it again"
        )
    return member


def _refuse_objects(path: Path, member: Member) -> None:
    if member.objects:
        raise ScanError(
            f"{member.key!r} in {path} holds pickled Python objects, which are never read; save "
            "it as a numeric array"
        )


@contextmanager
def _faults(path: Path, key: str) -> Iterator[None]:
    """Faults inside become sentences, and NumPy's remarks about old headers are not passed on."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ScanError:
        raise
    except BROKEN as error:
        raise _damaged(path, key, error) from None


def _damaged(path: Path, key: str, error: Exception) -> ScanError:
    return ScanError(f"{key!r} in {path} cannot be read ({_reason(error)}); write the file again")


def _reason(error: Exception) -> str:
    said = str(getattr(error, "strerror", None) or error).strip() or type(error).__name__
    return re.sub(r" object at 0x\w+", "", said.splitlines()[0])[:200]
