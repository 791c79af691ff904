"""`unrolled`: a network with the forward model inside.

It begins with a flat object and corrects it in stages. Each stage sends the object through the
forward model (`pinn.ops.forward`), brings back what the frames miss in it, and lets a small
convolutional network turn that into a better object (`pinn.ops.stages`). All stages share its
weights, and the probe enters through the forward model alone: one set of weights serves any number
of stages, many probes and all sizes of frames.

Design, s = `n_filters_scale`:

- blocks of 4 x 4 pixels become `WIDTH * s` channels, so that all convolutions run on a sixteenth of
  the pixels;
- two residual blocks of two 3 x 3 convolutions;
- the blocks become pixels again by a layer that starts at zero. Beside it, the step that would fit
  the exit waves, and the last change, go straight to the output with factors that are learned. An
  untrained network is thus gradient descent with momentum.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from pinn.config import ModelConfig
from pinn.errors import ConfigError
from pinn.layers.initialisers import he_normal
from pinn.networks.registry import register
from pinn.ops.stages import PLANES, STRIDE

WIDTH = 48
_STEP, _MOMENTUM = 1.6, 0.6  # factors of the step and of the last change, before training
_PLAIN = {"merge": "probe", "object_big": True, "input_transform": "mean"}


def _conv(filters: int, name: str) -> keras.layers.Conv2D:
    return keras.layers.Conv2D(
        filters, 3, padding="same", kernel_initializer=he_normal(), name=name
    )


def _block(x: Any, width: int, name: str) -> Any:
    """`x` plus two convolutions of it."""
    y = x
    for part in "ab":
        y = keras.layers.Activation("relu", name=f"{name}_relu_{part}")(y)
        y = _conv(width, f"{name}_{part}")(y)
    return keras.layers.Add(name=f"{name}_sum")([x, y])


def _straight() -> np.ndarray:
    """Kernel of the way past the convolutions: step and last change, with their factors."""
    kernel = np.zeros((1, 1, PLANES, 2), np.float32)
    for part in range(2):
        kernel[0, 0, 2 + part, part], kernel[0, 0, 4 + part, part] = _STEP, _MOMENTUM
    return kernel


@register("unrolled")
def build(config: ModelConfig) -> keras.Model:
    """Build the network of a stage: planes `(B, H, W, 8)` to a change `(B, H, W, 2)`.

    Raises:
        ConfigError: an option that this network does not have.
    """
    for name, only in _PLAIN.items():
        if (value := getattr(config, name)) != only:
            raise ConfigError(
                f"{name} {value!r} has no effect on the unrolled network; leave it at {only!r} or "
                "choose another network"
            )
    width = WIDTH * config.n_filters_scale
    planes = keras.Input((None, None, PLANES), name="planes")
    x = keras.layers.Conv2D(
        width, STRIDE, strides=STRIDE, kernel_initializer=he_normal(), name="stem"
    )(planes)
    for number in range(2):
        x = _block(x, width, f"block_{number}")
    x = keras.layers.Activation("relu", name="last_relu")(x)
    x = keras.layers.Conv2DTranspose(
        2, STRIDE, strides=STRIDE, kernel_initializer="zeros", name="out"
    )(x)
    straight = keras.layers.Conv2D(
        2,
        1,
        use_bias=False,
        kernel_initializer=keras.initializers.Constant(_straight()),
        name="straight",
    )(planes)
    network = keras.Model(planes, keras.layers.Add(name="change")([x, straight]), name="network")
    network.unrolled = True
    return network
