"""Why accumulation, averaging and a second clip are our own: what Keras' do instead."""

import keras
import linear
import numpy as np
import pytest

from pinn.training.optimisation import averaged

RATE, BATCHES, DECAY = 0.02, 5, 0.7

pytestmark = pytest.mark.each_backend


def with_keras(**options):
    """The model of `linear` with a plain optimiser of Keras."""
    model = linear.make(linear.plain(), BATCHES, square=True)
    model.compile(optimizer=keras.optimizers.SGD(RATE, **options))
    model.optimizer.build(model.trainable_variables)
    return model


def moved(recorder):
    """By batch: whether the weights changed."""
    pairs = zip(recorder.weights, recorder.weights[1:], strict=False)
    return [bool(np.any(a[0] != b[0])) for a, b in pairs]


def test_the_last_batches_of_an_epoch_wait_for_the_next_one():
    data = linear.make_batches(BATCHES)
    ours = linear.make(linear.plain(learning_rate=RATE, accumulate=2), BATCHES, square=True)
    assert moved(linear.fit(ours, data, 2)) == 2 * [False, True, False, True, True]
    theirs = with_keras(gradient_accumulation_steps=2)
    assert moved(linear.fit(theirs, data, 2)) == 5 * [False, True]


def test_their_average_is_ours_where_every_batch_changes_the_weights_and_not_else():
    data = linear.make_batches(BATCHES)

    def difference(accumulate, **theirs):
        run = linear.plain(learning_rate=RATE, ema_decay=DECAY, accumulate=accumulate)
        ours = linear.make(run, BATCHES, square=True)
        linear.fit(ours, data[:4], 2)
        plain = with_keras(use_ema=True, ema_momentum=DECAY, **theirs)
        recorder = linear.fit(plain, data[:4], 2)
        plain.optimizer.finalize_variable_values(plain.trainable_variables)
        with averaged(ours):
            found = linear.weights_of(ours)
        assert not np.array_equal(found[0], recorder.weights[-1][0])
        return np.abs(found[0] - linear.weights_of(plain)[0]).max()

    assert difference(1) < 1e-6
    assert difference(2, gradient_accumulation_steps=2) > 1e-3


def test_only_one_clip_at_a_time():
    with pytest.raises(ValueError, match="Only one of"):
        keras.optimizers.SGD(global_clipnorm=1.0, clipvalue=0.5)
