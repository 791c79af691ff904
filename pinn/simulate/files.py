"""Arrays that a recipe takes from NPZ and NPY files, and the probe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from pinn.data.zipped import load_member
from pinn.errors import ArchiveError, ScanError
from pinn.io.data_file import NpzFile
from pinn.io.formats.registry import read_head
from pinn.io.hdf5_files import is_hdf5
from pinn.io.product import Reconstruction, load_reconstruction

ZIP = b"PK"
ARRAYS = (ZIP, npy.MAGIC_PREFIX)  # how NPZ and NPY files begin


def read_probe(path: Path, N: int) -> np.ndarray:
    """Probe modes `(P, N, N)` complex128, the largest modulus 1.

    Args:
        path: NPZ with `probeGuess` or `probe`, NPY, or a product (`reconstruction.h5`).
        N: side the modes must have.

    Raises:
        ScanError: no such file or array, wrong shape, no finite values, no intensity.
    """
    if path.is_dir() or is_hdf5(path, read_head(path, "probe file")):
        key, probe = "probe", read_product(path, "probe file").probe
        if probe is None:
            raise ScanError(
                f"probe file {path} is a reconstruction without a probe; take another file"
            )
    else:
        key, probe = read_array(path, "probe file", ("probeGuess", "probe"))
    modes = probe[None] if probe.ndim == 2 else probe
    if modes.ndim != 3 or probe.dtype.kind not in "fciu" or modes.shape[1:] != (N, N):
        raise ScanError(
            f"{key} in {path} is {probe.dtype} of shape {probe.shape}, but N = {N} needs numbers "
            f"of shape ({N}, {N}) or (modes, {N}, {N}); set N to the probe's side or take another"
        )
    modes = modes.astype(np.complex128)
    largest = np.abs(modes).max(initial=0.0)
    if not np.isfinite(largest) or largest == 0:
        raise ScanError(
            f"{key} in {path} is empty or has values that are not finite; take another file"
        )
    return np.asarray(modes / largest)


def read_array(
    path: Path, what: str, keys: Sequence[str], lone: bool = False
) -> tuple[str, np.ndarray]:
    """An array by one of several names from an NPZ, or the array of an NPY.

    Args:
        path: of the file.
        what: what it is for, for messages.
        keys: names, the first one that is there counts.
        lone: a single array in an NPZ may have any name.

    Returns:
        its name, and the array.

    Raises:
        ScanError: no such array, a damaged file, or Python objects.
    """
    head = read_head(path, what)
    if head.startswith(ZIP):
        file = NpzFile(path)
        only = list(file.members) if lone and len(file.members) == 1 else []
        key = file.need(what.removesuffix(" file"), *keys, *only)
        return key, load_member(path, file.members[key])
    if not head.startswith(npy.MAGIC_PREFIX):
        raise ScanError(f"{what} {path} is neither NPZ nor NPY: it begins with {head[:8]!r}")
    try:
        return "the array", np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ScanError(f"{what} {path} cannot be read ({error}); write it again") from None


def read_product(path: Path, what: str) -> Reconstruction:
    """The result in a file or folder.

    Raises:
        ScanError: there is none.
    """
    try:
        return load_reconstruction(path)
    except ArchiveError as error:
        raise ScanError(f"{what} {path}: {error}") from None
