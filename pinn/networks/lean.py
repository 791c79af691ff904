"""`lean`: a small network that works where the object is, on one frame at a time.

What a frame tells about the object is spread over all of its pixels, and a convolution sees only a
few neighbours. So the network first goes to real space: the inverse Fourier transform of the
frame's deviation from the mean frame is, for a weak object, the object itself and its conjugate
mirror image, both blurred and mixed (the linear part of an autocorrelation). There local
convolutions are the right tool, and a reflection brings the two halves of the mixture together.
(The real Hartley transform is used: see `CorrelationMap`.)

Design, s = `n_filters_scale`:

- every frame of a group goes through the same weights, alone: four times the examples for a group
  of four, and the same patch whatever the group;
- blocks of 8 x 8 pixels (4 x 4 for N < 64) become channels, so that all convolutions run on a
  grid of (N/8)^2 cells;
- three residual blocks of `WIDTH * s` channels. Two take the pair (here, opposite) through a 1 x 1
  and a 3 x 3 convolution, the one between them is two 3 x 3 convolutions;
- a 3 x 3 convolution to the pixels of each cell, for both parts of the object, starts small.

Sides that are no multiple of the block are padded in real space and cropped again.
The whole patch is predicted. With `object_big` off the features of the group's frames are joined
before the last convolution.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from pinn.config import ModelConfig
from pinn.layers.correlation import BatchToFrames, CorrelationMap, FramesToBatch, Reflection
from pinn.layers.initialisers import he_normal
from pinn.networks.output import patches_from, small_conv, starts
from pinn.networks.registry import output_patches, register

WIDTH = 48


def block_side(N: int) -> int:
    """Pixels per cell of the grid, along each axis."""
    return 8 if N >= 64 else 4


def _conv(filters: int, kernel: int, name: str) -> keras.layers.Conv2D:
    return keras.layers.Conv2D(
        filters, kernel, padding="same", kernel_initializer=he_normal(), name=name
    )


def _relu(x: Any, name: str) -> Any:
    return keras.layers.Activation("relu", name=name)(x)


def _near(x: Any, width: int, name: str) -> Any:
    """`x` plus two convolutions of it."""
    y = _conv(width, 3, f"{name}_a")(_relu(x, f"{name}_relu_a"))
    y = _conv(width, 3, f"{name}_b")(_relu(y, f"{name}_relu_b"))
    return keras.layers.Add(name=f"{name}_sum")([x, y])


def _opposite(x: Any, width: int, name: str) -> Any:
    """`x` plus a convolution of what is here and on the other side of the centre."""
    y = _relu(x, f"{name}_relu_a")
    y = keras.layers.Concatenate(name=f"{name}_pair")([y, Reflection(name=f"{name}_mirror")(y)])
    y = _conv(width, 1, f"{name}_a")(y)
    y = _conv(width, 3, f"{name}_b")(_relu(y, f"{name}_relu_b"))
    return keras.layers.Add(name=f"{name}_sum")([x, y])


def _blocks_to_channels(x: Any, side: int) -> Any:
    """`(cells * side, cells * side, K)` to `(cells, cells, side^2 K)`."""
    cells, channels = x.shape[1] // side, x.shape[-1]
    x = keras.layers.Reshape((cells, side, cells, side, channels), name="cells")(x)
    x = keras.layers.Permute((1, 3, 2, 4, 5), name="cells_inside")(x)
    return keras.layers.Reshape((cells, cells, side**2 * channels), name="cells_flat")(x)


def _channels_to_blocks(x: Any, side: int) -> Any:
    """The inverse of `_blocks_to_channels`."""
    cells, channels = x.shape[1], x.shape[-1] // side**2
    x = keras.layers.Reshape((cells, cells, side, side, channels), name="pixels_inside")(x)
    x = keras.layers.Permute((1, 3, 2, 4, 5), name="pixels_rows")(x)
    return keras.layers.Reshape((cells * side, cells * side, channels), name="pixels")(x)


@register("lean")
def build(config: ModelConfig) -> keras.Model:
    """Build the network: `(B, N, N, C)` amplitudes to `(B, N, N, C_out, 2)` patches."""
    N, C, patches = config.N, config.gridsize**2, output_patches(config)
    width, side = WIDTH * config.n_filters_scale, block_side(N)
    edge = (-N % side) // 2
    frames = keras.Input((N, N, C), name="frames")
    x = FramesToBatch(name="each_frame")(frames)
    x = CorrelationMap(name="correlation")(x)
    if edge:
        x = keras.layers.ZeroPadding2D(edge, name="pad")(x)
    x = _conv(width, 1, "stem")(_blocks_to_channels(x, side))
    x = _opposite(x, width, "opposite_0")
    x = _near(x, width, "near")
    x = _opposite(x, width, "opposite_1")
    x = _relu(x, "last_relu")
    if not config.object_big:
        x = BatchToFrames(C, name="group_features")(x)
    out = small_conv(2 * side**2, 3, "out", np.tile(starts(config), side**2))
    x = _channels_to_blocks(out(x), side)
    if config.object_big:
        x = BatchToFrames(C, name="group")(x)
    if edge:
        x = keras.layers.Cropping2D(edge, name="crop")(x)
    network = keras.Model(
        frames, patches_from(x[..., :patches], x[..., patches:], config), name="network"
    )
    network.frame_by_frame = config.object_big  # for inference: no patch needs a group
    return network
