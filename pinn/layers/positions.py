"""Learned displacements of the positions: one pair of weights per frame of every scan."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from pinn.layers import PACKAGE
from pinn.layers.base import PhysicsLayer

# Pixels per unit of a weight: with rates that suit a network, positions move by hundredths of a
# pixel in a step.
UNIT_PX = 30.0


@keras.saving.register_keras_serializable(PACKAGE)
class Displacements(PhysicsLayer):
    """What is added to the stated positions of each frame, in pixels.

    Each coordinate is `limit tanh(UNIT_PX w / limit)` of its weight w, less its mean over the
    scan. Within a group the mean over the group is left out too: where the canvas of a group lies
    changes no frame, and its index M/2 stays at the mean of the stated positions.

    Args:
        frames: number of frames of every scan.
        limit: bound of a coordinate in pixels, before the mean is taken off.
        trainable: whether the optimiser may change them.

    Attributes:
        raw: one weight `(M, 2)` per scan, w above.
    """

    def __init__(self, frames: Sequence[int], limit: float, trainable: bool = True, **kwargs):
        super().__init__(trainable=trainable, **kwargs)
        self.frames, self.limit = tuple(int(count) for count in frames), float(limit)

    def build(self, input_shape=None):
        self.raw = [
            self.add_weight(
                name=f"moves_{number}",
                shape=(count, 2),
                initializer="zeros",
                trainable=self.trainable,
            )
            for number, count in enumerate(self.frames)
        ]
        super().build(input_shape)

    def of_scan(self, number: int):
        """Displacements `(M, 2)` [y, x] of a scan."""
        moved = self.limit * ops.tanh(self.raw[number] * (UNIT_PX / self.limit))
        return moved - ops.mean(moved, axis=0, keepdims=True)

    def call(self, frame):
        """Displacements `(B, C, 2)` in a group; `frame` `(B, C)` counts through all scans."""
        everything = ops.concatenate([self.of_scan(k) for k in range(len(self.frames))], axis=0)
        moved = ops.take(everything, frame, axis=0)
        return moved - ops.mean(moved, axis=1, keepdims=True)

    def get_config(self):
        return {
            **super().get_config(),
            "frames": self.frames,
            "limit": self.limit,
            "trainable": self.trainable,
        }
