"""Reader of paired HDF5 files `NAME_dp.hdf5` and `NAME_para.hdf5` (fold_slice, pty-chi, PtychoViT).

`dp` holds the frames as intensities. The other file holds positions in metres, with names of one of
three kinds, and perhaps probe and object as in a ptychodus product. Either file may be named; both
may be one.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from pinn.config import ScanConfig
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.hdf5 import Hdf5File, holds, reading
from pinn.io.layout import (
    Layout,
    Number,
    bad_pixels,
    frame_masks,
    read_layout,
    read_probe,
    read_truth,
    read_wavelength,
)
from pinn.io.product_layout import (
    ACQUISITION,
    NUMBERS,
    OBJECT,
    POSITIONS,
    PROBE,
    WEIGHTS,
    object_origin,
    pixel_sizes,
)
from pinn.io.scan_group import GROUP, ours, read_scan_group

FRAMES = "dp"
_PAIRS = "probe_positions_0"  # a row of x and a row of y
_FURTHER = {**ACQUISITION, "tomography_angle_deg": Number(("angle", "@tomography_angle_deg"))}
# By the name that tells them.
LAYOUTS = {
    kind: Layout(
        frames=FRAMES,
        positions=positions,
        order="xy",
        in_rows=True,
        unit_m=1.0,
        numbers=NUMBERS,
        acquisition=_FURTHER,
    )
    for kind, positions in (("ppX", ("ppY", "ppX")), (POSITIONS[1], POSITIONS), (_PAIRS, (_PAIRS,)))
}


def is_ptychovit(path: Path, head: bytes) -> bool:
    """True for either file of a pair.

    A file with positions of the ptychodus kind is a ptychodus product too; it belongs to a pair
    when the file of frames lies beside it.
    """
    if head.startswith(b"MATLAB"):  # the same names in another order of axes
        return False
    if holds(path, head, FRAMES, if_so=_frames):
        return True
    if holds(path, head, "ppX", "ppY") or holds(path, head, _PAIRS):
        return True
    beside = _beside(path, "para", "dp")
    return holds(path, head, *POSITIONS) and beside is not None and holds(beside, b"", FRAMES)


def _frames(file: Hdf5File) -> bool:
    return isinstance(file.group[FRAMES], h5py.Dataset)


def read_ptychovit(path: Path, config: ScanConfig) -> Contents:
    """Read a pair by the name of either file.

    Raises:
        ScanError: the other file is not there, or parts are missing or do not fit each other.
    """
    frames_path, para_path = _pair(path, config)
    with reading(frames_path) as beside, reading(para_path) as file:
        kind = file.need("positions", *LAYOUTS)
        contents = read_layout(file, LAYOUTS[kind], config, beside.frames(FRAMES))
        try:
            _masks(beside, contents)
            _lengths(file, contents)
            read_probe(file, contents, PROBE, weights=WEIGHTS)
            _object(file, contents)
            if (group := ours(file)) is not None:
                read_scan_group(group, contents)
        except BaseException:
            contents.close()
            raise
    return contents


def _pair(path: Path, config: ScanConfig) -> tuple[Path, Path]:
    """Files of the frames and of the positions."""
    with reading(path) as file:
        has_frames, has_positions = file.has(FRAMES), file.first(*LAYOUTS) is not None
        if not has_frames and not has_positions:
            file.need("frames and no positions", FRAMES, *LAYOUTS)
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
    here, there = ("dp", "para") if has_frames else ("para", "dp")
    other = _beside(path, here, there)
    if other is None:
        what, way = "frames", "say --diffraction FILE"
        if has_frames:
            what, way = "positions", "name that file and say --diffraction for this one"
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


def _masks(file: Hdf5File, contents: Contents) -> None:
    """Masks, which only our own files have: of each frame, or of all."""
    if ours(file) is not None and file.has(f"{GROUP}/bad_pixels"):
        contents.bad_pixels = frame_masks(file.frames(f"{GROUP}/bad_pixels"))
    elif file.has("bad_pixels"):
        contents.bad_pixels = bad_pixels(file, "bad_pixels")


def _lengths(file: Hdf5File, contents: Contents) -> None:
    """Wavelength, pixel size and unit of length, which is that of the positions too."""
    metre = read_wavelength(file, "lambda", contents)
    pixel = file.positive("dx")
    if pixel is None and (sides := pixel_sizes(file)) is not None:
        pixel = sides[0]
    contents.pixel_size_m = pixel * metre if pixel else None
    positions = contents.positions_m
    assert positions is not None
    if metre == 1.0 and np.ptp(positions, axis=0).max() > 1.0:
        # No stage moves by metres: some programs put pixels under these names.
        contents.positions_px, contents.positions_m = positions, None
        contents.notes.append("positions span more than a metre: read as object pixels")
    else:
        contents.positions_m, contents.positions_unit_m = positions * metre, metre


def _object(file: Hdf5File, contents: Contents) -> None:
    truth = read_truth(file, OBJECT, contents)
    if truth is None:
        return
    pixel = 1.0 if contents.positions_m is None else contents.pixel_size_m
    if pixel is None:
        contents.notes.append("'object' was not read: without a pixel size its place is not known")
        return
    y, x = (file.number(f"{OBJECT}@center_{axis}_m") or 0.0 for axis in "yx")
    contents.truth = truth
    contents.truth_origin_px = object_origin((y, x), (pixel, pixel), truth.shape)
    contents.notes.append("'object' is kept as the truth, whether simulated or reconstructed")
