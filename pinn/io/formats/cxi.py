"""Reader of CXI 1.6, the format of the Coherent X-ray Imaging Data Bank.

Everything is in SI units; a mask is not 0 at bad pixels. Signs: see `cxi_geometry`. Frames may be
in a second file (`config.diffraction`), as ptychodus writes them: then they are joined on the scan
indexes.
"""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np

from pinn.config import ScanConfig
from pinn.data.geometry import CHARGE_C, photon_energy_ev
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.formats.cxi_geometry import (
    DETECTOR,
    centre_from_corner,
    choose_entry,
    probe_positions,
    read_basis,
    read_mask,
    read_probe,
    read_translation,
)
from pinn.io.formats.ptychodus import Join, open_patterns
from pinn.io.hdf5 import Hdf5File, holds, reading
from pinn.io.layout import Number, read_numbers, read_truth, square_pixel, stated_units
from pinn.io.product_layout import object_origin
from pinn.io.scan_group import ours, read_scan_group, read_words

FRAMES = ("data_1/data", f"{DETECTOR}/data")
INDEXES, OPR = "ptychodus/probe_position_indexes", "ptychodus/opr_weights"
OBJECT, SOURCE = "image_2/data", "instrument_1/source_1"
NUMBERS = {"distance_m": Number((f"{DETECTOR}/distance",))}
ACQUISITION = {
    name: Number((f"ptychodus/{name}",))
    for name in (
        *("probe_photon_count", "exposure_time_s", "mass_attenuation_m2_per_kg"),
        "tomography_angle_deg",
    )
}
_ENTRY = re.compile(r"entry_(\d+)\Z")
# Photons from infrared light to gamma rays: outside, the number cannot be in joule.
_JOULE = (1e-22, 1e-10)


def is_cxi(path: Path, head: bytes) -> bool:
    """True for HDF5 with `cxi_version` and an entry that does not call itself NXcxi_ptycho."""
    return holds(
        path,
        head,
        "cxi_version",
        if_so=lambda file: bool(entries(file)) and not nexus_entries(file),
    )


def nexus_entries(file: Hdf5File) -> list[str]:
    """Entries that name the definition NXcxi_ptycho (NXptycho in early versions)."""
    return [
        name
        for name in file.group
        if isinstance(file.group.get(name), h5py.Group)
        and file.below(name).text("definition") in ("NXcxi_ptycho", "NXptycho")
    ]


def entries(file: Hdf5File) -> dict[int, str]:
    """Entries of a file by number."""
    named = {int(match[1]): name for name in file.group if (match := _ENTRY.match(str(name)))}
    return {k: named[k] for k in sorted(named) if isinstance(file.group.get(named[k]), h5py.Group)}


def read_cxi(path: Path, config: ScanConfig) -> Contents:
    """Read a scan.

    Raises:
        ScanError: a part is missing, damaged, or of the wrong shape or type.
    """
    with reading(path) as file:
        notes: list[str] = []
        entry = _entry(file, config, notes)
        name = entry.first(*FRAMES)
        if name is None or config.diffraction is not None:
            return _read_split(entry, config, notes)
        contents = Contents(entry.frames(name), notes=notes)
        try:
            basis = _detector(entry, contents)
            translation = read_translation(entry, contents.frames.shape[0])
            contents.positions_m = probe_positions(translation, basis)
            _rest(entry, config, contents)
            if (group := ours(entry)) is not None:
                read_scan_group(group, contents)
            elif basis is None:
                contents.notes.append(_AXES)
        except BaseException:
            contents.close()
            raise
    return contents


_AXES = (
    "positions are sample translations with the axes of the CXI specification (rows along -y, "
    "columns along -x); say --orientation if `pinn check` finds another"
)


def _entry(file: Hdf5File, config: ScanConfig, notes: list[str]) -> Hdf5File:
    numbered = entries(file)
    if not numbered:
        raise ScanError(f"{file.path} has no group 'entry_1'; it has: {file.listing()}")
    return choose_entry(file, numbered, config, notes)


def _read_split(entry: Hdf5File, config: ScanConfig, notes: list[str]) -> Contents:
    """Positions, probe and object from one file, frames from another, joined on the indexes."""
    path = entry.path
    other = config.diffraction or path.with_name("diffraction.cxi")
    if config.diffraction is None and (not other.is_file() or other == path):
        raise ScanError(
            f"{path} has no frames: neither {entry.full(FRAMES[0])!r} nor "
            f"{entry.full(FRAMES[1])!r} is there (it has: {entry.listing()}); name the file that "
            "has them (--diffraction)"
        )
    translation = read_translation(entry, None)
    K = len(translation)
    indexes = np.arange(K)
    if entry.has(INDEXES):
        indexes = entry.array(INDEXES, 1, "iu").astype(np.int64)
    if len(indexes) != K:
        raise entry.wrong(INDEXES, indexes.shape, f"one number for each of {K} translations")
    contents, numbers, basis = _frames_beside(other, config)
    try:
        contents.notes[:0] = [*notes, f"frames from {other.name}"]
        join = Join.of(indexes, numbers, path)
        join.apply(contents)
        contents.positions_m = probe_positions(join.mean(translation), basis)
        _rest(entry, config, contents, K)
        if contents.probe_weights is not None:
            contents.probe_weights = join.mean(contents.probe_weights)
        if (group := ours(entry)) is not None:
            read_words(group, contents)
        if basis is None:
            contents.notes.append(_AXES)
    except BaseException:
        contents.close()
        raise
    return contents


def _frames_beside(
    other: Path, config: ScanConfig
) -> tuple[Contents, np.ndarray, np.ndarray | None]:
    """Frames of a CXI file without positions, or of a diffraction file of ptychodus."""
    if not holds(other, b"", "cxi_version"):
        return *open_patterns(other), None
    with reading(other) as file:
        entry = _entry(file, config, [])
        contents = Contents(entry.frames(entry.need("frames", *FRAMES)))
        try:
            basis = _detector(entry, contents)
            contents.energy_ev = photon_energy(entry, contents.notes)
        except BaseException:
            contents.close()
            raise
    return contents, np.arange(contents.frames.shape[0]), basis


def _detector(entry: Hdf5File, contents: Contents) -> np.ndarray | None:
    """Pixels, mask and beam; returns the basis vectors."""
    if not entry.has(DETECTOR):
        return None
    detector = entry.below(DETECTOR)
    H, W = contents.frames.shape[1:]
    basis = read_basis(detector)
    contents.distance_m = detector.positive("distance")
    y, x = (detector.positive(f"{axis}_pixel_size") for axis in "yx")
    if basis is not None and y is None and x is None:
        y, x = (float(np.linalg.norm(vector)) for vector in basis)
    contents.detector_pixel_m = square_pixel(y, x, entry.path)
    if detector.has("corner_position"):
        corner = detector.array("corner_position", (1, 2)).astype(np.float64).reshape(-1)
        if not len(corner) or len(corner) % 3 or not np.isfinite(corner).all():
            raise detector.wrong("corner_position", corner.shape, "x, y and z, finite,")
        contents.beam_centre = centre_from_corner(
            corner[:3], basis, contents.detector_pixel_m, (H, W)
        )
    if detector.has("mask"):
        contents.bad_pixels = read_mask(detector, "mask", contents.frames)
    for dark in ("data_dark", "dark"):
        if detector.has(dark):
            contents.notes.append(f"{detector.full(dark)!r} is there and was not subtracted")
    return basis


def _rest(
    entry: Hdf5File, config: ScanConfig, contents: Contents, count: int | None = None
) -> None:
    """What belongs to the sample; `count` positions if not one for each frame."""
    contents.units = stated_units("intensity", contents.frames.dtype, config)
    contents.energy_ev = photon_energy(entry, contents.notes) or contents.energy_ev
    read_numbers(entry, contents, {} if contents.distance_m else NUMBERS, ACQUISITION)
    kept = ours(entry) is not None
    read_probe(entry, contents, weights=OPR, count=count, keep=kept)
    _object(entry, contents)


def photon_energy(entry: Hdf5File, notes: list[str]) -> float | None:
    """Energy of a photon in eV, from `source_1/energy` in joule or from `wavelength`.

    Raises:
        ScanError: an energy that is none of a photon.
    """
    energy = entry.positive(f"{SOURCE}/energy")
    if energy is None:
        wavelength = entry.positive(f"{SOURCE}/wavelength")
        return None if wavelength is None else photon_energy_ev(wavelength)
    if _JOULE[0] < energy < _JOULE[1]:
        return energy / CHARGE_C
    if 10 < energy < 1e6:
        notes.append(f"'{SOURCE}/energy' is {energy:g}, too much for joule: taken as eV")
        return energy
    raise ScanError(
        f"{entry.full(f'{SOURCE}/energy')!r} in {entry.path} is {energy:g}, but the energy of a "
        "photon in joule is required (1 keV is 1.602e-16); correct it, or remove it and say "
        "--energy-ev"
    )


def _object(entry: Hdf5File, contents: Contents) -> None:
    """The object as a truth to compare with, where the file says where it lies."""
    if not entry.has(OBJECT):
        return
    if entry.dataset(OBJECT).dtype.kind not in "cV":
        contents.notes.append("'image_2' is no complex image: not taken as the truth")
        return
    centre = [entry.number(f"ptychodus/object_center_{axis}_m") for axis in "yx"]
    y, x = (entry.positive(f"ptychodus/object_pixel_{side}_m") for side in ("height", "width"))
    stated = y is not None and x is not None and None not in centre
    if not stated and ours(entry) is None:
        contents.notes.append("'image_2' was not read: the file does not say where it lies")
        return
    contents.truth = read_truth(entry, OBJECT, contents)
    if contents.truth is not None and y is not None and x is not None and ours(entry) is None:
        contents.truth_origin_px = object_origin(
            (centre[0] or 0.0, centre[1] or 0.0), (y, x), contents.truth.shape
        )
        contents.pixel_size_m = x
        contents.notes.append("the object of the file ('image_2') is taken as the truth")
