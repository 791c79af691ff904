"""The reference's configuration classes: fields, defaults, and what its callers do to them."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import warnings
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import pytest
from legacy_tables import INFERENCE_FIELDS, MODEL_FIELDS, PATHS, TRAINING_FIELDS

from pinn.errors import ConfigError
from pinn.io.legacy.table import Unstated
from ptycho.config.config import (
    InferenceConfig,
    ModelConfig,
    PyTorchExecutionConfig,
    TrainingConfig,
    validate_inference_config,
    validate_model_config,
    validate_training_config,
)


def training(**values):
    return TrainingConfig(ModelConfig(), **values)


def inference(**values):
    values = {"model_path": Path("m"), "test_data_file": Path("t.npz"), **values}
    return InferenceConfig(ModelConfig(), **values)


@pytest.mark.parametrize(
    ("made", "table"),
    [(ModelConfig(), MODEL_FIELDS), (training(), TRAINING_FIELDS), (inference(), INFERENCE_FIELDS)],
    ids=["model", "training", "inference"],
)
def test_fields_and_defaults_are_the_references(made, table):
    found = {f.name: getattr(made, f.name) for f in dataclasses.fields(made) if f.name != "model"}
    expected = {
        name: Path(default) if name in PATHS and default is not None else default
        for name, (default, _, _) in table.items()
    }
    assert found == expected
    kinds = {name: type(found[name]) for name, value in expected.items() if value}
    unstated = {name for name, kind in kinds.items() if kind is Unstated}
    assert unstated == {"architecture", "backend"} & expected.keys()
    assert all(kinds[name] is type(expected[name]) for name in kinds.keys() - unstated)


def test_placeholders_of_a_parent_process_are_accepted_and_filled_in_later():
    made = TrainingConfig(
        model=ModelConfig(N=0, gridsize=1), train_data_file=Path(), output_dir=Path()
    )
    made.model.N = 128
    made.nepochs = 7
    assert (made.model.N, made.nepochs) == (128, 7)
    asked = InferenceConfig(
        model=ModelConfig(N=0), model_path=Path(), test_data_file=Path(), debug=(False,)
    )
    asked.model.N = 64
    assert asked.debug == (False,) and asked.model.N == 64


@pytest.mark.parametrize(
    "made", [ModelConfig(N=0), training(nphotons=1e6), inference(), PyTorchExecutionConfig()]
)
def test_configurations_reach_a_child_process_whole(made):
    again = ForkingPickler.loads(ForkingPickler.dumps(made))
    assert again == made and type(again) is type(made)


@pytest.mark.parametrize("make", [training, inference])
def test_n_images_is_an_old_name_of_n_groups(make):
    with pytest.warns(DeprecationWarning, match="n_groups") as caught:
        made = make(n_images=300)
    assert made.n_groups == 300
    assert caught[0].filename == __file__, "the warning points at the caller"
    with pytest.warns(DeprecationWarning, match="n_groups"):
        assert make(n_images=300, n_groups=20).n_groups == 20


def test_without_a_number_training_takes_512_groups_and_inference_all():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert training().n_groups == 512
        assert inference().n_groups is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"architecture": "cnnn"}, "cnn, ffno"),
        ({"gridsize": 0}, "gridsize is 0"),
        ({"n_filters_scale": 0}, "n_filters_scale is 0"),
        ({"probe_scale": 0.0}, "probe_scale is 0.0"),
        ({"gaussian_smoothing_sigma": -0.1}, "gaussian_smoothing_sigma is -0.1"),
    ],
)
def test_rules_of_the_network(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        validate_model_config(ModelConfig(**changes))
    with pytest.raises(ConfigError, match=sentence):  # the others check their network too
        validate_training_config(TrainingConfig(ModelConfig(**changes)))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"batch_size": 15}, "power of two"),
        ({"batch_size": 0}, "power of two"),
        ({"nepochs": 0}, "nepochs is 0"),
        ({"mae_weight": 1.1}, "mae_weight is 1.1"),
        ({"nll_weight": -0.1}, "nll_weight is -0.1"),
        ({"nphotons": 0.0}, "nphotons is 0.0"),
    ],
)
def test_rules_of_a_run(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        validate_training_config(training(**changes))


@pytest.mark.parametrize("size", [1, 2, 16, 1024])
def test_powers_of_two_are_good_batch_sizes(size):
    validate_training_config(training(batch_size=size, mae_weight=1, nll_weight=0))


def test_rules_of_a_reconstruction(tmp_path):
    with pytest.raises(ValueError, match=r"without wts\.h5\.zip"):
        validate_inference_config(inference(model_path=tmp_path))
    (tmp_path / "wts.h5.zip").write_bytes(b"")
    validate_inference_config(inference(model_path=tmp_path))
    for name in ("wts.h5.zip", "wts.h5", "wts"):
        validate_inference_config(inference(model_path=tmp_path / name))
    with pytest.raises(ValueError, match="does not exist"):
        validate_inference_config(inference(model_path=tmp_path / "other"))
    bad = InferenceConfig(ModelConfig(gridsize=0), tmp_path, Path("t"))
    with pytest.raises(ValueError, match="gridsize"):
        validate_inference_config(bad)


def test_the_bridge_loads_no_framework():
    code = (
        "import json, sys\n"
        "from ptycho.config.config import ModelConfig, TrainingConfig, update_legacy_dict\n"
        "from ptycho._classes import translated\n"
        "import ptycho.params, ptycho_torch.config_bridge\n"
        "update_legacy_dict(ptycho.params.cfg, TrainingConfig(ModelConfig(N=0)))\n"
        "translated(TrainingConfig(ModelConfig()))\n"
        "print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(json.loads(found.stdout)) & {"keras", "jax", "torch", "tensorflow"}
