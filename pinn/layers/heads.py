"""Output heads: amplitude and phase, or real and imaginary part, and how they are combined."""

from __future__ import annotations

import math

import keras
from keras import ops

from pinn.layers import PACKAGE
from pinn.layers.base import PhysicsLayer
from pinn.ops import pairs

# softplus(x + _SHIFT) is 1 at x = 0, so that an untrained network predicts amplitude 1, the mean.
_SHIFT = math.log(math.e - 1.0)

# Inputs at which the activations that are not 1 at zero start, so that an untrained network is not
# dark: x sigmoid(x) = 1, x = 1, and for the sigmoid, which reaches 1 nowhere, an amplitude of 0.9.
_STARTS = {"swish": 1.2784645427610738, "relu": 1.0, "sigmoid": math.log(9.0)}


def amplitude_start(activation: str) -> float:
    """Input of an `AmplitudeHead` from which a network best starts: bias of the layer before."""
    return _STARTS.get(activation, 0.0)


@keras.saving.register_keras_serializable(PACKAGE)
class AmplitudeHead(PhysicsLayer):
    """Maps a real feature map to an amplitude, float32.

    Args:
        activation: `softplus` (1 at zero input, unbounded), `sigmoid2` (0 to 2, 1 at zero),
            or the reference's `sigmoid`, `swish`, `relu`.
    """

    def __init__(self, activation: str = "softplus", **kwargs):
        super().__init__(**kwargs)
        self.activation = activation

    def call(self, x):
        match self.activation:
            case "softplus":
                return ops.softplus(x + _SHIFT)
            case "sigmoid2":
                return 2.0 * ops.sigmoid(x)
            case "sigmoid":
                return ops.sigmoid(x)
            case "swish":
                return x * ops.sigmoid(x)
            case "relu":
                return ops.relu(x)
        raise ValueError(f"unknown amplitude activation {self.activation!r}")

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "activation": self.activation}


@keras.saving.register_keras_serializable(PACKAGE)
class PhaseHead(PhysicsLayer):
    """Maps a real feature map to a phase in (-pi, pi): `pi tanh(x)`, float32."""

    def call(self, x):
        return math.pi * ops.tanh(x)

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable(PACKAGE)
class RealHead(PhysicsLayer):
    """Maps a real feature map to a real part: `1 + x`, float32.

    Linear and without bounds, as `ImaginaryHead` is: an object of unit amplitude can have any
    phase, and an object brighter than the mean any amplitude.
    """

    def call(self, x):
        return 1.0 + x

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable(PACKAGE)
class ImaginaryHead(PhysicsLayer):
    """Maps a real feature map to an imaginary part: `x` itself, float32."""

    def call(self, x):
        return x

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable(PACKAGE)
class RingMask(PhysicsLayer):
    """Zeroes the central square `[start, start + size)` of both image axes."""

    def __init__(self, start: int, size: int, **kwargs):
        super().__init__(**kwargs)
        self.start, self.size = start, size

    def call(self, x):
        height, width = x.shape[1], x.shape[2]
        end = self.start + self.size
        rows = ops.arange(height)
        columns = ops.arange(width)
        inside_rows = ops.logical_and(rows >= self.start, rows < end)
        inside_columns = ops.logical_and(columns >= self.start, columns < end)
        inside = ops.logical_and(inside_rows[:, None], inside_columns[None, :])
        return x * (1.0 - ops.cast(inside, x.dtype))[None, :, :, None]

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "start": self.start, "size": self.size}


@keras.saving.register_keras_serializable(PACKAGE)
class PolarPatches(PhysicsLayer):
    """`[amplitude, phase]`, each `(B, N, N, C)`, to the pair `(B, N, N, C, 2)`."""

    def call(self, inputs):
        amplitude, phase = inputs
        return pairs.stack(pairs.polar(amplitude, phase))

    def compute_output_shape(self, input_shapes):
        return (*input_shapes[0], 2)


@keras.saving.register_keras_serializable(PACKAGE)
class RectangularPatches(PhysicsLayer):
    """`[real, imaginary]`, each `(B, N, N, C)`, to the pair `(B, N, N, C, 2)`."""

    def call(self, inputs):
        return pairs.stack(tuple(inputs))

    def compute_output_shape(self, input_shapes):
        return (*input_shapes[0], 2)
