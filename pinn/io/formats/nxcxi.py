"""Reader of NXcxi_ptycho, the NeXus definition that shares its names with CXI.

It differs from CXI in this: units are what the attribute `units` says; the photon energy is in
`beam_1`, for `source_1/energy` is that of the storage ring and never read; frames of a raster may
have four axes; positions are the motors `x` and `y` in `sample_1/transformations`, each with the
direction in which it moves the sample (`vector`). Signs: see `pinn.io.formats.cxi_geometry`.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from pinn.config import ScanConfig
from pinn.data.geometry import photon_energy_ev
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.formats.cxi import nexus_entries
from pinn.io.formats.cxi_geometry import (
    DETECTOR,
    TRANSLATIONS,
    choose_entry,
    off_middle,
    probe_positions,
    read_mask,
    read_probe,
    read_translation,
)
from pinn.io.hdf5 import Hdf5File, Hdf5Frames, holds, reading
from pinn.io.layout import square_pixel, stated_units
from pinn.io.physical_units import electronvolts, metres

FRAMES = (f"{DETECTOR}/data", "data_1/data", "data/data")
BEAM = "instrument_1/beam_1"
_ENERGIES = ("energy", "incident_beam_energy", "incident_energy")
_MOTORS = ("sample_1/transformations", "data", "data_1")
_PIXELS = ("pixel", "pixels", "px")
# No photon energy of a ptychograph is above 200 keV; none in eV is below that number.
_LARGEST_KEV = 200.0


def is_nxcxi(path: Path, head: bytes) -> bool:
    """True for HDF5 with an entry whose definition is NXcxi_ptycho (NXptycho in early versions)."""
    return holds(path, head, if_so=lambda file: bool(nexus_entries(file)))


def read_nxcxi(path: Path, config: ScanConfig) -> Contents:
    """Read a scan.

    Raises:
        ScanError: a part is missing, damaged, of the wrong shape or type, or in an unknown unit.
    """
    with reading(path) as file:
        notes: list[str] = []
        names = nexus_entries(file)
        if not names:
            raise ScanError(f"{path} has no entry with the definition NXcxi_ptycho")
        numbered: dict[int, str] = {}
        for k, name in enumerate(names):
            match = re.search(r"_(\d+)$", name)
            numbered.setdefault(int(match[1]) if match else -1 - k, name)
        entry = choose_entry(file, numbered, config, notes)
        frames = entry.frames(entry.need("frames", *FRAMES))
        contents = Contents(frames, notes=notes)
        try:
            contents.units = stated_units("intensity", frames.dtype, config)
            contents.energy_ev = _energy(entry, notes)
            _detector(entry, contents)
            contents.positions_m, contents.positions_unit_m = _positions(entry, frames, notes)
            read_probe(entry, contents)
        except BaseException:
            contents.close()
            raise
    return contents


def _energy(entry: Hdf5File, notes: list[str]) -> float | None:
    """Energy of a photon in eV, or None."""
    for name in _ENERGIES:
        key = f"{BEAM}/{name}"
        value = entry.positive(key)
        if value is None:
            continue
        unit = entry.text(f"{key}@units")
        if not unit:
            unit = "J" if value < 1e-10 else "keV" if value <= _LARGEST_KEV else "eV"
            notes.append(f"'{key}' is {value:g} and has no unit: taken as {unit}")
        return value * electronvolts(unit, key, entry.path)
    wavelength = _length(entry, f"{BEAM}/incident_wavelength")
    if wavelength is not None:
        return photon_energy_ev(wavelength)
    if entry.has("instrument_1/source_1/energy"):
        notes.append("the photon energy is not known: 'source_1/energy' is that of the ring")
    return None


def _length(file: Hdf5File, name: str) -> float | None:
    """A length above zero in metres, or None."""
    value = file.positive(name)
    if value is None:
        return None
    return value * metres(file.text(f"{name}@units") or "m", name, file.path)


def _unit(file: Hdf5File, name: str, notes: list[str]) -> float:
    """Metres in the unit of an array; without one it is in metres, which is told."""
    unit = file.text(f"{name}@units")
    if not unit:
        notes.append(f"'{name}' has no unit: taken as metres")
    return metres(unit or "m", name, file.path)


def _detector(entry: Hdf5File, contents: Contents) -> None:
    if not entry.has(DETECTOR):
        return
    detector = entry.below(DETECTOR)
    H, W = contents.frames.shape[1:]
    contents.distance_m = _length(detector, "distance")
    y, x = (_length(detector, f"{axis}_pixel_size") for axis in "yx")
    pixel = contents.detector_pixel_m = square_pixel(y, x, entry.path)
    row, column = (_beam_centre(detector, axis, pixel) for axis in "yx")
    if row is not None and column is not None:
        contents.beam_centre = off_middle((row, column), (H, W))
    name = detector.first("pixel_mask", "mask")
    if name is not None:
        contents.bad_pixels = read_mask(detector, name, contents.frames)


def _beam_centre(detector: Hdf5File, axis: str, pixel: float | None) -> float | None:
    """Index of the pixel that the beam hits."""
    name = f"beam_center_{axis}"
    value = detector.number(name)
    if value is None:
        return None
    unit = (detector.text(f"{name}@units") or "").strip().casefold()
    # Without a unit: no detector is a metre wide, and no beam hits its first pixel.
    if unit in _PIXELS or (not unit and abs(value) >= 1):
        return value
    return None if pixel is None else value * metres(unit or "m", name, detector.path) / pixel


def _positions(entry: Hdf5File, frames: Hdf5Frames, notes: list[str]) -> tuple[np.ndarray, float]:
    """`(M, 2)` [y, x] of the probe in metres, and the file's own unit in metres."""
    M = frames.shape[0]
    motors = next((g for g in _MOTORS if entry.has(f"{g}/x") and entry.has(f"{g}/y")), None)
    if motors is None:
        name = entry.first(*TRANSLATIONS)
        if name is None:
            entry.need("positions", f"{_MOTORS[0]}/x", *TRANSLATIONS)
            raise AssertionError
        factor = _unit(entry, name, notes)
        return probe_positions(read_translation(entry, M) * factor, None), factor
    slow = _slow_axis(entry)
    if slow is None and len(frames.grid) == 2 and frames.grid[0] == frames.grid[1] != M:
        slow = "y"
        if np.prod(entry.shape(f"{motors}/y")) != M:
            notes.append("the file does not say which motor is the slow one: y is taken for it")
    sample, units = np.zeros((M, 3)), []
    for axis, usual in (("y", (0.0, 1.0, 0.0)), ("x", (1.0, 0.0, 0.0))):
        name = f"{motors}/{axis}"
        units.append(_unit(entry, name, notes))
        values = _spread(entry, name, frames, axis == slow)
        sample += values[:, None] * units[-1] * _vector(entry, name, usual)
    return probe_positions(sample, None), units[0] if units[0] == units[1] else 1.0


def _slow_axis(entry: Hdf5File) -> str | None:
    """Motor of the slow axis of a raster, from the attribute `axes` of the data, or None."""
    for name in ("data", "data_1", DETECTOR):
        axes = entry.group[name].attrs.get("axes", ()) if entry.has(name) else ()
        words = [w.decode() if isinstance(w, bytes) else str(w) for w in np.ravel(axes)]
        motors = [word for word in words if word in ("x", "y")]
        if motors:
            return motors[0]
    return None


def _spread(entry: Hdf5File, name: str, frames: Hdf5Frames, slow: bool) -> np.ndarray:
    """`(M,)` positions of one motor, from one for each frame or for each line of a raster."""
    values = entry.array(name).astype(np.float64)
    M, grid = frames.shape[0], frames.grid
    if values.size == M:
        return values.reshape(-1)
    if len(grid) == 2 and values.size in grid and max(values.shape, default=0) == values.size:
        along = grid.index(values.size) if grid[0] != grid[1] else int(not slow)
        whole = values.reshape((-1, 1) if along == 0 else (1, -1))
        return np.broadcast_to(whole, grid).reshape(-1)
    raster = f" in a raster of {grid[0]} x {grid[1]}" if len(grid) == 2 else ""
    raise entry.wrong(name, values.shape, f"one number for each of {M} frames{raster}")


def _vector(entry: Hdf5File, name: str, usual: tuple[float, float, float]) -> np.ndarray:
    """Direction in which a motor moves the sample."""
    try:
        vector = np.asarray(entry.group[name].attrs.get("vector", usual), np.float64).reshape(-1)
    except (TypeError, ValueError):
        vector = np.empty(0)
    length = np.linalg.norm(vector)
    if vector.shape != (3,) or not np.isfinite(length) or length == 0:
        raise ScanError(
            f"the attribute 'vector' of {entry.full(name)!r} in {entry.path} is "
            f"{vector.tolist()[:4]}, but a direction (x, y, z) is required"
        )
    return np.asarray(vector / length)
