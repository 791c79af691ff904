"""Options of the optimisation through `pinn.train`: they act, and survive an interruption."""

import keras
import numpy as np
import pytest
from small import small_model, small_scan

import pinn
from pinn import backend
from pinn.errors import ConfigError
from pinn.progress import StopRequested


@pytest.fixture(scope="module")
def scan():
    return small_scan()


def arrays(model):
    return model.network.named_arrays()


def test_options_reach_the_run(scan):
    def loss(**options):
        return small_model(scan, **options).history[-1]["loss"]

    base = loss()
    for options in (
        dict(optimizer="rmsprop"),
        dict(accumulate=2),
        dict(rate_factors="first:0.1"),
        dict(schedule="exponential"),
    ):
        assert abs(loss(**options) - base) > 1e-6 * base, options


def test_averaged_weights_are_returned_saved_and_resumed(scan, tmp_path):
    options = dict(ema_decay=0.8, accumulate=2, rate_factors="first:0.5")
    whole = small_model(scan, epochs=4, output=tmp_path / "whole", **options)
    plain = small_model(scan, epochs=4, **options | {"ema_decay": None})
    name = "network/0000/first/kernel"
    assert np.abs(arrays(whole)[name] - arrays(plain)[name]).max() > 1e-4
    losses = [[row["loss"] for row in m.history] for m in (whole, plain)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)
    stored = pinn.load_model(tmp_path / "whole")
    for key, array in arrays(stored).items():
        np.testing.assert_array_equal(array, arrays(whole)[key], err_msg=key)

    def stop(report):
        if report.loss is not None and report.epoch == 2:
            raise StopRequested

    small_model(scan, epochs=4, output=tmp_path / "part", progress=stop, **options)
    part = small_model(scan, epochs=4, output=tmp_path / "part", resume=True, **options)
    for key, array in arrays(whole).items():
        np.testing.assert_allclose(arrays(part)[key], array, atol=1e-6, err_msg=key)
    assert [row["learning_rate"] for row in part.history] == pytest.approx(
        [row["learning_rate"] for row in whole.history]
    )
    again = small_model(scan, epochs=4, output=tmp_path / "part", resume=True, **options)
    for key, array in arrays(part).items():
        np.testing.assert_array_equal(arrays(again)[key], array, err_msg=key)


def test_a_half_precision_run_leaves_a_single_precision_model(scan, tmp_path):
    if not backend.trains_in_bfloat16():  # PyTorch on some processors
        with pytest.raises(ConfigError, match="cannot train convolutions on in bfloat16"):
            small_model(scan, epochs=2, precision="mixed_bfloat16", output=tmp_path)
        return
    model = small_model(scan, epochs=2, precision="mixed_bfloat16", output=tmp_path)
    single = small_model(scan, epochs=2)
    difference = abs(model.history[-1]["loss"] - single.history[-1]["loss"])
    assert 0 < difference < 0.02 * single.history[-1]["loss"]  # bfloat16: 0.4 % per number
    assert {layer.compute_dtype for layer in model.network.network.layers} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"
    stored = pinn.load_model(tmp_path)
    one, two = (pinn.reconstruct(scan, m).object for m in (model, stored))
    np.testing.assert_array_equal(one, two)


def test_plateau_lowers_the_rate_when_nothing_improves(scan):
    options = dict(schedule="plateau", plateau_threshold=1e6, plateau_patience=1, epochs=4)
    rates = [row["learning_rate"] for row in small_model(scan, **options).history]
    assert rates == pytest.approx([1e-3, 1e-3, 5e-4, 2.5e-4])


def test_unknown_parts_are_refused_before_training(scan):
    with pytest.raises(ConfigError, match=r"rate_factors has 'encoder_\*'.* a, first, p, scale"):
        small_model(scan, rate_factors="encoder_*:0")
