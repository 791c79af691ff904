"""What a recipe takes from files: probes, pictures, arrays and reconstructions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib import format as npy

from pinn.data.zipped import load_member, read_members
from pinn.errors import ArchiveError, ScanError

if TYPE_CHECKING:
    from pinn.io.product import Reconstruction

HDF5 = b"\x89HDF\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_OBJECT_KEYS = ("objectGuess", "object", "truth")


def read_probe(path: Path, N: int) -> np.ndarray:
    """Probe modes `(P, N, N)` complex128, the largest modulus 1.

    Args:
        path: NPZ with `probeGuess` or `probe`, NPY, or a product (`reconstruction.h5`).
        N: side the modes must have.

    Raises:
        ScanError: no such file or array, wrong shape, no finite values, no intensity.
    """
    what = f"probe file {path}"
    head = file_head(path, what)
    if head == HDF5 or path.is_dir():
        found = _product(path, what).probe
        if found is None:
            raise ScanError(f"{what} is a reconstruction without a probe; take another file")
        key, probe = "probe", found
    else:
        key, probe = read_array(path, what, ("probeGuess", "probe"))
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


def read_image(path: Path, what: str) -> np.ndarray:
    """A picture, or an array of numbers: `(H, W)` float64 or complex128.

    Args:
        path: PNG, TIFF or another picture (colours become luminance, transparency is ignored);
            NPY; NPZ with `objectGuess`, `object` or `truth`, or with a single array.
        what: what it is for, for messages.

    Raises:
        ScanError: no such file, not readable, not two axes, smaller than 4 pixels, values that
            are not finite, or the same value everywhere.
    """
    what = f"{what} {path}"
    head = file_head(path, what)
    if head.startswith((b"PK", npy.MAGIC_PREFIX)):
        found = read_array(path, what, _OBJECT_KEYS, lone=True)[1]
        if found.ndim == 3 and len(found) == 1:
            found = found[0]
        colours = False
    elif head == HDF5:
        raise ScanError(f"{what} is HDF5; take object reconstruction, or save it as NPY")
    else:
        found, colours = _picture(path, what), True
    if colours and found.ndim == 3 and found.shape[2] in (2, 3, 4):
        found = _luminance(found)
    if found.ndim != 2 or found.dtype.kind not in "biufc" or min(found.shape) < 4:
        raise ScanError(
            f"{what} has {found.dtype} of shape {found.shape}, but numbers of shape (H, W), at "
            "least 4 each way, are required"
        )
    found = found.astype(np.complex128 if found.dtype.kind == "c" else np.float64)
    if not np.isfinite(found).all():
        raise ScanError(f"{what} has values that are not finite; replace them")
    if np.all(found == found.flat[0]):
        raise ScanError(f"{what} has the same value everywhere; take another file")
    return found


def read_reconstruction(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The object of a result file, and where it lies.

    What no frame lit is filled with the nearest pixel that one did, lest the rim be an edge.

    Returns:
        `(H, W)` complex128, and its origin `(2,)` (y, x) in pixels.

    Raises:
        ScanError: no such file, no result, or no pixel of it is valid.
    """
    from scipy.ndimage import distance_transform_edt

    recon = _product(path, f"object file {path}")
    valid = recon.valid_mask & np.isfinite(recon.object)
    if not valid.any():
        raise ScanError(f"object file {path} has no valid pixel; take another reconstruction")
    obj = np.where(valid, recon.object, 0).astype(np.complex128)
    if not valid.all():
        near = distance_transform_edt(~valid, return_distances=False, return_indices=True)
        obj = obj[tuple(near)]
    return obj, recon.origin_px


def read_array(
    path: Path, what: str, keys: Sequence[str], lone: bool = False
) -> tuple[str, np.ndarray]:
    """An array by one of several names from an NPZ, or the array of an NPY.

    Args:
        path: of the file.
        what: what it is for, for messages.
        keys: names, the first one found counts.
        lone: a single array in an NPZ may have any name.

    Returns:
        its name, and the array.

    Raises:
        ScanError: no such array, a damaged file, or Python objects.
    """
    head = file_head(path, what)
    if head.startswith(b"PK"):
        members = read_members(path)
        only = list(members) if lone and len(members) == 1 else []
        key = next((k for k in (*keys, *only) if k in members), None)
        if key is None:
            raise ScanError(
                f"{what} has no array {' or '.join(keys)}, but: "
                f"{', '.join(members) or 'no arrays at all'}"
            )
        return key, load_member(path, members[key])
    if not head.startswith(npy.MAGIC_PREFIX):
        raise ScanError(f"{what} is neither NPZ nor NPY: it begins with {head!r}")
    try:
        return "the array", np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ScanError(f"{what} cannot be read ({error}); write it again") from None


def file_head(path: Path, what: str) -> bytes:
    """The first eight bytes of a file; none for a folder.

    Raises:
        ScanError: it does not exist or cannot be read.
    """
    if path.is_dir():
        return b""
    try:
        with open(path, "rb") as file:
            return file.read(8)
    except FileNotFoundError:
        raise ScanError(f"{what} does not exist; check the path") from None
    except OSError as error:
        raise ScanError(f"{what} cannot be read ({error.strerror})") from None


def _product(path: Path, what: str) -> Reconstruction:
    from pinn.io.product import load_reconstruction

    try:
        return load_reconstruction(path)
    except ArchiveError as error:
        raise ScanError(f"{what}: {error}") from None


def _picture(path: Path, what: str) -> np.ndarray:
    try:
        with open(path, "rb") as file:
            if file.read(4) in _TIFF:
                from tifffile import TiffFile

                file.seek(0)
                with TiffFile(file) as tiff:
                    return np.asarray(tiff.pages[0].asarray())
            from PIL import Image

            file.seek(0)
            with Image.open(file) as image:
                plain = image.mode in ("1", "L", "LA", "I", "I;16", "I;16B", "F", "RGB", "RGBA")
                return np.asarray(image if plain else image.convert("RGB"))
    except Exception as error:  # a decoder may raise anything over damaged bytes
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ScanError(
            f"{what} is no picture that can be read ({reason[:120]}); save it as PNG, TIFF or NPY"
        ) from None


def _luminance(picture: np.ndarray) -> np.ndarray:
    """Rec. 709 luminance of `(H, W, 2 to 4)`; a last channel of 2 or 4 is transparency."""
    channels = picture[..., : 1 if picture.shape[2] == 2 else 3].astype(np.float64)
    if channels.shape[2] == 1:
        return channels[..., 0]
    return channels @ np.array([0.2125, 0.7154, 0.0721])
