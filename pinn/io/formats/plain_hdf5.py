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
from pinn.data.frames import FrameSource
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.data_file import DataFile
from pinn.io.formats.beamline import joined_frames, joined_shapes, read_instrument
from pinn.io.formats.matlab import Mat73File, is_mat73
from pinn.io.hdf5 import reading
from pinn.io.hdf5_files import FAULTS, datasets, is_hdf5, lost_links, printable
from pinn.io.layout import Layout, read_layout, read_probe
from pinn.io.physical_units import metres
from pinn.io.positions_file import beside, read_beside

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
            raise ScanError(_advice(h5.group, path, config))
        matlab = is_mat73(path)
        file: DataFile = Mat73File(h5) if matlab else h5
        joined = None if matlab else joined_frames(h5, config.data_path)
        frames: FrameSource | None = None if joined is None else joined[0]
        apart = beside(config.positions_path)
        if apart is None:
            contents = read_layout(file, _layout(file, config), config, frames)
            known = bool(_units(file, *_names(config)))
        else:
            stack = file.frames(config.data_path) if frames is None else frames
            contents = Contents(stack, frames_key=config.data_path)
            known = False
        try:
            if joined is not None:
                contents.notes.append(joined[1])
            if apart is not None:
                known = read_beside(contents, apart)
            if matlab:
                contents.notes.append(
                    "the file was written by MATLAB, which has the axes of all arrays in reverse: "
                    "they were turned back"
                )
            else:
                read_instrument(h5, contents, config)
            if config.probe_path is not None:
                file.need("probe", config.probe_path)
                read_probe(file, contents, config.probe_path, kind="iufc")
            if config.mask_path is not None:
                mask = file.array(config.mask_path, (2, 3), "biuf")
                good = mask == 0 if config.bad_pixels_polarity == "bad" else mask != 0
                # What is no number is bad either way, and not equal to itself.
                contents.bad_pixels = ~good | (mask != mask)
            if not known and config.positions_unit == "auto":
                contents.notes.append(
                    "positions have no attribute 'units': read as object pixels; say "
                    "--positions-unit if that is wrong"
                )
        except BaseException:
            contents.close()
            raise
    return contents


def _names(config: ScanConfig) -> tuple[str, ...]:
    """Of the positions: pairs, or y and x."""
    return tuple(name.strip() for name in str(config.positions_path).split(","))


def _units(file: DataFile, *names: str) -> list[str]:
    """Units of the positions, where the file says them."""
    return [unit.strip() for name in names if (unit := file.text(f"{name}@units")) is not None]


def _layout(file: DataFile, config: ScanConfig) -> Layout:
    """The layout that the options describe.

    Raises:
        ScanError: more than two paths of positions, or y and x are in different units.
    """
    names = _names(config)
    if len(names) > 2:
        raise ScanError(
            f"positions_path is {config.positions_path!r}, but one path, or two as Y,X, are "
            f"required for {file.path}"
        )
    units = _units(file, *names)
    scales = [
        None if unit.lower() in _PIXELS else metres(unit, name, file.path)
        for name, unit in zip(names, units, strict=False)
    ]
    if len(units) not in (0, len(names)) or (None in scales and len(set(scales)) > 1):
        raise ScanError(
            f"of {' and '.join(map(repr, names))} in {file.path} one is in {units[0]!r} and the "
            f"other in {(units[1:] or ['no stated unit'])[0]!r}; correct the attribute 'units' of "
            "one of them"
        )
    lengths = [scale for scale in scales if scale is not None]
    unit: float | tuple[float, float] | None = lengths[0] if lengths else None
    if len(set(lengths)) > 1:
        unit = (lengths[0], lengths[1])
    return Layout(frames=str(config.data_path), units="", positions=names, unit_m=unit)


# ------------------------------------------------------------------------------ what there is


def _advice(h5: h5py.File, path: Path, config: ScanConfig) -> str:
    """The sentence for a file without given paths: candidates, and options to paste."""
    shapes = _shapes(h5)
    if config.data_path is not None:
        shapes = _shapes_of(h5, config.data_path) | shapes
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
            + _lost(h5)
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


def _shapes_of(h5: h5py.File, name: str) -> dict[str, tuple[int, ...]]:
    """One dataset of several that are joined, which may be meant alone."""
    try:
        item = h5[name]
    except FAULTS:
        return {}
    return {f"/{name.strip('/')}": item.shape} if isinstance(item, h5py.Dataset) else {}


def _lost(h5: h5py.File) -> str:
    """A clause on links that lead nowhere."""
    lost = lost_links(h5)
    if not lost:
        return ""
    more = ", ..." if len(lost) > _SHOWN else ""
    return (
        f"; its links {', '.join(lost[:_SHOWN])}{more} lead nowhere: put what they lead to beside "
        "the file"
    )


def _shapes(h5: h5py.File) -> dict[str, tuple[int, ...]]:
    """Datasets of numbers by full name, with their shapes."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, item in datasets(h5):
        try:
            if item.shape and item.dtype.kind in "biufc":
                shapes[f"/{name}"] = item.shape
        except FAULTS:
            continue  # a type that NumPy does not know
    return joined_shapes(shapes)


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
