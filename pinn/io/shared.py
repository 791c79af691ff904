"""Small things that several readers share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from pinn.config import ScanConfig
from pinn.errors import ScanError
from pinn.io.hdf5 import FAULTS, has, is_hdf5, open_hdf5

# Electron ptychography with fold_slice counts in angstroms what it counts in metres for X-rays: no
# X-ray wavelength is as long as this in metres, no electron wavelength as short in angstroms.
ANGSTROM_M = 1e-10
LONGEST_M = 1e-5


def holds(
    path: Path,
    head: bytes,
    *names: str,
    if_so: Callable[[h5py.File], bool] | None = None,
) -> bool:
    """True for an HDF5 file with all these names (links that lead nowhere included).

    Args:
        path: the file.
        head: its first bytes.
        names: paths from the root.
        if_so: a further look at the open file, asked when the names are there.
    """
    if not is_hdf5(path, head):
        return False
    try:
        with open_hdf5(path) as h5:
            return all(has(h5, name) for name in names) and (if_so is None or bool(if_so(h5)))
    except (ScanError, *FAULTS):
        return False


def above_zero(value: float | None) -> float | None:
    """The number if it is above zero: files write 0 for what they do not know."""
    return value if value is not None and value > 0 else None


def meant(said: str, option: str) -> str | None:
    """What a format means by its frames (units, centre), unless an option says it."""
    return said if option == "auto" else None


def counting_units(dtype: np.dtype, config: ScanConfig) -> str | None:
    """Units of frames that a format defines as intensities: whole-number types are counts."""
    return meant("counts" if dtype.kind in "biu" else "intensity", config.frames)
