"""Distances of predicted object patches from label patches.

All take `patches` and `labels`, pairs `(B, K, N, N)`, and `weight` `(B, K, N, N)`, 0 where there
is no label; each is a weighted mean over all pixels, so that it depends neither on the size of a
batch nor on that of a patch. A weight of 0 everywhere gives 0.
"""

from __future__ import annotations

from keras import ops

from pinn.ops.pairs import Pair, Tensor, abs2, conj, multiply, safe_abs
from pinn.ops.phases import bounded_angle, magnitude, unit

# A label darker than this (modulus) has no phase to compare with.
_DARK = 1e-3


def without_mean_phase(labels: Pair, weight: Tensor) -> Pair:
    """Labels turned so that the weighted mean over each group is real and positive.

    One angle for all patches of a group, so that they stay parts of one object.
    """
    axes = (1, 2, 3)
    mean = tuple(ops.sum(part * weight, axis=axes, keepdims=True) for part in labels)
    turn = unit((mean[0], mean[1]))
    lost = abs2(turn) < 0.5  # no mean to speak of: left as it is
    turn = ops.where(lost, 1.0, turn[0]), ops.where(lost, 0.0, turn[1])
    return multiply(labels, conj(turn))


def amplitude_error(patches: Pair, labels: Pair, weight: Tensor) -> Tensor:
    """Mean `| |z| - |z_label| |`, scalar."""
    return _mean(magnitude(safe_abs(patches) - safe_abs(labels)), weight)


def phase_error(patches: Pair, labels: Pair, weight: Tensor) -> Tensor:
    """Mean distance of the phases in radians, 0 to pi, scalar; dark label pixels are left out.

    The angle of the product with the conjugate label, so nothing is unwrapped; its gradient fades
    where the prediction is dark (see `pinn.ops.phases`).
    """
    bright = ops.cast(abs2(labels) > _DARK * _DARK, weight.dtype)
    difference = bounded_angle(multiply(patches, conj(unit(labels))))
    return _mean(magnitude(difference), weight * bright)


def complex_error(patches: Pair, labels: Pair, weight: Tensor) -> Tensor:
    """Mean `|z - z_label|`, scalar."""
    difference = patches[0] - labels[0], patches[1] - labels[1]
    return _mean(safe_abs(difference), weight)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    total = ops.sum(weight)
    return ops.sum(weight * values) / ops.where(total > 0.0, total, ops.ones_like(total))
