"""HDF5 as the readers need it: files, datasets, frames, and their numbers and texts.

Finding and opening is in `pinn.io.hdf5_files`, frames in `pinn.io.hdf5_frames`; both are offered
here too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pinn.errors import ScanError
from pinn.io.hdf5_files import (
    FAULTS,
    KINDS,
    LARGEST_UNWRITTEN,
    NEEDS_PLUGIN,
    damaged,
    dataset,
    first,
    full_name,
    has,
    is_hdf5,
    listing,
    open_hdf5,
    reading,
    reason_of,
)
from pinn.io.hdf5_frames import Hdf5Frames

__all__ = [
    "FAULTS",
    "KINDS",
    "NEEDS_PLUGIN",
    "Hdf5Frames",
    "array",
    "attribute",
    "damaged",
    "dataset",
    "first",
    "full_name",
    "has",
    "is_hdf5",
    "listing",
    "numbers",
    "open_hdf5",
    "reading",
    "reason_of",
    "scalar",
    "text",
]

_LARGEST_ARRAY = 4 << 30


def array(
    h5: h5py.Group, path: str, where: str | Path, *, ndim: Any = None, kind: str = "iuf"
) -> np.ndarray:
    """A whole dataset in its own type: for probes, masks and the like, never for frames.

    Raises:
        ScanError: see `dataset`; or it is too large for that, or damaged.
    """
    item = dataset(h5, path, where, ndim=ndim, kind=kind)
    full = full_name(h5, path)
    size = item.size * item.dtype.itemsize
    # Of what was never written a file states the shape only.
    written = item.is_virtual or item.id.get_storage_size()
    if size > (_LARGEST_ARRAY if written else LARGEST_UNWRITTEN):
        raise ScanError(
            f"{full!r} in {where} has shape {item.shape} of {item.dtype}, which is too large to be "
            "what its name says; write the file again"
        )
    try:
        found = np.asarray(item[()])
    except FAULTS as error:
        raise damaged(repr(full), where, error) from None
    if found.dtype.names:
        # Not by a product: 1j times infinity is not a number.
        pairs = np.empty(found.shape, np.result_type(found.dtype["real"], np.complex64))
        pairs.real, pairs.imag = found["real"], found["imag"]
        return pairs
    return found.astype(found.dtype.newbyteorder("="), copy=False)


def numbers(
    h5: h5py.Group, path: str, where: str | Path, *, ndim: Any = 1, length: int | None = None
) -> np.ndarray:
    """Finite real numbers as float64.

    Args:
        ndim: see `dataset`.
        length: required size of the first axis; None: any.

    Raises:
        ScanError: see `array`; or a value is not finite, or another length.
    """
    found = array(h5, path, where, ndim=ndim).astype(np.float64)
    full = full_name(h5, path)
    if length is not None and len(found) != length:
        raise ScanError(
            f"{full!r} in {where} has {len(found)} entries, but there are {length} frames; each "
            "frame needs one"
        )
    if not np.isfinite(found).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(found))[0])
        raise ScanError(
            f"{full!r} in {where} holds {found[at]} at {list(at)}, but every value must be finite; "
            "correct it or leave the frame out of the file"
        )
    return found


def scalar(h5: h5py.Group, path: str, where: str | Path) -> float | None:
    """One number of a dataset, or None if there is no such name or it is not finite.

    Several numbers will do if they differ by less than a hundredth: the mean is taken.

    Raises:
        ScanError: see `array`; or several different numbers.
    """
    if not has(h5, path):
        return None
    found = array(h5, path, where).astype(np.float64).reshape(-1)
    if not len(found) or not np.isfinite(found).all():
        return None
    mean = float(found.mean())
    if np.ptp(found) > 0.01 * abs(mean):
        raise ScanError(
            f"{full_name(h5, path)!r} in {where} holds {len(found)} numbers, from "
            f"{found.min():g} to {found.max():g}, but one is required"
        )
    return mean


def attribute(item: Any, *names: str) -> float | None:
    """The first of several attributes that is a finite number, or None."""
    for name in names:
        try:
            value = np.asarray(item.attrs[name]).reshape(-1)
            number = float(value[0]) if len(value) == 1 and value.dtype.kind != "c" else np.nan
        except FAULTS:
            continue
        if np.isfinite(number):
            return number
    return None


def text(item: Any, name: str | None = None) -> str | None:
    """Text of a dataset (`name` None) or of an attribute, or None."""
    if name is None and getattr(item, "size", None) != 1:
        return None
    try:
        value = item[()] if name is None else item.attrs[name]
        value = np.asarray(value).reshape(-1)[0]
    except (*FAULTS, IndexError):
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value) if isinstance(value, str) else None  # NumPy's own str is none for h5py
