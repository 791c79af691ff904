"""The contrast of a group's object: its deviation from the illuminated mean, scaled."""

from __future__ import annotations

from keras import ops

from pinn.ops.pairs import Pair, Tensor, abs2, conj, multiply


def levelled(patches: Pair, illumination: Tensor) -> tuple[Pair, Pair, Tensor]:
    """Patches of groups, turned so that the illuminated mean of each group is real.

    Args:
        patches: `(B, C, N, N)`, of one object per group.
        illumination: weights that broadcast with them.

    Returns:
        The turned patches; the unit phasor `(B, 1, 1, 1)` that turns them back; and the modulus
        of the mean, `(B, 1, 1, 1)`.
    """
    axes = (1, 2, 3)
    total = ops.sum(illumination + ops.zeros_like(patches[0]), axis=axes, keepdims=True)
    means = [ops.sum(part * illumination, axis=axes, keepdims=True) / total for part in patches]
    modulus = ops.sqrt(abs2((means[0], means[1])) + 1e-12)
    turn = means[0] / modulus, means[1] / modulus
    return multiply(patches, conj(turn)), turn, modulus


def scale_deviation(patches: Pair, illumination: Tensor, factors: Tensor) -> Pair:
    """`m (1 + c1 r + i c2 s)` for patches `m (1 + r + i s)`, m the illuminated mean of the group.

    Args:
        patches: `(B, C, N, N)`.
        illumination: weights that broadcast with them.
        factors: `(B, 2)` or `(1, 2)`, c1 and c2.

    Returns:
        `(B, C, N, N)`.
    """
    (re, im), turn, modulus = levelled(patches, illumination)
    real, imaginary = (factors[:, i][:, None, None, None] for i in (0, 1))
    return multiply((modulus + real * (re - modulus), imaginary * im), turn)
