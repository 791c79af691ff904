"""Clipping and accumulation of gradients against NumPy, and their state across an interruption."""

import keras
import linear
import numpy as np
import pytest
import tiny  # noqa: F401  (registers the network `test-tiny`)
from test_optimisation_rules import RATE, adam, applied, slopes

from pinn.config import ModelConfig, TrainConfig
from pinn.networks.model import PtychoModel
from pinn.training.optimisation import arrays_of, assign, equip

pytestmark = pytest.mark.each_backend


def change(given, **options):
    """Gradient as the optimiser took it: what plain descent at rate 1 changed."""
    found = applied(linear.plain(learning_rate=1.0, **options), [given])
    return [s - w for s, w in zip(linear.start_weights(), found, strict=True)]


def norm(arrays):
    return np.sqrt(sum(float((a.astype(float) ** 2).sum()) for a in arrays))


def test_clip_norm_is_that_of_the_whole_gradient():
    given = slopes()[0]
    for limit in (0.3, 100.0):
        found = change(given, clip_norm=limit)
        factor = min(1, limit / norm(given))
        for a, g in zip(found, given, strict=True):
            np.testing.assert_allclose(a, factor * g, atol=5e-7)


def test_clip_value_is_of_single_numbers():
    given = slopes()[0]
    for a, g in zip(change(given, clip_value=0.4), given, strict=True):
        np.testing.assert_allclose(a, np.clip(g, -0.4, 0.4), atol=5e-7)


def adaptive(gradient, weight, share):
    """One output at a time."""
    out = gradient.copy()
    for unit in range(weight.shape[1]):
        limit = share * max(np.linalg.norm(weight[:, unit]), 1e-3)
        size = np.linalg.norm(gradient[:, unit])
        if size > limit:
            out[:, unit] *= limit / size
    return out


def test_clip_adaptive_is_by_unit_and_leaves_biases():
    given, weights = slopes()[0], linear.start_weights()
    found = change(given, clip_adaptive=0.5)
    for number in (0, 2):
        wanted = adaptive(given[number].astype(float), weights[number].astype(float), 0.5)
        assert np.abs(wanted - given[number]).max() > 0.1
        np.testing.assert_allclose(found[number], wanted, atol=5e-7)
    for number in (1, 3):
        np.testing.assert_allclose(found[number], given[number], atol=5e-7)


def test_a_unit_that_starts_at_zero_is_clipped_to_a_thousandth():
    run = linear.plain(learning_rate=1.0, clip_adaptive=0.5)
    model = linear.make(run, 1, weights=[np.zeros_like(w) for w in linear.start_weights()])
    given = [keras.ops.convert_to_tensor(g) for g in slopes()[0]]
    model.optimizer.apply(given, model.trainable_variables)
    units = np.linalg.norm(linear.weights_of(model)[0], axis=0)
    np.testing.assert_allclose(units, 0.5e-3, rtol=1e-5)


def test_all_clips_together_keep_all_bounds_in_the_stated_order():
    given, weights = slopes()[0], linear.start_weights()
    found = change(given, clip_adaptive=0.5, clip_value=0.3, clip_norm=0.6)
    wanted = [g.astype(float) for g in given]
    for number in (0, 2):
        wanted[number] = adaptive(wanted[number], weights[number].astype(float), 0.5)
    wanted = [np.clip(g, -0.3, 0.3) for g in wanted]
    factor = min(1, 0.6 / norm(wanted))
    assert factor < 1
    for a, g in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, factor * g, atol=5e-7)


def test_clip_adaptive_takes_the_kernels_of_the_network_only():
    config = ModelConfig(N=16, architecture="test-tiny", gridsize=1, probe_trainable=True)
    changes = []
    for share in (None, 1e-6):
        model = PtychoModel(config, 16)
        equip(model, linear.plain(learning_rate=1.0, clip_adaptive=share), 1)
        before = model.named_arrays()
        ones = [keras.ops.ones(v.shape) for v in model.trainable_variables]
        model.optimizer.apply(ones, model.trainable_variables)
        after = model.named_arrays()
        changes.append({name: np.abs(after[name] - before[name]).max() for name in after})
    for name, free in changes[0].items():
        if name.endswith("kernel"):
            assert changes[1][name] < 1e-4 < free, name
        else:
            assert changes[1][name] == free, name
    assert changes[1]["probe"] > 0.5 and changes[1]["log_scale"] > 0.5


def descend(data, groups, rate, epochs):
    """Descent on the mean of the gradients of the batches of each group, in float64."""
    weights = [w.astype(float) for w in linear.start_weights()]
    for _ in range(epochs):
        for members in groups:
            parts = [linear.gradients(weights, data[m], square=True) for m in members]
            mean = [np.mean(p, axis=0) for p in zip(*parts, strict=True)]
            weights = [w - rate * g for w, g in zip(weights, mean, strict=True)]
    return weights


@pytest.mark.parametrize(
    ("batches", "accumulate", "groups"),
    [
        (5, 2, [(0, 1), (2, 3), (4,)]),
        (6, 3, [(0, 1, 2), (3, 4, 5)]),
        (2, 4, [(0, 1)]),
    ],
)
def test_accumulation_is_descent_on_the_mean_of_each_group(batches, accumulate, groups):
    data = linear.make_batches(batches)
    run = linear.plain(learning_rate=0.02, accumulate=accumulate)
    model = linear.make(run, batches, square=True)
    recorder = linear.fit(model, data, 3)
    wanted = descend(data, groups, 0.02, 3)
    for found, w in zip(recorder.weights[-1], wanted, strict=True):
        np.testing.assert_allclose(found, w, atol=2e-6)
    ends = {members[-1] for members in groups}
    for step in range(3 * batches):
        moved = np.abs(recorder.weights[step + 1][0] - recorder.weights[step][0]).max()
        assert (moved > 0) == (step % batches in ends), step


def test_accumulated_batches_equal_one_large_batch():
    data = linear.make_batches(6)
    large = [np.concatenate(data[:3]), np.concatenate(data[3:])]
    for run in (linear.plain(learning_rate=0.02), TrainConfig(learning_rate=0.02)):
        small = linear.make(run.replace(accumulate=3), 6, square=True)
        whole = linear.make(run, 2, square=True)
        one = linear.fit(small, data, 3).weights[-1]
        two = linear.fit(whole, large, 3).weights[-1]
        for a, b in zip(one, two, strict=True):
            np.testing.assert_allclose(a, b, atol=5e-6)


def test_bias_corrections_count_changes():
    given = slopes()
    means = [[(a + b) / 2 for a, b in zip(*given[i : i + 2], strict=True)] for i in (0, 2)]
    run = TrainConfig(
        learning_rate=RATE, schedule="constant", clip_norm=None, beta_1=0.8, beta_2=0.9,
        accumulate=2,
    )  # fmt: skip
    found = applied(run, given)
    for number, start in enumerate(linear.start_weights()):
        wanted = adam(start.astype(float), [m[number].astype(float) for m in means])
        np.testing.assert_allclose(found[number], wanted, atol=5e-6)


def continued(run, data, square=True):
    """Seven batches of five per epoch, interrupted after three in the middle of a group."""
    model = linear.make(run, 5, square)
    for step in range(3):
        model.train_on_batch({"x": data[step]})
    arrays, weights = arrays_of(model.optimizer), linear.weights_of(model)
    again = linear.make(run, 5, square, weights)
    assign(again.optimizer, arrays)
    for step in range(3, 7):
        again.train_on_batch({"x": data[step % 5]})
    return linear.weights_of(again)


def test_interrupted_in_the_middle_of_a_group_it_goes_on_exactly():
    data = linear.make_batches(5)
    run = TrainConfig(learning_rate=0.02, accumulate=2, epochs=4)
    whole = linear.make(run, 5, square=True)
    for step in range(7):
        whole.train_on_batch({"x": data[step % 5]})
    for a, b in zip(continued(run, data), linear.weights_of(whole), strict=True):
        np.testing.assert_array_equal(a, b)
