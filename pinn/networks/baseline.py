"""`baseline`: the network that PtychoPINN's supervised baseline trains, one frame at a time.

An encoder of double 3 x 3 convolutions and max-pooling with 32 s, 64 s and 128 s filters, two
decoders of double convolutions and up-sampling with 128 s, 64 s and 32 s, two linear 3 x 3 heads
over the whole patch; s = `n_filters_scale`. 4 612 418 parameters at s = 2 for every N.

A group is seen frame by frame with the same weights, so the overlap of frames teaches it only
through the physics, if that is trained at all. Its amplitude is linear as published, and may turn
negative, which is a phase of pi; a constant 1 is added, which the bias could hold as well: it
starts at an object of 1, as all our networks do.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from pinn.config import ModelConfig
from pinn.errors import ConfigError
from pinn.layers.heads import PolarPatches, RealHead
from pinn.layers.initialisers import he_normal
from pinn.networks.output import small_conv
from pinn.networks.registry import register

STAGES = 3


def _double(x: Any, filters: int, name: str) -> Any:
    for part in ("a", "b"):
        x = keras.layers.Conv2D(
            filters,
            3,
            padding="same",
            activation="relu",
            kernel_initializer=he_normal(),
            name=f"{name}_{part}",
        )(x)
    return x


def _decode(x: Any, scale: int, name: str) -> Any:
    for i in range(STAGES):
        x = _double(x, 32 * scale * 2 ** (STAGES - 1 - i), f"{name}_decoder_{i}")
        x = keras.layers.UpSampling2D(2, name=f"{name}_up_{i}")(x)
    return small_conv(1, 3, f"{name}_out")(x)


@register("baseline")
def build(config: ModelConfig) -> keras.Model:
    """Build the network: `(B, N, N, C)` amplitudes to `(B, N, N, C, 2)` patches.

    Raises:
        ConfigError: N not a multiple of 8, or one patch per group asked for.
    """
    N, C = config.N, config.gridsize**2
    if N % 2**STAGES:
        raise ConfigError(
            f"architecture 'baseline' halves frames {STAGES} times and needs N a multiple of "
            f"{2**STAGES}, but N is {N}; crop the frames or use 'cnn'"
        )
    if C > 1 and not config.object_big:
        raise ConfigError(
            "architecture 'baseline' sees frames one by one and predicts a patch for each, but "
            "object_big is off; leave it on or use gridsize 1"
        )
    frames = keras.Input((N, N, C), name="frames")
    x = ops.reshape(ops.transpose(frames, (0, 3, 1, 2)), (-1, N, N, 1))
    for i in range(STAGES):
        x = _double(x, 32 * config.n_filters_scale * 2**i, f"encoder_{i}")
        x = keras.layers.MaxPooling2D(2, name=f"encoder_pool_{i}")(x)
    amplitude, phase = (_decode(x, config.n_filters_scale, part) for part in ("amplitude", "phase"))
    patches = PolarPatches(name="single_patches")([RealHead(name="amplitude")(amplitude), phase])
    patches = ops.reshape(patches, (-1, C, N, N, 2))
    network = keras.Model(frames, ops.transpose(patches, (0, 2, 3, 1, 4)), name="network")
    network.frame_by_frame = True  # see pinn/reconstruction/inference.py
    return network
