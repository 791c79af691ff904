"""HDF5 as the readers need it: a `DataFile` of datasets, attributes, frames and texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pinn.data.zipped import read_members
from pinn.errors import PinnError, ScanError
from pinn.io.data_file import DataFile, NpzFile, Ranks
from pinn.io.hdf5_files import (
    FAULTS,
    LARGEST_UNWRITTEN,
    damaged,
    dataset,
    full_name,
    has,
    is_hdf5,
    listing,
    open_hdf5,
)
from pinn.io.hdf5_frames import Hdf5Frames

_LARGEST_ARRAY = 4 << 30


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
        return full_name(self.group, name)

    def has(self, name: str) -> bool:
        """Whether there is this name, though it may be a link that leads nowhere."""
        return has(self.group, name)

    def has_array(self, name: str) -> bool:
        """Whether the name is that of a dataset which is not empty."""
        return self.has(name) and bool(getattr(self.group[name], "size", 0))

    def dataset(self, name: str, ndim: Ranks = None, kind: str = "biufc") -> h5py.Dataset:
        """A dataset, without reading it; see `pinn.io.hdf5_files.dataset`."""
        return dataset(self.group, name, self.path, ndim=ndim, kind=kind)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a dataset of numbers, without reading it."""
        return tuple(self.dataset(name).shape)

    def array(self, name: str, ndim: Ranks = None, kind: str = "iuf") -> np.ndarray:
        """A dataset in its own type, in the byte order of this machine."""
        item = self.dataset(name, ndim, kind)
        size = item.size * item.dtype.itemsize
        # Of what was never written a file states the shape only.
        written = item.is_virtual or item.id.get_storage_size()
        if size > (_LARGEST_ARRAY if written else LARGEST_UNWRITTEN):
            raise ScanError(
                f"{self.full(name)!r} in {self.path} has shape {item.shape} of {item.dtype}, which "
                "is too large to be what its name says; write the file again"
            )
        try:
            values = np.asarray(item[()])
        except FAULTS as error:
            raise damaged(repr(self.full(name)), self.path, error) from None
        if values.dtype.names:
            # Not by a product: 1j times infinity is not a number.
            pairs = np.empty(values.shape, np.result_type(values.dtype["real"], np.complex64))
            pairs.real, pairs.imag = values["real"], values["imag"]
            return pairs
        return values.astype(values.dtype.newbyteorder("="), copy=False)

    def frames(self, name: str) -> Hdf5Frames:
        """A dataset `(M, H, W)` or `(ny, nx, H, W)` as frames."""
        return Hdf5Frames(self.path, self.full(name).lstrip("/"))

    def listing(self) -> str:
        """Names and shapes of the first datasets."""
        return listing(self.group)

    def text(self, name: str) -> str | None:
        """The text of a dataset, or of an attribute (`data@units`)."""
        holder, at, key = name.rpartition("@")
        owner = holder if at else key
        if not self.has(owner):
            return None
        item = self.group
        if owner:
            item = self.dataset(owner) if at else self.group[owner]
        if not at and getattr(item, "size", None) != 1:
            return None
        try:
            value = np.asarray(item.attrs[key] if at else item[()]).reshape(-1)[0]
        except (*FAULTS, IndexError):
            return None
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        return str(value) if isinstance(value, str) else None  # NumPy's own str is none for h5py

    def _number(self, name: str) -> float | None:
        holder, at, key = name.rpartition("@")
        if not at:
            return self._scalar(key)
        if not self.has(holder):
            return None
        value = _attribute(self.dataset(holder) if holder else self.group, key)
        # Of the file as a whole some programs make a dataset.
        return value if holder or value is not None else self._scalar(key)

    def _scalar(self, name: str) -> float | None:
        """The mean of numbers that differ by less than a hundredth."""
        if not self.has(name):
            return None
        values = self.array(name).astype(np.float64).reshape(-1)
        if not len(values) or not np.isfinite(values).all():
            return None
        mean = float(values.mean())
        if np.ptp(values) > 0.01 * abs(mean):
            raise ScanError(
                f"{self.full(name)!r} in {self.path} holds {len(values)} numbers, from "
                f"{values.min():g} to {values.max():g}, but one is required"
            )
        return mean


def _attribute(item: Any, name: str) -> float | None:
    try:
        value = np.asarray(item.attrs[name]).reshape(-1)
        number = float(value[0]) if len(value) == 1 and value.dtype.kind != "c" else np.nan
    except FAULTS:
        return None
    return number if np.isfinite(number) else None


@contextmanager
def reading(path: str | Path) -> Iterator[Hdf5File]:
    """An open file for the length of a `with`; faults inside become sentences.

    Raises:
        ScanError: see `open_hdf5`, or whatever h5py finds damaged while the body reads.
    """
    with open_hdf5(path) as h5:
        try:
            yield Hdf5File(Path(path), h5)
        except PinnError:
            raise
        except FAULTS as error:
            raise damaged("a part", path, error) from None


@contextmanager
def open_data(path: Path) -> Iterator[DataFile]:
    """An HDF5 or NPZ file for the length of a `with`.

    Raises:
        ScanError: it is missing, foreign or damaged.
    """
    zipped = False
    if path.is_file():
        with open(path, "rb") as file:
            zipped = file.read(2) == b"PK"
    if zipped:
        yield NpzFile(path)
        return
    with reading(path) as h5:
        yield h5


def holds(
    path: Path, head: bytes, *names: str, if_so: Callable[[Hdf5File], bool] | None = None
) -> bool:
    """True for an HDF5 file with all these names (links that lead nowhere included).

    Args:
        path: the file.
        head: its first bytes.
        names: paths from the root.
        if_so: a further look at the open file, asked when the names are there.
    """
    if not is_hdf5(path, head):
        return False
    try:
        with open_hdf5(path) as h5:
            file = Hdf5File(path, h5)
            return all(map(file.has, names)) and (if_so is None or bool(if_so(file)))
    except (ScanError, *FAULTS):
        return False


def holds_arrays(path: Path, head: bytes, *names: str) -> bool:
    """True for an HDF5 or NPZ file with all these names."""
    if not head.startswith(b"PK"):
        return holds(path, head, *names)
    try:
        return set(names) <= set(read_members(path))
    except (ScanError, OSError, ValueError):
        return False
