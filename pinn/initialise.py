"""Initial weights from NumPy: the same seed gives the same start on every backend."""

from __future__ import annotations

import math

import keras
import numpy as np


def initialise(network: keras.Model, seed: int) -> None:
    """Redraw every kernel whose initialiser is a variance scaling (He, Glorot, LeCun...).

    Frameworks draw different numbers from the same seed, so comparisons between backends would
    start from different networks. Other weights (zeros, ones, custom) are left as built.
    """
    for position, layer in enumerate(network.layers):
        initialiser = getattr(layer, "kernel_initializer", None)
        kernel = getattr(layer, "kernel", None)
        if kernel is None or not isinstance(initialiser, keras.initializers.VarianceScaling):
            continue
        shape = tuple(kernel.shape)
        rng = np.random.default_rng([seed, position])
        kernel.assign(_variance_scaling(initialiser, shape, rng).astype("float32"))


def _variance_scaling(
    initialiser: keras.initializers.VarianceScaling,
    shape: tuple[int, ...],
    rng: np.random.Generator,
) -> np.ndarray:
    receptive = math.prod(shape[:-2])
    fan_in, fan_out = shape[-2] * receptive, shape[-1] * receptive
    fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
    variance = initialiser.scale / max(1.0, fans[initialiser.mode])
    if initialiser.distribution == "uniform":
        limit = math.sqrt(3 * variance)
        return rng.uniform(-limit, limit, shape)
    if initialiser.distribution == "untruncated_normal":
        return rng.normal(0.0, math.sqrt(variance), shape)
    # Truncated at two standard deviations, which narrows a unit normal to 0.8796.
    draw = rng.standard_normal(shape)
    while (outside := np.abs(draw) > 2).any():
        draw[outside] = rng.standard_normal(int(outside.sum()))
    return draw * math.sqrt(variance) / 0.87962566103423978
