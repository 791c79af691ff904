"""Reader of CXI 1.6, the format of the Coherent X-ray Imaging Data Bank.

Everything is in SI units; a mask is not 0 at bad pixels. Signs: see `cxi_parts`. Frames may be in a
second file (`config.diffraction`), as ptychodus writes them: then they are joined on the scan
indexes.
"""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np

from pinn.config import ScanConfig
from pinn.data.frames import DerivedFrames
from pinn.data.geometry import CHARGE_C, photon_energy_ev
from pinn.data.prepare import as_source
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.formats.cxi_parts import (
    centre_from_corner,
    probe_positions,
    read_basis,
    read_mask,
    read_probe,
    read_translation,
    square_pixel,
)
from pinn.io.formats.ptychodus_patterns import open_patterns
from pinn.io.formats.ptychodus_scan import join_notes, match
from pinn.io.hdf5 import Hdf5Frames, array, first, has, listing, numbers, reading, scalar, text
from pinn.io.scan_group import ours, read_scan_group
from pinn.io.shared import above_zero, counting_units, holds

FRAMES = ("data_1/data", "instrument_1/detector_1/data")
TRANSLATIONS = (
    "sample_1/geometry_1/translation",
    "data_1/translation",
    "instrument_1/detector_1/translation",
    "sample_1/geometry/translation",
)
PROBES = ("instrument_1/source_1/illumination", "image_1/data")
DETECTOR, SOURCE = "instrument_1/detector_1", "instrument_1/source_1"
INDEXES, OPR = "ptychodus/probe_position_indexes", "ptychodus/opr_weights"
_ENTRY = re.compile(r"entry_(\d+)\Z")
_ACQUISITION = (
    *("probe_photon_count", "exposure_time_s", "mass_attenuation_m2_per_kg"),
    "tomography_angle_deg",
)
# Photons from infrared light to gamma rays: outside, the number cannot be in joule.
_JOULE = (1e-22, 1e-10)


def is_cxi(path: Path, head: bytes) -> bool:
    """True for HDF5 with `cxi_version` and an entry that does not call itself NXcxi_ptycho."""
    return holds(
        path,
        head,
        "cxi_version",
        if_so=lambda h5: bool(entries(h5)) and not nexus_entries(h5),
    )


def nexus_entries(h5: h5py.File) -> list[str]:
    """Entries that name the definition NXcxi_ptycho (NXptycho in early versions)."""
    found = []
    for name in h5:
        group = h5.get(name)
        if not isinstance(group, h5py.Group) or not has(group, "definition"):
            continue
        if text(group["definition"]) in ("NXcxi_ptycho", "NXptycho"):
            found.append(name)
    return found


def entries(h5: h5py.File) -> dict[int, str]:
    """Entries of a file by number."""
    named = {int(match[1]): name for name in h5 if (match := _ENTRY.match(str(name)))}
    return {k: named[k] for k in sorted(named) if isinstance(h5.get(named[k]), h5py.Group)}


def choose_entry(h5: h5py.File, path: Path, config: ScanConfig, notes: list[str]) -> h5py.Group:
    """The entry that the option scan_number names, or else the first.

    Raises:
        ScanError: there is none.
    """
    known = entries(h5)
    if not known:
        raise ScanError(f"{path} has no group 'entry_1'; it has: {listing(h5)}")
    number = config.scan_number
    if number is None:
        number = next(iter(known))
        if len(known) > 1:
            named = ", ".join(map(str, known))
            notes.append(f"the file has entries {named}: {number} was read; see --scan-number")
    if number not in known:
        raise ScanError(
            f"{path} has no 'entry_{number}', only {', '.join(known.values())}; choose one of them "
            "with scan_number (--scan-number)"
        )
    return h5[known[number]]


def read_cxi(path: Path, config: ScanConfig) -> Contents:
    """Read a scan.

    Raises:
        ScanError: a part is missing, damaged, or of the wrong shape or type.
    """
    with reading(path) as h5:
        notes: list[str] = []
        entry = choose_entry(h5, path, config, notes)
        name = first(entry, *FRAMES)
        if name is None or config.diffraction is not None:
            return _read_split(entry, path, config, notes)
        found = Contents(Hdf5Frames(path, f"{entry.name}/{name}"), notes=notes)
        try:
            basis = _detector(entry, path, found)
            translation = read_translation(entry, path, TRANSLATIONS, found.frames.shape[0])
            found.positions_m = probe_positions(translation, basis)
            _rest(entry, path, config, found, basis)
        except BaseException:
            found.close()
            raise
    return found


def _read_split(entry: h5py.Group, path: Path, config: ScanConfig, notes: list[str]) -> Contents:
    """Positions, probe and object from one file, frames from another, joined on the indexes."""
    other = config.diffraction or path.with_name("diffraction.cxi")
    if config.diffraction is None and (not other.is_file() or other == path):
        raise ScanError(
            f"{path} has no frames: neither '{entry.name}/{FRAMES[0]}' nor "
            f"'{entry.name}/{FRAMES[1]}' is there (it has: {listing(entry)}); name the file that "
            "has them (--diffraction)"
        )
    translation = read_translation(entry, path, TRANSLATIONS, None)
    indexes = np.arange(len(translation))
    if has(entry, INDEXES):
        indexes = array(entry, INDEXES, path, ndim=1, kind="iu").astype(np.int64)
    if len(indexes) != len(translation):
        raise ScanError(
            f"'{entry.name}/{INDEXES}' in {path} has {len(indexes)} entries, but there are "
            f"{len(translation)} translations; each needs one"
        )
    found, numbers_of_frames, basis = _frames_beside(other, config)
    try:
        rows, which = match(indexes, numbers_of_frames, path)
        anchors, place = np.unique(indexes, return_index=True)
        found.notes[:0] = [*notes, f"frames from {other.name}"]
        found.notes += join_notes(indexes, anchors, numbers_of_frames, rows)
        if len(rows) < found.frames.shape[0]:
            found.frames = DerivedFrames(found.frames, rows=rows)
            if found.bad_pixels is not None and len(found.bad_pixels.shape) == 3:
                found.bad_pixels = DerivedFrames(as_source(found.bad_pixels), rows=rows)
        chosen = place[which]
        found.positions_m = probe_positions(translation[chosen], basis)
        _rest(entry, path, config, found, basis, chosen)
    except BaseException:
        found.close()
        raise
    return found


def _frames_beside(
    other: Path, config: ScanConfig
) -> tuple[Contents, np.ndarray, np.ndarray | None]:
    """Frames of a CXI file without positions, or of a diffraction file of ptychodus."""
    if not holds(other, b"", "cxi_version"):
        patterns = open_patterns(other)
        found = Contents(patterns.frames, bad_pixels=patterns.bad_pixels, notes=patterns.notes)
        found.detector_pixel_m = patterns.detector_pixel_m
        return found, patterns.indexes, None
    with reading(other) as h5:
        entry = choose_entry(h5, other, config, [])
        name = first(entry, *FRAMES) or FRAMES[0]
        found = Contents(Hdf5Frames(other, f"{entry.name}/{name}"))
        try:
            basis = _detector(entry, other, found)
            found.energy_ev = photon_energy(entry, other, found.notes)
        except BaseException:
            found.close()
            raise
    return found, np.arange(found.frames.shape[0]), basis


def _detector(entry: h5py.Group, path: Path, found: Contents) -> np.ndarray | None:
    """Distance, pixels, mask and beam; returns the basis vectors."""
    if not has(entry, DETECTOR):
        return None
    detector = entry[DETECTOR]
    H, W = found.frames.shape[1:]
    basis = read_basis(detector, path)
    found.distance_m = above_zero(scalar(detector, "distance", path))
    y, x = (above_zero(scalar(detector, f"{axis}_pixel_size", path)) for axis in "yx")
    if basis is not None and y is None and x is None:
        y, x = (float(np.linalg.norm(vector)) for vector in basis)
    found.detector_pixel_m = square_pixel(detector, y, x, path)
    if has(detector, "corner_position"):
        corner = numbers(detector, "corner_position", path, ndim=(1, 2)).reshape(-1)
        if len(corner) % 3:
            raise ScanError(
                f"'{detector.name}/corner_position' in {path} has {len(corner)} numbers, but x, y "
                "and z are required"
            )
        found.beam_centre = centre_from_corner(corner[:3], basis, found.detector_pixel_m, (H, W))
    if has(detector, "mask"):
        found.bad_pixels = read_mask(detector, "mask", path, found.frames)
    for dark in ("data_dark", "dark"):
        if has(detector, dark):
            found.notes.append(f"'{detector.name}/{dark}' is there and was not subtracted")
    return basis


def _rest(
    entry: h5py.Group,
    path: Path,
    config: ScanConfig,
    found: Contents,
    basis: np.ndarray | None,
    rows: np.ndarray | None = None,
) -> None:
    """What belongs to the sample; `rows` are the positions of the frames, None: all in order."""
    found.units = counting_units(found.frames.dtype, config)
    found.energy_ev = photon_energy(entry, path, found.notes) or found.energy_ev
    if found.distance_m is None:
        found.distance_m = above_zero(scalar(entry, f"{DETECTOR}/distance", path))
    read_probe(entry, path, PROBES, found)
    _weights(entry, path, rows, found)
    _object(entry, path, found)
    _acquisition(entry, path, found)
    group = ours(entry, path)
    if group is not None and rows is None:
        read_scan_group(group, found, path)
    elif basis is None:
        found.notes.append(
            "positions are sample translations with the axes of the CXI specification (rows along "
            "-y, columns along -x); say --orientation if `pinn check` finds another"
        )


def photon_energy(entry: h5py.Group, path: Path, notes: list[str]) -> float | None:
    """Energy of a photon in eV, from `source_1/energy` in joule or from `wavelength`.

    Raises:
        ScanError: an energy that is none of a photon.
    """
    energy = above_zero(scalar(entry, f"{SOURCE}/energy", path))
    if energy is None:
        wavelength = above_zero(scalar(entry, f"{SOURCE}/wavelength", path))
        return None if wavelength is None else photon_energy_ev(wavelength)
    if _JOULE[0] < energy < _JOULE[1]:
        return energy / CHARGE_C
    if 10 < energy < 1e6:
        notes.append(f"'{SOURCE}/energy' is {energy:g}, too much for joule: taken as eV")
        return energy
    raise ScanError(
        f"'{entry.name}/{SOURCE}/energy' in {path} is {energy:g}, but the energy of a photon in "
        "joule is required (1 keV is 1.602e-16); correct it, or remove it and say --energy-ev"
    )


def _weights(entry: h5py.Group, path: Path, rows: np.ndarray | None, found: Contents) -> None:
    """Weights of coherent variations of the probe, where ptychodus wrote them."""
    if found.probe is None or found.probe.ndim < 4:
        return
    V = len(found.probe)
    if has(entry, OPR):
        weights = numbers(entry, OPR, path, ndim=2)
        M = found.frames.shape[0] if rows is None else int(rows.max()) + 1
        if weights.shape[1] != V or len(weights) < M:
            raise ScanError(
                f"'{entry.name}/{OPR}' in {path} has shape {weights.shape}, but a row for each "
                f"position and {V} columns are required to match the probe"
            )
        found.probe_weights = weights if rows is None else weights[rows]
    elif ours(entry, path) is None:
        found.probe = found.probe[0]
        found.notes.append(f"no weights for the {V} variations of the probe: the first was taken")


def _object(entry: h5py.Group, path: Path, found: Contents) -> None:
    """The object as a truth to compare with, where the file says where it lies."""
    if not has(entry, "image_2/data"):
        return
    layers = array(entry, "image_2/data", path, kind="iufc", ndim=(2, 3))
    if layers.dtype.kind != "c" or layers.size == 0 or not np.isfinite(layers).all():
        found.notes.append("'image_2' is no complex image: not taken as the truth")
        return
    image = layers if layers.ndim == 2 else np.prod(layers, axis=0, dtype=np.complex128)
    group = ours(entry, path)
    pixels = [
        scalar(entry, f"ptychodus/object_pixel_{side}_m", path) for side in ("height", "width")
    ]
    centre = [scalar(entry, f"ptychodus/object_center_{axis}_m", path) for axis in "yx"]
    if group is None and (None in pixels or None in centre or not all(pixels)):
        found.notes.append("'image_2' was not read: the file does not say where it lies")
        return
    found.truth = image
    if group is None:
        y, x = (
            c / p - n / 2
            for c, p, n in zip(centre, pixels, image.shape, strict=True)
            if c is not None and p is not None
        )
        found.truth_origin_px = (y, x)
        found.pixel_size_m = pixels[1]
        found.notes.append("the object of the file ('image_2') is taken as the truth")


def _acquisition(entry: h5py.Group, path: Path, found: Contents) -> None:
    known = {name: scalar(entry, f"ptychodus/{name}", path) for name in _ACQUISITION}
    found.acquisition = {name: value for name, value in known.items() if value}
