"""Angles that may stand in a loss: their gradient fades where the field does, and never bursts."""

from __future__ import annotations

from keras import ops

from pinn.ops.pairs import Pair, Tensor, abs2

# Modulus below which an angle loses its say. Objects are of order one; a pixel that lets through
# one part in ten thousand of the intensity has no phase that a frame could tell.
SOFTNESS = 1e-2


def bounded_angle(pair: Pair, softness: float = SOFTNESS) -> Tensor:
    """Angle in radians, `(-pi, pi]`; 0 for `z = 0`.

    The value is exact. The gradient is that of the angle times `|z|^2 / (|z|^2 + softness^2)`:
    the same for bright pixels, 0 at zero, at most `1 / (2 softness)` anywhere, where the true one
    grows as `1/|z|`. With respect to the phase of a polar field that factor is all that is left.

    Args:
        pair: any shape.
        softness: modulus where half of the gradient is left; above 0.
    """
    re, im = pair
    fixed_re, fixed_im = ops.stop_gradient(re), ops.stop_gradient(im)
    value = ops.arctan2(fixed_im, fixed_re)
    # float32 of -pi, the angle of a negative number whose imaginary part is -0
    value = ops.where(value < -3.1415926, -value, value)
    norm = fixed_re * fixed_re + fixed_im * fixed_im + softness * softness
    linear = (fixed_re * im - fixed_im * re) / norm
    return value + (linear - ops.stop_gradient(linear))


def unit(pair: Pair) -> Pair:
    """`z / |z|`, and 0 where `z` is 0 (or below 1e-15); for constants, not for gradients."""
    square = abs2(pair)
    defined = square > 1e-30
    factor = ops.where(defined, ops.rsqrt(ops.where(defined, square, 1.0)), 0.0)
    return pair[0] * factor, pair[1] * factor


def magnitude(x: Tensor) -> Tensor:
    """`|x|` of real numbers with the derivative 0 at 0 on every backend."""
    return x * ops.sign(x)
