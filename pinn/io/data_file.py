"""The named arrays of an open file, whether it is HDF5 or NPZ.

A reader asks for what its layout names and gets a value, or one sentence that says what is wrong
with which array of which file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pinn.data.frames import FrameSource, NpyInZipFrames
from pinn.data.zipped import Member, load_member, read_members
from pinn.errors import ScanError
from pinn.io import hdf5
from pinn.io.opened import opened

__all__ = ["DataFile", "Hdf5File", "NpzFile", "holds", "open_data"]

Ranks = int | tuple[int, ...] | None


class DataFile(ABC):
    """Arrays and numbers by name.

    A number may be an attribute: `object@width` is that of the array `object`, `@width` that of
    the file. NPZ has no attributes and keeps them as `object_width` and `width`.

    Args:
        path: the file, for messages.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def has(self, name: str) -> bool:
        """Whether there is an array of this name (or a link that leads nowhere)."""

    @abstractmethod
    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of an array, without reading it.

        Raises:
            ScanError: it is missing, or no array of numbers.
        """

    @abstractmethod
    def array(self, name: str, ndim: Ranks = None, kind: str = "iuf") -> np.ndarray:
        """An array in its own type: for probes, masks and the like, never for frames.

        Args:
            name: of the array.
            ndim: numbers of axes that will do; None: any.
            kind: NumPy kinds that will do; `iuf` are real numbers.

        Raises:
            ScanError: it is missing, damaged, too large, or of another rank or kind.
        """

    @abstractmethod
    def frames(self, name: str) -> FrameSource:
        """An array of three axes as frames `(M, H, W)`, which stay in the file.

        Raises:
            ScanError: it is missing, damaged, or of another rank or kind.
        """

    @abstractmethod
    def listing(self) -> str:
        """Names of what there is, for messages."""

    @abstractmethod
    def text(self, name: str) -> str | None:
        """The text of an array or of an attribute; None if it holds none."""

    @abstractmethod
    def _number(self, name: str) -> float | None:
        """One finite number, or None."""

    def full(self, name: str) -> str:
        """A name as messages say it."""
        return name

    def first(self, *names: str) -> str | None:
        """The first of several names that the file has, or None."""
        return next((name for name in names if self.has(name)), None)

    def need(self, what: str, *names: str) -> str:
        """The first of several names that the file has.

        Raises:
            ScanError: it has none of them.
        """
        name = self.first(*names)
        if name is None:
            wanted = " or ".join(repr(self.full(one)) for one in names)
            raise ScanError(
                f"{self.path} has no {what}: there is no {wanted}; it has: {self.listing()}"
            )
        return name

    def number(self, *names: str) -> float | None:
        """The first of several numbers that is finite, or None.

        Raises:
            ScanError: an array of several different numbers.
        """
        values = (self._number(name) for name in names)
        return next((value for value in values if value is not None), None)

    def positive(self, *names: str) -> float | None:
        """As `number`, if it is above zero: files write 0 for what they do not know."""
        value = self.number(*names)
        return value if value is not None and value > 0 else None

    def missing(self, name: str) -> ScanError:
        """The error for an array that is not there."""
        return ScanError(f"{self.path} has no array {self.full(name)!r}; it has: {self.listing()}")

    def wrong(self, name: str, shape: tuple[int, ...], wanted: str) -> ScanError:
        """The error for an array of another shape than is required."""
        return ScanError(
            f"{self.full(name)!r} in {self.path} has shape {shape}, but {wanted} is required"
        )


class Hdf5File(DataFile):
    """Arrays of an open HDF5 file, or of a group in it.

    Args:
        path: the file, for messages.
        group: where names begin.
    """

    def __init__(self, path: Path, group: h5py.Group) -> None:
        super().__init__(path)
        self.group = group

    def below(self, name: str) -> Hdf5File:
        """What is in a group."""
        return Hdf5File(self.path, self.group[name])

    def full(self, name: str) -> str:
        """A name from the root of the file."""
        return hdf5.full_name(self.group, name)

    def has(self, name: str) -> bool:
        """Whether there is this name, though it may be a link that leads nowhere."""
        return hdf5.has(self.group, name)

    def has_array(self, name: str) -> bool:
        """Whether the name is that of a dataset which is not empty."""
        return self.has(name) and bool(getattr(self.group[name], "size", 0))

    def dataset(self, name: str, ndim: Ranks = None, kind: str = "biufc") -> h5py.Dataset:
        """A dataset, without reading it; see `pinn.io.hdf5.dataset`."""
        return hdf5.dataset(self.group, name, self.path, ndim=ndim, kind=kind)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a dataset of numbers, without reading it."""
        return tuple(self.dataset(name).shape)

    def array(self, name: str, ndim: Ranks = None, kind: str = "iuf") -> np.ndarray:
        """A dataset in its own type."""
        return hdf5.array(self.group, name, self.path, ndim=ndim, kind=kind)

    def frames(self, name: str) -> hdf5.Hdf5Frames:
        """A dataset `(M, H, W)` or `(ny, nx, H, W)` as frames."""
        return hdf5.Hdf5Frames(self.path, self.full(name).lstrip("/"))

    def listing(self) -> str:
        """Names and shapes of the first datasets."""
        return hdf5.listing(self.group)

    def text(self, name: str) -> str | None:
        """The text of a dataset, or of an attribute (`data@units`)."""
        holder, at, key = name.partition("@")
        if at:
            return hdf5.text(self._holder(holder), key) if not holder or self.has(holder) else None
        return hdf5.text(self.group[name]) if self.has(name) else None

    def _number(self, name: str) -> float | None:
        holder, at, key = name.rpartition("@")
        if at and (not holder or self.has(holder)):
            value = hdf5.attribute(self._holder(holder), key)
            # Of the file as a whole some programs make a dataset.
            return value if holder or value is not None else self._number(key)
        return None if at else hdf5.scalar(self.group, name, self.path)

    def _holder(self, name: str) -> Any:
        return self.dataset(name) if name else self.group


class NpzFile(DataFile):
    """Arrays of an NPZ file; pickled ones are never decoded.

    Args:
        path: the file.

    Raises:
        ScanError: it is missing, foreign or damaged.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.members = read_members(path)
        opened(path)

    def has(self, name: str) -> bool:
        """Whether there is an array of this name."""
        return name in self.members

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of an array, without reading it."""
        return self.member(name).shape

    def member(self, name: str, ndim: Ranks = None, kind: str | None = None) -> Member:
        """The header of an array. One of Python objects passes: reading it is refused."""
        if not self.has(name):
            raise self.missing(name)
        member = self.members[name]
        ranks = (ndim,) if isinstance(ndim, int) else ndim
        if ranks is not None and len(member.shape) not in ranks:
            raise self.wrong(name, member.shape, f"an array of {' or '.join(map(str, ranks))} axes")
        if kind is not None and member.dtype.kind not in kind and not member.objects:
            wanted = hdf5.KINDS.get(kind, f"one of the types {kind!r}")
            raise ScanError(
                f"{name!r} in {self.path} has dtype {member.dtype}, but {wanted} are required"
            )
        return member

    def array(self, name: str, ndim: Ranks = None, kind: str = "iuf") -> np.ndarray:
        """An array in its own type."""
        return load_member(self.path, self.member(name, ndim, kind))

    def frames(self, name: str) -> FrameSource:
        """An array `(M, H, W)` as frames."""
        member = self.member(name, 3, "biuf")
        if 0 in member.shape:
            raise self.wrong(name, member.shape, "at least one frame")
        return NpyInZipFrames(self.path, member)

    def listing(self) -> str:
        """Names of the arrays."""
        return ", ".join(sorted(self.members)) or "no arrays"

    def text(self, name: str) -> str | None:
        """The text of an array of one string."""
        member = self.members.get(_flat(name))
        if member is None or member.dtype.kind not in "US" or member.shape not in ((), (1,)):
            return None
        value = load_member(self.path, member).reshape(-1)[0]
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

    def _number(self, name: str) -> float | None:
        member = self.members.get(_flat(name))
        if member is None or member.dtype.kind not in "biuf" or member.nbytes > 64:
            return None
        value = load_member(self.path, member).reshape(-1)
        return float(value[0]) if len(value) == 1 and np.isfinite(value[0]) else None


def _flat(name: str) -> str:
    """The name of an attribute as an NPZ file keeps it."""
    return name.replace("@", "_").lstrip("_") if "@" in name else name


@contextmanager
def open_data(path: Path) -> Iterator[NpzFile | Hdf5File]:
    """A file of arrays for the length of a `with`.

    Raises:
        ScanError: it is missing, foreign or damaged.
    """
    if path.is_file() and not hdf5.is_hdf5(path, b""):
        with open(path, "rb") as file:
            zipped = file.read(2) == b"PK"
        if zipped:
            yield NpzFile(path)
            return
    with hdf5.reading(path) as h5:
        yield Hdf5File(path, h5)


def holds(
    path: Path,
    head: bytes,
    *names: str,
    if_so: Callable[[h5py.File], bool] | None = None,
) -> bool:
    """True for an HDF5 file with all these names (links that lead nowhere included).

    Args:
        path: the file.
        head: its first bytes.
        names: paths from the root.
        if_so: a further look at the open file, asked when the names are there.
    """
    if not hdf5.is_hdf5(path, head):
        return False
    try:
        with hdf5.open_hdf5(path) as h5:
            return all(hdf5.has(h5, name) for name in names) and (if_so is None or bool(if_so(h5)))
    except (ScanError, *hdf5.FAULTS):
        return False


def holds_arrays(path: Path, head: bytes, *names: str) -> bool:
    """True for an HDF5 or NPZ file with all these names."""
    if not head.startswith(b"PK"):
        return holds(path, head, *names)
    try:
        return set(names) <= set(read_members(path))
    except (ScanError, OSError, ValueError):
        return False
