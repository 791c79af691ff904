"""Reader of the HDF5 files of the hard X-ray nanoprobe at NSLS-II: `diffamp`, `points`, `prb`.

Frames are amplitudes; `points` holds a row of x and a row of y in micrometres.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pinn.config import ScanConfig
from pinn.data.geometry import photon_energy_ev
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.hdf5 import Hdf5Frames, array, has, numbers, reading, scalar
from pinn.io.shared import above_zero, holds, meant


def is_hxn(path: Path, head: bytes) -> bool:
    """True for an HDF5 file with `diffamp` and `points`."""
    return holds(path, head, "diffamp", "points")


def read_hxn(path: Path, config: ScanConfig) -> Contents:
    """Read a scan. An object in the file is left out: nothing says where it lies.

    Raises:
        ScanError: a part is missing, or of the wrong shape or type.
    """
    with reading(path) as h5:
        frames = Hdf5Frames(path, "diffamp")
        M = frames.shape[0]
        points = numbers(h5, "points", path, ndim=2)
        if points.shape != (2, M):
            raise ScanError(
                f"'/points' in {path} has shape {points.shape}, but (2, {M}) is required: a row of "
                "x and a row of y in micrometres, one column for each frame in 'diffamp'"
            )
        wavelength, distance, pixel = (
            above_zero(scalar(h5, name, path)) for name in ("lambda_nm", "z_m", "ccd_pixel_um")
        )
        angle = scalar(h5, "angle", path)
        found = Contents(
            frames,
            frames_key="diffamp",
            positions_m=np.stack([points[1], points[0]], axis=1) * 1e-6,
            positions_unit_m=1e-6,
            energy_ev=photon_energy_ev(wavelength * 1e-9) if wavelength else None,
            distance_m=distance,
            detector_pixel_m=pixel * 1e-6 if pixel else None,
            units=meant("amplitude", config.frames),
        )
        if angle is not None:
            found.acquisition = {"tomography_angle_deg": angle}
        if has(h5, "prb"):
            probe = array(h5, "prb", path, ndim=(2, 3, 4), kind="c")
            found.probe = probe[0] if probe.ndim == 4 else probe
        if has(h5, "obj"):
            found.notes.append("'obj' was not read: the file does not say where it lies")
    return found
