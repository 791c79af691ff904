"""Reader of 4D-STEM data through RosettaSciIO: EMD, HyperSpy, Merlin, Gatan, blockfile, EMPAD.

A scan is a raster without coordinates: positions are its indices times the step of the scan axes.
The object pixel comes from the calibration of the detector axes, reciprocal or angular. Frames
stay in the file, behind the lazy arrays of the library.
"""

from __future__ import annotations

import logging
import math
import re
import traceback
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from pinn.config import ScanConfig
from pinn.data.geometry import electron_wavelength_m
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.hdf5 import Hdf5File, holds, reading
from pinn.io.hdf5_files import reason_of
from pinn.io.hdf5_frames import MOST_FRAMES
from pinn.io.hdf5_tree import check_tree
from pinn.io.layout import stated_units
from pinn.io.opened import opened
from pinn.io.physical_units import length_unit
from pinn.io.stacks import IndexedFrames

NEEDS_LIBRARY = "needs rosettasciio: pip install 'pinn-ptycho[formats]'"

# Modules of the library whose files are told by their content, see `_sniff`; those that are not
# are read when the format is named, by the suffix of the file.
_BY_SUFFIX = {".tvips": "tvips", ".app5": "topspin", ".ser": "tia", ".emi": "tia", ".h5": "arina"}
_NOT_LAZY = ("arina",)
# Each frame of a Merlin detector begins with a header; the acquisition is described beside them.
_MERLIN, _DESCRIPTION = b"MQ1,", b"HDR,"
_STATED = "Frames in Acquisition (Number)"  # in the description of a Merlin file
_RADIANS = {"rad": 1.0, "mrad": 1e-3, "urad": 1e-6, "µrad": 1e-6, "deg": math.pi / 180}
_RECIPROCAL = re.compile(r"^(?:1/(?P<a>.+)|(?P<b>.+?)(?:\^-1|\*\*-1|\^\(-1\)|⁻¹|-1))$")


def is_electron(path: Path, head: bytes) -> bool:
    """True for a file of an electron microscopy format that says so by its first bytes or names."""
    return _sniff(path, head) is not None


def read_electron(path: Path, config: ScanConfig) -> Contents:
    """Read a raster of diffraction patterns, `(scan y, scan x, H, W)`.

    The energy is taken from the file, or from `energy_ev`; the step from the scan axes, or from
    `step_m`.

    Raises:
        ScanError: the library is missing or cannot read the file, there is no raster of images in
            it, or the step or the calibration is not known.
    """
    with open(path, "rb") as file:
        head = file.read(16)
    if head.startswith(_DESCRIPTION):
        path = _frames_of(path)
        head = _MERLIN
    elif head.startswith(_MERLIN):
        opened(path.with_suffix(".hdr"))
    module = _sniff(path, head) or _BY_SUFFIX.get(path.suffix.lower())
    if module is None:
        raise ScanError(
            f"{path} is of no electron microscopy format that is known by its content (EMD, "
            "HyperSpy, Merlin, Gatan, blockfile, EMPAD); convert it with RosettaSciIO to .hspy"
        )
    if module in ("hspy", "emd"):
        with reading(path) as h5:
            check_tree(h5.group, path)
    signal = _raster(path, _signals(path, module))
    axes = signal["axes"]
    frames = LazyFrames(signal["data"], path)
    units = stated_units("intensity", frames.dtype, config)
    contents = Contents(frames, particle="electron", units=units)
    microscope = _section(signal.get("metadata"), "Acquisition_instrument", "TEM")
    energy = _positive(microscope.get("beam_energy"))
    contents.energy_ev = config.energy_ev or (energy * 1e3 if energy else None)
    length = _positive(microscope.get("camera_length"))
    contents.distance_m = length * 1e-3 if length else None
    contents.positions_m = _positions(axes[:2], signal["data"].shape, path, config, contents.notes)
    _calibrate(axes[2:], contents, path, config)
    angle = _positive(microscope.get("convergence_angle"))
    if angle:
        contents.notes.append(f"the file says that the convergence semi-angle is {angle:g} mrad")
    stated = _number(_section(signal.get("original_metadata"), "hdr_file").get(_STATED)) or 0
    if stated > frames.shape[0]:
        contents.notes.append(
            f"the file was to hold {stated:g} frames: {frames.shape[0]} were read, those of whole "
            "lines of the raster"
        )
    contents.notes.append(
        "a raster says nothing about its rotation against the detector: see --rotation-deg and "
        "--orientation"
    )
    return contents


# ------------------------------------------------------------------------- which file it is


def _sniff(path: Path, head: bytes) -> str | None:
    """The module of the library for this content."""
    if head.startswith(b"IMGBLO"):
        return "blockfile"
    if head.startswith((_MERLIN, _DESCRIPTION)):
        return "quantumdetector"
    if head[:4] in (b"\0\0\0\3", b"\0\0\0\4") and _is_gatan(head):
        return "digitalmicrograph"
    if head.lstrip().startswith(b"<"):
        try:
            with open(path, "rb") as file:
                start = file.read(1 << 16)
        except OSError:
            return None
        return "empad" if b"<raw_file" in start else None
    if holds(path, head, "Experiments", if_so=lambda file: "file_format" in file.group.attrs):
        return "hspy"
    if holds(path, head, if_so=_is_emd):
        return "emd"
    return None


def _frames_of(description: Path) -> Path:
    """The frames of a Merlin detector beside the description of the acquisition.

    Raises:
        ScanError: they are not there.
    """
    path = description.with_suffix(".mib")
    if not path.is_file():
        raise ScanError(
            f"{description} describes an acquisition of a Merlin detector, but its frames, "
            f"{path.name}, are not beside it; put them there"
        )
    for file in (path, description):
        opened(file)
    return path


def _is_gatan(head: bytes) -> bool:
    """Version, size of the tags (4 or 8 bytes), byte order (0 or 1)."""
    wide = head[3] == 4
    order = head[12:16] if wide else head[8:12]
    return order in (b"\0\0\0\0", b"\0\0\0\1")


def _is_emd(file: Hdf5File) -> bool:
    """Version attributes of the Berkeley EMD format, at the root or one level below."""
    h5 = file.group
    groups = [h5, *(h5[name] for name in list(h5)[:20] if hasattr(h5.get(name), "keys"))]
    return any({"version_major", "version_minor"} <= set(group.attrs) for group in groups)


# ---------------------------------------------------------------------------- the library


def _signals(path: Path, module: str) -> list[dict[str, Any]]:
    try:
        reader = import_module(f"rsciio.{module}")
    except ImportError as error:
        raise ScanError(f"{path} {NEEDS_LIBRARY} ({error})") from None
    # The library warns, and logs, about metadata; what matters here is checked by the caller.
    log = logging.getLogger("rsciio")
    level = log.level
    try:
        log.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = reader.file_reader(str(path), lazy=module not in _NOT_LAZY)
    # Parsers of other people's formats fail in every way there is.
    except Exception as error:
        _let_go(error)
        raise ScanError(
            f"RosettaSciIO cannot read {path} as {module} ({reason_of(error)[:200]}); copy the "
            "file again, or convert it with the program it came from"
        ) from None
    finally:
        log.setLevel(level)
    return list(found)


def _let_go(error: BaseException | None) -> None:
    """Close files that the library left open when it failed: they are variables of its calls."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while error is not None:
            traceback.clear_frames(error.__traceback__)
            error = error.__context__


def _raster(path: Path, signals: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The first signal that is a raster of images, its scan axes first."""
    shapes = []
    for signal in signals:
        data, axes = signal["data"], list(signal["axes"])
        shapes.append(str(tuple(data.shape)))
        if data.ndim != 4 or len(axes) != 4:
            continue
        moving = [i for i, axis in enumerate(axes) if np.any(axis.get("navigate"))]
        if len(moving) != 2:
            moving = [0, 1]
        order = [*moving, *(i for i in range(4) if i not in moving)]
        if order != [0, 1, 2, 3]:
            data = data.transpose(order)
        return {**signal, "data": data, "axes": [axes[i] for i in order]}
    raise ScanError(
        f"{path} holds {', '.join(shapes) or 'no data'}, but a raster of images (scan y, scan x, "
        "H, W) is required; if the shape of the scan was lost, set it in HyperSpy and save as .hspy"
    )


def _section(tree: Any, *names: str) -> Mapping[str, Any]:
    for name in names:
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree if isinstance(tree, Mapping) else {}


def _number(value: Any) -> float | None:
    if isinstance(value, np.ndarray | np.generic):
        only = value.size == 1 and value.dtype.kind in "biufSU"
        value = value.reshape(-1)[0] if only else None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _positive(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and number > 0 else None


# ---------------------------------------------------------------------------- calibration


def _positions(
    axes: Sequence[Mapping[str, Any]],
    shape: tuple[int, ...],
    path: Path,
    config: ScanConfig,
    notes: list[str],
) -> np.ndarray:
    """`(M, 2)` [y, x] in metres, row by row."""
    steps = [_step(axis) for axis in axes]
    if config.step_m is not None:
        if None not in steps:
            notes.append("step_m replaces the step that the file states")
        steps = [config.step_m, config.step_m]
    if None in steps:
        said = ", ".join(f"{_number(a.get('scale'))} {_unit(a) or '(no unit)'}" for a in axes)
        raise ScanError(
            f"the scan axes of {path} have no step in a unit of length ({said}); say the step of "
            "the raster with --step-m"
        )
    ny, nx = shape[:2]
    y, x = np.divmod(np.arange(ny * nx, dtype=np.float64), nx)
    return np.stack([y, x], axis=1) * np.array(steps, np.float64)


def _step(axis: Mapping[str, Any]) -> float | None:
    """Metres of one step, or None if the unit is none of length."""
    scale, unit = _number(axis.get("scale")), _unit(axis)
    if not scale or not unit:
        return None
    length = length_unit(unit)
    return None if length is None else abs(scale) * length


def _calibrate(
    axes: Sequence[Mapping[str, Any]], contents: Contents, path: Path, config: ScanConfig
) -> None:
    """Object pixel from the detector axes, or the detector pixel if those are in lengths."""
    scales = [abs(_number(axis.get("scale")) or 0.0) for axis in axes]
    unit = _unit(axes[1])
    width = contents.frames.shape[2]
    if not all(scales) or not unit or unit != _unit(axes[0]):
        return
    frequency = _per_metre(unit)
    angle = _RADIANS.get(unit.casefold())
    if frequency is None and angle is None:
        pixel = _step(axes[1])
        if pixel is not None:
            _check_square(scales, unit, path)
            contents.detector_pixel_m = pixel
        return
    _check_square(scales, unit, path)
    if frequency is not None:
        contents.pixel_size_m = 1.0 / (width * scales[1] * frequency)
    elif contents.energy_ev is not None:
        wavelength = electron_wavelength_m(contents.energy_ev)
        contents.pixel_size_m = wavelength / (width * scales[1] * float(angle or 0.0))
    elif config.pixel_size_m is None:
        raise ScanError(
            f"{path} states {scales[1]:g} {unit} per detector pixel but not the energy of the "
            "electrons; say it with --energy-ev, for instance 300e3"
        )


def _check_square(scales: Sequence[float], unit: str, path: Path) -> None:
    if max(scales) > 1.01 * min(scales):
        raise ScanError(
            f"detector pixels of {path} are {scales[0]:g} x {scales[1]:g} {unit}, but only square "
            "ones can be used; resample the frames"
        )


def _unit(axis: Mapping[str, Any]) -> str:
    unit = axis.get("units")
    return unit.replace(" ", "").strip("$")[:40] if isinstance(unit, str) else ""


def _per_metre(unit: str) -> float | None:
    """Cycles per metre in one reciprocal unit such as `1/nm` or `A^-1`, or None."""
    match = _RECIPROCAL.match(unit)
    length = None if match is None else length_unit(match["a"] or match["b"])
    return None if length is None else 1.0 / length


# --------------------------------------------------------------------------------- frames


class LazyFrames(IndexedFrames):
    """Frames of a lazy array (dask) or an array in memory, `(ny, nx, H, W)` as `(ny*nx, H, W)`.

    Args:
        data: the array.
        path: the file, for messages.
    """

    def __init__(self, data: Any, path: Path) -> None:
        self._data, self._path = data, path
        ny, self._nx, H, W = (int(n) for n in data.shape)
        super().__init__((ny * self._nx, H, W), data.dtype)
        if self._shape[0] > MOST_FRAMES:
            raise ScanError(
                f"{path} states a raster of {ny} x {self._nx} frames, which no file holds; copy it "
                "again"
            )
        if self._dtype.kind not in "biuf" or 0 in self._shape:
            raise ScanError(
                f"{path} holds {self._shape} of {self._dtype}, but frames of real numbers are "
                "required"
            )

    def close(self) -> None:
        """Drop the array; reading afterwards is an error."""
        super().close()
        self._data = None

    def _fill(self, frames: np.ndarray, rows: np.ndarray) -> None:
        lines, columns = np.divmod(rows, self._nx)
        # One run: neighbours in a row of the raster.
        breaks = (np.diff(rows) != 1) | (np.diff(lines) != 0)
        starts = [0, *(np.flatnonzero(breaks) + 1).tolist()] if len(rows) else []
        for start, stop in zip(starts, [*starts[1:], len(rows)], strict=True):
            span = slice(int(columns[start]), int(columns[stop - 1]) + 1)
            frames[start:stop] = self._compute(int(lines[start]), span)

    def _compute(self, line: int, columns: slice) -> np.ndarray:
        block = self._data[line, columns]
        try:
            # In this thread: the feed has threads of its own.
            lazy = not isinstance(block, np.ndarray)
            return block.compute(scheduler="synchronous") if lazy else block
        except Exception as error:
            raise ScanError(
                f"frames of {self._path} cannot be read ({reason_of(error)[:200]}); copy the file "
                "again"
            ) from None
