"""Variables of MATLAB files, versions 5 and 7.3 (HDF5), in MATLAB's order of axes.

A name with dots is a field of a struct: `p.z`. What is no array of numbers (text, a cell, an empty
array) is as good as missing.
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
from pinn.io.hdf5_files import is_hdf5, printable
from pinn.io.mat5 import check_mat5
from pinn.io.stacks import StoredFrames

_LISTED = 12
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
        yield Mat73File(path, file.group)


class Mat5File(DataFile):
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

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape in MATLAB's order."""
        return self.array(name, kind="biufc").shape

    def array(self, name: str, ndim: Ranks = None, kind: str = "iuf") -> np.ndarray:
        """A variable or field in MATLAB's order of axes."""
        value = self._value(name)
        if value is None:
            raise self.missing(name)
        ranks = (ndim,) if isinstance(ndim, int) else ndim
        if ranks is not None and value.ndim not in ranks:
            raise self.wrong(name, value.shape, f"an array of {' or '.join(map(str, ranks))} axes")
        if value.dtype.kind not in kind:
            raise ScanError(f"{name!r} in {self.path} holds {value.dtype}, which is no {name}")
        return value

    def frames(self, name: str) -> FrameSource:
        """A stack `(H, W, frames)` as frames."""
        stack = self.array(name, kind="biuf")
        check_stack(self, name, stack.shape)
        # Not kept twice.
        top, *fields = name.split(".")
        holder = self._loaded[top] if fields else self._loaded
        holder.pop(fields[-1] if fields else top)
        return StoredFrames(np.moveaxis(stack, 2, 0))

    def listing(self) -> str:
        """Names and shapes of the variables."""
        return ", ".join(f"{name} {shape}" for name, shape in self._shapes.items()) or "nothing"

    def text(self, name: str) -> str | None:
        """Texts are not read."""
        return None

    def _value(self, name: str) -> np.ndarray | None:
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
        plain = isinstance(value, np.ndarray | np.generic | float | int | complex)
        array = np.asarray(value) if plain else None
        return array if array is not None and array.dtype.kind in "biufc" and array.size else None

    def _number(self, name: str) -> float | None:
        return first_number(self, name)

    def _guarded(self, function: Any, *args: Any, **options: Any) -> Any:
        from scipy.io.matlab import MatReadError

        try:
            with warnings.catch_warnings():
                # A part that SciPy passes over with a warning is missed here, where it matters.
                warnings.simplefilter("ignore")
                return function(*args, **options)
        except (*_FAULTS, MatReadError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ScanError(
                f"{self.path} is a damaged MATLAB file ({reason}); copy it again, or save it anew "
                "with -v7.3"
            ) from None


class Mat73File(Hdf5File):
    """The same of a file of version 7.3, whose axes HDF5 shows in reverse order."""

    def full(self, name: str) -> str:
        """A name as MATLAB says it."""
        return name

    def has(self, name: str) -> bool:
        """Whether there are numbers of this name."""
        key = _key(name)
        if not super().has(key) or not isinstance(item := self.group[key], h5py.Dataset):
            return False
        # An empty array is stored as its shape; a cell holds references.
        numeric = item.dtype.kind in "biuf" or item.dtype.names == ("real", "imag")
        return numeric and bool(item.size) and "MATLAB_empty" not in item.attrs

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape in MATLAB's order."""
        return super().shape(_key(name))[::-1]

    def array(self, name: str, ndim: Ranks = None, kind: str = "iuf") -> np.ndarray:
        """A variable or field in MATLAB's order of axes."""
        if not self.has(name):
            raise self.missing(name)
        return super().array(_key(name), ndim, kind).T

    def frames(self, name: str) -> Hdf5Frames:
        """A stack `(H, W, frames)` as frames."""
        check_stack(self, name, self.shape(name))
        return Hdf5Frames(self.path, _key(name), transpose=True)

    def listing(self) -> str:
        """Names and shapes of the first variables."""
        names: list[str] = []

        def note(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and item.shape and not name.startswith("#"):
                names.append(f"{printable(name).replace('/', '.')} {item.shape[::-1]}")

        self.group.visititems(note)
        more = ", ..." if len(names) > _LISTED else ""
        return ", ".join(names[:_LISTED]) + more or "nothing"

    def _number(self, name: str) -> float | None:
        return first_number(self, name)


def first_number(file: DataFile, name: str) -> float | None:
    """The first of some numbers: sizes are given for rows and columns."""
    if not file.has(name):
        return None
    values = file.array(name, kind="biufc")
    value = float(values.reshape(-1)[0]) if values.dtype.kind != "c" else np.nan
    return value if np.isfinite(value) else None


def check_stack(file: DataFile, name: str, shape: tuple[int, ...]) -> None:
    """Raises:
    ScanError: the shape, in MATLAB's order, is not that of frames.
    """
    if len(shape) != 3:
        raise file.wrong(name, shape, "(H, W, frames) in MATLAB's order")


def _key(name: str) -> str:
    return name.replace(".", "/")
