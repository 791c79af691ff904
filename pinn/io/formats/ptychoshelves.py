"""Reader of MATLAB files of PtychoShelves and fold_slice.

A result holds `object`, `probe`, the parameters `p` and `outputs.probe_positions` (x, y in pixels
about the centre of the object), but seldom frames: `fmag` (amplitude) or `dp` (intensity), with
`fmask` (1 = good). Frames may come from a file named by `diffraction`. Electron data are in
angstroms.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pinn.config import ScanConfig
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.data_file import DataFile
from pinn.io.formats.matlab import open_matlab
from pinn.io.hdf5 import Hdf5Frames, holds
from pinn.io.layout import (
    Layout,
    Number,
    read_numbers,
    read_positions,
    read_probe,
    read_truth,
    read_wavelength,
    stated_units,
)
from pinn.io.near_field import refuse_near_field

_VERSION_5 = b"MATLAB 5.0 MAT"
# Of the frames in each place, and what they are.
_FRAMES = {"fmag": "amplitude", "p.fmag": "amplitude", "dp": "intensity"}
_MASKS = ("fmask", "p.fmask")
# By the name of the positions: about the centre of the object; of the first pixel; in metres.
LAYOUTS = {
    "outputs.probe_positions": Layout("", ("outputs.probe_positions",), order="xy"),
    "p.positions": Layout("", ("p.positions",), anchor=(0.5, 0.0)),
    "probe_positions_0": Layout("", ("probe_positions_0",), order="xy", unit_m=1.0),
}
# Lengths, whose unit is that of the wavelength.
_LENGTHS = {
    "pixel_size_m": Number(("p.dx_spec",)),
    "distance_m": Number(("p.z",)),
    "detector_pixel_m": Number(("p.ds",)),
}
_PROPAGATION = "p.prop_regime"
_ACQUISITION = {"tomography_angle_deg": Number(("p.angle",))}


def is_ptychoshelves(path: Path, head: bytes) -> bool:
    """True for any MATLAB file of version 5, and for one of version 7.3 with names of these."""
    if head.startswith(_VERSION_5):
        return True
    return any(
        holds(path, head, name) for name in ("outputs/probe_positions", "p/fmag", "fmag")
    ) or (head.startswith(b"MATLAB") and holds(path, head, "dp"))


def read_ptychoshelves(path: Path, config: ScanConfig) -> Contents:
    """Read a result with its frames.

    Raises:
        ScanError: frames or positions are missing, or parts do not fit each other.
    """
    with open_matlab(path) as file:
        contents = _frames(file, config)
        try:
            _lengths(file, contents)
            refuse_near_field(file, _PROPAGATION, config)
            _positions(file, contents)
            read_probe(file, contents, "probe", kind="iufc")
            contents.truth = read_truth(file, "object", contents)
            if contents.truth is not None:
                contents.notes.append(
                    "'object', a reconstruction, is kept as the truth to compare with"
                )
            contents.bad_pixels = _mask(file)
        except BaseException:
            contents.close()
            raise
    return contents


def _frames(file: DataFile, config: ScanConfig) -> Contents:
    name = file.first(*_FRAMES)
    if name is not None:
        frames = file.frames(name)
        units = stated_units(_FRAMES[name], frames.dtype, config)
        return Contents(frames, frames_key=name, units=units)
    if config.diffraction is None:
        raise ScanError(
            f"{file.path} holds no frames ({', '.join(_FRAMES)}), as is usual for results of "
            "PtychoShelves; name the file that has them with --diffraction (HDF5 with 'dp', or "
            f"with --data-path); this one holds {file.listing()}"
        )
    key = config.data_path or "dp"
    frames = Hdf5Frames(config.diffraction, key)
    units = stated_units("intensity", frames.dtype, config)
    return Contents(frames, frames_key=key, units=units)


def _lengths(file: DataFile, contents: Contents) -> None:
    metre = read_wavelength(file, "p.lambda", contents)
    read_numbers(file, contents, _LENGTHS, _ACQUISITION)
    contents.positions_unit_m = metre
    if contents.particle == "electron":
        # The camera length and the detector pixel of electrons are nominal.
        contents.distance_m = contents.detector_pixel_m = None
        if contents.pixel_size_m is not None:
            contents.pixel_size_m *= metre


def _positions(file: DataFile, contents: Contents) -> None:
    metre = contents.positions_unit_m
    layout = LAYOUTS[file.need("positions", *LAYOUTS)]
    read_positions(file, layout, contents)
    if contents.positions_m is not None:
        contents.positions_m, contents.positions_unit_m = contents.positions_m * metre, metre
        return
    contents.positions_unit_m = 1.0
    if layout.order == "xy" and file.has("object") and contents.positions_px is not None:
        # A patch begins at this pixel of the object when its position is zero.
        image = np.array(contents.frames.shape[1:])
        corner = np.ceil((np.array(file.shape("object")[-2:]) - image) / 2) - 1
        contents.positions_px = contents.positions_px + corner + image / 2


def _mask(file: DataFile) -> np.ndarray | None:
    """Bad pixels `(H, W)` or `(M, H, W)`, if there are any."""
    name = file.first(*_MASKS)
    bad = None if name is None else file.array(name, (2, 3), "biuf") == 0
    return bad if bad is not None and bad.any() else None
