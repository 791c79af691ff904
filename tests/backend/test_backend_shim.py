"""The few functions that hide a framework: compiled inference, device, determinism, provenance."""

from __future__ import annotations

import os
import random
import sys

import keras
import numpy as np
import pytest

from pinn import backend
from pinn.errors import BackendError


class Pair(keras.Model):
    """Two inputs, two outputs, a dropout that must be off, and weights given by NumPy."""

    def __init__(self, kernel: np.ndarray) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(kernel.shape[1], use_bias=False)
        self.dense.build((None, kernel.shape[0]))
        self.dense.kernel.assign(kernel)
        self.dropout = keras.layers.Dropout(0.5, seed=1)
        self.built = True

    def call(self, inputs, training=False):
        mapped = self.dropout(self.dense(inputs["a"]), training=training)
        return {"sum": mapped + inputs["b"], "kept": inputs["b"]}


def _case():
    rng = np.random.default_rng(3)
    kernel = rng.normal(size=(5, 4)).astype("float32")
    a, b = rng.normal(size=(3, 5)), rng.normal(size=(3, 4)).astype("float32")
    return Pair(kernel), kernel, a, b


def test_compiled_inference_is_the_model_without_dropout():
    model, kernel, a, b = _case()
    run = backend.compile_inference(model)
    got = run({"a": a, "b": b})  # a is float64 on purpose
    assert set(got) == {"sum", "kept"}
    assert isinstance(got["sum"], np.ndarray) and got["sum"].dtype == np.float32
    np.testing.assert_allclose(got["sum"], a @ kernel + b, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(got["kept"], b)


def test_compiled_inference_sees_weights_assigned_later():
    model, kernel, a, b = _case()
    run = backend.compile_inference(model)
    run({"a": a, "b": b})
    model.dense.kernel.assign(2 * kernel)
    np.testing.assert_allclose(run({"a": a, "b": b})["sum"], 2 * a @ kernel + b, atol=1e-5)


def test_compiled_inference_takes_another_batch_size_and_a_plain_array():
    dense = keras.layers.Dense(2, kernel_initializer="ones")
    dense.build((None, 3))
    run = backend.compile_inference(dense)
    for count in (1, 4):
        x = np.arange(3.0 * count, dtype="float32").reshape(count, 3)
        np.testing.assert_allclose(run(x), np.repeat(x.sum(1)[:, None], 2, 1), rtol=1e-6)


def test_compiled_inference_leaves_no_graph_and_training_goes_on():
    model, _, a, b = _case()
    backend.compile_inference(model)({"a": a, "b": b})
    before = keras.ops.convert_to_numpy(model.dense.kernel).copy()
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss={"sum": "mse", "kept": None})
    model.train_on_batch({"a": a.astype("float32"), "b": b}, {"sum": b})
    assert np.abs(keras.ops.convert_to_numpy(model.dense.kernel) - before).max() > 1e-4


def test_select_keeps_the_loaded_backend_and_refuses_another():
    chosen = os.environ["KERAS_BACKEND"]
    assert backend.select().backend == chosen
    assert backend.select(chosen).backend == chosen
    other = next(name for name in backend.BACKENDS if name != chosen)
    with pytest.raises(BackendError, match=f"already imported with {chosen}"):
        backend.select(other)
    assert os.environ["KERAS_BACKEND"] == chosen


def test_device_that_no_machine_has_is_an_error_and_an_unknown_name_lists_the_known():
    impossible = {"jax": "mps", "torch": "tpu", "tensorflow": "mps"}[keras.backend.backend()]
    with pytest.raises(BackendError, match=f"device {impossible} was asked for, but"):
        backend.select_device(impossible)
    with pytest.raises(BackendError, match="auto, cpu, gpu, cuda, mps, tpu"):
        backend.select_device("abacus")


def test_device_auto_says_in_one_line_what_it_took():
    line = backend.select_device("auto")
    assert line.startswith(f"{keras.backend.backend()} on ") and "\n" not in line


@pytest.mark.parametrize("supported", [False, True])
def test_bfloat16_is_judged_by_the_device_in_use(monkeypatch, supported):
    """With `--device cpu` a GPU of the machine is no reason to train in it."""
    if keras.backend.backend() != "torch":
        assert backend.trains_in_bfloat16()
        return
    torch = sys.modules["torch"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: supported)
    with keras.device("cpu"):
        assert backend.trains_in_bfloat16() is supported
    with keras.device("meta"):  # any other than the processor
        assert backend.trains_in_bfloat16()


def test_determinism_with_a_seed_repeats_random_numbers():
    draws = []
    for _ in range(2):
        backend.deterministic(11)
        draws.append(keras.ops.convert_to_numpy(keras.random.normal((7,))))
    np.testing.assert_array_equal(*draws)


def test_seeds_are_those_of_keras():
    draws = []
    for seed in (keras.utils.set_random_seed, backend.seed_everything):
        seed(11)
        ours = random.random(), np.random.random()  # noqa: NPY002
        numbers = keras.random.normal((7,))
        kernel = keras.initializers.GlorotUniform()((3, 4))
        draws.append([*ours, *(keras.ops.convert_to_numpy(x).tolist() for x in (numbers, kernel))])
    assert draws[0] == draws[1]


def test_full_precision_runs_on_this_backend():
    backend.full_precision()
    x = np.random.default_rng(0).normal(size=(64, 64)).astype("float32")
    product = keras.ops.matmul(x, x)
    got = keras.ops.convert_to_numpy(product)
    # bfloat16 or TF32 passes would be off by 1e-3 of the norm
    assert np.linalg.norm(got - x.astype(float) @ x) < 1e-6 * np.linalg.norm(got)


def test_provenance_names_versions_and_hardware_but_not_the_machine():
    versions = backend.versions()
    assert versions["backend"] == keras.backend.backend()
    assert versions["keras"] == keras.__version__
    assert versions[versions["backend"]][0].isdigit()
    facts = backend.hardware()
    assert facts["cores"] >= 1 and facts["memory_gb"] > 0 and facts["device"]
    assert os.uname().nodename not in facts.values()
    assert 50 < backend.peak_memory_mb() < 1e5
