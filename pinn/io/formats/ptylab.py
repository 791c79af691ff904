"""Reader of the HDF5 files of PtyLab: `ptychogram`, `encoder` and the numbers of the set-up.

Frames are intensities, centred; `encoder` holds (row, column) in metres; `orientation` (0 to 7, as
in ptypy) says how the frames are to be turned before use.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pinn.config import ScanConfig
from pinn.data.frames import DerivedFrames, FrameSource
from pinn.data.geometry import photon_energy_ev
from pinn.data.prepare import Flip
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.hdf5 import Hdf5Frames, has, numbers, reading, scalar
from pinn.io.shared import above_zero, counting_units, holds

_FLIPS = ("none", "lr", "ud", "both")


def is_ptylab(path: Path, head: bytes) -> bool:
    """True for an HDF5 file with `ptychogram` and `encoder`."""
    return holds(path, head, "ptychogram", "encoder")


def read_ptylab(path: Path, config: ScanConfig) -> Contents:
    """Read a scan of conventional ptychography.

    Raises:
        ScanError: a part is missing or of the wrong shape, or the file is of Fourier ptychography.
    """
    with reading(path) as h5:
        if has(h5, "zled") and not has(h5, "zo"):
            raise ScanError(
                f"{path} is a Fourier ptychography file of PtyLab (it has 'zled' and no 'zo'), but "
                "only conventional ptychography can be read"
            )
        wavelength = above_zero(scalar(h5, "wavelength", path))
        encoder = numbers(h5, "encoder", path, ndim=2)
        frames: FrameSource = Hdf5Frames(path, "ptychogram")
        orientation = scalar(h5, "orientation", path) or 0.0
        if orientation not in range(8):
            raise ScanError(
                f"'/orientation' in {path} is {orientation:g}, but a whole number from 0 to 7 is "
                "required"
            )
        found = Contents(
            _turned(frames, int(orientation)),
            frames_key="ptychogram",
            positions_m=_positions(encoder, frames.shape[0], path),
            energy_ev=photon_energy_ev(wavelength) if wavelength else None,
            distance_m=above_zero(scalar(h5, "zo", path)),
            detector_pixel_m=above_zero(scalar(h5, "dxd", path)),
            units=counting_units(frames.dtype, config),
        )
        diameter = above_zero(scalar(h5, "entrancePupilDiameter", path))
        if diameter:
            found.notes.append(
                f"the file has no probe; it says that the beam is {diameter * 1e6:.4g} um wide"
            )
    if orientation:
        found.notes.append(
            f"frames turned by the file's orientation {orientation:g}, about their zero frequency"
        )
    return found


def _turned(frames: FrameSource, orientation: int) -> FrameSource:
    """Frames transposed (4), then turned upside down (2) and left to right (1).

    They are turned about the zero frequency: a plain reversal of an even number of pixels would
    move it by one.
    """
    if not orientation:
        return frames
    axes = (0, 2, 1) if orientation & 4 else (0, 1, 2)
    flip = Flip(_FLIPS[orientation & 3])
    image = (frames.shape[axes[1]], frames.shape[axes[2]])
    return DerivedFrames(frames, lambda raw, rows: flip.frames(raw.transpose(axes)), image=image)


def _positions(encoder: np.ndarray, M: int, path: Path) -> np.ndarray:
    if encoder.shape == (2, M) and M != 2:
        encoder = encoder.T
    if encoder.shape != (M, 2):
        raise ScanError(
            f"'/encoder' in {path} has shape {encoder.shape}, but ({M}, 2) is required, a (row, "
            f"column) in metres for each of the {M} frames in 'ptychogram'"
        )
    return encoder
