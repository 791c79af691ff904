"""From two feature maps per patch to complex patches: the end of every network.

A network ends with two real feature maps for each patch. Which two numbers they are is the
configuration's choice: amplitude and phase (`head = polar`) or real and imaginary part
(`head = rectangular`). Features of zero mean an object of 1, the mean of any object in our gauge,
so a network whose last layer starts small (`small_conv`) starts there too; where an activation
needs other features for that, the biases start at them (`starts`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from pinn.config import ModelConfig
from pinn.errors import ConfigError
from pinn.layers.heads import (
    AmplitudeHead,
    ImaginaryHead,
    PhaseHead,
    PolarPatches,
    RealHead,
    RectangularPatches,
    amplitude_start,
)
from pinn.layers.initialisers import small_normal


def part_heads(config: ModelConfig) -> tuple[keras.layers.Layer, keras.layers.Layer]:
    """The layers that make the two parts of the object from feature maps of any shape.

    Returns:
        Amplitude and phase, or real and imaginary part. Each maps a tensor to one of its shape,
        float32. The two results go to `join_parts`.

    Raises:
        ConfigError: an activation of the amplitude, and no amplitude is predicted.
    """
    if config.head == "polar":
        return AmplitudeHead(config.amp_activation), PhaseHead()
    if config.amp_activation != ModelConfig.model_fields["amp_activation"].default:
        raise ConfigError(
            f"amp_activation {config.amp_activation!r} shapes an amplitude, but head "
            "'rectangular' predicts real and imaginary part, which are linear; leave "
            "amp_activation out or use head 'polar'"
        )
    return RealHead(), ImaginaryHead()


def starts(config: ModelConfig) -> tuple[float, float]:
    """Features of the two parts from which a network best starts: near an object of 1."""
    return (amplitude_start(config.amp_activation) if config.head == "polar" else 0.0), 0.0


def join_parts(parts: list[Any], config: ModelConfig) -> Any:
    """The two parts of the object, each `(B, N, N, C)`, to patches `(B, N, N, C, 2)`, float32."""
    layer = PolarPatches if config.head == "polar" else RectangularPatches
    return layer(name="patches")(parts)


def patches_from(features_a: Any, features_b: Any, config: ModelConfig) -> Any:
    """Complex patches from two linear feature maps.

    Args:
        features_a: `(B, N, N, C)`, any real dtype: becomes amplitude or real part.
        features_b: the same shape: becomes phase or imaginary part.
        config: its `head` and `amp_activation` are used.

    Returns:
        Patches `(B, N, N, C, 2)`, float32, real and imaginary part last; 1 + 0i where both
        features are zero (with the activations softplus and sigmoid2, or `head = rectangular`).

    Raises:
        ConfigError: see `part_heads`.
    """
    first, second = part_heads(config)
    return join_parts([first(features_a), second(features_b)], config)


def small_conv(
    filters: int, kernel: int, name: str, start: Sequence[float] | np.ndarray = ()
) -> keras.layers.Conv2D:
    """The last linear layer of a network: `filters` feature maps, of which all start small.

    A small start: amplitude 1 and phase 0 plus a little structure, so that the first prediction
    already has the measured energy and no activation is saturated.

    Args:
        start: initial bias of each filter; default 0.
    """
    bias: Any = "zeros"
    if np.any(start):
        bias = keras.initializers.Constant(np.asarray(start, np.float32))
    return keras.layers.Conv2D(
        filters,
        kernel,
        padding="same",
        kernel_initializer=small_normal(),
        bias_initializer=bias,
        name=name,
    )
