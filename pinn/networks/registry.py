"""Registry of network architectures.

A network is a `keras.Model` that maps normalised diffraction amplitudes `(B, N, N, C)` to complex
object patches `(B, N, N, C_out, 2)` (real and imaginary part on the last axis). To add one::

    from pinn.networks.registry import register

    @register("mine")
    def build(config):                        # config: pinn.config.ModelConfig
        frames = keras.Input((config.N, config.N, config.gridsize**2))
        ...
        return keras.Model(frames, patches)

and train with `architecture="mine"`. Whoever loads the archive must register the name first.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

import keras

from pinn.config import ModelConfig
from pinn.errors import ConfigError

Builder = Callable[[ModelConfig], keras.Model]

# Built-in networks are imported when asked for, so that one that needs an extra costs nobody else.
_BUILT_IN = {"cnn": "pinn.networks.cnn"}
_builders: dict[str, Builder] = {}


def register(name: str) -> Callable[[Builder], Builder]:
    """Decorator that makes `builder(config) -> keras.Model` known as `name`."""

    def decorate(builder: Builder) -> Builder:
        _builders[name] = builder
        return builder

    return decorate


def names() -> list[str]:
    """All known architecture names."""
    return sorted({*_BUILT_IN, *_builders})


def output_patches(config: ModelConfig) -> int:
    """Number of patches the network predicts for a group."""
    return config.gridsize**2 if config.object_big else 1


def build_network(config: ModelConfig) -> keras.Model:
    """Build the network that `config.architecture` names.

    Raises:
        ConfigError: unknown name, or a network whose output has the wrong shape.
    """
    name = config.architecture
    if name not in _builders and name in _BUILT_IN:
        importlib.import_module(_BUILT_IN[name])
    if name not in _builders:
        raise ConfigError(f"unknown architecture {name!r}; known: {', '.join(names())}")
    network = _builders[name](config)
    expected = (config.N, config.N, output_patches(config), 2)
    if tuple(network.output_shape[1:]) != expected:
        raise ConfigError(
            f"architecture {name!r} returns patches of shape {tuple(network.output_shape[1:])}, "
            f"but (N, N, patches, 2) = {expected} is required"
        )
    return network
