"""Files beside a scan: a probe, a detector mask."""

from __future__ import annotations

import struct
from pathlib import Path

import h5py
import numpy as np
from numpy.lib import format as npy

from pinn.data.zipped import BROKEN, load_member, read_members
from pinn.errors import ScanError
from pinn.io.formats.registry import read_head
from pinn.io.hdf5 import reading
from pinn.io.hdf5_files import is_hdf5

PROBE_KEYS = ("probeGuess", "probe")
# A mask called `mask` may mean either; its name is believed where the polarity was named.
MASK_KEYS = {
    "bad": ("bad_pixels",),
    "good": ("valid_mask", "good_pixels", "mask", "bad_pixels"),
}


def read_probe(path: Path) -> np.ndarray:
    """A probe from an NPY file, or from an NPZ or HDF5 file by its name.

    Raises:
        ScanError: missing, foreign, damaged, or without a probe.
    """
    return _array(path, PROBE_KEYS, "probe file", (2, 3, 4), "iufc")


def read_mask(path: Path, polarity: str) -> np.ndarray:
    """A detector mask from an NPY, NPZ, HDF5 or image file.

    Args:
        polarity: what a value that is not zero means, `bad` or `good`.

    Returns:
        bool, True = BAD; any shape.

    Raises:
        ScanError: missing, foreign, damaged, or no numbers.
    """
    found = _array(path, MASK_KEYS[polarity], "bad pixel file", (2,), "biuf")
    if found.dtype.kind not in "biuf":
        raise ScanError(f"bad pixel file {path} holds {found.dtype}, but numbers are required")
    if not np.isfinite(found).all():
        raise ScanError(
            f"bad pixel file {path} has values that are not finite; say 0 or 1 for each pixel"
        )
    return found != 0 if polarity == "bad" else found == 0


def _array(
    path: Path, keys: tuple[str, ...], what: str, ranks: tuple[int, ...], kinds: str
) -> np.ndarray:
    head = read_head(path, what)
    if head.startswith(b"PK"):
        members = read_members(path)
        key = next((key for key in keys if key in members), None)
        if key is None:
            raise ScanError(
                f"{what} {path} has no array {' or '.join(map(repr, keys))}; it has: "
                f"{', '.join(sorted(members)) or 'no arrays'}"
            )
        return load_member(path, members[key])
    if head.startswith(npy.MAGIC_PREFIX):
        try:
            # Mapped first: a size beyond the end of the file is refused, not made room for.
            return np.array(np.load(path, mmap_mode="r", allow_pickle=False))
        except BROKEN as error:
            raise ScanError(f"{what} {path} cannot be read ({error}); write it again") from None
    if is_hdf5(path, head):
        return _from_hdf5(path, keys, what, ranks, kinds)
    if what == "bad pixel file" and (image := _image(path)) is not None:
        return image
    raise ScanError(
        f"{what} {path} is neither NPZ nor NPY nor HDF5"
        f"{' nor an image' if what == 'bad pixel file' else ''}: it begins with {head[:8]!r}"
    )


def _from_hdf5(
    path: Path, keys: tuple[str, ...], what: str, ranks: tuple[int, ...], kinds: str
) -> np.ndarray:
    """The dataset of one of these names wherever it lies, or the only one of such a shape."""
    with reading(path) as file:
        fitting: list[str] = []

        def look(name: str, item: object) -> None:
            if isinstance(item, h5py.Dataset) and item.shape is not None:
                squeezed = [n for n in item.shape if n != 1]
                if item.dtype.kind in kinds and len(squeezed) in ranks:
                    fitting.append(name)

        file.group.visititems(look)
        for key in keys:
            named = [name for name in fitting if name.rsplit("/", 1)[-1] == key]
            if named:
                break
        else:
            named = fitting
        if len(named) != 1:
            there = ", ".join(map(repr, named)) or f"it has: {file.listing()}"
            raise ScanError(
                f"{what} {path} has {len(named) or 'no'} datasets that it could be: {there}; copy "
                "the one to use into an NPY file"
            )
        found = file.array(named[0], kind=kinds)
    while found.ndim > 2 and found.shape[0] == 1 and 2 in ranks and len(ranks) == 1:
        found = found[0]
    return found


def _image(path: Path) -> np.ndarray | None:
    """Grey values of an image file, or None if it is none."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            grey = image.convert("L") if image.mode in ("P", "PA", "LA", "RGB", "RGBA") else image
            return np.asarray(grey)
    except Image.UnidentifiedImageError:
        return None
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        struct.error,
        Image.DecompressionBombError,
    ) as error:
        raise ScanError(
            f"bad pixel file {path} is an image that cannot be read ({error}); write it again"
        ) from None
