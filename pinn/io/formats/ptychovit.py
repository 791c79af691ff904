"""Reader of paired HDF5 files `NAME_dp.hdf5` and `NAME_para.hdf5` (fold_slice, pty-chi, PtychoViT).

`dp` holds the frames as intensities. The other file holds positions in metres: `ppX`, `ppY`, or
`probe_positions_0` (x, then y), or `probe_position_x_m`, `probe_position_y_m` with `probe` and
`object` as in a ptychodus product. Either file may be named; both may be one.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from pinn.config import ScanConfig
from pinn.data.frames import DerivedFrames
from pinn.data.geometry import electron_energy_ev, photon_energy_ev
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.hdf5 import Hdf5Frames, array, attribute, first, has, listing, numbers, reading, scalar
from pinn.io.scan_group import GROUP, ours, read_scan_group
from pinn.io.shared import ANGSTROM_M, LONGEST_M, above_zero, counting_units, holds

FRAMES = "dp"
_POSITIONS = ("ppX", "probe_position_x_m", "probe_positions_0")
_PRODUCT_ATTRIBUTES = ("photon_energy_eV", "probe_energy_eV")
_ACQUISITION = (
    *("probe_photon_count", "exposure_time_s", "tomography_angle_deg", "tilt_angle_deg"),
    *("focus_object_distance_m", "mass_attenuation_m2_per_kg"),
)


def is_ptychovit(path: Path, head: bytes) -> bool:
    """True for either file of a pair.

    A file with positions of the ptychodus kind is a ptychodus product too; it belongs to a pair
    when the file of frames lies beside it.
    """
    if head.startswith(b"MATLAB"):  # the same names in another order of axes
        return False
    if holds(path, head, FRAMES, if_so=lambda h5: isinstance(h5[FRAMES], h5py.Dataset)):
        return True
    if holds(path, head, "ppX", "ppY") or holds(path, head, "probe_positions_0"):
        return True
    beside = _beside(path, "para", "dp")
    return (
        holds(path, head, "probe_position_x_m", "probe_position_y_m")
        and beside is not None
        and holds(beside, b"", FRAMES)
    )


def read_ptychovit(path: Path, config: ScanConfig) -> Contents:
    """Read a pair by the name of either file.

    Raises:
        ScanError: the other file is not there, or parts are missing or do not fit each other.
    """
    frames_path, para_path = _pair(path, config)
    frames = Hdf5Frames(frames_path, FRAMES)
    found = Contents(frames, frames_key=FRAMES, units=counting_units(frames.dtype, config))
    try:
        with reading(frames_path) as h5:
            _bad_pixels(h5, frames_path, found)
        with reading(para_path) as h5:
            metre = _set_up(h5, para_path, found)
            _positions(h5, para_path, found, metre)
            _probe(h5, para_path, found)
            _object(h5, para_path, found)
            if (group := ours(h5, para_path)) is not None:
                read_scan_group(group, found, para_path)
    except BaseException:
        found.close()
        raise
    return found


def _pair(path: Path, config: ScanConfig) -> tuple[Path, Path]:
    """Files of the frames and of the positions."""
    with reading(path) as h5:
        has_frames, has_positions = has(h5, FRAMES), first(h5, *_POSITIONS) is not None
        found = listing(h5)
    if config.diffraction is not None:
        if has_frames:
            raise ScanError(
                f"{path} holds frames ({FRAMES!r}) itself, but diffraction names "
                f"{config.diffraction} as well; name the file with the positions instead, or leave "
                "--diffraction out"
            )
        return config.diffraction, path
    if has_frames and has_positions:
        return path, path
    if not has_frames and not has_positions:
        raise ScanError(
            f"{path} has neither frames ({FRAMES!r}) nor positions ({', '.join(_POSITIONS)}); it "
            f"has: {found}"
        )
    here, there = ("dp", "para") if has_frames else ("para", "dp")
    other = _beside(path, here, there)
    if other is None:
        what = "positions" if has_frames else "frames"
        way = (
            "name that file and say --diffraction for this one"
            if has_frames
            else "say --diffraction FILE"
        )
        raise ScanError(
            f"the {what} that belong to {path} were not found: {_other_name(path, here, there)} is "
            f"not beside it; if they are elsewhere, {way}"
        )
    return (path, other) if has_frames else (other, path)


def _other_name(path: Path, here: str, there: str) -> str:
    stem = path.stem.removesuffix(f"_{here}")
    return f"{stem}_{there}{path.suffix}"


def _beside(path: Path, here: str, there: str) -> Path | None:
    """The other file of the pair, by its name."""
    if not path.stem.endswith(f"_{here}"):
        return None
    same = path.with_name(_other_name(path, here, there))
    others = [same.with_suffix(suffix) for suffix in (".hdf5", ".h5", ".hdf")]
    return next((other for other in (same, *others) if other.is_file()), None)


def _bad_pixels(h5: h5py.File, path: Path, found: Contents) -> None:
    """Masks, which only our own files have: of each frame, or of all."""
    if ours(h5, path) is not None and has(h5, f"{GROUP}/bad_pixels"):
        masks = Hdf5Frames(path, f"{GROUP}/bad_pixels")
        found.bad_pixels = DerivedFrames(masks, lambda raw, rows: raw != 0, dtype=bool)
    elif has(h5, "bad_pixels"):
        bad = array(h5, "bad_pixels", path, ndim=2, kind="biu") != 0
        found.bad_pixels = bad if bad.any() else None


def _positions(h5: h5py.File, path: Path, found: Contents, metre: float) -> None:
    M = found.frames.shape[0]
    kind = first(h5, *_POSITIONS)
    if kind is None:
        raise ScanError(f"{path} has no positions ({', '.join(_POSITIONS)}); it has: {listing(h5)}")
    if kind == "probe_positions_0":
        both = numbers(h5, kind, path, ndim=2)
        if M not in both.shape or 2 not in both.shape:
            raise ScanError(
                f"'/{kind}' in {path} has shape {both.shape}, but (2, {M}) is required: a row of x "
                "and a row of y in metres"
            )
        x, y = both if both.shape == (2, M) else both.T
    else:
        other = "ppY" if kind == "ppX" else "probe_position_y_m"
        x, y = (_line(h5, name, path, M) for name in (kind, other))
    positions = np.stack([y, x], axis=1)
    if metre == 1.0 and np.ptp(positions, axis=0).max() > 1.0:
        # No stage moves by metres: some programs put pixels under these names.
        found.positions_px = positions
        found.notes.append("positions span more than a metre: read as object pixels")
    else:
        found.positions_m, found.positions_unit_m = positions * metre, metre


def _line(h5: h5py.File, name: str, path: Path, M: int) -> np.ndarray:
    line = numbers(h5, name, path, ndim=(1, 2))
    if line.size != M or max(line.shape) != M:
        raise ScanError(
            f"'/{name}' in {path} has shape {line.shape}, but there are {M} frames; each needs one"
        )
    return line.reshape(M)


def _pixel_size(h5: h5py.File, path: Path) -> float | None:
    if (stated := above_zero(scalar(h5, "dx", path))) is not None:
        return stated
    for name in ("object", "probe"):
        if has(h5, name):
            sides = [above_zero(attribute(h5[name], f"pixel_{s}_m")) for s in ("height", "width")]
            if None not in sides:
                return sides[0]
    return None


def _set_up(h5: h5py.File, path: Path, found: Contents) -> float:
    """Numbers of the measurement; returns metres in the file's unit of length."""
    wavelength = above_zero(scalar(h5, "lambda", path))
    metre = 1.0
    if wavelength is not None and wavelength > LONGEST_M:
        metre, found.particle = ANGSTROM_M, "electron"
        found.energy_ev = electron_energy_ev(wavelength * metre)
        found.notes.append("the wavelength is one of electrons in angstroms, as are other lengths")
    else:
        energy = above_zero(attribute(h5, *_PRODUCT_ATTRIBUTES))
        found.energy_ev = photon_energy_ev(wavelength) if wavelength else energy
    pixel = _pixel_size(h5, path)
    found.pixel_size_m = pixel * metre if pixel else None
    found.distance_m = above_zero(attribute(h5, "detector_object_distance_m"))
    said = {name: attribute(h5, name) for name in _ACQUISITION}
    angle = scalar(h5, "angle", path)
    if angle is not None:
        said["tomography_angle_deg"] = angle
    found.acquisition = {name: value for name, value in said.items() if value}
    return metre


def _probe(h5: h5py.File, path: Path, found: Contents) -> None:
    if not has(h5, "probe"):
        return
    probe = array(h5, "probe", path, ndim=(2, 3, 4), kind="c")
    if not probe.size:  # a product writes an unknown probe as an empty one
        return
    if probe.ndim == 4 and len(probe) > 1 and has(h5, "opr_weights"):
        wanted = (found.frames.shape[0], len(probe))
        weights = numbers(h5, "opr_weights", path, ndim=2)
        if weights.shape != wanted:
            raise ScanError(
                f"'/opr_weights' in {path} has shape {weights.shape}, but {wanted} is required, a "
                "weight of each variation of the probe for each frame"
            )
        found.probe_weights = weights
    elif probe.ndim == 4:
        if len(probe) > 1:
            found.notes.append(f"of {len(probe)} variations of the probe the first was taken")
        probe = probe[0]
    found.probe = probe


def _object(h5: h5py.File, path: Path, found: Contents) -> None:
    if not has(h5, "object"):
        return
    layers = array(h5, "object", path, ndim=(2, 3), kind="c")
    truth = layers if layers.ndim == 2 else np.prod(layers, axis=0)
    if not truth.size or np.all(truth == truth.flat[0]) or not np.isfinite(truth).all():
        return
    pixel = 1.0 if found.positions_m is None else found.pixel_size_m
    if pixel is None:
        found.notes.append("'object' was not read: without a pixel size its place is not known")
        return
    centre = [attribute(h5["object"], f"center_{axis}_m") or 0.0 for axis in "yx"]
    # The centre lies at index (size - 1) / 2, a position where index (N - 1) / 2 of a patch does:
    # half a pixel before ours.
    y, x = (c / pixel - n / 2 for c, n in zip(centre, truth.shape, strict=True))
    found.truth, found.truth_origin_px = truth, (y, x)
    found.notes.append("'object' is kept as the truth, whether simulated or reconstructed")
    if layers.ndim == 3 and len(layers) > 1:
        found.notes.append(f"the {len(layers)} layers of 'object' were multiplied into one")
