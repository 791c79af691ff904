"""From frames to maps in real space, one frame at a time: the front of the `lean` network."""

from __future__ import annotations

from math import log2
from typing import Any

import keras
from keras import ops

from pinn.layers import PACKAGE
from pinn.layers.base import PhysicsLayer
from pinn.ops.fourier import ifft2c


@keras.saving.register_keras_serializable(PACKAGE)
class CorrelationMap(PhysicsLayer):
    """Hartley transform of each frame, a real map in real space: `(B, N, N, C)`, float32.

    Real plus imaginary part of the inverse Fourier transform, orthonormal, centred at `N // 2`.
    That of an intensity is the autocorrelation of the exit wave (Wiener-Khinchin). That of a small
    deviation from a mean frame is, to first order, linear in the object's deviation: at r from the
    centre stand the object at r and, conjugated, that at -r, each blurred. A frame is real, so the
    real part is even and the imaginary part odd in r, and half of the pair would be redundant;
    their sum is not, and the map at r and -r together give both.
    """

    def call(self, x):
        frames = ops.transpose(x, (0, 3, 1, 2))
        re, im = ifft2c((frames, ops.zeros_like(frames)))
        return ops.transpose(re + im, (0, 2, 3, 1))

    def compute_output_shape(self, input_shape):
        return input_shape

    def flops(self, input_shape: tuple[int | None, ...]) -> float:
        """One complex transform per frame, 5 n log2 n."""
        _, height, width, frames = input_shape
        pixels = int(height or 0) * int(width or 0)
        return 5.0 * pixels * log2(pixels) * int(frames or 0)


@keras.saving.register_keras_serializable(PACKAGE)
class FramesToBatch(keras.layers.Layer):
    """`(B, N, N, C)` to `(B C, N, N, 1)`: what follows treats every frame alike and alone."""

    def call(self, x):
        _, height, width, _ = x.shape
        return ops.reshape(ops.transpose(x, (0, 3, 1, 2)), (-1, height, width, 1))

    def compute_output_shape(self, input_shape):
        batch, height, width, frames = input_shape
        return None if batch is None else batch * frames, height, width, 1


@keras.saving.register_keras_serializable(PACKAGE)
class BatchToFrames(keras.layers.Layer):
    """`(B C, H, W, K)` to `(B, H, W, C K)`, the C maps of one kind side by side: index `k C + c`.

    Args:
        frames: C, the number of frames in a group.
    """

    def __init__(self, frames: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.frames = frames

    def call(self, x):
        _, height, width, kinds = x.shape
        x = ops.reshape(x, (-1, self.frames, height, width, kinds))
        return ops.reshape(
            ops.transpose(x, (0, 2, 3, 4, 1)), (-1, height, width, kinds * self.frames)
        )

    def compute_output_shape(self, input_shape):
        batch, height, width, kinds = input_shape
        batch = None if batch is None else batch // self.frames
        return batch, height, width, kinds * self.frames

    def get_config(self):
        return {**super().get_config(), "frames": self.frames}


@keras.saving.register_keras_serializable(PACKAGE)
class Reflection(keras.layers.Layer):
    """Both image axes reversed: brings to a place what lies opposite to it about the centre."""

    def call(self, x):
        return ops.flip(x, (1, 2))

    def compute_output_shape(self, input_shape):
        return input_shape
