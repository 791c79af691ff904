"""Memory that runs out in a network: one sentence that says what to lower, whatever the backend."""

import re
import sys

import keras
import numpy as np
import pytest
from small import small_scan

import pinn
from pinn import backend, cli
from pinn.errors import OutOfMemoryError
from pinn.io.archive import read_archive
from pinn.layers.heads import AmplitudeHead, PhaseHead, PolarPatches
from pinn.networks.registry import register
from pinn.simulate import SimulateConfig, simulate_to_file

pytestmark = pytest.mark.each_backend


@keras.saving.register_keras_serializable("test")
class Hungry(keras.layers.Layer):
    """Raises what its framework raises when memory runs out, once it is told to."""

    raises = None

    def call(self, inputs):
        if Hungry.raises is not None:
            Hungry.raises()
        return inputs


@register("test-hungry")
def hungry(config):
    C = config.gridsize**2
    frames = keras.Input((config.N, config.N, C))
    x = Hungry()(keras.layers.Conv2D(4, 3, padding="same", activation="relu")(frames))
    amplitude = AmplitudeHead("softplus")(keras.layers.Conv2D(C, 3, padding="same", name="a")(x))
    phase = PhaseHead()(keras.layers.Conv2D(C, 3, padding="same", name="p")(x))
    return keras.Model(frames, PolarPatches()([amplitude, phase]))


def on_the_accelerator():
    """What each framework raises where the memory of a GPU ends."""
    framework = sys.modules[keras.config.backend()]
    match keras.config.backend():
        case "torch":
            raise framework.cuda.OutOfMemoryError(
                "CUDA out of memory. Tried to allocate 20.00 GiB."
            )
        case "jax":
            raise framework.errors.JaxRuntimeError(
                "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 21474836480 bytes."
            )
        case _:
            raise framework.errors.ResourceExhaustedError(
                None, None, "OOM when allocating tensor with shape[16,1024,1024]"
            )


def on_the_processor():
    """What comes of an array that no machine holds."""
    library = sys.modules["torch"] if keras.config.backend() == "torch" else np
    library.empty(1 << 50)


@pytest.fixture(params=[on_the_accelerator, on_the_processor])
def hunger(request, monkeypatch):
    """From when it is called on, the network asks for more memory than there is."""
    return lambda: monkeypatch.setattr(Hungry, "raises", staticmethod(request.param))


OPTIONS = {
    "architecture": "test-hungry",
    "batch_size": 8,
    "n_groups": 24,
    "epochs": 1,
    "gridsize": 1,
}


def test_each_work_says_what_to_lower(hunger, tmp_path):
    scan = small_scan()
    model = pinn.train(scan, output=tmp_path, **OPTIONS)
    again = pinn.load_model(tmp_path)
    before = (tmp_path / "wts.h5.zip").read_bytes()
    hunger()
    with pytest.raises(OutOfMemoryError, match=r"training needs more .* lower --batch-size, --gri"):
        pinn.train(scan, output=tmp_path, resume=True, **{**OPTIONS, "epochs": 2})
    assert (tmp_path / "wts.h5.zip").read_bytes() == before
    assert len(read_archive(tmp_path).history) == 1
    with pytest.raises(OutOfMemoryError, match=r"reconstruction needs more .* lower --batch-size"):
        pinn.reconstruct(scan, model)
    words = r"refinement needs more .* lower --batch-size, --probe-modes or --opr-modes"
    with pytest.raises(OutOfMemoryError, match=words) as error:
        pinn.refine(scan, again, epochs=1, output=tmp_path / "refined")
    assert error.value.exit_code == 2 and error.value.__cause__ is not None


def test_the_command_line_says_it_once(hunger, tmp_path, capsys):
    simulate_to_file(SimulateConfig(N=16, object="lines", n_frames=40), tmp_path / "scan.npz")
    words = [str(part) for name, value in OPTIONS.items() for part in (f"--{name}", value)]
    line = ["train", str(tmp_path / "scan.npz"), "--output", str(tmp_path / "run"), *words]
    hunger()
    assert cli.run([*line, "--quiet"]) == 2
    said = capsys.readouterr().err
    assert re.fullmatch(r"Error: training needs more memory than there is \(.*\); lower .*\n", said)


def test_other_errors_stay_what_they_are(monkeypatch):
    def fails():
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(Hungry, "raises", staticmethod(fails))
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        pinn.train(small_scan(), **OPTIONS)
    assert not backend.out_of_memory(ValueError("out of memory is a word"))
    assert backend.out_of_memory(MemoryError())
