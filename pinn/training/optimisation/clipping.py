"""Gradient clipping beyond the norm of the whole gradient, which Keras has.

Adaptive clipping comes first, then that of single numbers, then that of the norm. Each only
shortens, so that at the end all three bounds hold.
"""

from __future__ import annotations

from typing import Any

from keras import ops

_FLOOR = 1e-3  # of the norm of a unit's weights: a unit that starts at zero can leave it


def clip_units(gradient: Any, weight: Any, share: float) -> Any:
    """Adaptive clipping (Brock, De, Smith and Simonyan, 2021, arXiv:2102.06171), equation 3.

    The gradient of each unit, an output channel (the last axis), is shortened to `share` of the
    norm of the unit's weights, this norm being at least 1e-3.

    Args:
        gradient, weight: of one shape, with two or more axes.
    """
    axes = tuple(range(len(weight.shape) - 1))
    norm = ops.sqrt(ops.sum(ops.square(gradient), axes, keepdims=True))
    size = ops.sqrt(ops.sum(ops.square(weight), axes, keepdims=True))
    limit = share * ops.maximum(size, _FLOOR)
    return ops.where(norm > limit, gradient * (limit / ops.maximum(norm, 1e-30)), gradient)


def clip_numbers(gradient: Any, size: float) -> Any:
    """Every number of the gradient within `size` of zero."""
    return ops.clip(gradient, -size, size)
