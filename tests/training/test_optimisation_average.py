"""Averaged weights: validated and saved, while training goes on from the others."""

import linear
import numpy as np
import pytest

from pinn.config import TrainConfig
from pinn.training.optimisation import (
    AveragedWeights,
    arrays_of,
    assign,
    averaged,
    swap,
)

pytestmark = pytest.mark.each_backend

DECAY, BATCHES = 0.7, 5
RUN = TrainConfig(learning_rate=0.02, ema_decay=DECAY, epochs=4)


def average(changed):
    """Moving average of the weights after each change, from the first on."""
    mean = [w.astype(float) for w in changed[0]]
    for weights in changed[1:]:
        mean = [DECAY * m + (1 - DECAY) * w for m, w in zip(mean, weights, strict=True)]
    return mean


def close(found, wanted, tolerance=2e-7):
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance)


def loss(weights, batches):
    values = []
    for x in batches:
        near, near_bias, far, far_bias = (w.astype(float) for w in weights)
        out = x @ near + near_bias + 2 * (x @ far + far_bias)
        values.append(0.5 * (out**2).sum(1).mean())
    return np.mean(values)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_average_is_validated_and_kept_and_training_does_not_see_it(accumulate):
    data, held = linear.make_batches(BATCHES), linear.make_batches(2, seed=9)
    run = RUN.replace(accumulate=accumulate)
    model = linear.make(run, BATCHES, square=True)
    recorder = linear.fit(model, data, 2, [AveragedWeights()], held=held)
    raw = linear.make(run.replace(ema_decay=None), BATCHES, square=True)
    close(linear.fit(raw, data, 2).weights[-1], recorder.weights[-1], 0)
    ends = [0, 1, 2, 3, 4] if accumulate == 1 else [1, 3, 4]
    changed = [recorder.weights[BATCHES * e + s + 1] for e in range(2) for s in ends]
    close(linear.weights_of(model), average(changed))
    first = average(changed[: len(ends)])
    histories = model.history.history["val_loss"]
    assert histories[0] == pytest.approx(loss(first, held), rel=1e-5)
    assert histories[1] == pytest.approx(loss(average(changed), held), rel=1e-5)
    assert abs(histories[1] - loss(recorder.weights[-1], held)) > 1e-3


def test_a_block_has_the_average_and_leaves_what_was():
    model = linear.make(RUN, BATCHES, square=True)
    recorder = linear.fit(model, linear.make_batches(BATCHES), 1)
    own = recorder.weights[-1]
    close(linear.weights_of(model), own, 0)
    with averaged(model):
        inside = linear.weights_of(model)
        close(inside, average(recorder.weights[1:]))
        with averaged(model):
            close(linear.weights_of(model), inside, 0)
        close(linear.weights_of(model), inside, 0)
    close(linear.weights_of(model), own, 0)
    with pytest.raises(RuntimeError), averaged(model):
        raise RuntimeError
    close(linear.weights_of(model), own, 0)
    swap(model, True)
    with averaged(model):
        close(linear.weights_of(model), inside, 0)
    close(linear.weights_of(model), inside, 0)


def test_before_the_first_change_the_average_is_the_start():
    model = linear.make(RUN, BATCHES)
    with averaged(model):
        close(linear.weights_of(model), linear.start_weights(), 0)


def test_without_averages_nothing_happens():
    model = linear.make(TrainConfig(), BATCHES)
    with averaged(model):
        close(linear.weights_of(model), linear.start_weights(), 0)


@pytest.mark.parametrize("inside", [False, True])
def test_resumed_from_the_averages_training_goes_on_from_its_own_weights(inside):
    data = linear.make_batches(BATCHES)
    whole = linear.make(RUN, BATCHES, square=True)
    linear.fit(whole, data, 4, [AveragedWeights()])
    first = linear.make(RUN, BATCHES, square=True)
    linear.fit(first, data, 2)
    with averaged(first):
        saved = linear.weights_of(first)
        arrays = arrays_of(first.optimizer)
    if not inside:  # the state does not depend on which of the two the model has
        again = arrays_of(first.optimizer)
        assert again.keys() == arrays.keys()
        for name, array in again.items():
            np.testing.assert_array_equal(array, arrays[name], err_msg=name)
    second = linear.make(RUN, BATCHES, square=True, weights=saved)
    assign(second.optimizer, arrays)
    with averaged(second):
        close(linear.weights_of(second), saved, 0)
    linear.fit(second, data, 4, [AveragedWeights()], first=2)
    close(linear.weights_of(second), linear.weights_of(whole), 0)


def test_the_state_is_copied():
    model = linear.make(RUN, BATCHES, square=True)
    before = arrays_of(model.optimizer)
    kept = {name: array.copy() for name, array in before.items()}
    linear.fit(model, linear.make_batches(BATCHES), 1)
    for name, array in before.items():
        np.testing.assert_array_equal(array, kept[name], err_msg=name)
