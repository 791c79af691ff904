"""A model small enough to be followed in NumPy: two layers side by side, and a recorder."""

import keras
import numpy as np
from fixed_batches import FixedBatches
from keras import ops

from pinn.config import TrainConfig
from pinn.training.optimisation import equip

INPUTS, OUTPUTS = 3, 2


class Sides(keras.Model):
    """Output of the layer `near` plus twice that of `far`; the loss is the mean of the sum of its
    numbers, linear in the weights, or of half their squares."""

    def __init__(self, square=False):
        super().__init__()
        self.square = square
        self.near = keras.layers.Dense(OUTPUTS, name="near")
        self.far = keras.layers.Dense(OUTPUTS, name="far")
        self.near.build((None, INPUTS))
        self.far.build((None, INPUTS))
        self.built = True

    def call(self, inputs):
        return self.near(inputs["x"]) + 2.0 * self.far(inputs["x"])

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        values = 0.5 * ops.square(y_pred) if self.square else y_pred
        return ops.mean(ops.sum(values, axis=-1))


def gradients(weights, x, square=False):
    """Gradient of the loss on the batch `x` in float64: near kernel, near bias, far ones."""
    near, near_bias, far, far_bias = (np.asarray(w, np.float64) for w in weights)
    x = np.asarray(x, np.float64)
    out = x @ near + near_bias + 2 * (x @ far + far_bias)
    by_output = out if square else np.ones_like(out)
    kernel, bias = x.T @ by_output / len(x), by_output.mean(0)
    return [kernel, bias, 2 * kernel, 2 * bias]


class Recorder(keras.callbacks.Callback):
    """Weights after every batch, the first entry before them all."""

    def on_train_begin(self, logs=None):
        self.weights = [weights_of(self.model)]

    def on_train_batch_end(self, batch, logs=None):
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()
        self.weights.append(weights_of(self.model))


def make_batches(count, size=4, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.uniform(0.5, 1.5, (size, INPUTS)).astype("float32") for _ in range(count)]


def start_weights(seed=1):
    rng = np.random.default_rng(seed)
    shapes = [(INPUTS, OUTPUTS), (OUTPUTS,)] * 2
    return [rng.normal(0, 0.5, shape).astype("float32") for shape in shapes]


def make(run, batches, square=False, weights=None):
    """A model with its optimiser, from fixed weights."""
    model = Sides(square)
    model.set_weights(start_weights() if weights is None else weights)
    equip(model, run, batches)
    return model


def fit(model, batches, epochs, callbacks=(), first=0, held=None):
    """Recorder of a plain `fit`."""
    recorder = Recorder()
    model.fit(
        _data(batches),
        initial_epoch=first,
        epochs=epochs,
        validation_data=None if held is None else _data(held),
        callbacks=[recorder, *callbacks],
        shuffle=False,
        verbose=0,
    )
    return recorder


def _data(batches):
    return FixedBatches({"x": batch} for batch in batches)


def weights_of(model):
    """Copies, in the order of `gradients`."""
    layers = (model.near.kernel, model.near.bias, model.far.kernel, model.far.bias)
    return [np.array(ops.convert_to_numpy(w)) for w in layers]


def plain(**options):
    """Gradient descent whose change is the rate times the gradient, unless options say more."""
    return TrainConfig(
        **{"optimizer": "sgd", "momentum": 0.0, "clip_norm": None, "schedule": "constant"} | options
    )
