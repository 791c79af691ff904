"""Variables of MATLAB files, versions 5 and 7.3 (HDF5).

MATLAB has the axes of an image first: `(H, W, modes)` is shown as `(modes, H, W)`.

A name with dots is a field of a struct: `p.z`. What is neither a line of text nor an array of
numbers (a cell, an empty array) is as good as missing.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pinn.data.frames import FrameSource
from pinn.errors import ScanError
from pinn.io.data_file import DataFile, Ranks
from pinn.io.hdf5 import Hdf5File, Hdf5Frames, reading
from pinn.io.hdf5_files import is_hdf5, printable, reason_of
from pinn.io.mat5 import check_mat5
from pinn.io.stacks import StoredFrames

_LISTED = 12
_LONGEST = 4096  # letters of a text
_MAT73 = b"MATLAB 7.3 MAT-file"
_FAULTS = (
    *(OSError, ValueError, TypeError, KeyError, IndexError, EOFError, AttributeError),
    *(RuntimeError, OverflowError, MemoryError, AssertionError, UnboundLocalError),
    *(zlib.error, struct.error),
)


@contextmanager
def open_matlab(path: Path) -> Iterator[DataFile]:
    """A MATLAB file of either version for the length of a `with`.

    Raises:
        ScanError: it is damaged.
    """
    if not is_hdf5(path, b""):
        yield Mat5File(path)
        return
    with reading(path) as file:
        yield Mat73File(file)


def is_mat73(path: Path) -> bool:
    """Whether an HDF5 file says in its first bytes that MATLAB wrote it."""
    with open(path, "rb") as file:
        return file.read(len(_MAT73)) == _MAT73


class MatlabFile(DataFile):
    """What files of both versions have in common."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a variable or field."""
        return self.array(name, kind="biufc").shape

    def _number(self, name: str) -> float | None:
        """The first of some numbers: sizes are given for rows and columns."""
        if not self.has(name):
            return None
        values = self.array(name, kind="biufc")
        value = float(values.reshape(-1)[0]) if values.dtype.kind != "c" else np.nan
        return value if np.isfinite(value) else None

    def _check_stack(self, name: str, ndim: int) -> None:
        if ndim != 3:
            raise self.wrong(name, self.shape(name), "(H, W, frames) in MATLAB's order")


class Mat5File(MatlabFile):
    """Variables of a file of version 5, each read when it is asked for.

    Args:
        path: the file.

    Raises:
        ScanError: it is damaged.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._loaded: dict[str, Any] = {}
        from scipy.io import whosmat

        self._guarded(check_mat5, path)
        self._shapes = {name: shape for name, shape, _ in self._guarded(whosmat, str(path))}

    def has(self, name: str) -> bool:
        """Whether there are numbers of this name."""
        return self._value(name) is not None

    def array(self, name: str, ndim: Ranks = None, kind: str = "iuf") -> np.ndarray:
        """A variable or field, the axes of an image last."""
        value = self._value(name)
        if value is None:
            raise self.missing(name)
        self.check(name, value.shape, value.dtype, ndim, kind)
        return _images_last(value)

    def frames(self, name: str) -> FrameSource:
        """A stack `(H, W, frames)` as frames."""
        stack = self.array(name, kind="biuf")
        self._check_stack(name, stack.ndim)
        # Not kept twice.
        top, *fields = name.split(".")
        holder = self._loaded[top] if fields else self._loaded
        holder.pop(fields[-1] if fields else top)
        return StoredFrames(stack)

    def text(self, name: str) -> str | None:
        """A line of text, or None."""
        value = self._item(name)
        return value if isinstance(value, str) else None

    def listing(self) -> str:
        """Names and shapes of the variables."""
        return ", ".join(f"{name} {shape}" for name, shape in self._shapes.items()) or "nothing"

    def _value(self, name: str) -> np.ndarray | None:
        value = self._item(name)
        plain = isinstance(value, np.ndarray | np.generic | float | int | complex)
        array = np.asarray(value) if plain else None
        return array if array is not None and array.dtype.kind in "biufc" and array.size else None

    def _item(self, name: str) -> Any:
        """A variable or field, whatever it is; None if there is none."""
        top, *fields = name.split(".")
        if top not in self._shapes:
            return None
        if top not in self._loaded:
            from scipy.io import loadmat

            self._loaded.update(
                self._guarded(loadmat, str(self.path), variable_names=[top], simplify_cells=True)
            )
        value = self._loaded.get(top)
        for field in fields:
            value = value.get(field) if isinstance(value, dict) else None
        return value

    def _guarded(self, function: Any, *args: Any, **options: Any) -> Any:
        from scipy.io.matlab import MatReadError

        try:
            with warnings.catch_warnings():
                # A part that SciPy passes over with a warning is missed here, where it matters.
                warnings.simplefilter("ignore")
                return function(*args, **options)
        except (*_FAULTS, MatReadError) as error:
            raise ScanError(
                f"{self.path} is a damaged MATLAB file ({reason_of(error)}); copy it again, or "
                "save it anew with -v7.3"
            ) from None


class Mat73File(MatlabFile):
    """The same of a file of version 7.3, whose axes HDF5 shows in reverse order.

    Args:
        h5: the open file.
    """

    def __init__(self, h5: Hdf5File) -> None:
        super().__init__(h5.path)
        self._h5 = h5

    def has(self, name: str) -> bool:
        """Whether there are numbers of this name."""
        key = _key(name)
        if not self._h5.has(key) or not isinstance(item := self._h5.group[key], h5py.Dataset):
            return False
        # An empty array is stored as its shape; a cell holds references.
        numeric = item.dtype.kind in "biuf" or item.dtype.names == ("real", "imag")
        return numeric and bool(item.size) and "MATLAB_empty" not in item.attrs

    def array(self, name: str, ndim: Ranks = None, kind: str = "iuf") -> np.ndarray:
        """A variable or field, the axes of an image last."""
        if not self.has(name):
            raise self.missing(name)
        return _images_last(self._h5.array(_key(name), ndim, kind).T)

    def frames(self, name: str) -> Hdf5Frames:
        """A stack `(H, W, frames)` as frames."""
        self._check_stack(name, len(self._h5.shape(_key(name))))
        return Hdf5Frames(self.path, _key(name), transpose=True)

    def text(self, name: str) -> str | None:
        """A line of text, whose letters are stored as numbers, or None."""
        if not self.has(name):
            return None
        item = self._h5.group[_key(name)]
        said = item.attrs.get("MATLAB_class", b"")
        if said not in (b"char", "char") or item.size > _LONGEST or item.dtype.kind != "u":
            return None
        return "".join(chr(code) for code in self.array(name).reshape(-1))

    def listing(self) -> str:
        """Names and shapes of the first variables."""
        names: list[str] = []

        def note(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and item.shape and not name.startswith("#"):
                names.append(f"{printable(name).replace('/', '.')} {item.shape[::-1]}")

        self._h5.group.visititems(note)
        more = ", ..." if len(names) > _LISTED else ""
        return ", ".join(names[:_LISTED]) + more or "nothing"


def _images_last(values: np.ndarray) -> np.ndarray:
    """`(..., H, W)` from MATLAB's `(H, W, ...)`."""
    return values.transpose(*range(values.ndim - 1, 1, -1), 0, 1) if values.ndim > 2 else values


def _key(name: str) -> str:
    return name.replace(".", "/")
