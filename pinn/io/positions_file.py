"""Positions in a file of their own: CSV or other text, NPY, NPZ, HDF5.

`positions_path` names it, alone or as `FILE::Y,X` with the columns, arrays or datasets in it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.lib import format as npy

from pinn.data.zipped import BROKEN
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.hdf5 import open_data
from pinn.io.hdf5_files import is_hdf5
from pinn.io.layout import Layout, read_positions
from pinn.io.opened import opened
from pinn.io.physical_units import metres

_ENDINGS = (".csv", ".tsv", ".txt", ".dat", ".npy", ".npz", ".h5", ".hdf5", ".nxs", ".hdf")
_INSIDE = "::"
_NAMES = (("ycoords", "xcoords"), ("y", "x"), ("positions_px",), ("positions",), ("pos",))
_PIXELS = ("px", "pixel", "pixels", "")
_MOST_BYTES = 256 << 20
_SHOWN = 6


class Beside(NamedTuple):
    """A file with positions, and what in it they are; no names: what there is but them."""

    path: Path
    names: tuple[str, ...]


def beside(text: str) -> Beside | None:
    """The file that `positions_path` names, or None where it names datasets."""
    place, inside, names = text.partition(_INSIDE)
    if inside:
        return Beside(Path(place), tuple(name.strip() for name in names.split(",")))
    return Beside(Path(text), ()) if text.lower().endswith(_ENDINGS) else None


def read_beside(contents: Contents, file: Beside) -> bool:
    """Put the positions of a file where they belong.

    Returns:
        Whether the file says their unit.

    Raises:
        ScanError: missing, foreign, damaged, or it is not plain which numbers are meant.
    """
    path = file.path
    try:
        with open(path, "rb") as stream:
            head = stream.read(16)
    except OSError as error:
        raise ScanError(
            f"positions file {path} cannot be read ({error.strerror}); check --positions-path"
        ) from None
    if head.startswith(b"PK") or is_hdf5(path, head):
        return _from_data(contents, file)
    opened(path)
    if len(file.names) > 2:
        raise _unclear(file, "at most two names are")
    found = _from_npy(path) if head.startswith(npy.MAGIC_PREFIX) else _from_text(file)
    contents.positions_px = found
    contents.positions_key = f"{str(path)!r} {found.shape}"
    return False


def _unclear(file: Beside, what: str, there: str = "") -> ScanError:
    return ScanError(
        f"of positions file {file.path} {what} required, as in --positions-path "
        f"'{file.path}{_INSIDE}Y,X'{f'; it has: {there}' if there else ''}"
    )


def _from_data(contents: Contents, file: Beside) -> bool:
    with open_data(file.path) as data:
        names = file.names
        if not names:
            known = [names for names in _NAMES if all(map(data.has, names))]
            if not known:
                raise _unclear(file, "the names of y and x, or of pairs, are", data.listing())
            names = known[0]
        if len(names) > 2:
            raise _unclear(file, "at most two names are", data.listing())
        said = [data.text(f"{name}@units") for name in names]
        if len(set(said)) > 1:
            raise ScanError(
                f"of {' and '.join(names)} in {file.path} one is in {said[0]!r} and the other in "
                f"{said[1]!r}; correct the attribute 'units' of one of them"
            )
        unit = said[0]
        scale = None
        if unit is not None and unit.strip().lower() not in _PIXELS:
            scale = metres(unit, names[0], file.path)
        read_positions(data, Layout(frames="", positions=names, unit_m=scale), contents)
    opened(file.path)
    return unit is not None


def _from_npy(path: Path) -> np.ndarray:
    try:
        # Mapped first: a size beyond the end of the file is refused, not made room for.
        found = np.array(np.load(path, mmap_mode="r", allow_pickle=False))
    except BROKEN as error:
        raise ScanError(f"positions file {path} cannot be read ({error}); write it again") from None
    if found.ndim == 2 and found.shape[0] == 2 != found.shape[1]:
        found = found.T
    if found.ndim != 2 or found.shape[1] != 2 or found.dtype.kind not in "iuf":
        raise ScanError(
            f"positions file {path} holds {found.shape} of {found.dtype}, but real numbers (M, 2) "
            "with the columns y, x are required"
        )
    return found.astype(np.float64)


def _from_text(file: Beside) -> np.ndarray:
    """Two columns of a table: those that are named, or called y and x, or the only two (y, x)."""
    path = file.path
    if path.stat().st_size > _MOST_BYTES:
        raise ScanError(f"positions file {path} is too large for a table of text; write NPY")
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    mark = next((mark for mark in (",", ";", "\t") if lines and mark in lines[0]), None)
    rows = [[cell.strip() for cell in line.split(mark)] for line in lines]
    header: list[str] = []
    if rows and not any(map(_is_number, rows[0])):
        header = [cell.strip("\"'") for cell in rows.pop(0)]
    width = len(rows[0]) if rows else 0
    columns = _columns(file, header, width)
    values = np.empty((len(rows), 2))
    for number, row in enumerate(rows):
        cells = [row[column] for column in columns] if len(row) == width else [""]
        if not all(map(_is_number, cells)):
            raise ScanError(
                f"positions file {path} has {' '.join(row)[:40]!r} for position {number}, but "
                f"{width} numbers are required; correct that line"
            )
        values[number] = [float(cell) for cell in cells]
    return values


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _columns(file: Beside, header: list[str], width: int) -> list[int]:
    """Numbers of the columns of y and x."""
    there = ", ".join(header[:_SHOWN]) or f"{width} columns of numbers, called 0, 1, ..."
    names = header or [str(number) for number in range(width)]
    if file.names:
        if len(file.names) != 2 or not set(file.names) <= set(names):
            raise _unclear(file, "two of its columns are", there)
        return [names.index(name) for name in file.names]
    found = [_called(header, letter) for letter in "yx"]
    if None not in found and found[0] != found[1]:
        return [column for column in found if column is not None]
    if width != 2:
        raise _unclear(file, "the columns of y and x are", there)
    return [0, 1]


def _called(header: list[str], letter: str) -> int | None:
    """The only column whose name is the letter, or has it as a word, as in `y_um` or `stage y`."""
    words = [re.split(r"[^a-z]+", name.lower()) for name in header]
    found = [number for number, parts in enumerate(words) if letter in parts]
    return found[0] if len(found) == 1 else None
