"""Windows of one large canvas at fractional positions: taking them, and adding into them.

Where a group has a small canvas of its own, `pinn.ops.patches` places by matrix products. Here
many patches share a canvas of a whole scan, too large for that: a window one pixel wider than a
patch is gathered, and sampled between its pixels. The bilinear rule is that of
`pinn.ops.translate`: a patch with its corner at `c + f`, whole plus fraction, is
`(1 - f) canvas[c + i] + f canvas[c + i + 1]` along either axis.
"""

from __future__ import annotations

from keras import ops

from pinn.ops.pairs import Pair, Tensor


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


def sample(windows: Tensor, fractions: Tensor) -> Tensor:
    """Patches at a fraction of a pixel beyond the corner of their windows.

    Args:
        windows: `(B, N+1, N+1)`.
        fractions: `(B, 2)` in [0, 1), `[y, x]`.

    Returns:
        `(B, N, N)`.
    """
    y, x = _parts(fractions)
    return _columns(_rows(windows, y), x)


def sample_slopes(windows: Tensor, fractions: Tensor) -> tuple[Tensor, Tensor]:
    """Derivatives of `sample` with respect to the fractions.

    Args:
        windows: `(B, N+1, N+1)`.
        fractions: `(B, 2)`.

    Returns:
        `(B, N, N)` along y, and along x: inside a pixel, bilinear interpolation is linear.
    """
    y, x = _parts(fractions)
    rows = windows[:, 1:] - windows[:, :-1]
    columns = windows[:, :, 1:] - windows[:, :, :-1]
    return _columns(rows, x), _rows(columns, y)


def spread(patches: Tensor, fractions: Tensor) -> Tensor:
    """Patches onto the pixels they were sampled from, the adjoint of `sample`.

    Args:
        patches: `(B, N, N)`.
        fractions: `(B, 2)`.

    Returns:
        `(B, N+1, N+1)`.
    """
    y, x = _parts(fractions)
    rows = ops.pad(patches * (1.0 - y), ((0, 0), (0, 1), (0, 0))) + ops.pad(
        patches * y, ((0, 0), (1, 0), (0, 0))
    )
    return ops.pad(rows * (1.0 - x), ((0, 0), (0, 0), (0, 1))) + ops.pad(
        rows * x, ((0, 0), (0, 0), (1, 0))
    )


def take_patches(canvas: Pair, corners: Tensor, fractions: Tensor, side: int) -> Pair:
    """Patches `(B, side, side)` of a complex canvas `(H, W)` at `corners + fractions`."""
    re, im = (sample(take(plane, corners, side + 1), fractions) for plane in canvas)
    return re, im


def add_patches(
    patches: Tensor, corners: Tensor, fractions: Tensor, shape: tuple[int, int]
) -> Tensor:
    """Sum of real patches `(B, N, N)` on an empty plane, the adjoint of taking them."""
    return add(spread(patches, fractions), corners, shape)


def _rows(windows: Tensor, fraction: Tensor) -> Tensor:
    return windows[:, :-1] * (1.0 - fraction) + windows[:, 1:] * fraction


def _columns(windows: Tensor, fraction: Tensor) -> Tensor:
    return windows[:, :, :-1] * (1.0 - fraction) + windows[:, :, 1:] * fraction


def _parts(fractions: Tensor) -> tuple[Tensor, Tensor]:
    return fractions[:, 0][:, None, None], fractions[:, 1][:, None, None]


def _indices(corners: Tensor, side: int, width: int) -> Tensor:
    inside = ops.arange(side, dtype="int32")[:, None] * width + ops.arange(side, dtype="int32")
    first = corners[:, 0] * width + corners[:, 1]
    return first[:, None, None] + inside
