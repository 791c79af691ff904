"""Named arrays in an HDF5 file: one plain dataset each, `/` in a name makes groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO

import h5py
import numpy as np

from pinn.errors import ArchiveError, DivergedError
from pinn.io.hdf5_new import new_hdf5

_NUMBERS = "biufc"


def check_arrays(arrays: Mapping[str, np.ndarray], member: str, limit: int) -> None:
    """Refuse what must not or cannot be stored.

    Args:
        arrays: by name.
        member: name of the file they are for, for the message.
        limit: largest sum of sizes in bytes.

    Raises:
        DivergedError: a value is not finite.
        ArchiveError: a name, a dtype or the size has no place in a file.
    """
    total = 0
    for name, array in arrays.items():
        array = np.asarray(array)
        parts = name.split("/")
        if any(p in ("", ".", "..") for p in parts) or "\0" in name:
            raise ArchiveError(f"{name!r} cannot be the name of an array in {member}")
        for depth in range(1, len(parts)):
            if (above := "/".join(parts[:depth])) in arrays:
                raise ArchiveError(
                    f"arrays {above!r} and {name!r} cannot both be in {member}: one name "
                    "continues the other; rename one"
                )
        if array.dtype.kind not in _NUMBERS:
            raise ArchiveError(f"array {name!r} for {member} has dtype {array.dtype}; use numbers")
        if not _finite(array):
            raise DivergedError(
                f"array {name!r} of shape {array.shape} for {member} has values that are not "
                "finite; nothing was written, and an archive written before stays as it was"
            )
        total += array.nbytes
    if total > limit:
        raise ArchiveError(
            f"the arrays for {member} take {total} bytes, but at most {limit} are stored"
        )


def write_arrays(file: IO[bytes], arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays one by one, sorted by name; the same arrays give the same bytes."""
    with new_hdf5(file) as target:
        for name in sorted(arrays):
            target.create_dataset(name, data=np.asarray(arrays[name]))


def read_arrays(file: IO[bytes], size: int) -> dict[str, np.ndarray]:
    """Read what `write_arrays` wrote.

    Args:
        file: open at any place.
        size: bytes in the file. Arrays are stored plain, so that a file which states more data
            than it has bytes is refused before memory is taken.

    Raises:
        ValueError: the file is damaged or holds something else than plain arrays of numbers.
    """
    arrays: dict[str, np.ndarray] = {}
    remaining = size

    def visit(key: str, item: h5py.Group | h5py.Dataset) -> None:
        nonlocal remaining
        if isinstance(item, h5py.Group):
            return
        plain = isinstance(item, h5py.Dataset) and item.shape is not None
        if not plain or item.dtype.kind not in _NUMBERS or item.external or item.is_virtual:
            raise ValueError(f"{key} is no plain array of numbers")
        remaining -= item.nbytes
        if remaining < 0:
            raise ValueError(f"{key} states more data than the file holds")
        native = item.dtype.newbyteorder("=")  # not every framework takes foreign byte orders
        arrays[key] = np.asarray(item[()], native)

    try:
        with h5py.File(file, "r") as source:
            source.visititems(visit)
    except (OSError, KeyError, OverflowError, RuntimeError, TypeError) as error:
        raise ValueError(str(error).strip("'\"")) from None
    return arrays


def _finite(array: np.ndarray) -> bool:
    if array.dtype.kind not in "fc":
        return True
    flat, step = array.reshape(-1), 1 << 22  # in steps: the answer needs no second array
    return all(bool(np.isfinite(flat[i : i + step]).all()) for i in range(0, flat.size, step))
