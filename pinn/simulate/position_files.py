"""Positions of the probe from a file: NPY, NPZ (a scan, for instance) or text."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from pinn.data.zipped import load_member
from pinn.errors import ScanError
from pinn.io.data_file import NpzFile
from pinn.io.formats.registry import read_head
from pinn.simulate.files import ZIP, read_array

_NAMES = {
    "y": ("y", "y_px", "y_m", "ycoords", "row"),
    "x": ("x", "x_px", "x_m", "xcoords", "column"),
}
_SEPARATOR = re.compile(r"\s*[,;\t]\s*|\s+")  # a blank beside a comma is no further separator


def read_positions(path: Path) -> np.ndarray:
    """Positions `(M, 2)` float64 (y, x), in the unit of the file.

    Args:
        path: NPY `(M, 2)`; NPZ with `positions_px` or `positions` `(M, 2)`, or with `ycoords` and
            `xcoords` `(M,)`; or text with two columns y and x, or with a first line that names
            its columns, separated by commas, semicolons, tabs or blanks.

    Raises:
        ScanError: no such file or array, not two columns, or values that are not finite.
    """
    what, head = f"positions file {path}", read_head(path, "positions file")
    if head.startswith(ZIP):
        positions = _from_npz(path)
    elif head.startswith(npy.MAGIC_PREFIX):
        positions = read_array(path, "positions file", ())[1]
    else:
        positions = _from_text(path, what)
    if positions.shape[1:] != (2,) or not len(positions) or positions.dtype.kind not in "iuf":
        raise ScanError(
            f"{what} has {positions.dtype} of shape {positions.shape}, but numbers of shape "
            "(M, 2), columns y and x, are required"
        )
    positions = positions.astype(np.float64)
    wrong = np.flatnonzero(~np.isfinite(positions).all(1))
    if len(wrong):
        raise ScanError(
            f"{what} has {positions[wrong[0]].tolist()} as position {wrong[0]}; correct or remove "
            "it"
        )
    return positions


def _from_npz(path: Path) -> np.ndarray:
    file = NpzFile(path)
    if key := file.first("positions_px", "positions"):
        return load_member(path, file.members[key])
    y, x = (file.array(file.need("positions", name)).reshape(-1) for name in ("ycoords", "xcoords"))
    if len(y) != len(x):
        raise ScanError(
            f"positions file {path} has {len(y)} ycoords and {len(x)} xcoords; each needs the other"
        )
    return np.stack([y, x], 1)


def _from_text(path: Path, what: str) -> np.ndarray:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise ScanError(f"{what} is neither NPY, NPZ nor text with two columns") from None
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    rows = [_SEPARATOR.split(line.strip()) for line in lines]
    if not rows:
        raise ScanError(f"{what} has no lines; give two columns y and x")
    columns = [0, 1]
    if _numbers(rows[0]) is None:
        names = [cell.strip("\"'").lower() for cell in rows.pop(0)]
        columns = [next((names.index(n) for n in _NAMES[a] if n in names), -1) for a in "yx"]
        if -1 in columns:
            raise ScanError(
                f"{what} begins with {', '.join(names)!r}, but its columns y and x must be named "
                "there; without names, give two columns, y and x"
            )
    elif len(rows[0]) != 2:
        raise ScanError(
            f"{what} has {len(rows[0])} columns; give two, y and x, or name them in the first line"
        )
    positions = []
    for number, row in enumerate(rows):
        pair = _numbers([row[i] for i in columns if i < len(row)])
        if pair is None or len(pair) != 2:
            raise ScanError(
                f"{what} has {' '.join(row)!r} as position {number}, which is no y and x"
            )
        positions.append(pair)
    return np.array(positions).reshape(-1, 2)


def _numbers(cells: list[str]) -> list[float] | None:
    try:
        return [float(cell) for cell in cells]
    except ValueError:
        return None
