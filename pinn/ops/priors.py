"""Penalties on a complex image alone: how rough it is, how far it strays from its mean."""

from __future__ import annotations

from keras import ops

from pinn.ops.pairs import Pair, Tensor, abs2, conj, multiply, safe_abs
from pinn.ops.phases import bounded_angle, magnitude


def total_variation(pair: Pair, smoothing: float = 1e-3) -> Tensor:
    """Isotropic total variation of complex images, smoothed at zero gradient.

    `sum (sqrt(|D_y z|^2 + |D_x z|^2 + smoothing^2) - smoothing)` with forward differences that are
    zero past the last row and column (Rudin, Osher and Fatemi 1992,
    doi:10.1016/0167-2789(92)90242-F). It does not depend on a global phase; a constant image has
    value and gradient 0.

    Args:
        pair: `(..., H, W)`.
        smoothing: modulus of the gradient below which the penalty is quadratic, in units of the
            image; above 0.

    Returns:
        `(...,)`, one value per image.
    """
    down, right = _differences(pair)
    return ops.sum(_gradient_norm(abs2(down), abs2(right), smoothing), axis=(-2, -1))


def total_variation_gradient(pair: Pair, smoothing: float = 1e-3) -> Pair:
    """Gradient of `total_variation` by real and imaginary part, a pair `(..., H, W)`."""
    down, right = _differences(pair)
    rows = [(0, 0)] * (len(pair[0].shape) - 2) + [(0, 1), (0, 0)]
    columns = [(0, 0)] * (len(pair[0].shape) - 2) + [(0, 0), (0, 1)]
    square = ops.pad(abs2(down), rows) + ops.pad(abs2(right), columns)
    weight = 1.0 / ops.sqrt(square + smoothing * smoothing)
    out = []
    for d, r in zip(down, right, strict=True):
        # the derivative of a difference: minus at its first pixel, plus at its second
        d, r = d * weight[..., :-1, :], r * weight[..., :, :-1]
        after = ops.pad(d, [*rows[:-2], (1, 0), (0, 0)]) + ops.pad(r, [*rows[:-2], (0, 0), (1, 0)])
        out.append(after - ops.pad(d, rows) - ops.pad(r, columns))
    return out[0], out[1]


def amplitude_variation(pair: Pair, smoothing: float = 1e-3) -> Tensor:
    """Total variation of the modulus, per pixel: `(..., H, W)` to `(...,)`.

    Like `total_variation`, but the mean over the pixels, so that it does not grow with the image.
    """
    modulus = safe_abs(pair)
    down, right = _differences((modulus, ops.zeros_like(modulus)))
    return ops.mean(_gradient_norm(abs2(down), abs2(right), smoothing), axis=(-2, -1))


def phase_variation(pair: Pair, smoothing: float = 1e-3) -> Tensor:
    """Total variation of the phase in radians, per pixel: `(..., H, W)` to `(...,)`.

    The difference of two neighbours is the angle of `z_next conj(z)`, in (-pi, pi]: no phase is
    unwrapped, none is taken of a pixel alone, and a step across the branch cut costs nothing. The
    gradient fades where a neighbour is dark (see `pinn.ops.phases`).
    """
    re, im = pair
    down = multiply((re[..., 1:, :], im[..., 1:, :]), conj((re[..., :-1, :], im[..., :-1, :])))
    right = multiply((re[..., :, 1:], im[..., :, 1:]), conj((re[..., :, :-1], im[..., :, :-1])))
    steps = bounded_angle(down), bounded_angle(right)
    return ops.mean(_gradient_norm(steps[0] ** 2, steps[1] ** 2, smoothing), axis=(-2, -1))


def amplitude_deviation(pair: Pair) -> Tensor:
    """Mean distance of the modulus from its mean over the image: `(..., H, W)` to `(...,)`."""
    modulus = safe_abs(pair)
    return ops.mean(magnitude(modulus - ops.mean(modulus, (-2, -1), keepdims=True)), (-2, -1))


def phase_deviation(pair: Pair) -> Tensor:
    """Mean distance of the phase from that of the image's mean, radians: `(..., H, W)` to `(...,)`.

    The phase of the mean, not the mean of phases, which has no meaning across the branch cut.
    """
    mean = tuple(ops.mean(part, axis=(-2, -1), keepdims=True) for part in pair)
    return ops.mean(magnitude(bounded_angle(multiply(pair, conj((mean[0], mean[1]))))), (-2, -1))


def _gradient_norm(down2: Tensor, right2: Tensor, smoothing: float) -> Tensor:
    """`sqrt(down^2 + right^2 + e^2) - e` of every pixel, from squared forward differences."""
    last_row = [(0, 0)] * (len(down2.shape) - 2) + [(0, 1), (0, 0)]
    last_column = [(0, 0)] * (len(down2.shape) - 2) + [(0, 0), (0, 1)]
    square = ops.pad(down2, last_row) + ops.pad(right2, last_column)
    # x / (sqrt(x + e^2) + e) equals sqrt(x + e^2) - e without the loss of digits at small x.
    return square / (ops.sqrt(square + smoothing * smoothing) + smoothing)


def _differences(pair: Pair) -> tuple[Pair, Pair]:
    re, im = pair
    down = re[..., 1:, :] - re[..., :-1, :], im[..., 1:, :] - im[..., :-1, :]
    right = re[..., :, 1:] - re[..., :, :-1], im[..., :, 1:] - im[..., :, :-1]
    return down, right
