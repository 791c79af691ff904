"""Registry of network architectures.

A network is a `keras.Model` that maps normalised diffraction amplitudes `(B, N, N, C)` to complex
object patches `(B, N, N, C_out, 2)` (real and imaginary part on the last axis). To add one::

    from pinn.networks.output import patches_from
    from pinn.networks.registry import output_patches, register

    @register("mine")
    def build(config):                        # config: pinn.config.ModelConfig
        frames = keras.Input((config.N, config.N, config.gridsize**2))
        C = output_patches(config)
        x = keras.layers.Conv2D(2 * C, 3, padding="same")(frames)
        return keras.Model(frames, patches_from(x[..., :C], x[..., C:], config))

and train with `architecture="mine"`. Whoever loads the archive must register the name first.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import NamedTuple

import keras

from pinn.config import ModelConfig
from pinn.errors import ConfigError

Builder = Callable[[ModelConfig], keras.Model]


class BuiltIn(NamedTuple):
    """A network of ours: the module that registers it, and its fields of `ModelConfig`."""

    module: str
    options: frozenset[str]


_HEADS = frozenset({"head", "amp_activation"})
_WIDTH = frozenset({"n_filters_scale"})
_CENTRE = frozenset({"pad_object", "probe_big", "ring_activation"})
_SPECTRAL = frozenset({"fno_modes", "fno_width", "fno_blocks", "fno_refine_blocks"})

# Built-in networks are imported when asked for, so that one that needs an extra costs nobody else.
_BUILT_IN = {
    "baseline": BuiltIn("pinn.networks.baseline", _WIDTH),
    "cnn": BuiltIn("pinn.networks.cnn", _WIDTH | _HEADS | _CENTRE),
    "ffno": BuiltIn("pinn.networks.ffno", _WIDTH | _HEADS | _SPECTRAL | {"fno_shared_weights"}),
    "fno": BuiltIn("pinn.networks.fno", _WIDTH | _HEADS | _SPECTRAL),
    "lean": BuiltIn("pinn.networks.lean", _WIDTH | _HEADS),
    "unrolled": BuiltIn("pinn.networks.unrolled", _WIDTH | {"stages"}),
}
_builders: dict[str, Builder] = {}


def register(name: str) -> Callable[[Builder], Builder]:
    """Decorator that makes `builder(config) -> keras.Model` known as `name`.

    A built-in name is taken over by the new builder.
    """

    def decorate(builder: Builder) -> Builder:
        _builders[name] = builder
        return builder

    return decorate


def names() -> list[str]:
    """All known architecture names."""
    return sorted({*_BUILT_IN, *_builders})


def built_in() -> list[str]:
    """Names of the networks that come with the package."""
    return sorted(_BUILT_IN)


def output_patches(config: ModelConfig) -> int:
    """Number of patches the network predicts for a group."""
    return config.gridsize**2 if config.object_big else 1


def build_network(config: ModelConfig) -> keras.Model:
    """Build the network that `config.architecture` names.

    Raises:
        ConfigError: unknown name, an option that this network does not have, or a network whose
            output has the wrong shape.
    """
    name = config.architecture
    if name not in _builders and name in _BUILT_IN:
        importlib.import_module(_BUILT_IN[name].module)
    if name not in _builders:
        raise ConfigError(f"unknown architecture {name!r}; known: {', '.join(names())}")
    builder = _builders[name]
    if name in _BUILT_IN and builder.__module__ == _BUILT_IN[name].module:
        _refuse_foreign_options(config, _BUILT_IN[name])
    network = builder(config)
    if getattr(network, "unrolled", False):  # it maps canvases
        return network
    expected = (config.N, config.N, output_patches(config), 2)
    if tuple(network.output_shape[1:]) != expected:
        raise ConfigError(
            f"architecture {name!r} returns patches of shape {tuple(network.output_shape[1:])}, "
            f"but (N, N, patches, 2) = {expected} is required"
        )
    return network


def _refuse_foreign_options(config: ModelConfig, chosen: BuiltIn) -> None:
    """An option without an effect would look like one that was tried."""
    every = frozenset().union(*(network.options for network in _BUILT_IN.values()))
    for option in sorted(every - chosen.options):
        value, default = getattr(config, option), ModelConfig.model_fields[option].default
        if value != default:
            having = [name for name in built_in() if option in _BUILT_IN[name].options]
            raise ConfigError(
                f"architecture {config.architecture!r} has no option {option} (got {value!r}); "
                f"leave it at {default!r} or choose a network that has it: {', '.join(having)}"
            )
