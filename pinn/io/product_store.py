"""A ptychodus product as named parts, whether it lies in HDF5 or in NPZ.

HDF5 keeps numbers as attributes of the root and of the arrays; NPZ keeps the same names flat, the
attribute `pixel_width_m` of `object` as `object_pixel_width_m`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import h5py
import numpy as np

from pinn.data.zipped import Member, load_member, read_members
from pinn.errors import ScanError
from pinn.io import hdf5

_TEXT = {"c": "complex numbers", "iufc": "numbers", "iuf": "real numbers", "iu": "whole numbers"}


class Store(Protocol):
    """Parts by name."""

    def has(self, name: str) -> bool:
        """Whether there is an array of this name."""
        ...

    def array(self, name: str, ndim: tuple[int, ...], kind: str) -> np.ndarray:
        """An array; ScanError if it is missing, or of another rank or kind."""
        ...

    def number(self, *names: str, of: str | None = None) -> float | None:
        """The first of several numbers that is finite, of the product or of an array."""
        ...


@contextmanager
def open_store(path: Path) -> Iterator[Store]:
    """Open a product.

    Raises:
        ScanError: the file is missing, foreign or damaged.
    """
    if path.is_file() and not hdf5.is_hdf5(path, b""):
        yield NpzStore(path)
        return
    with hdf5.reading(path) as h5:
        yield Hdf5Store(path, h5)


class Hdf5Store:
    """Parts of an HDF5 file.

    Args:
        path: for messages.
        h5: the open file.
    """

    def __init__(self, path: Path, h5: h5py.File) -> None:
        self._path, self.h5 = path, h5

    def has(self, name: str) -> bool:
        """Whether there is an array of this name."""
        return hdf5.has(self.h5, name)

    def array(self, name: str, ndim: tuple[int, ...], kind: str) -> np.ndarray:
        """An array; ScanError if it is missing, or of another rank or kind."""
        return hdf5.array(self.h5, name, self._path, ndim=ndim, kind=kind)

    def number(self, *names: str, of: str | None = None) -> float | None:
        """The first of several numbers that is finite: an attribute, or an array of one number."""
        if of is not None:
            return hdf5.attribute(hdf5.dataset(self.h5, of, self._path, kind="iufc"), *names)
        found = hdf5.attribute(self.h5, *names)
        if found is not None:
            return found
        there = next((name for name in names if hdf5.has(self.h5, name)), None)
        return None if there is None else hdf5.scalar(self.h5, there, self._path)


class NpzStore:
    """Parts of an NPZ file.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._members = read_members(path)

    def has(self, name: str) -> bool:
        """Whether there is an array of this name."""
        return name in self._members

    def array(self, name: str, ndim: tuple[int, ...], kind: str) -> np.ndarray:
        """An array; ScanError if it is missing, or of another rank or kind."""
        member = self._members.get(name)
        if member is None:
            raise ScanError(
                f"{self._path} has no array {name!r}; it has: {', '.join(sorted(self._members))}"
            )
        if len(member.shape) not in ndim or (member.dtype.kind not in kind and not member.objects):
            raise ScanError(
                f"{name!r} in {self._path} is {member.shape} of {member.dtype}, but "
                f"{_TEXT.get(kind, kind)} with {' or '.join(map(str, ndim))} axes are required"
            )
        return load_member(self._path, member)

    def number(self, *names: str, of: str | None = None) -> float | None:
        """The first of several numbers that is finite."""
        for name in names:
            member = self._members.get(name if of is None else f"{of}_{name}")
            if member is not None and (value := self._value(member)) is not None:
                return value
        return None

    def _value(self, member: Member) -> float | None:
        if member.dtype.kind not in "biuf" or member.nbytes > 64:
            return None
        found = load_member(self._path, member).reshape(-1)
        return float(found[0]) if len(found) == 1 and np.isfinite(found[0]) else None
