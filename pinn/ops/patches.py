"""Patches of a group on their common canvas: placing, its adjoint, and the weighted merge.

Index `M/2` of a canvas lies at the centre of the group. A patch with offset `r` (its position
relative to that centre) is placed at `+r` and extracted at `+r`.
"""

from __future__ import annotations

import math

from keras import ops

from pinn.errors import InputError
from pinn.ops.pairs import Pair, Tensor
from pinn.ops.shift import interpolation_matrix


def canvas_size(max_abs_offset: float, N: int) -> int:
    """Side of a canvas that holds every patch of a group, with at least one pixel to spare.

    Args:
        max_abs_offset: largest `|offset|` in pixels along either axis, over all groups.
        N: side of a patch in pixels.

    Returns:
        `N + 2 (ceil(max_abs_offset) + 1)`; the difference to `N` is even.

    Raises:
        InputError: an offset that is negative or not finite, or `N` below 1.
    """
    if not (math.isfinite(max_abs_offset) and max_abs_offset >= 0.0):
        raise InputError(
            f"largest offset in a group is {max_abs_offset} px, which is no distance; "
            "check the positions"
        )
    if N < 1:
        raise InputError(f"patch side N = {N} px must be at least 1")
    return N + 2 * (math.ceil(max_abs_offset) + 1)


def group_matrices(offsets: Tensor, N: int, M: int) -> tuple[Tensor, Tensor]:
    """Interpolation matrices of every patch of a group.

    Args:
        offsets: `(B, C, 2)` pixels, `[y, x]` relative to the centre of the group.
        N: side of a patch.
        M: side of the canvas, with `M - N` even.

    Returns:
        `Ty` and `Tx`, both `(B, C, M, N)`.
    """
    return (
        interpolation_matrix(offsets[..., 0], N, M),
        interpolation_matrix(offsets[..., 1], N, M),
    )


def place(patches: Tensor, Ty: Tensor, Tx: Tensor) -> Tensor:
    """Sum of the patches of a group on its canvas: `sum_c Ty_c patch_c Tx_c^T`.

    The sum over the group is part of the contraction of a single product, so that no canvas per
    patch is ever held.

    Args:
        patches: `(B, C, N, N)` real, or `(C, N, N)` or `(N, N)` common to the groups.
        Ty: `(B, C, M, N)`.
        Tx: `(B, C, M, N)`.

    Returns:
        `(B, M, M)`; what falls outside the canvas is lost.
    """
    C, M, N = Ty.shape[1:]
    wide = ops.matmul(patches, ops.swapaxes(Tx, -1, -2))  # (B, C, N, M)
    rows = ops.reshape(ops.transpose(Ty, (0, 2, 1, 3)), (-1, M, C * N))
    return ops.matmul(rows, ops.reshape(wide, (-1, C * N, M)))


def extract(canvas: Tensor, Ty: Tensor, Tx: Tensor) -> Tensor:
    """Patches of a canvas at the offsets of its group, the exact adjoint of `place`.

    Args:
        canvas: `(B, M, M)` real.
        Ty: `(B, C, M, N)`.
        Tx: `(B, C, M, N)`.

    Returns:
        `(B, C, N, N)`: `Ty_c^T canvas Tx_c`, the canvas sampled bilinearly, zero outside.
    """
    C, M, N = Ty.shape[1:]
    rows = ops.reshape(ops.swapaxes(Ty, -1, -2), (-1, C * N, M))
    return ops.matmul(ops.reshape(ops.matmul(rows, canvas), (-1, C, N, M)), Tx)


def merge(
    patches: Pair, weights: Tensor | None, Ty: Tensor, Tx: Tensor, floor: float = 1e-3
) -> tuple[Pair, Tensor]:
    """Weighted mean of overlapping patches on the canvas of their group.

    Numerator and denominator use the same weights, so every pixel is a mean of patch values and
    none can be amplified. Where the total weight is at most `floor` times its maximum over the
    canvas, nothing was seen, and the canvas is 0 with gradient 0.

    Args:
        patches: `(B, C, N, N)`.
        weights: `(N, N)`, `(C, N, N)` or `(B, C, N, N)`, not negative; None for equal weights.
        Ty: `(B, C, M, N)`.
        Tx: `(B, C, M, N)`.
        floor: smallest total weight that counts, relative to the maximum of each canvas.

    Returns:
        The canvas, a pair `(B, M, M)`, and the total weight `(B, M, M)`.
    """
    if weights is None:
        numerator = place(patches[0], Ty, Tx), place(patches[1], Ty, Tx)
        # The placed image of ones is a product of two lines: rank C, no third image.
        rows, columns = ops.sum(Ty, axis=-1), ops.sum(Tx, axis=-1)
        total = ops.matmul(ops.swapaxes(rows, -1, -2), columns)
    else:
        numerator = place(patches[0] * weights, Ty, Tx), place(patches[1] * weights, Ty, Tx)
        total = place(weights, Ty, Tx)
    peak = ops.stop_gradient(ops.max(total, axis=(-2, -1), keepdims=True))
    seen = total > floor * peak
    # Both the divisor and the quotient are replaced: a zero divisor behind a `where` would still
    # put NaN into the gradient.
    divisor = ops.where(seen, total, ops.ones_like(total))
    nothing = ops.zeros_like(total)
    canvas = tuple(ops.where(seen, part / divisor, nothing) for part in numerator)
    return (canvas[0], canvas[1]), total
