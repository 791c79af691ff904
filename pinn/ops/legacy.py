"""The group merge of the reference system, for its archives and for parity with its results.

Everything new uses `pinn.ops.patches.merge`. Extraction needs no second version: the reference's
is `pinn.ops.patches.extract`.
"""

from __future__ import annotations

from keras import ops

from pinn.ops.pairs import Pair, Tensor
from pinn.ops.patches import group_matrices, place

_ADDED = 1e-3  # the constant the reference adds to its denominator, in units of one patch


def merge_legacy(patches: Pair, offsets: Tensor, M: int) -> Pair:
    """Sum of full patches over the count of their central halves plus 0.001.

    The reference counts only the central `N/2 x N/2` of every patch in the denominator: outside
    the union of these squares patches are amplified a thousand times, inside the mean is low by
    `n / (n + 0.001)`. It is meant for patches that vanish outside their central half. (The
    reference also adds up all groups of a batch when they hold 64 patches or more; that is a
    defect and not reproduced.)

    Args:
        patches: `(B, C, N, N)`, N divisible by 4.
        offsets: `(B, C, 2)` pixels, `[y, x]`, in the sign and order of this project.
        M: side of the canvas, with `M - N` even.

    Returns:
        Canvas `(B, M, M)`.
    """
    N = patches[0].shape[-1]
    Ty, Tx = group_matrices(offsets, N, M)
    # The central square of ones is a product of two lines, so its placed image is as well.
    rows = ops.sum(Ty[..., N // 4 : N // 4 + N // 2], axis=-1)
    columns = ops.sum(Tx[..., N // 4 : N // 4 + N // 2], axis=-1)
    total = ops.matmul(ops.swapaxes(rows, -1, -2), columns) + _ADDED
    return place(patches[0], Ty, Tx) / total, place(patches[1], Ty, Tx) / total
