"""A look at all of an HDF5 file before a library reads all of it.

Our own readers ask for what they need by name. A library that follows every link and reads every
dataset goes round for ever in a file whose links lead back, and fills the memory with what a file
only states.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py

from pinn.errors import ScanError
from pinn.io.hdf5_files import FAULTS, LARGEST_UNWRITTEN

_DEEPEST = 64


def check_tree(h5: h5py.File, where: str | Path) -> None:
    """Refuse links that lead back, and large datasets of which nothing was written.

    Args:
        h5: the open file.
        where: for messages.

    Raises:
        ScanError: there is one.
    """
    _visit(h5, "", where, [], set())


def _visit(item: Any, name: str, where: str | Path, above: list[Any], done: set[Any]) -> None:
    """Look at an object and, the first time it is met, at what is in it."""
    if isinstance(item, h5py.Dataset):
        _check_written(item, name, where)
    if not isinstance(item, h5py.Group):
        return
    if item in above or len(above) > _DEEPEST:
        raise ScanError(
            f"{name!r} in {where} is a link that leads back to a group above it, and there is no "
            "end to what it holds; remove the link"
        )
    if item in done:
        return
    done.add(item)
    for key in item:
        try:
            inside = item[key]
        except FAULTS:  # a link that leads nowhere
            continue
        _visit(inside, f"{name}/{key}", where, [*above, item], done)


def _check_written(item: h5py.Dataset, name: str, where: str | Path) -> None:
    if item.shape is None or item.is_virtual or item.id.get_storage_size():
        return
    if item.size * item.dtype.itemsize > LARGEST_UNWRITTEN:
        raise ScanError(
            f"{name!r} in {where} has shape {item.shape} of {item.dtype}, but nothing of it was "
            "ever written; write the file again"
        )
