"""Windows of one large canvas: taking them, and adding into them.

Where a group has a small canvas of its own, `pinn.ops.patches` places by matrix products. Here
many patches share a canvas of a whole scan, too large for that: a window one pixel wider than a
patch is gathered, and sampled between its pixels (`pinn.ops.shift`). A patch with its corner at
`c + f`, whole plus fraction, is `(1 - f) canvas[c + i] + f canvas[c + i + 1]` along either axis.
"""

from __future__ import annotations

import numpy as np
from keras import ops

from pinn.ops.pairs import Pair, Tensor
from pinn.ops.shift import sample, spread


def split(places: np.ndarray, N: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions on a canvas to the corners of their windows, in float64 throughout.

    Args:
        places: `(..., 2)` of the patches' indices N/2, in pixels of the canvas.
        N: side of a patch.

    Returns:
        Corners `(..., 2)` int32, and fractions `(..., 2)` float32 in [0, 1).
    """
    whole = np.floor(places)
    return whole.astype(np.int32) - N // 2, (places - whole).astype(np.float32)


def take(plane: Tensor, corners: Tensor, side: int) -> Tensor:
    """Square windows of a plane.

    Args:
        plane: `(H, W)`.
        corners: `(B, 2)` int32, `[y, x]` of the first pixel; the windows lie inside the plane.
        side: of a window.

    Returns:
        `(B, side, side)`.
    """
    return ops.take(ops.reshape(plane, (-1,)), _indices(corners, side, plane.shape[1]), axis=0)


def add(windows: Tensor, corners: Tensor, shape: tuple[int, int]) -> Tensor:
    """Sum of windows on an empty plane, the adjoint of `take`.

    Args:
        windows: `(B, side, side)`.
        corners: `(B, 2)` int32.
        shape: `(H, W)` of the plane.

    Returns:
        `(H, W)`.
    """
    indices = _indices(corners, windows.shape[-1], shape[1])
    flat = ops.segment_sum(
        ops.reshape(windows, (-1,)), ops.reshape(indices, (-1,)), shape[0] * shape[1]
    )
    return ops.reshape(flat, shape)


def take_patches(canvas: Pair, corners: Tensor, fractions: Tensor, side: int) -> Pair:
    """Patches `(B, side, side)` of a complex canvas `(H, W)` at `corners + fractions`."""
    re, im = (sample(take(plane, corners, side + 1), fractions) for plane in canvas)
    return re, im


def add_patches(
    patches: Tensor, corners: Tensor, fractions: Tensor, shape: tuple[int, int]
) -> Tensor:
    """Sum of real patches `(B, N, N)` on an empty plane, the adjoint of taking them."""
    return add(spread(patches, fractions), corners, shape)


def _indices(corners: Tensor, side: int, width: int) -> Tensor:
    inside = ops.arange(side, dtype="int32")[:, None] * width + ops.arange(side, dtype="int32")
    first = corners[:, 0] * width + corners[:, 1]
    return first[:, None, None] + inside
