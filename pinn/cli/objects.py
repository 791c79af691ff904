"""Objects to compare, from the files people have: results, scans with a truth, plain arrays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import h5py
import numpy as np
from numpy.lib import format as npy

from pinn.data.zipped import Member, load_member, read_members
from pinn.errors import InputError
from pinn.io.formats.npz import positions_offset
from pinn.io.product import RESULT_NAME, load_reconstruction
from pinn.quality.frames import Placed

_OBJECTS = ("object", "objectGuess")
Function = TypeVar("Function", bound=Callable[..., Any])


def comparison_options(function: Function) -> Function:
    """Decorator: `--border`, `--register` and `--ramp`, how two objects are compared."""
    border = click.option(
        "--border",
        type=click.FloatRange(min=0),
        help="Pixels left out on each side of the compared region.  [default: 16, fewer for small "
        "regions]",
    )
    register = click.option(
        "--register/--no-register",
        default=True,
        show_default=True,
        help="Find and remove a sub-pixel shift.",
    )
    ramp = click.option(
        "--ramp/--no-ramp", default=True, show_default=True, help="Remove a linear phase ramp."
    )
    return border(register(ramp(function)))


def read_object(path: Path) -> Placed:
    """A complex object with its place.

    Args:
        path: `reconstruction.h5` (or a ptychodus product, or a folder with a result), an NPZ with
            `object` (and perhaps `origin_px`) or `objectGuess` (and perhaps `xcoords`, `ycoords`),
            or an NPY. Arrays without `origin_px` begin at the object coordinate (0, 0).

    Raises:
        InputError: missing, no such file, or nothing complex and two-dimensional in it.
    """
    if path.is_dir():
        path = path / RESULT_NAME
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    if h5py.is_hdf5(path):
        recon = load_reconstruction(path)
        valid = recon.valid_mask & (recon.coverage > 0)
        return Placed(recon.object, recon.origin_px, valid, recon.positions_px, recon.pixel_size_m)
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith(npy.MAGIC_PREFIX):
        try:
            array = np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise InputError(f"{path} cannot be read: {error}") from None
        return Placed(_complex_image(array, path), np.zeros(2))
    if head.startswith(b"PK"):
        return _from_npz(path)
    raise InputError(f"{path} is neither a result (HDF5) nor an NPZ or NPY file")


def read_positions(path: Path) -> np.ndarray:
    """Scan positions `(M, 2)` float64 (y, x) in pixels, of a result or of a scan NPZ.

    Raises:
        InputError: missing, no such file, or it holds no positions.
    """
    if not path.is_dir() and path.is_file() and not h5py.is_hdf5(path):
        found = _positions(path, read_members(path))
    else:
        found = read_object(path).positions_px
    if found is None:
        raise InputError(f"{path} has no positions ('xcoords' and 'ycoords')")
    return found


def _from_npz(path: Path) -> Placed:
    members = read_members(path)
    key = next((key for key in _OBJECTS if key in members), None)
    if key is None:
        raise InputError(
            f"{path} has no array 'object' or 'objectGuess'; it has: {', '.join(sorted(members))}"
        )
    origin = np.asarray(positions_offset(path))
    if "origin_px" in members:
        origin = np.asarray(load_member(path, members["origin_px"]), np.float64).reshape(-1)
        if origin.shape != (2,) or not np.isfinite(origin).all():
            raise InputError(f"'origin_px' in {path} must be two finite numbers (y, x)")
    image = _complex_image(load_member(path, members[key]), path)
    return Placed(image, origin, positions_px=_positions(path, members))


def _positions(path: Path, members: dict[str, Member]) -> np.ndarray | None:
    if not {"xcoords", "ycoords"} <= members.keys():
        return None
    y, x = (load_member(path, members[key]) for key in ("ycoords", "xcoords"))
    if y.ndim != 1 or y.shape != x.shape:
        raise InputError(f"'xcoords' {x.shape} and 'ycoords' {y.shape} in {path} do not match")
    return np.stack([y, x], 1).astype(np.float64) + positions_offset(path)


def _complex_image(array: np.ndarray, path: Path) -> np.ndarray:
    image = array
    while image.ndim > 2 and image.shape[0] == 1:
        image = image[0]
    if image.ndim != 2 or image.dtype.kind != "c":
        raise InputError(
            f"the object in {path} is {array.shape} of {array.dtype}, but a complex image (H, W) "
            "is required"
        )
    return image
