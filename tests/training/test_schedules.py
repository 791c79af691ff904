"""Learning rates as they are used: change of a weight over its gradient, step by step, in `fit`."""

import keras
import linear
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinn.config import TrainConfig
from pinn.errors import ConfigError
from pinn.training.history import improvements, plateau_factor
from pinn.training.optimisation import Rate, arrays_of, assign, set_plateau_factor

PEAK, EPOCHS, BATCHES = 0.02, 6, 5


def cosine(done, floor):
    return (1 - floor) * 0.5 * (1 + np.cos(np.pi * np.minimum(done, 1))) + floor


def warm(n, length):
    return 0.1 + 0.9 * np.minimum(n / length, 1)


# Independent formulas: n is the number of changes before this one, e the whole epochs before it.
CASES = {
    # a twentieth of the 30 changes are warm-up, rounded down
    "cosine": ({"schedule": "cosine"}, lambda n, e: warm(n, 1) * cosine(max(n - 1, 0) / 29, 0.01)),
    "cosine, long warm-up": (
        {"schedule": "cosine", "warmup_epochs": 2.0, "rate_floor": 0.2},
        lambda n, e: warm(n, 10) * cosine(max(n - 10, 0) / 20, 0.2),
    ),
    "cosine, no warm-up": (
        {"schedule": "cosine", "warmup_epochs": 0.0},
        lambda n, e: cosine(n / 30, 0.01),
    ),
    "constant": ({}, lambda n, e: 1.0),
    "constant, warm-up": ({"warmup_epochs": 1.5}, lambda n, e: warm(n, 8)),  # 7.5 rounds to even
    "exponential": (
        {"schedule": "exponential", "decay": 0.5, "rate_floor": 0.1},
        lambda n, e: max(0.5**e, 0.1),
    ),
    "exponential, warm-up": (
        {"schedule": "exponential", "decay": 0.7, "warmup_epochs": 0.8},
        lambda n, e: warm(n, 4) * 0.7**e,
    ),
    "staged training": (
        {
            "label_epochs": 2,
            "blend_epochs": 1,
            "schedule": "exponential",
            "decay": 0.9,
        },
        lambda n, e: 0.9**e,
    ),
}


def used(recorder, batches=BATCHES):
    """Rate of every step from each weight by itself; all of them must agree."""
    data = linear.make_batches(batches)
    rates = []
    steps = zip(recorder.weights[:-1], recorder.weights[1:], strict=True)
    for step, (old, new) in enumerate(steps):
        slope = linear.gradients(old, data[step % batches])
        changes = [(a - b) / g for a, b, g in zip(old, new, slope, strict=True)]
        numbers = np.concatenate([c.ravel() for c in changes])
        rates.append(np.median(numbers))
        # a rounding of a weight of size 1 is 6e-8
        np.testing.assert_allclose(numbers, rates[-1], atol=3e-7)
    return np.array(rates)


def expected(formula, changes=BATCHES):
    return np.array([PEAK * formula(n, n // changes) for n in range(EPOCHS * changes)])


@pytest.mark.parametrize("name", CASES)
def test_rate_used_at_each_step(name):
    options, formula = CASES[name]
    run = linear.plain(learning_rate=PEAK, epochs=EPOCHS, **options)
    model = linear.make(run, BATCHES, weights=[np.zeros_like(w) for w in linear.start_weights()])
    rates = used(linear.fit(model, linear.make_batches(BATCHES), EPOCHS))
    np.testing.assert_allclose(rates, expected(formula), rtol=2e-4, atol=3e-7)
    assert float(model.optimizer.learning_rate) > 0


@pytest.mark.parametrize("name", ["cosine, long warm-up", "exponential", "staged training"])
def test_resumed_run_uses_the_rates_of_an_uninterrupted_one(name):
    options, formula = CASES[name]
    run = linear.plain(learning_rate=PEAK, epochs=EPOCHS, **options)
    data = linear.make_batches(BATCHES)
    first = linear.make(run, BATCHES)
    linear.fit(first, data, 2)
    arrays, weights = arrays_of(first.optimizer), linear.weights_of(first)
    second = linear.make(run, BATCHES, weights=weights)
    assign(second.optimizer, arrays)
    rates = used(linear.fit(second, data, EPOCHS, first=2))
    np.testing.assert_allclose(rates, expected(formula)[2 * BATCHES :], rtol=2e-4, atol=3e-7)


def test_resumed_for_longer_a_cosine_is_that_of_the_new_length():
    data, zeros = linear.make_batches(BATCHES), [np.zeros_like(w) for w in linear.start_weights()]
    options = {"learning_rate": PEAK, "schedule": "cosine", "warmup_epochs": 0.0}
    first = linear.make(linear.plain(epochs=2, **options), BATCHES, weights=zeros)
    linear.fit(first, data, 2)
    second = linear.make(linear.plain(epochs=4, **options), BATCHES, weights=zeros)
    assign(second.optimizer, arrays_of(first.optimizer))
    rates = used(linear.fit(second, data, 4, first=2))
    n = np.arange(10, 20)
    np.testing.assert_allclose(rates, PEAK * cosine(n / 20, 0.01), rtol=2e-4, atol=3e-7)


def test_rates_count_changes_of_the_weights_not_batches():
    run = linear.plain(
        learning_rate=PEAK, epochs=3, accumulate=2, schedule="cosine", warmup_epochs=1.0
    )
    data = linear.make_batches(5)  # three changes: two batches, two, one
    model = linear.make(run, 5)
    recorder = linear.fit(model, data, 3)
    weights = [recorder.weights[0]]
    rates = []
    for epoch in range(3):
        for members in ((0, 1), (2, 3), (4,)):
            slopes = [linear.gradients(weights[-1], data[m]) for m in members]
            mean = [np.mean(parts, axis=0) for parts in zip(*slopes, strict=True)]
            weights.append(recorder.weights[5 * epoch + members[-1] + 1])
            rates.append(float(((weights[-2][0] - weights[-1][0]) / mean[0]).mean()))
    n = np.arange(9)
    formula = PEAK * warm(n, 3) * cosine(np.maximum(n - 3, 0) / 6, 0.01)
    np.testing.assert_allclose(rates, formula, rtol=2e-4, atol=3e-7)


def test_default_cosine_is_the_published_rule_of_keras():
    run = TrainConfig(epochs=40)
    steps, lengthy = 40 * 61, [0, 1, 57, 99, 100, 101, 700, 1234, 2000, 2439, 2440, 2600]
    keras_rule = keras.optimizers.schedules.CosineDecay(
        1e-4, steps - 100, alpha=0.01, warmup_target=1e-3, warmup_steps=100
    )
    rate = Rate(run, 61)
    ours = [float(rate(int(n))) for n in lengthy]
    np.testing.assert_allclose(ours, [float(keras_rule(int(n))) for n in lengthy], rtol=1e-5)
    again = Rate.from_config(rate.get_config())
    assert float(again(777)) == float(rate(777))


class Plateau(keras.callbacks.Callback):
    """What a run does at the end of an epoch, with a metric of our own."""

    def __init__(self, values, run):
        super().__init__()
        self.values, self.run = values, run

    def on_epoch_end(self, epoch, logs=None):
        factor = plateau_factor(self.values[: epoch + 1], self.run)
        set_plateau_factor(self.model.optimizer, factor)


METRIC = [5.0, 4.0, 4.5, 4.0, 3.9, 4.0]  # two without improvement end with the fourth epoch


@pytest.mark.parametrize("resumed", [False, True])
def test_plateau_rate_reaches_the_compiled_step(resumed):
    run = linear.plain(
        learning_rate=PEAK, epochs=EPOCHS, schedule="plateau", plateau_factor=0.25,
        plateau_patience=2, warmup_epochs=0.6,
    )  # fmt: skip
    data = linear.make_batches(BATCHES)
    model = linear.make(run, BATCHES)
    start = 5 if resumed else 0
    if resumed:
        linear.fit(model, data, 5, [Plateau(METRIC, run)])
        arrays, weights = arrays_of(model.optimizer), linear.weights_of(model)
        model = linear.make(run, BATCHES, weights=weights)
        assign(model.optimizer, arrays)
    recorder = linear.fit(model, data, EPOCHS, [Plateau(METRIC, run)], first=start)
    factors = [warm(n, 3) * (1.0 if n < 20 else 0.25) for n in range(30)]
    np.testing.assert_allclose(
        used(recorder), PEAK * np.array(factors)[start * BATCHES :], rtol=2e-4, atol=3e-7
    )


def test_plateau_factor_of_a_history():
    run = TrainConfig(schedule="plateau", plateau_factor=0.1, plateau_patience=2, rate_floor=0.05)
    values = [3.0, 2.0, 2.0, 2.5, 1.0, 1.1, 1.2, 1.3, 1.4]
    factors = [plateau_factor(values[:n], run) for n in range(len(values) + 1)]
    assert factors == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05])
    assert plateau_factor([None, float("nan"), 1.0], TrainConfig(schedule="plateau")) == 0.5
    strict = run.replace(plateau_threshold=0.6)
    assert plateau_factor([3.0, 2.5, 2.45], run) == 1.0
    assert plateau_factor([3.0, 2.5, 2.45], strict) == pytest.approx(0.1)
    rising = run.replace(monitor_mode="max")
    assert plateau_factor([1.0, 2.0, 3.0], rising) == 1.0
    assert plateau_factor([1.0, 2.0, 3.0], run) == pytest.approx(0.1)
    assert plateau_factor(values, TrainConfig()) == 1.0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-10, 10), max_size=12), st.floats(0, 2))
def test_improvements_are_records(values, threshold):
    found = improvements(values, "min", threshold)
    best = np.inf
    for value, better in zip(values, found, strict=True):
        assert better == (value < best - threshold)
        best = value if better else best
    assert improvements([-v for v in values], "max", threshold) == found


def test_options_that_a_schedule_does_not_use_are_refused():
    with pytest.raises(ConfigError, match=r"decay is 0\.5, but schedule cosine does not use it"):
        TrainConfig(decay=0.5)
    with pytest.raises(ConfigError, match="plateau_patience"):
        TrainConfig(schedule="constant", plateau_patience=5)
