"""Update rules by name, with their options, against the published formulas in float64."""

import keras
import linear
import numpy as np
import pytest

from pinn.config import TrainConfig
from pinn.errors import ConfigError

RATE, B1, B2, STEPS = 0.05, 0.8, 0.9, 4


def sgd(w, slopes, momentum=0.7):
    speed = 0.0
    for g in slopes:
        speed = momentum * speed - RATE * g
        w = w + speed
    return w


def rmsprop(w, slopes, momentum=0.7):
    mean, speed = 0.0, 0.0
    for g in slopes:
        mean = 0.9 * mean + 0.1 * g**2
        speed = momentum * speed + RATE * g / np.sqrt(mean + 1e-7)
        w = w - speed
    return w


def adam(w, slopes, decay=0.0):
    m, v = 0.0, 0.0
    for t, g in enumerate(slopes, 1):
        m, v = B1 * m + (1 - B1) * g, B2 * v + (1 - B2) * g**2
        step = m / (1 - B1**t) / (np.sqrt(v / (1 - B2**t)) + 1e-7)
        w = w * (1 - RATE * decay) - RATE * step
    return w


def adamw(w, slopes):
    return adam(w, slopes, 0.01 if w.ndim == 2 else 0.0)  # the default; biases do not decay


BETAS = {"beta_1": B1, "beta_2": B2}
RULES = {
    "sgd": (sgd, {"momentum": 0.7}),
    "rmsprop": (rmsprop, {"momentum": 0.7}),
    "adam": (adam, BETAS),
    "adamw": (adamw, BETAS),
}
# An average changes nothing of the steps, but the rule is then wrapped, and not fused on PyTorch.
WRAPPED = {"ema_decay": 0.5}


def slopes(seed=3):
    rng = np.random.default_rng(seed)
    shapes = [w.shape for w in linear.start_weights()]
    return [[rng.normal(0, 1, s).astype("float32") for s in shapes] for _ in range(STEPS)]


def applied(run, given, batches=STEPS):
    """Weights, as float64, after so many gradients."""
    model = linear.make(run, batches)
    for step in given:
        tensors = [keras.ops.convert_to_tensor(g) for g in step]
        model.optimizer.apply(tensors, model.trainable_variables)
    return [w.astype(float) for w in linear.weights_of(model)]


def options(name, **more):
    base = {"optimizer": name, "learning_rate": RATE, "schedule": "constant", "clip_norm": None}
    return TrainConfig(**base | RULES[name][1] | more)


@pytest.mark.parametrize("more", [{}, WRAPPED], ids=["plain", "wrapped"])
@pytest.mark.parametrize("name", RULES)
def test_rule_and_its_options(name, more):
    given = slopes()
    found = applied(options(name, **more), given)
    rule = RULES[name][0]
    for number, (weight, start) in enumerate(zip(found, linear.start_weights(), strict=True)):
        mine = [step[number].astype(float) for step in given]
        # float32, four steps on numbers of order one; Adam's small numbers are divided
        np.testing.assert_allclose(weight, rule(start.astype(float), mine), atol=5e-6)


def test_every_name_of_the_options_is_a_rule():
    assert set(TrainConfig.model_fields["optimizer"].annotation.__args__) == set(RULES)
    assert TrainConfig().optimizer == "adam" and TrainConfig().learning_rate == 1e-3


@pytest.mark.parametrize("more", [{}, WRAPPED], ids=["plain", "wrapped"])
@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_weight_decay_is_decoupled_and_for_kernels_only(name, more):
    given = slopes()
    without = applied(options(name, weight_decay=0.0), given)
    found = applied(options(name, weight_decay=0.5, **more), given)
    np.testing.assert_array_equal(found[1], without[1])
    np.testing.assert_array_equal(found[3], without[3])
    # with no gradient at all only the decay is left, whatever the rule
    nothing = [[np.zeros_like(g) for g in step] for step in given]
    shrunk = applied(options(name, weight_decay=0.5, **more), nothing)
    for number, start in enumerate(linear.start_weights()):
        factor = (1 - RATE * 0.5) ** STEPS if start.ndim == 2 else 1.0
        np.testing.assert_allclose(shrunk[number], start * factor, rtol=1e-6)


def test_options_that_a_rule_does_not_use_are_refused():
    with pytest.raises(ConfigError, match=r"momentum is 0\.5, but optimizer adam does not use it"):
        TrainConfig(momentum=0.5)
    with pytest.raises(ConfigError, match=r"beta_2 is 0\.5, but optimizer sgd"):
        TrainConfig(optimizer="sgd", beta_2=0.5)
    with pytest.raises(ConfigError, match="optimizer"):
        TrainConfig(optimizer="adamm")
