"""Reader of NXcxi_ptycho, the NeXus definition that shares its names with CXI.

It differs from CXI in this: units are what the attribute `units` says; the photon energy is in
`beam_1`, for `source_1/energy` is that of the storage ring and never read; frames of a raster may
have four axes; positions are the motors `x` and `y` in `sample_1/transformations`, each with the
direction in which it moves the sample (`vector`). Signs: see `pinn.io.formats.cxi_parts`.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from pinn.config import ScanConfig
from pinn.data.geometry import photon_energy_ev
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.formats.cxi import PROBES, TRANSLATIONS, nexus_entries
from pinn.io.formats.cxi_parts import (
    off_middle,
    probe_positions,
    read_mask,
    read_probe,
    read_translation,
    square_pixel,
)
from pinn.io.hdf5 import Hdf5Frames, dataset, first, has, listing, numbers, reading, scalar, text
from pinn.io.physical_units import electronvolts, metres
from pinn.io.shared import above_zero, counting_units, holds

FRAMES = ("instrument_1/detector_1/data", "data_1/data", "data/data")
DETECTOR, BEAM = "instrument_1/detector_1", "instrument_1/beam_1"
_ENERGIES = ("energy", "incident_beam_energy", "incident_energy")
_MOTORS = ("sample_1/transformations", "data", "data_1")
_PIXELS = ("pixel", "pixels", "px")
# No photon energy of a ptychograph is above 200 keV; none in eV is below that number.
_LARGEST_KEV = 200.0


def is_nxcxi(path: Path, head: bytes) -> bool:
    """True for HDF5 with an entry whose definition is NXcxi_ptycho (NXptycho in early versions)."""
    return holds(path, head, if_so=lambda h5: bool(nexus_entries(h5)))


def read_nxcxi(path: Path, config: ScanConfig) -> Contents:
    """Read a scan.

    Raises:
        ScanError: a part is missing, damaged, of the wrong shape or type, or in an unknown unit.
    """
    with reading(path) as h5:
        notes: list[str] = []
        entry = _entry(h5, path, config, notes)
        name = first(entry, *FRAMES)
        if name is None:
            raise ScanError(
                f"{path} has no frames: there is no '{entry.name}/{FRAMES[0]}'; it has: "
                f"{listing(entry)}"
            )
        frames = Hdf5Frames(path, f"{entry.name}/{name}")
        found = Contents(frames, notes=notes)
        try:
            found.units = counting_units(frames.dtype, config)
            found.energy_ev = _energy(entry, path, notes)
            _detector(entry, path, found)
            found.positions_m, found.positions_unit_m = _positions(entry, path, frames, notes)
            read_probe(entry, path, PROBES, found)
        except BaseException:
            found.close()
            raise
    return found


def _entry(h5: h5py.File, path: Path, config: ScanConfig, notes: list[str]) -> h5py.Group:
    names = nexus_entries(h5)
    if not names:
        raise ScanError(
            f"{path} has no entry with the definition NXcxi_ptycho; it has: {listing(h5)}"
        )
    if config.scan_number is None:
        if len(names) > 1:
            notes.append(f"the file has {', '.join(names)}: {names[0]} was read")
        return h5[names[0]]
    wanted = [name for name in names if name.endswith(f"_{config.scan_number}")]
    if not wanted:
        raise ScanError(
            f"{path} has no entry number {config.scan_number}, only {', '.join(names)}; choose one "
            "of them with scan_number (--scan-number)"
        )
    return h5[wanted[0]]


def _energy(entry: h5py.Group, path: Path, notes: list[str]) -> float | None:
    """Energy of a photon in eV, or None."""
    for name in _ENERGIES:
        key = f"{BEAM}/{name}"
        value = above_zero(scalar(entry, key, path))
        if value is None:
            continue
        unit = _unit(entry, key, path)
        if unit:
            return value * electronvolts(unit, key, path)
        unit = "J" if value < 1e-10 else "keV" if value <= _LARGEST_KEV else "eV"
        notes.append(f"'{key}' is {value:g} and has no unit: taken as {unit}")
        return value * electronvolts(unit, key, path)
    wavelength = _length(entry, f"{BEAM}/incident_wavelength", path)
    if wavelength is not None:
        return photon_energy_ev(wavelength)
    if has(entry, "instrument_1/source_1/energy"):
        notes.append("the photon energy is not known: 'source_1/energy' is that of the ring")
    return None


def _unit(group: h5py.Group, name: str, path: Path) -> str | None:
    """The word in the attribute `units`, or None."""
    return text(dataset(group, name, path), "units")


def _length(group: h5py.Group, name: str, path: Path) -> float | None:
    """A length above zero in metres, or None."""
    value = above_zero(scalar(group, name, path))
    if value is None:
        return None
    return value * metres(_unit(group, name, path) or "m", name, path)


def _detector(entry: h5py.Group, path: Path, found: Contents) -> None:
    if not has(entry, DETECTOR):
        return
    detector = entry[DETECTOR]
    H, W = found.frames.shape[1:]
    found.distance_m = _length(detector, "distance", path)
    y, x = (_length(detector, f"{axis}_pixel_size", path) for axis in "yx")
    pixel = found.detector_pixel_m = square_pixel(detector, y, x, path)
    centre = [_beam_centre(detector, axis, pixel, path) for axis in "yx"]
    if centre[0] is not None and centre[1] is not None:
        found.beam_centre = off_middle((centre[0], centre[1]), (H, W))
    name = first(detector, "pixel_mask", "mask")
    if name is not None:
        found.bad_pixels = read_mask(detector, name, path, found.frames)


def _beam_centre(detector: h5py.Group, axis: str, pixel: float | None, path: Path) -> float | None:
    """Index of the pixel that the beam hits."""
    name = f"beam_center_{axis}"
    value = scalar(detector, name, path)
    if value is None:
        return None
    unit = (_unit(detector, name, path) or "").strip().casefold()
    # Without a unit: no detector is a metre wide, and no beam hits its first pixel.
    if unit in _PIXELS or (not unit and abs(value) >= 1):
        return value
    if pixel is None:
        return None
    return value * metres(unit or "m", name, path) / pixel


def _positions(
    entry: h5py.Group, path: Path, frames: Hdf5Frames, notes: list[str]
) -> tuple[np.ndarray, float]:
    """`(M, 2)` [y, x] of the probe in metres, and the file's own unit in metres."""
    M = frames.shape[0]
    where = next((g for g in _MOTORS if has(entry, f"{g}/x") and has(entry, f"{g}/y")), None)
    if where is None:
        name = first(entry, *TRANSLATIONS)
        if name is None:
            raise ScanError(
                f"{path} has no dataset '{entry.name}/{_MOTORS[0]}/x' with y beside it, nor "
                f"'{entry.name}/{TRANSLATIONS[0]}': no positions; it has: {listing(entry)}"
            )
        unit = _unit(entry, name, path)
        factor = metres(unit or "m", name, path)
        if not unit:
            notes.append(f"'{name}' has no unit: taken as metres")
        return probe_positions(read_translation(entry, path, (name,), M) * factor, None), factor
    slow = _slow_axis(entry)
    if slow is None and len(frames.grid) == 2 and frames.grid[0] == frames.grid[1] != M:
        slow = "y"
        if numbers(entry, f"{where}/y", path, ndim=None).size != M:
            notes.append("the file does not say which motor is the slow one: y is taken for it")
    sample, units = np.zeros((M, 3)), []
    for axis, usual in (("y", (0.0, 1.0, 0.0)), ("x", (1.0, 0.0, 0.0))):
        name = f"{where}/{axis}"
        unit = _unit(entry, name, path)
        if not unit:
            notes.append(f"'{name}' has no unit: taken as metres")
        units.append(metres(unit or "m", name, path))
        values = _spread(numbers(entry, name, path, ndim=None), axis, frames, slow, name, path)
        sample += values[:, None] * units[-1] * _vector(entry[name], usual, path)
    return probe_positions(sample, None), units[0] if units[0] == units[1] else 1.0


def _slow_axis(entry: h5py.Group) -> str | None:
    """Motor of the slow axis of a raster, from the attribute `axes` of the data, or None."""
    for name in ("data", "data_1", DETECTOR):
        axes = np.asarray(entry[name].attrs.get("axes", ())) if has(entry, name) else np.empty(0)
        words = [w.decode() if isinstance(w, bytes) else str(w) for w in axes.reshape(-1)]
        motors = [word for word in words if word in ("x", "y")]
        if motors:
            return motors[0]
    return None


def _spread(
    values: np.ndarray, axis: str, frames: Hdf5Frames, slow: str | None, name: str, path: Path
) -> np.ndarray:
    """`(M,)` positions of one motor, from one for each frame or for each line of a raster."""
    M, grid = frames.shape[0], frames.grid
    if values.size == M:
        return values.reshape(-1)
    if len(grid) == 2 and values.size in grid and max(values.shape, default=0) == values.size:
        along = grid.index(values.size) if grid[0] != grid[1] else int(axis != slow)
        line = values.reshape(-1)
        whole = line[:, None] if along == 0 else line[None, :]
        return np.broadcast_to(whole, grid).reshape(-1)
    raise ScanError(
        f"'{name}' in {path} has shape {values.shape}, but there are {M} frames"
        f"{f' in a raster of {grid[0]} x {grid[1]}' if len(grid) == 2 else ''}; one number for "
        "each is required"
    )


def _vector(motor: h5py.Dataset, usual: tuple[float, float, float], path: Path) -> np.ndarray:
    """Direction in which a motor moves the sample."""
    try:
        found = np.asarray(motor.attrs.get("vector", usual), np.float64).reshape(-1)
    except (TypeError, ValueError):
        found = np.empty(0)
    length = np.linalg.norm(found)
    if found.shape != (3,) or not np.isfinite(length) or length == 0:
        raise ScanError(
            f"the attribute 'vector' of '{motor.name}' in {path} is {found.tolist()[:4]}, but a "
            "direction (x, y, z) is required"
        )
    return np.asarray(found / length)
