"""Complex fields as pairs of real tensors.

Complex dtypes are unsafe under Keras: a complex weight is trained wrongly by Adam on every
backend, some operations drop the imaginary part in silence, and the gradient of the modulus at
zero is not a number on most. A pair of float32 tensors has none of these traps.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from keras import ops

Tensor: TypeAlias = Any
"""A tensor of the chosen backend, or a symbolic Keras tensor."""

Pair: TypeAlias = tuple[Tensor, Tensor]
"""`(re, im)`, two float32 tensors of one shape."""

# |z|^2 below which an angle has no meaning; its gradient there would overflow float32.


def add(a: Pair, b: Pair) -> Pair:
    """`a + b`, elementwise with broadcasting."""
    return a[0] + b[0], a[1] + b[1]


def multiply(a: Pair, b: Pair) -> Pair:
    """`a b`, elementwise with broadcasting."""
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def scale(pair: Pair, factor: Tensor) -> Pair:
    """`factor * pair` for a real `factor` (tensor or number)."""
    return pair[0] * factor, pair[1] * factor


def conj(pair: Pair) -> Pair:
    """Complex conjugate."""
    return pair[0], -pair[1]


def abs2(pair: Pair) -> Tensor:
    """`|z|^2`; smooth everywhere, prefer it to `safe_abs` wherever an intensity will do."""
    return pair[0] * pair[0] + pair[1] * pair[1]


def safe_abs(pair: Pair, eps: float = 1e-12) -> Tensor:
    """`sqrt(|z|^2 + eps)`: at `z = 0` the value is `sqrt(eps)` and the gradient exactly 0."""
    return ops.sqrt(abs2(pair) + eps)


def polar(amplitude: Tensor, phase: Tensor) -> Pair:
    """`amplitude * exp(i phase)`; phase in radians."""
    return amplitude * ops.cos(phase), amplitude * ops.sin(phase)


def stack(pair: Pair) -> Tensor:
    """Pair to one tensor `(..., 2)`, the form of layer outputs, weights and archives."""
    return ops.stack(pair, axis=-1)


def unstack(x: Tensor) -> Pair:
    """Tensor `(..., 2)` to a pair."""
    return x[..., 0], x[..., 1]
