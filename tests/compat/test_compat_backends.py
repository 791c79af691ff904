"""The same training asked for on three backends, one after the other, in one process.

Needs all three installed; the two that are not loaded run in worker processes.
"""

import compat_scans as small
import keras
import numpy as np
import pytest

from pinn.errors import BackendError
from pinn.remote import needs_worker
from ptycho._dictionary import LEGACY
from ptycho.config.config import ModelConfig, PyTorchExecutionConfig, TrainingConfig
from ptycho.workflows.backend_selector import run_cdi_example_with_backend
from ptycho.workflows.components import run_cdi_example

WORDS = ("tensorflow", "pytorch", "jax")


@pytest.fixture(autouse=True)
def _fresh():
    LEGACY.reset()
    yield
    LEGACY.reset()


def test_one_process_trains_on_three_backends(caplog):
    caplog.set_level("INFO", "ptycho")
    raw = small.raw_of(small.arrays())
    losses, patches = {}, {}
    for word in WORDS:
        caplog.clear()
        config = TrainingConfig(ModelConfig(N=16), nepochs=2, batch_size=8)
        if word == "jax":
            results = run_cdi_example(raw, None, config, backend=word)[2]
        else:
            config.backend = word
            results = run_cdi_example_with_backend(raw, None, config)[2]
        assert results["backend"] == word
        assert {row["backend"] for row in results["history_epochs"]} == {
            {"pytorch": "torch"}.get(word, word)
        }
        assert "epoch 2 of 2: loss" in caplog.text
        assert caplog.text.count("device: ") == 1
        # an earlier run is no reason to doubt this one, and leaves what the caller asked for
        assert "the legacy dictionary has backend" not in caplog.text or word == "pytorch"
        assert (LEGACY.cfg["architecture"], LEGACY.cfg["n_filters_scale"]) == ("cnn", 2)
        assert "amp_activation" not in caplog.text
        losses[word] = results["history"]["loss"]
        container, model = results["train_container"], results["model_instance"]
        patches[word] = np.asarray(
            model.predict([container.X * model.intensity_scale, container.local_offsets])
        )
        if model.backend is not None:
            model.close()
    first = WORDS[0]
    for word in WORDS[1:]:
        # the same start and the same batches; single precision drifts over the steps
        np.testing.assert_allclose(losses[word], losses[first], rtol=2e-2)
        difference = np.linalg.norm(patches[word] - patches[first])
        assert difference < 5e-2 * np.linalg.norm(patches[first])
    # the backend of this process was not asked to change
    loaded = keras.backend.backend()
    assert [b for b in ("jax", "torch", "tensorflow") if not needs_worker(b)] == [loaded]


@pytest.mark.parametrize("word", ["pytorch", "tensorflow", "jax"])
def test_a_backend_that_is_not_installed_is_a_sentence_with_the_command(monkeypatch, word):
    import importlib.util

    missing = {"pytorch": "torch"}.get(word, word)
    find = importlib.util.find_spec

    def without(name, *rest):
        return None if name.split(".")[0] == missing else find(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    raw = small.raw_of(small.arrays(20))
    config = TrainingConfig(ModelConfig(N=16), nepochs=1)
    with pytest.raises(BackendError, match=rf"not installed; run `pip install .*\[{missing}\]"):
        run_cdi_example(raw, None, config, backend=word)


def test_an_accelerator_that_the_worker_does_not_have_is_a_sentence():
    raw = small.raw_of(small.arrays(20))
    config = TrainingConfig(ModelConfig(N=16), nepochs=1)
    execution = PyTorchExecutionConfig(accelerator="mps")
    with pytest.raises(BackendError, match="device mps was asked for"):
        run_cdi_example(raw, None, config, backend="pytorch", torch_execution_config=execution)
