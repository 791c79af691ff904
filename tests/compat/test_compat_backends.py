"""The same training asked for on three backends, one after the other, in one process.

Needs all three installed; the two that are not loaded run in worker processes.
"""

import compat_scans as small
import numpy as np
import pytest

from pinn.io.legacy import LEGACY
from ptycho.config.config import ModelConfig, TrainingConfig
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
