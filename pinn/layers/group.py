"""Group merge and patch extraction as layers."""

from __future__ import annotations

import keras
from keras import ops

from pinn.layers import PACKAGE
from pinn.layers.base import PhysicsLayer
from pinn.ops import forward, legacy, pairs, patches


@keras.saving.register_keras_serializable(PACKAGE)
class GroupMerge(PhysicsLayer):
    """Merges the patches of a group on a canvas of side `canvas`.

    Args:
        canvas: side M in pixels; it belongs to the run, not to the trained model.
        rule: `weighted` divides by the weights it sums with; `legacy` reproduces the reference
            (denominator from central masks only), for old archives and golden arrays.

    Call: `patches` `(B, C, N, N, 2)`, `offsets` `(B, C, 2)`, `weights` broadcastable to
    `(B, C, N, N)` or None. Returns the canvas `(B, M, M, 2)`. A single patch (C = 1 in `patches`
    but more offsets) is the object of the whole group and is only padded.
    """

    def __init__(self, canvas: int, rule: str = "weighted", **kwargs):
        super().__init__(**kwargs)
        self.canvas, self.rule = canvas, rule

    def call(self, patches_, offsets, weights=None):
        pair = pairs.unstack(patches_)
        side = patches_.shape[-2]
        if patches_.shape[1] == 1 and offsets.shape[1] > 1:
            margin = (self.canvas - side) // 2
            pad = ((0, 0), (margin, margin), (margin, margin))
            return pairs.stack(tuple(ops.pad(part[:, 0], pad) for part in pair))
        if self.rule == "legacy":
            return pairs.stack(legacy.merge_legacy(pair, offsets, self.canvas))
        if weights is not None and len(weights.shape) == 4:
            weights = ops.broadcast_to(weights, ops.shape(pair[0]))
        matrices = patches.group_matrices(offsets, side, self.canvas)
        merged, _ = patches.merge(pair, weights, *matrices)
        return pairs.stack(merged)

    def get_config(self):
        return {**super().get_config(), "canvas": self.canvas, "rule": self.rule}


@keras.saving.register_keras_serializable(PACKAGE)
class PatchExtraction(PhysicsLayer):
    """Samples the canvas `(B, M, M, 2)` at `offsets` `(B, C, 2)`: patches `(B, C, N, N, 2)`."""

    def __init__(self, size: int, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def call(self, canvas, offsets):
        return pairs.stack(forward.group_patches(pairs.unstack(canvas), offsets, self.size))

    def get_config(self):
        return {**super().get_config(), "size": self.size}
