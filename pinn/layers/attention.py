"""Attention: gates that weigh the channels or the places of a feature map by its content.

Channel and spatial gate together are CBAM (Woo et al., ECCV 2018, arXiv:1807.06521); the efficient
channel gate is ECA (Wang et al., CVPR 2020, arXiv:1910.03151).

Each gate is twice the sigmoid of a small start, so about 1: the sigmoid alone would halve the
signal at every gate, and a network with six of them would start with outputs that hardly depend on
its input (docs/collapse.md). The convolution that follows can absorb the factor of two, so both
forms describe the same networks.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from pinn.layers import PACKAGE
from pinn.layers.initialisers import he_normal, small_normal


def _gate(x: Any) -> Any:
    return 2.0 * ops.sigmoid(x)


@keras.saving.register_keras_serializable(PACKAGE)
class ChannelGate(keras.layers.Layer):
    """Weighs channels by a perceptron of their averages plus the same one of their maxima.

    `(B, H, W, C)` to the same shape; C is static.

    Args:
        reduction: the perceptron's hidden layer has `C // reduction` units, at least 1.
    """

    def __init__(self, reduction: int = 16, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reduction = reduction

    def build(self, input_shape):
        channels = input_shape[-1]
        hidden = max(1, channels // self.reduction)
        self.squeeze = keras.layers.Dense(
            hidden, activation="relu", kernel_initializer=he_normal(), dtype=self.dtype_policy
        )
        self.excite = keras.layers.Dense(
            channels, kernel_initializer=small_normal(), dtype=self.dtype_policy
        )
        self.squeeze.build((None, channels))
        self.excite.build((None, hidden))
        super().build(input_shape)

    def call(self, x):
        mean = self.excite(self.squeeze(ops.mean(x, axis=(1, 2))))
        peak = self.excite(self.squeeze(ops.max(x, axis=(1, 2))))
        return x * _gate(mean + peak)[:, None, None, :]

    def compute_output_shape(self, input_shape):
        return input_shape

    def flops(self, input_shape: tuple[int | None, ...]) -> float:
        """Forward operations per sample: two poolings, two perceptrons, one product."""
        height, width, channels = (float(side or 0) for side in input_shape[1:])
        hidden = max(1, int(channels) // self.reduction)
        return 3 * height * width * channels + 8 * channels * hidden

    def get_config(self):
        return {**super().get_config(), "reduction": self.reduction}


@keras.saving.register_keras_serializable(PACKAGE)
class SpatialGate(keras.layers.Layer):
    """Weighs places by a convolution of the maximum and the average over channels.

    `(B, H, W, C)` to the same shape.

    Args:
        kernel: side of the convolution's kernel.
    """

    def __init__(self, kernel: int = 7, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kernel = kernel

    def build(self, input_shape):
        self.look = keras.layers.Conv2D(
            1,
            self.kernel,
            padding="same",
            kernel_initializer=small_normal(),
            dtype=self.dtype_policy,
        )
        self.look.build((*input_shape[:-1], 2))
        super().build(input_shape)

    def call(self, x):
        peak, mean = ops.max(x, axis=-1, keepdims=True), ops.mean(x, axis=-1, keepdims=True)
        return x * _gate(self.look(ops.concatenate([peak, mean], axis=-1)))

    def compute_output_shape(self, input_shape):
        return input_shape

    def flops(self, input_shape: tuple[int | None, ...]) -> float:
        """Forward operations per sample: two poolings, one convolution, one product."""
        height, width, channels = (float(side or 0) for side in input_shape[1:])
        return height * width * (3 * channels + 4 * self.kernel**2)

    def get_config(self):
        return {**super().get_config(), "kernel": self.kernel}


@keras.saving.register_keras_serializable(PACKAGE)
class EfficientChannelGate(keras.layers.Layer):
    """Weighs channels by a one-dimensional convolution across their averages.

    `(B, H, W, C)` to the same shape.

    Args:
        kernel: how many neighbouring channels are seen together.
    """

    def __init__(self, kernel: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kernel = kernel

    def build(self, input_shape):
        self.look = keras.layers.Conv1D(
            1,
            self.kernel,
            padding="same",
            use_bias=False,
            kernel_initializer=small_normal(),
            dtype=self.dtype_policy,
        )
        self.look.build((None, input_shape[-1], 1))
        super().build(input_shape)

    def call(self, x):
        mean = ops.mean(x, axis=(1, 2))[:, :, None]
        return x * _gate(self.look(mean)[:, :, 0])[:, None, None, :]

    def compute_output_shape(self, input_shape):
        return input_shape

    def flops(self, input_shape: tuple[int | None, ...]) -> float:
        """Forward operations per sample: one pooling, one convolution, one product."""
        height, width, channels = (float(side or 0) for side in input_shape[1:])
        return 2 * height * width * channels + 2 * self.kernel * channels

    def get_config(self):
        return {**super().get_config(), "kernel": self.kernel}


def attend(x: Any, kind: str, name: str) -> Any:
    """Apply attention to `(B, H, W, C)`.

    Args:
        kind: `cbam` (channel gate, then spatial gate), `eca`, `spatial` (its gate alone), or
            `none`, which returns `x` itself.
        name: prefix of the layers' names.

    Raises:
        ValueError: unknown kind.
    """
    match kind:
        case "none":
            return x
        case "cbam":
            return SpatialGate(name=f"{name}_places")(ChannelGate(name=f"{name}_channels")(x))
        case "eca":
            return EfficientChannelGate(name=f"{name}_channels")(x)
        case "spatial":
            return SpatialGate(name=f"{name}_places")(x)
    raise ValueError(f"unknown attention {kind!r}")
