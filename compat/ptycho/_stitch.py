"""From patches to the object: `reassemble_position`.

Patches that come straight from `predict` are put together as `pinn` does: weighted by their
illumination, the long-range phase restored, the contrast fitted to the frames. Plain arrays are put
together as the original does: the central `M` pixels of each, equal weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pinn.errors import ScanError
from ptycho._carried import origin_of
from ptycho._patches import Patches

_CHUNK = 64


def reassemble_position(
    obj_tensor: Any, global_offsets: Any, M: int = 10, chunk_size: int = 32
) -> np.ndarray:
    """The object from patches and their places.

    Args:
        obj_tensor: `(n, N, N, 1)` complex. What `predict` returned is stitched with everything
            that is known of its scan; `M` is not used then.
        global_offsets: `(n, 1, 2, 1)` or `(n, 1, 1, 2)` float64 [x, y].
        M: side of the central part of a patch that is used; even.
        chunk_size: not used.

    Returns:
        `(H, W, 1)` complex64. Pixel `[H/2, W/2]` is at the mean of the offsets; for offsets of a
        container of `RawData.from_coords_without_pc` at the midrange of the positions, in
        ptychodus at the centre of the product's object.

    Raises:
        ScanError: shapes that do not belong together, or an odd or impossible M.
    """
    patches = np.asarray(obj_tensor)
    places = np.asarray(global_offsets, np.float64)
    if patches.ndim == 4 and patches.shape[-1] == 1:
        patches = patches[..., 0]
    places = places.reshape(-1, 2)[:, ::-1] if places.size % 2 == 0 else places
    if isinstance(obj_tensor, Patches) and obj_tensor.belongs_to(places):
        return _stitched(obj_tensor, patches)[..., None]
    if patches.ndim != 3 or places.size != 2 * len(patches) or not len(patches):
        raise ScanError(
            f"patches are {np.shape(obj_tensor)} and offsets {np.shape(global_offsets)}, but "
            "(n, N, N, 1) and (n, 1, 2, 1) are required"
        )
    if not (0 < M <= patches.shape[1] and M % 2 == 0):
        raise ScanError(
            f"M is {M}, but an even number from 2 to the side of a patch, {patches.shape[1]}, is "
            "required"
        )
    from pinn.reconstruction.canvas import legacy_reassemble

    origin = origin_of(global_offsets)
    anchor = None if origin is None else origin.raw.anchor
    return legacy_reassemble(patches, places, M, anchor)[..., None]


def _stitched(known: Patches, patches: np.ndarray) -> np.ndarray:
    from pinn.reconstruction.canvas import Canvas, bilinear_shift
    from pinn.reconstruction.contrast import calibrate

    context = known.context
    assert context is not None
    places = context.places
    N = patches.shape[1]
    canvas = Canvas(N + 1, (float(context.anchor[0]), float(context.anchor[1])))
    canvas.reserve(places)
    corners, fractions = canvas.split(places)
    for first in range(0, len(patches), _CHUNK):
        part = slice(first, first + _CHUNK)
        weights = np.broadcast_to(context.weights[part], patches[part].shape)
        moved = bilinear_shift(patches[part] * weights, fractions[part])
        moved[..., 2] = bilinear_shift(weights + 0j, fractions[part])[..., 0]
        for corner, patch in zip(corners[part], moved, strict=True):
            canvas.add(corner[None], patch[None])
    obj, coverage, origin = canvas.result(synchronise=True)
    frames = np.unique(context.members)
    obj, contrast = calibrate(
        obj,
        coverage,
        origin,
        context.probe,
        context.raw.positions[frames],
        lambda rows: context.read(frames[rows]),
    )
    if contrast.note is not None:
        context.say(contrast.note)
    if not np.all(np.isfinite(obj)):
        raise ScanError(
            "the stitched object has values that are not finite; the model or the frames are "
            "damaged"
        )
    low = np.rint(origin - context.anchor).astype(int)
    return _about(obj, low)


def _about(obj: np.ndarray, low: np.ndarray) -> np.ndarray:
    """The object, its pixel [0, 0] at `low` from the anchor, in a frame with that in the middle."""
    half = np.maximum(np.maximum(-low, low + obj.shape), 1)
    out = np.zeros(2 * half, np.complex64)
    y, x = half + low
    out[y : y + obj.shape[0], x : x + obj.shape[1]] = obj
    return out
