"""Smoothness penalties on a complex image."""

from __future__ import annotations

from keras import ops

from pinn.ops.pairs import Pair, Tensor, abs2


def total_variation(pair: Pair, smoothing: float = 1e-3) -> Tensor:
    """Isotropic total variation of complex images, smoothed at zero slope.

    `sum (sqrt(|D_y z|^2 + |D_x z|^2 + smoothing^2) - smoothing)` with forward differences that are
    zero past the last row and column (Rudin, Osher and Fatemi 1992,
    doi:10.1016/0167-2789(92)90242-F). It does not depend on a global phase; a constant image has
    value and gradient 0.

    Args:
        pair: `(..., H, W)`.
        smoothing: slope below which the penalty is quadratic, in units of the image; above 0.

    Returns:
        `(...,)`, one value per image.
    """
    down, right = _differences(pair)
    slope2 = ops.pad(abs2(down), _padding(down, -2)) + ops.pad(abs2(right), _padding(right, -1))
    # x / (sqrt(x + e^2) + e) equals sqrt(x + e^2) - e without the loss of digits at small x.
    root = ops.sqrt(slope2 + smoothing * smoothing)
    return ops.sum(slope2 / (root + smoothing), axis=(-2, -1))


def squared_variation(pair: Pair) -> Tensor:
    """Sum of the squared differences of neighbouring pixels, `(..., H, W)` to `(...,)`."""
    down, right = _differences(pair)
    return ops.sum(abs2(down), axis=(-2, -1)) + ops.sum(abs2(right), axis=(-2, -1))


def _differences(pair: Pair) -> tuple[Pair, Pair]:
    re, im = pair
    down = re[..., 1:, :] - re[..., :-1, :], im[..., 1:, :] - im[..., :-1, :]
    right = re[..., :, 1:] - re[..., :, :-1], im[..., :, 1:] - im[..., :, :-1]
    return down, right


def _padding(pair: Pair, axis: int) -> list[tuple[int, int]]:
    padding = [(0, 0)] * len(pair[0].shape)
    padding[axis] = (0, 1)
    return padding
