"""Arithmetic of a network, counted from its graph: floating-point operations of one group.

A multiplication with its addition counts as two. Convolutions and dense layers are counted here;
a layer of another kind counts itself in a method `flops(input_shape) -> float`, operations for one
sample of its input (`input_shape` has the batch first, which the method ignores). Transforms count
5 n log2 n by convention. Bias, activations, pooling, normalisation and moving numbers about count
nothing: they are memory, not arithmetic, and a few percent here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeAlias

import keras
from keras import layers

from pinn.errors import ConfigError

Shape: TypeAlias = tuple[int, ...]

# Forward pass, gradient of the activations, gradient of the weights.
TRAINING_FACTOR = 3.0

# Kinds whose weights only scale and shift what passes.
_CHEAP = (
    layers.LayerNormalization,
    layers.GroupNormalization,
    layers.BatchNormalization,
    layers.UnitNormalization,
    layers.PReLU,
)


def flops(network: keras.Model, side: int | None = None) -> float:
    """Operations of one forward pass for one group.

    A training step costs `TRAINING_FACTOR` times as much, without the physics.

    Args:
        network: a functional model with one input; nothing is computed and no weight is changed.
        side: rows and columns of the input of a network that takes any (`unrolled`, whose pass is
            one stage on a canvas).

    Raises:
        ConfigError: layers with weights whose operations nobody counts; the sentence names them.
            A network that takes any size, and no `side`.
    """
    if None in network.input_shape[1:] and side is None:
        raise ConfigError(
            f"the operations of {network.name} depend on the size of its input; give its side"
        )
    unknown: set[str] = set()
    total = sum(_of(*call, unknown) for call in _calls(network, side))
    if unknown:
        raise ConfigError(
            f"the operations of {', '.join(sorted(unknown))} cannot be counted; give these layers "
            "a method flops(input_shape) that returns the operations of one sample"
        )
    return total


def _calls(network: keras.Model, side: int | None = None) -> Iterator[tuple[Any, Shape, Shape]]:
    """Every call of a layer or operation with the shapes of its (first) input and output.

    The batch is one group, not unknown, so that a layer that moves frames into the batch is seen
    to have made it longer.
    """
    calls: list[tuple[Any, Shape, Shape]] = []

    def note(layer: Any, *args: Any, **kwargs: Any) -> Any:
        result = layer(*args, **kwargs)
        first, last = (keras.tree.flatten(tensors)[0] for tensors in (args[0], result))
        calls.append((layer, tuple(first.shape), tuple(last.shape)))
        return result

    sides = (side if length is None else length for length in network.input_shape[1:])
    group = keras.Input(batch_shape=(1, *sides))
    keras.models.clone_model(
        network, input_tensors=group, clone_function=lambda layer: layer, call_function=note
    )
    for layer, shape, result in calls:
        if isinstance(layer, keras.Model):
            for inner, *shapes in _calls(layer, side):
                before, after = ((shape[0] * s[0], *s[1:]) for s in shapes)
                yield inner, before, after
        else:
            yield layer, shape, result


def _of(layer: Any, shape: Shape, result: Shape, unknown: set[str]) -> float:
    own = getattr(layer, "flops", None)
    if callable(own):
        return shape[0] * float(own(shape))
    match layer:
        case layers.DepthwiseConv2D():
            return 2.0 * math.prod(result) * math.prod(layer.kernel.shape[:2])
        case layers.SeparableConv2D():
            places = math.prod(result[:-1])
            middle = shape[-1] * layer.depth_multiplier
            by_channel = middle * math.prod(layer.depthwise_kernel.shape[:2])
            return 2.0 * places * (by_channel + middle * result[-1])
        case layers.Conv2DTranspose():
            return 2.0 * math.prod(shape[:-1]) * math.prod(layer.kernel.shape)
        case layers.Conv2D():  # the input axis of the kernel is that of one group of channels
            return 2.0 * math.prod(result) * math.prod(layer.kernel.shape[:3])
        case layers.Dense():
            return 2.0 * math.prod(result) * shape[-1]
        case layers.EinsumDense():
            return 2.0 * _einsum_products(layer.equation, shape, tuple(layer.kernel.shape))
    if getattr(layer, "weights", []) and not isinstance(layer, _CHEAP):
        unknown.add(f"{layer.name} ({type(layer).__name__})")
    return 0.0


def _einsum_products(equation: str, shape: tuple[int, ...], kernel: tuple[int, ...]) -> float:
    """Product of all axes that occur: what `...` stands for included."""
    given, _ = equation.replace(" ", "").split("->")
    inputs, weights = given.split(",")
    sizes = dict(zip(weights, kernel, strict=True))
    if "..." in inputs:
        before, after = inputs.split("...")
        named = dict(zip(before, shape, strict=False))
        named |= dict(zip(reversed(after), reversed(shape), strict=False))
        extra = math.prod(shape[len(before) : len(shape) - len(after)])
    else:
        named, extra = dict(zip(inputs, shape, strict=True)), 1
    return float(extra * math.prod((sizes | named).values()))
