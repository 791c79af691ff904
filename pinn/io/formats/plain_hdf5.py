"""Reader of HDF5 files of no known layout: the options say where frames and positions are.

An attribute `units` of positions is honoured; without one, and without `positions_unit`, they are
object pixels.
"""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import h5py
import numpy as np

from pinn.config import ScanConfig
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.hdf5 import FAULTS, Hdf5Frames, array, dataset, is_hdf5, numbers, reading, text
from pinn.io.hdf5_files import printable
from pinn.io.physical_units import metres

_PIXELS = ("px", "pixel", "pixels", "")
_FEWEST_PIXELS = 16
_SHOWN = 6


def is_plain_hdf5(path: Path, head: bytes) -> bool:
    """True for any HDF5 file: to be asked last."""
    return is_hdf5(path, head)


def read_plain_hdf5(path: Path, config: ScanConfig) -> Contents:
    """Read a scan from the datasets that `data_path`, `positions_path` and the like name.

    Raises:
        ScanError: paths are not given (the sentence lists datasets that may be meant, as options),
            are not in the file, or are of the wrong shape or type.
    """
    with reading(path) as h5:
        if config.data_path is None or config.positions_path is None:
            raise ScanError(_advice(h5, path, config))
        frames = Hdf5Frames(path, config.data_path)
        found = Contents(frames, frames_key=config.data_path)
        positions, unit = _positions(h5, path, config, frames.shape[0])
        _store(found, positions, unit, path, config)
        if config.probe_path is not None:
            found.probe = array(h5, config.probe_path, path, ndim=(2, 3, 4), kind="iufc")
            if found.probe.ndim == 4:
                if len(found.probe) > 1:
                    found.notes.append(
                        f"probe {config.probe_path!r} has {len(found.probe)} coherent variations "
                        "and no weights of them for each frame: the first variation is used"
                    )
                found.probe = found.probe[0]
        if config.mask_path is not None:
            mask = array(h5, config.mask_path, path, ndim=(2, 3), kind="biuf")
            nonzero = mask != 0
            bad = config.bad_pixels_polarity == "bad"
            # What is no number is bad either way, and not equal to itself.
            found.bad_pixels = (nonzero if bad else ~nonzero) | (mask != mask)
    return found


def _positions(
    h5: h5py.File, path: Path, config: ScanConfig, M: int
) -> tuple[np.ndarray, str | None]:
    """`(M, 2)` [y, x] as stored, and their unit where the file says it."""
    names = tuple(name.strip() for name in str(config.positions_path).split(","))
    if len(names) == 1:
        both = numbers(h5, names[0], path, ndim=2)
        if both.shape == (2, M) and M != 2:
            both = both.T
        if both.shape != (M, 2):
            raise ScanError(
                f"{names[0]!r} in {path} has shape {both.shape}, but ({M}, 2) with "
                f"columns y, x is required for the {M} frames of {config.data_path!r}"
            )
        return both, _unit(h5, names[0], path)
    columns, units = [], []
    if len(names) != 2:
        raise ScanError(
            f"positions_path is {config.positions_path!r}, but one path, or two as Y,X, are "
            f"required for {path}"
        )
    for name in names:
        line = numbers(h5, name, path, ndim=(1, 2, 3))
        if line.size != M:
            raise ScanError(
                f"{name!r} in {path} has shape {line.shape}, but there are {M} frames in "
                f"{config.data_path!r}; each needs one"
            )
        units.append(_unit(h5, name, path))
        columns.append(line.reshape(M))
    if units[0] == units[1]:
        return np.stack(columns, axis=1), units[0]
    scales = [_metres(name, unit, path) for name, unit in zip(names, units, strict=True)]
    if None in scales:
        raise ScanError(
            f"{names[0]!r} in {path} is in {units[0] or 'no stated unit'} and {names[1]!r} in "
            f"{units[1] or 'no stated unit'}; correct the attribute 'units' of one of them"
        )
    return np.stack(columns, axis=1) * np.array(scales), "m"


def _unit(h5: h5py.File, name: str, path: Path) -> str | None:
    said = text(dataset(h5, name, path), "units")
    return None if said is None else said.strip()


def _metres(name: str, unit: str | None, path: Path) -> float | None:
    """Metres in one unit of the file, or None for pixels and for no stated unit."""
    return None if unit is None or unit.lower() in _PIXELS else metres(unit, name, path)


def _store(
    found: Contents, positions: np.ndarray, unit: str | None, path: Path, config: ScanConfig
) -> None:
    scale = _metres(str(config.positions_path).rpartition(",")[2].strip(), unit, path)
    if scale is not None:
        found.positions_m, found.positions_unit_m = positions * scale, scale
        return
    found.positions_px = positions
    if unit is None and config.positions_unit == "auto":
        found.notes.append(
            "positions have no attribute 'units': read as object pixels; say --positions-unit if "
            "that is wrong"
        )


# ------------------------------------------------------------------------------ what there is


def _advice(h5: h5py.File, path: Path, config: ScanConfig) -> str:
    """The sentence for a file without given paths: candidates, and options to paste."""
    shapes = _shapes(h5)
    stacks = _stacks(shapes)
    data = config.data_path
    if data is None and stacks:
        data = stacks[0]
    if data is None or data.strip("/") not in {name.strip("/") for name in shapes}:
        if config.data_path is not None:
            return f"{path} has no dataset {config.data_path!r}; it has: {_named(shapes, shapes)}"
        return (
            f"{path} is HDF5 of no known layout and has no dataset that could be frames (three "
            f"axes, images of at least {_FEWEST_PIXELS} pixels); it has: {_named(shapes, shapes)}"
        )
    shape = next(s for name, s in shapes.items() if name.strip("/") == data.strip("/"))
    M = int(np.prod(shape[:-2], dtype=np.int64))
    options, others = _position_options(shapes, M, data)
    several = f"frames may be {_named(stacks, shapes)}; " if len(stacks) > 1 else ""
    if not options:
        return (
            f"{path} is HDF5 of no known layout; {several}with --data-path {quote(data)} {shape} "
            f"it needs positions, but no dataset has {M} or ({M}, 2) numbers: it has "
            f"{_named(shapes, shapes)}"
        )
    more = f"; positions may also be {_named(others, shapes)}" if others else ""
    return (
        f"{path} is HDF5 of no known layout, so say where the parts are: {several}try --format "
        f"plain-hdf5 --data-path {quote(data)} {options}{more}"
    )


def _shapes(h5: h5py.File) -> dict[str, tuple[int, ...]]:
    """Datasets of numbers by full name, with their shapes."""
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str, item: object) -> None:
        try:
            if isinstance(item, h5py.Dataset) and item.shape and item.dtype.kind in "biufc":
                shapes[f"/{name}"] = item.shape
        except FAULTS:
            return  # a type that NumPy does not know

    h5.visititems(note)
    return shapes


def _stacks(shapes: dict[str, tuple[int, ...]]) -> list[str]:
    """Datasets that may be frames, the largest first."""
    fit = [
        name
        for name, shape in shapes.items()
        if len(shape) in (3, 4) and min(shape[-2:]) >= _FEWEST_PIXELS and 0 not in shape
    ]
    return sorted(fit, key=lambda name: -int(np.prod(shapes[name], dtype=np.int64)))


def _position_options(
    shapes: dict[str, tuple[int, ...]], M: int, data: str
) -> tuple[str, list[str]]:
    """The likeliest options for the positions, and further candidates."""
    taken = data.strip("/")
    pairs = [n for n, s in shapes.items() if s in ((M, 2), (2, M)) and n.strip("/") != taken]
    lines = [
        name
        for name, shape in shapes.items()
        if int(np.prod(shape, dtype=np.int64)) == M and len(shape) <= 3 and name not in pairs
    ]
    if pairs:
        return f"--positions-path {quote(pairs[0])}", pairs[1:] + lines
    x, y = (_by_letter(lines, letter) for letter in "xy")
    if x is None or y is None or x == y:
        if len(lines) < 2:
            return "", []
        y, x = lines[:2]
    rest = [name for name in lines if name not in (x, y)]
    return f"--positions-path {quote(f'{y},{x}')}", rest


def _by_letter(names: list[str], letter: str) -> str | None:
    """The first name whose last part has the letter as a word, or at its end."""
    for name in names:
        last = name.rsplit("/", 1)[-1].lower()
        if letter in last.replace("-", "_").split("_") or last.endswith(letter):
            return name
    return next((name for name in names if name.rsplit("/", 1)[-1].lower()[:1] == letter), None)


def _named(names: object, shapes: dict[str, tuple[int, ...]]) -> str:
    listed = [f"{printable(name)} {shapes[name]}" for name in list(names)]  # type: ignore[call-overload]
    if len(listed) > _SHOWN:
        listed[_SHOWN:] = ["..."]
    return ", ".join(listed) or "no datasets of numbers"
