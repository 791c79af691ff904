"""Frozen parts, and parts with a learning rate of their own."""

import keras
import linear
import numpy as np
import pytest
import tiny  # noqa: F401  (registers the network `test-tiny`)
from test_optimisation_rules import RATE, applied, options, slopes

from pinn import backend
from pinn.config import ModelConfig, TrainConfig
from pinn.errors import ConfigError
from pinn.networks.model import PtychoModel
from pinn.training.optimisation import ComposedOptimizer, arrays_of, assign, equip

CONFIG = ModelConfig(N=16, architecture="test-tiny", gridsize=1, probe_trainable=True)


def batch(seed=0):
    """A batch as `fit` hands it to the model: tensors, not NumPy."""
    rng = np.random.default_rng(seed)
    frames = rng.uniform(0.1, 1.5, (4, 16, 16, 1)).astype("float32")
    arrays = {
        "frames": frames,
        "offsets": rng.uniform(-1, 1, (4, 1, 2)).astype("float32"),
        "scale": np.full(4, 0.1, "float32"),
        "scan": np.zeros(4, "int32"),
        "weight": np.ones(4, "float32"),
    }
    return {name: keras.ops.convert_to_tensor(array) for name, array in arrays.items()}


def steps(run, count=3):
    """Weights by name before and after some steps of a ptychographic model."""
    backend.seed_everything(1)
    model = PtychoModel(CONFIG, 20)
    equip(model, run, 1)
    before = model.named_arrays()
    before = {name: array.copy() for name, array in before.items()}
    for step in range(count):
        model.train_on_batch(batch(step))
    return model, before, model.named_arrays()


@pytest.mark.parametrize("name", ["adam", "sgd", "rmsprop"])
def test_a_factor_scales_the_update_of_its_part(name):
    given = slopes()[:1]
    whole = applied(options(name), given)
    found = applied(options(name, rate_factors="far:0.1"), given)
    for number, start in enumerate(linear.start_weights()):
        factor = 0.1 if number >= 2 else 1.0
        wanted = start + factor * (whole[number] - start)
        np.testing.assert_allclose(found[number], wanted, atol=2e-7)
        assert np.abs(whole[number] - start).max() > 1e-3


def test_a_factor_scales_every_update_of_adam_and_its_decay():
    given = slopes()
    for more in ({}, {"weight_decay": 0.5}):
        slow = applied(options("adam", rate_factors="far:0.1", **more), given)
        tenth = applied(options("adam", learning_rate=RATE / 10, **more), given)
        whole = applied(options("adam", **more), given)
        for number in range(4):
            wanted = tenth if number >= 2 else whole
            np.testing.assert_allclose(slow[number], wanted[number], atol=1e-6)


def test_the_first_pattern_that_fits_counts():
    run = options("sgd", rate_factors="f*:0.5, far:0.1, *:2")
    assert [run.rate_factor(n) for n in ("far", "first", "near")] == [0.5, 0.5, 2.0]
    whole = applied(options("sgd"), slopes()[:1])
    found = applied(run, slopes()[:1])
    for number, start in enumerate(linear.start_weights()):
        wanted = start + (0.5 if number >= 2 else 2.0) * (whole[number] - start)
        np.testing.assert_allclose(found[number], wanted, atol=5e-7)


@pytest.mark.parametrize(
    "freezing",
    [{"rate_factors": "first:0,probe:0"}, {"rate_factors": "f*:0,pr?be:0"}],
)
def test_frozen_parts_stay_bit_for_bit_and_others_do_not(freezing):
    run = TrainConfig(weight_decay=0.5, warmup_epochs=0.0, **freezing)
    model, before, after = steps(run)
    for name in after:
        frozen = "first" in name or name in ("probe", "input/mean", "input/gain")
        assert np.array_equal(after[name], before[name]) == frozen, name
    assert not any("first" in name or "probe" in name for name in arrays_of(model.optimizer))
    assert not isinstance(model.optimizer, ComposedOptimizer)


def test_weights_keep_their_names_and_order_when_parts_are_frozen():
    frozen, _, _ = steps(TrainConfig(rate_factors="a:0"), 1)
    whole, _, _ = steps(TrainConfig(), 1)
    shapes = [{n: a.shape for n, a in m.named_arrays().items()} for m in (frozen, whole)]
    assert list(shapes[0].items()) == list(shapes[1].items())


def test_decay_leaves_probe_and_scale():
    run = TrainConfig(optimizer="sgd", weight_decay=0.5, warmup_epochs=0.0, learning_rate=0.1)
    model = PtychoModel(CONFIG, 20)
    equip(model, run, 1)
    model.scale.log_scale.assign([2.0])
    before = {name: array.copy() for name, array in model.named_arrays().items()}
    zeros = [keras.ops.zeros(v.shape) for v in model.trainable_variables]
    model.optimizer.apply(zeros, model.trainable_variables)
    for name, array in model.named_arrays().items():
        factor = 0.95 if name.endswith("kernel") else 1.0
        np.testing.assert_allclose(array, factor * before[name], rtol=1e-6, err_msg=name)


def test_names_that_nothing_has_are_refused_with_those_there_are():
    model = PtychoModel(CONFIG, 20)
    names = "a, first, p, probe, scale"
    with pytest.raises(ConfigError, match=rf"rate_factors has 'encoder_\*'.* {names}$"):
        equip(model, TrainConfig(rate_factors="encoder_*:0.1"), 1)
    with pytest.raises(ConfigError, match="leaves nothing that learns"):
        equip(model, TrainConfig(rate_factors="*:0"), 1)
    fixed = PtychoModel(CONFIG.replace(probe_trainable=False), 20)
    with pytest.raises(ConfigError, match="'probe', but nothing that learns"):
        equip(fixed, TrainConfig(rate_factors="probe:0.1"), 1)
    for bad in ("first", "first:quick", "first:-1", "first:nan"):
        with pytest.raises(ConfigError, match="NAME:NUMBER"):
            TrainConfig(rate_factors=bad)


def test_state_of_another_optimiser_is_refused():
    model = linear.make(TrainConfig(), 5)
    arrays = arrays_of(linear.make(TrainConfig(ema_decay=0.5), 5).optimizer)
    with pytest.raises(ConfigError, match="resume with the optimizer, accumulate, ema_decay"):
        assign(model.optimizer, arrays)


def test_an_old_archive_with_a_stored_rate_is_taken():
    """A constant rate was once a variable of the optimiser."""
    model = linear.make(TrainConfig(learning_rate=0.5, schedule="constant"), 5)
    old = keras.optimizers.Adam(0.125)
    old.build(model.trainable_variables)
    old.apply([keras.ops.ones(v.shape) for v in model.trainable_variables])
    arrays = {
        f"{i:04d}_{v.name}": keras.ops.convert_to_numpy(v) for i, v in enumerate(old.variables)
    }
    assert len(arrays) == len(model.optimizer.variables) + 1
    assign(model.optimizer, arrays)
    assert float(model.optimizer.learning_rate) == 0.5
    mean = next(v for v in model.optimizer.variables if v.name.endswith("kernel_momentum"))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(mean), 0.1, rtol=1e-5)
