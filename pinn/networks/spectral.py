"""What `fno` and `ffno` share: the lifter before the spectral blocks, and the checked sizes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from pinn.config import ModelConfig
from pinn.errors import ConfigError
from pinn.layers.initialisers import lecun_normal
from pinn.networks.output import patches_from, small_conv, starts
from pinn.networks.registry import output_patches

MODES = 12


def modes_of(config: ModelConfig) -> int:
    """Frequencies per axis and sign.

    Raises:
        ConfigError: more than frames of side N have.
    """
    most = config.N // 2
    if config.fno_modes is None:
        return min(MODES, most)
    if config.fno_modes > most:
        raise ConfigError(
            f"fno_modes {config.fno_modes} is more than the {most} frequencies per axis and sign "
            f"of frames with N = {config.N}; use at most {most}"
        )
    return config.fno_modes


def width_of(config: ModelConfig) -> int:
    """Channels of the spectral blocks."""
    return config.fno_width * config.n_filters_scale


def conv(filters: int, kernel: int, name: str) -> keras.layers.Conv2D:
    """A linear convolution that keeps the variance of its input."""
    return keras.layers.Conv2D(
        filters, kernel, padding="same", kernel_initializer=lecun_normal(), name=name
    )


def gelu(x: Any, name: str) -> Any:
    """GELU in its exact form, the same on every backend."""
    return keras.layers.Activation("gelu", name=name)(x)


def lift(config: ModelConfig) -> tuple[Any, Any]:
    """The input frames `(B, N, N, C)` and the lifted features `(B, N, N, width)`."""
    frames = keras.Input((config.N, config.N, config.gridsize**2), name="frames")
    width = width_of(config)
    x = gelu(conv(width, 3, "lift_a")(frames), "lift_gelu")
    return frames, conv(width, 3, "lift_b")(x)


def project(frames: Any, x: Any, config: ModelConfig) -> keras.Model:
    """The network that ends in a 1 x 1 convolution of the features and the heads."""
    C = output_patches(config)
    x = small_conv(2 * C, 1, "out", np.repeat(starts(config), C))(x)
    return keras.Model(frames, patches_from(x[..., :C], x[..., C:], config), name="network")
