"""Parts of a model by name: what is frozen, what learns at another rate, what decays."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from typing import Any

import keras

from pinn.config import TrainConfig
from pinn.errors import ConfigError

PHYSICS = ("probe", "scale", "positions")  # no kernels: their numbers mean something


def parts_of(model: keras.Model) -> dict[str, list[keras.layers.Layer]]:
    """Layers that have trainable weights, by name; those of the models within it too."""
    found: dict[str, list[keras.layers.Layer]] = {}
    for layer in _layers(model):
        if layer.trainable_weights:
            found.setdefault(layer.name, []).append(layer)
    return found


def _layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer


def check_names(model: keras.Model, run: TrainConfig) -> None:
    """Every pattern of `rate_factors` names a part that could learn.

    Raises:
        ConfigError: one that does not.
    """
    names = sorted(parts_of(model))
    for pattern, _ in run.factors:
        if not fnmatch.filter(names, pattern):
            raise ConfigError(
                f"rate_factors has {pattern!r}, but nothing that learns has such a name; the "
                f"parts of this model are {', '.join(names)}"
            )


def freeze(model: keras.Model, run: TrainConfig) -> None:
    """Make untrainable what has the rate factor 0.

    Frozen weights have no gradient, no optimiser state and no decay: they stay bit for bit.

    Raises:
        ConfigError: a pattern that names nothing, or nothing is left that learns.
    """
    check_names(model, run)
    for name, layers in parts_of(model).items():
        if run.rate_factor(name) == 0:
            for layer in layers:
                layer.trainable = False
    if not model.trainable_variables:
        raise ConfigError("rate_factors leaves nothing that learns; name fewer parts")


def factors_of(model: keras.Model, run: TrainConfig) -> list[float]:
    """Factor on the learning rate of each trainable variable, in the order of the model."""
    factors = {
        id(variable): run.rate_factor(name)
        for name, layers in parts_of(model).items()
        for layer in layers
        for variable in layer.trainable_weights
    }
    return [factors.get(id(variable), 1.0) for variable in model.trainable_variables]


def kernels_of(model: keras.Model) -> list[bool]:
    """Which trainable variables are kernels of the network: two or more axes, no physics."""
    physics = {
        id(variable)
        for name, layers in parts_of(model).items()
        if name in PHYSICS
        for layer in layers
        for variable in layer.trainable_weights
    }
    return [is_kernel(v) and id(v) not in physics for v in model.trainable_variables]


def is_kernel(variable: Any) -> bool:
    """Whether a weight has rows; biases, gains and the like have one axis."""
    return len(variable.shape) >= 2
