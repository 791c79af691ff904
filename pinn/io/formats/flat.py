"""Formats that a table describes: tike, PtyLab, NSLS-II HXN, ptychodus training files."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from pinn.config import ScanConfig
from pinn.data.frames import DerivedFrames, FrameSource, NpyInZipFrames
from pinn.data.prepare import Flip
from pinn.data.zipped import read_members
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.data_file import DataFile, NpzFile
from pinn.io.hdf5 import open_data
from pinn.io.layout import Layout, Number, keep_first, read_layout, read_truth

# Amplitudes; positions are a row of x and a row of y in micrometres.
HXN = Layout(
    frames="diffamp",
    units="amplitude",
    positions=("points",),
    order="xy",
    in_rows=True,
    unit_m=1e-6,
    numbers={
        "wavelength_m": Number(("lambda_nm",), 1e-9),
        "distance_m": Number(("z_m",)),
        "detector_pixel_m": Number(("ccd_pixel_um",), 1e-6),
    },
    acquisition={"tomography_angle_deg": Number(("angle",))},
    probe="prb",
    left_out={"obj": "the file does not say where it lies"},
)
# Centred intensities; positions are (row, column) in metres.
PTYLAB = Layout(
    frames="ptychogram",
    positions=("encoder",),
    unit_m=1.0,
    numbers={
        "wavelength_m": Number(("wavelength",)),
        "distance_m": Number(("zo",)),
        "detector_pixel_m": Number(("dxd",)),
    },
)
# Positions are the (row, column) of the first pixel of a patch.
TIKE = Layout(
    frames="data",
    centre="corner",
    positions=("scan",),
    anchor=(0.5, 0.0),
)
# Positions are those of the centre (N - 1)/2 of a patch, in pixels of the object.
TRAINING = Layout(
    frames="patterns",
    units="counts",
    centre="centred",
    positions=("probe_position_y_px", "probe_position_x_px"),
    anchor=(0.0, 0.5),
    numbers={
        "energy_ev": Number(("@photon_energy_eV",)),
        "distance_m": Number(("@detector_object_distance_m",)),
        "pixel_size_m": Number(("@object_pixel_width_m",)),
    },
    probe="probe",
)


def read_hxn(path: Path, config: ScanConfig) -> Contents:
    """Read a scan of the hard X-ray nanoprobe.

    Raises:
        ScanError: a part is missing, damaged, or of the wrong shape or type.
    """
    with open_data(path) as file:
        return read_layout(file, HXN, config)


def read_ptylab(path: Path, config: ScanConfig) -> Contents:
    """Read a scan of conventional ptychography; `orientation` says how its frames are turned.

    Raises:
        ScanError: a part is missing or of the wrong shape, or the file is of Fourier ptychography.
    """
    with open_data(path) as file:
        if file.has("zled") and not file.has("zo"):
            raise ScanError(
                f"{path} is a Fourier ptychography file of PtyLab (it has 'zled' and no 'zo'), but "
                "only conventional ptychography can be read"
            )
        orientation = file.number("orientation") or 0.0
        if orientation not in range(8):
            raise ScanError(
                f"'/orientation' in {path} is {orientation:g}, but a whole number from 0 to 7 is "
                "required"
            )
        frames = _turned(file.frames(PTYLAB.frames), int(orientation))
        contents = read_layout(file, PTYLAB, config, frames)
        if diameter := file.positive("entrancePupilDiameter"):
            contents.notes.append(
                f"the file has no probe; it says that the beam is {diameter * 1e6:.4g} um wide"
            )
    if orientation:
        contents.notes.append(
            f"frames turned by the file's orientation {orientation:g}, about their zero frequency"
        )
    return contents


def _turned(frames: FrameSource, orientation: int) -> FrameSource:
    """Frames transposed (4), then turned upside down (2) and left to right (1).

    They are turned about the zero frequency: a plain reversal of an even number of pixels would
    move it by one.
    """
    if not orientation:
        return frames
    axes = (0, 2, 1) if orientation & 4 else (0, 1, 2)
    flip = Flip(("none", "lr", "ud", "both")[orientation & 3])
    image = (frames.shape[axes[1]], frames.shape[axes[2]])
    return DerivedFrames(frames, lambda raw, rows: flip.frames(raw.transpose(axes)), image=image)


def is_tike(path: Path, head: bytes) -> bool:
    """True for an NPZ file with `data` and `scan`, the last axis of which is two long."""
    if not head.startswith(b"PK"):
        return False
    try:
        members = read_members(path)
    except (ScanError, OSError, ValueError):
        return False
    if not {"data", "scan"} <= set(members) or {"diff3d", "xcoords"} & set(members):
        return False
    return len(members["data"].shape) >= 3 and members["scan"].shape[-1:] == (2,)


def read_tike(path: Path, config: ScanConfig) -> Contents:
    """Read a scan; several of them (first axis longer than one) are told apart by `scan_index`.

    Raises:
        ScanError: an array is missing, or of a shape or type that the layout does not have.
    """
    file = NpzFile(path)
    frames, scans = _tike_frames(file)
    contents = read_layout(file, TIKE, config, frames)
    try:
        if scans > 1:
            M = frames.shape[0] // scans
            contents.scan_index = np.repeat(np.arange(scans), M)
            contents.notes.append(f"the file holds {scans} scans of {M} frames")
        if file.has("probe"):
            _tike_probe(file, contents)
        if ignored := sorted(set(file.members) - {"data", "scan", "probe", "psi"}):
            contents.notes.append(f"arrays that are not used: {', '.join(map(repr, ignored))}")
    except BaseException:
        contents.close()
        raise
    return contents


def _tike_frames(file: NpzFile) -> tuple[FrameSource, int]:
    """`(M, H, W)` from `(M, H, W)` or `(scans, M, H, W)`, and the number of scans."""
    member = file.member("data", kind="biuf")
    shape = member.shape
    scans = shape[0] if len(shape) == 4 else 1
    if len(shape) not in (3, 4) or 0 in shape or (member.fortran and scans > 1):
        order = " in Fortran order" if member.fortran else ""
        raise ScanError(
            f"'data' in {file.path} has shape {shape}{order}, but frames (M, H, W) or (scans, M, "
            "H, W) in C order are required; save a C-ordered copy"
        )
    flat = replace(member, shape=(math.prod(shape[:-2]), *shape[-2:]))  # the same bytes
    return NpyInZipFrames(file.path, flat), scans


def _tike_probe(file: NpzFile, contents: Contents) -> None:
    """`(modes, H, W)` from six axes: variations need weights, which this layout does not hold."""
    probe = file.array("probe", kind="iufc")
    if probe.ndim < 2 or not probe.size:
        raise file.wrong("probe", probe.shape, "(1, 1, variations, modes, N, N) or a part of it")
    modes = probe.shape[-3] if probe.ndim > 2 else 1
    contents.probe = probe.reshape(-1, modes, *probe.shape[-2:])
    keep_first(contents)


def read_training(path: Path, config: ScanConfig) -> Contents:
    """Read a training file of ptychodus 1.7 or later, HDF5 or NPZ: everything in one file.

    Bad pixels were filled in by ptychodus, and are masked.

    Raises:
        ScanError: a part is missing, damaged, or of the wrong shape or type.
    """
    with open_data(path) as file:
        contents = read_layout(file, TRAINING, config)
        try:
            _training_rest(file, contents)
        except BaseException:
            contents.close()
            raise
    return contents


def _training_rest(file: DataFile, contents: Contents) -> None:
    if file.has("bad_pixels"):
        contents.bad_pixels = file.array("bad_pixels", 2, "biu") != 0
    height, width = (file.positive(f"@object_pixel_{side}_m") for side in ("height", "width"))
    if width is not None and height is not None and abs(height - width) > 1e-6 * width:
        contents.notes.append(f"object pixels are not square ({height:g} m high, {width:g} m wide)")
    contents.truth = read_truth(file, "object", contents)
    if contents.truth is not None:
        contents.notes.append("the object of the training file is taken as the truth")
