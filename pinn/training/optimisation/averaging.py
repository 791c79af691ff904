"""Averaged weights: they are validated, drawn and saved, while training goes on from the others.

The model has either its own weights or the averages; what it does not have lies in the optimiser.
All of this is allowed where Keras' variables are valid, on JAX therefore not between the batches
of an epoch unless `model.jax_state_sync()` was called before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from pinn.training.optimisation.composed import composed


def average_is_in(model: keras.Model) -> bool:
    """Whether the model has the averaged weights at the moment."""
    optimizer = composed(model.optimizer)
    return optimizer is not None and optimizer.average_is_in


def swap(model: keras.Model, average: bool) -> None:
    """Give the model the averaged weights, or its own; nothing happens without averages."""
    optimizer = composed(model.optimizer)
    if optimizer is not None and optimizer.average_is_in != average:
        optimizer.swap()


@contextmanager
def averaged(model: keras.Model) -> Iterator[None]:
    """Within the block the model has the averaged weights, after it what it had before."""
    before = average_is_in(model)
    swap(model, True)
    try:
        yield
    finally:
        swap(model, before)


class AveragedWeights(keras.callbacks.Callback):
    """Validates the averaged weights, and leaves them in the model at the end of `fit`; harmless
    without averages. A run that ends in an exception keeps what it has."""

    def on_train_begin(self, logs=None):
        swap(self.model, False)

    def on_test_begin(self, logs=None):
        swap(self.model, True)

    def on_test_end(self, logs=None):
        swap(self.model, False)

    def on_train_end(self, logs=None):
        swap(self.model, True)
