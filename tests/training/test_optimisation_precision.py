"""Mixed precision: the network in half, weights and physics in single precision."""

import keras
import linear
import numpy as np
import pytest
import tiny  # noqa: F401  (registers the network `test-tiny`)
from test_optimisation_parts import batch

from pinn import backend
from pinn.config import ModelConfig, TrainConfig
from pinn.errors import ConfigError
from pinn.layers.base import PhysicsLayer
from pinn.networks.model import PtychoModel
from pinn.networks.precision import check_precision, in_float32, network_precision
from pinn.training.optimisation import AveragedWeights, equip

pytestmark = pytest.mark.each_backend

CONFIG = ModelConfig(N=16, architecture="test-tiny", gridsize=1)


def build(precision):
    model = PtychoModel(CONFIG, 20, precision=precision)
    rng = np.random.default_rng(4)
    arrays = {
        name: rng.normal(0, 0.2, array.shape).astype("float32") if "kernel" in name else array
        for name, array in model.named_arrays().items()
    }
    model.load_arrays(arrays)
    return model


def type_of(tensor):
    return keras.backend.standardize_dtype(tensor.dtype)


def losses(model, count, **options):
    equip(model, TrainConfig(learning_rate=5e-3, schedule="constant", **options), 1)
    out = []
    for _ in range(count):
        model.reset_metrics()
        out.append(float(model.train_on_batch(batch(), return_dict=True)["loss"]))
    return out


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_the_network_computes_in_half_and_the_physics_in_single(precision):
    half = precision.removeprefix("mixed_")
    model = build(precision)
    frames = batch()["frames"]
    for name in ("first", "a", "p"):
        layer = model.network.get_layer(name)
        assert layer.compute_dtype == half and layer.variable_dtype == "float32"
        assert type_of(layer.kernel.value) == "float32"
    assert type_of(model.network.get_layer("first")(frames)) == half
    assert type_of(model.normalise(frames)) == "float32"
    physics = [layer for layer in model.layers if isinstance(layer, PhysicsLayer)]
    assert len(physics) >= 5 and {layer.compute_dtype for layer in physics} == {"float32"}
    out = model(batch())
    assert {type_of(value) for value in out.values()} == {"float32"}
    assert type_of(model.object_patches(frames)) == "float32"
    assert {a.dtype.name for a in model.named_arrays().values()} == {"float32"}


def test_half_precision_changes_the_loss_a_little_and_it_goes_down():
    if not backend.trains_in_bfloat16():  # PyTorch on some processors: refused, not failed
        with pytest.raises(ConfigError, match="cannot train convolutions on in bfloat16"):
            check_precision(TrainConfig(precision="mixed_bfloat16"))
        return
    single, half = losses(build("float32"), 1), losses(build("mixed_bfloat16"), 12)
    # bfloat16 has 8 bits: 0.4 % of a number, averaged over many
    assert 0 < abs(half[0] - single[0]) < 0.01 * abs(single[0])
    assert half[-1] < 0.9 * half[0]


def test_nothing_is_left_behind():
    before = keras.config.dtype_policy().name
    build("mixed_bfloat16")
    assert keras.config.dtype_policy().name == before == "float32"
    with pytest.raises(RuntimeError), network_precision("mixed_bfloat16"):
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
        raise RuntimeError
    assert keras.config.dtype_policy().name == before


def test_what_remains_of_a_run_computes_in_single_precision():
    model = build("mixed_bfloat16")
    twin = in_float32(model)
    assert {layer.compute_dtype for layer in twin.network.layers} == {"float32"}
    for name, array in model.named_arrays().items():
        np.testing.assert_array_equal(twin.named_arrays()[name], array, err_msg=name)
    frames = batch()["frames"]
    three = (twin, build("float32"), model)
    one, two, coarse = (keras.ops.convert_to_numpy(m.object_patches(frames)) for m in three)
    np.testing.assert_array_equal(one, two)
    assert 1e-4 < np.abs(coarse - one).max() < 0.1


def test_float16_scales_its_loss_and_leaves_out_what_overflows():
    """On a model that stays in single precision: a processor may have no half gradients."""
    data = linear.make_batches(3)
    run = linear.plain(learning_rate=0.02, ema_decay=0.5)
    one = linear.make(run, 3, square=True)
    two = linear.make(run.replace(precision="mixed_float16"), 3, square=True)
    assert isinstance(two.optimizer, keras.optimizers.LossScaleOptimizer)
    plain, scaled = (linear.fit(m, data, 2, [AveragedWeights()]).weights[-1] for m in (one, two))
    for a, b in zip(scaled, plain, strict=True):  # the scale is a power of two
        np.testing.assert_allclose(a, b, atol=2e-7)
    for a, b in zip(linear.weights_of(two), linear.weights_of(one), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-7)
    before = linear.weights_of(two)
    two.optimizer.dynamic_scale.assign(3e38)
    two.train_on_batch({"x": 100 * data[0]})
    for a, b in zip(linear.weights_of(two), before, strict=True):
        np.testing.assert_array_equal(a, b)
    assert float(two.optimizer.dynamic_scale) == pytest.approx(1.5e38)


def test_float16_is_refused_where_it_is_slow_or_cannot_count():
    half = TrainConfig(precision="mixed_float16")
    with pytest.raises(ConfigError, match="asked for on cpu:0, where it is ten times slower"):
        check_precision(half, "cpu:0")
    check_precision(half, "nvidia a100")
    with pytest.raises(ConfigError, match="accumulate"):
        TrainConfig(precision="mixed_float16", accumulate=2)
