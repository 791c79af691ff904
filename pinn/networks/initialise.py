"""Initial weights from NumPy: the same seed gives the same start on every backend."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from pinn.layers.initialisers import draw_scaled


def initialise(network: keras.Model, seed: int) -> None:
    """Redraw every kernel whose initialiser is a variance scaling (He, Glorot, LeCun...).

    Frameworks draw different numbers from the same seed, so comparisons between backends would
    start from different networks. Layers within layers and networks within networks are reached.
    A layer of one's own may draw its weights itself in a method `redraw(rng)`, called with a NumPy
    generator in place of the rule above. Other weights (zeros, ones, custom) are left as built.

    The numbers depend on the seed, on the layer's place in `network.layers` and, within a layer, on
    the place of the weight in `layer.weights`; on nothing else.
    """
    for position, layer in enumerate(network.layers):
        # By identity: variables of Keras compare their values.
        numbers = {id(weight): number for number, weight in enumerate(layer.weights)}
        for inner in _all_layers(layer):
            redraw = getattr(inner, "redraw", None)
            if redraw is not None and inner.weights:
                redraw(np.random.default_rng([seed, position, 1 + numbers[id(inner.weights[0])]]))
                continue
            for weight, initialiser in _scaled_weights(inner):
                kernel = inner is layer and weight is getattr(layer, "kernel", None)
                number = [] if kernel else [1 + numbers[id(weight)]]
                rng = np.random.default_rng([seed, position, *number])
                drawn = draw_scaled(initialiser, tuple(weight.shape), _fans(weight, inner), rng)
                weight.assign(drawn.astype("float32"))


def _all_layers(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """The layer and all layers within it that have weights, each once.

    Those of a layer of one's own are found among its attributes, also in lists and dictionaries.
    """
    seen: set[int] = set()
    waiting: list[Any] = [layer]
    while waiting:
        item = waiting.pop()
        if isinstance(item, keras.layers.Layer):
            if id(item) in seen or not item.weights:
                continue
            seen.add(id(item))
            yield item
            if isinstance(item, keras.Model):
                waiting += item.layers
            waiting += vars(item).values()
        elif isinstance(item, list | tuple):
            waiting += item
        elif isinstance(item, dict):
            waiting += item.values()


def _scaled_weights(
    layer: keras.layers.Layer,
) -> Iterator[tuple[Any, keras.initializers.VarianceScaling]]:
    """Weights of the layer itself with their initialisers.

    Keras names them alike: `x` and `x_initializer`, but `depthwise_kernel` and
    `depthwise_initializer`, and the kernel of a depth-wise convolution is called `kernel`.
    """
    for name, initialiser in vars(layer).items():
        if not name.endswith("_initializer"):
            continue
        if not isinstance(initialiser, keras.initializers.VarianceScaling):
            continue
        part = name.removesuffix("_initializer")
        candidates = [part, f"{part}_kernel"] + (["kernel"] if part == "depthwise" else [])
        for candidate in candidates:
            weight = getattr(layer, candidate, None)
            if any(weight is own for own in layer.weights):
                yield weight, initialiser
                break


def _fans(weight: Any, layer: keras.layers.Layer) -> tuple[float, float]:
    """How many inputs a number of the output has, and how many outputs one of the input."""
    shape = tuple(weight.shape)
    if isinstance(layer, keras.layers.EinsumDense):
        given, result = layer.equation.replace(" ", "").split("->")
        inputs, kernel = (set(part) - {"."} for part in given.split(","))
        sizes = dict(zip(given.split(",")[1], shape, strict=True))
        fan_in = math.prod(sizes[axis] for axis in kernel & inputs - set(result))
        fan_out = math.prod(sizes[axis] for axis in kernel - inputs)
        return fan_in, fan_out
    receptive = math.prod(shape[:-2])
    if _is_depthwise(weight, layer):  # (..., channels, multiplier): each sees its channel only
        return receptive, receptive * shape[-1]
    groups = getattr(layer, "groups", 1)  # the kernel's input axis is that of one group already
    return shape[-2] * receptive, shape[-1] * receptive / groups


def _is_depthwise(weight: Any, layer: keras.layers.Layer) -> bool:
    kinds = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
    return isinstance(layer, kinds) or weight is getattr(layer, "depthwise_kernel", None)
