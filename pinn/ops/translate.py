"""Sub-pixel translation as a product with banded matrices; one sign rule.

Bilinear interpolation is separable, so moving an image is `T_y image T_x^T` with
`T[i, j] = max(0, 1 - |i - j - d|)`. As dense batched matrix products this is faster on every
backend than gathering four neighbours, deterministic, and its adjoint is the transpose.
"""

from __future__ import annotations

from keras import ops

from pinn.ops.pairs import Pair, Tensor


def interpolation_matrix(shift: Tensor, size_in: int, size_out: int) -> Tensor:
    """Matrices that move a line of samples by `+shift` onto a line of another length.

    Both lines share their middle: `T[i, j] = max(0, 1 - |i - j - (size_out - size_in)/2 - shift|)`,
    so an odd difference of the sizes moves by a further half pixel.

    The derivative with respect to `shift` is that of the interpolated line, and the central
    difference at whole pixels where it jumps: the same on all backends, and not zero, so that
    positions that start on whole pixels can be refined.

    Args:
        shift: `(...,)` pixels, float32.
        size_in: length of the given line.
        size_out: length of the result.

    Returns:
        `(..., size_out, size_in)` float32.
    """
    rows = ops.arange(size_out, dtype="float32")[:, None]
    columns = ops.arange(size_in, dtype="float32")[None, :]
    # Whole and half numbers first: this part is exact in float32. (`ops.subtract`, because a
    # tensor on the left of `-` does not know symbolic ones.)
    steps = rows - columns - 0.5 * (size_out - size_in)
    distance = ops.subtract(steps, shift[..., None, None])
    # |x| and max(0, x) by means of `sign`, whose derivative is zero everywhere: the derivatives of
    # `abs` and `relu` at their kinks differ between backends.
    tent = 1.0 - distance * ops.sign(distance)
    return 0.5 * (tent + tent * ops.sign(tent))


def translate(image: Tensor, shift: Tensor, out_shape: tuple[int, int] | None = None) -> Tensor:
    """Move the content of images by `+shift`: bilinear, zero outside.

    `out[i, j] = image[i - dy, j - dx]` for equal shapes; otherwise both images share their middle.

    Args:
        image: `(..., H, W)` real.
        shift: `(..., 2)` pixels, `[dy, dx]`; leading axes broadcast with those of `image`.
        out_shape: `(H_out, W_out)`; default that of `image`.

    Returns:
        `(..., H_out, W_out)`.
    """
    matrices = _matrices(image, shift, out_shape)
    return _apply(image, *matrices)


def translate_pair(pair: Pair, shift: Tensor, out_shape: tuple[int, int] | None = None) -> Pair:
    """`translate` of a complex field."""
    matrices = _matrices(pair[0], shift, out_shape)
    return _apply(pair[0], *matrices), _apply(pair[1], *matrices)


def _matrices(
    image: Tensor, shift: Tensor, out_shape: tuple[int, int] | None
) -> tuple[Tensor, Tensor]:
    height, width = image.shape[-2:]
    out_height, out_width = out_shape or (height, width)
    rows = interpolation_matrix(shift[..., 0], height, out_height)
    columns = interpolation_matrix(shift[..., 1], width, out_width)
    return rows, ops.swapaxes(columns, -1, -2)


def _apply(image: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    return ops.matmul(ops.matmul(rows, image), columns)
