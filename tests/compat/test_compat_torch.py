"""The PyTorch side's classes: defaults, the bridge to the canonical ones, and execution rules."""

from __future__ import annotations

import dataclasses
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest

from pinn import config as ours
from pinn.errors import ConfigError
from ptycho._classes import (
    InferenceConfig,
    ModelConfig,
    PyTorchExecutionConfig,
    TrainingConfig,
    translated,
)
from ptycho_torch import config_params as torch
from ptycho_torch.config_bridge import (
    left_behind,
    to_inference_config,
    to_model_config,
    to_training_config,
)

GIVEN = {"nphotons": 1e6, "train_data_file": "a.npz", "test_data_file": "b.npz", "n_groups": 9}


def network(data=None, **values):
    return to_model_config(data or torch.DataConfig(), torch.ModelConfig(**values))


def run(data=None, model=None, overrides=GIVEN, **values):
    data, model = data or torch.DataConfig(), model or torch.ModelConfig()
    canonical = to_model_config(data, model)
    return to_training_config(canonical, data, model, torch.TrainingConfig(**values), overrides)


def test_defaults_that_differ_between_the_two_sides():
    """The five that the reference itself lists, and no other in the bridged fields."""
    data, model = torch.DataConfig(), torch.ModelConfig()
    assert (data.nphotons, data.K, data.grid_size) == (1e5, 6, (2, 2))
    assert (model.amp_activation, model.intensity_scale_trainable) == ("silu", False)
    expected = dataclasses.replace(ModelConfig(), gridsize=2, amp_activation="swish")
    assert network() == expected
    plain = TrainingConfig(expected)
    changes = {
        "nphotons": 1e6, "train_data_file": "a.npz", "test_data_file": "b.npz", "n_groups": 9,
        "neighbor_count": 6, "intensity_scale_trainable": False, "backend": "pytorch",
    }  # fmt: skip
    assert run() == dataclasses.replace(plain, **changes)


@pytest.mark.parametrize(
    ("data", "model", "field", "value"),
    [
        ({"N": 128}, {}, "N", 128),
        ({"grid_size": (3, 3)}, {}, "gridsize", 3),
        ({"grid_size": [1, 1]}, {}, "gridsize", 1),
        ({"probe_scale": 2.0}, {}, "probe_scale", 2.0),
        ({}, {"mode": "Supervised"}, "model_type", "supervised"),
        ({}, {"amp_activation": "SiLU"}, "amp_activation", "swish"),
        ({}, {"amp_activation": "sigmoid"}, "amp_activation", "sigmoid"),
        ({}, {"amp_activation": "softplus"}, "amp_activation", "softplus"),
        ({}, {"amp_activation": "relu"}, "amp_activation", "relu"),
        ({}, {"amp_activation": "swish"}, "amp_activation", "swish"),
        ({}, {"probe_mask": True}, "probe_mask", True),
        ({}, {"probe_mask": None}, "probe_mask", False),
        ({}, {"probe_mask": np.zeros((4, 4))}, "probe_mask", True),
        ({}, {"probe_mask_tensor": np.zeros((4, 4))}, "probe_mask", True),
        ({}, {"probe_mask_sigma": 2.0}, "probe_mask_sigma", 2.0),
        ({}, {"probe_mask_diameter": 9.0}, "probe_mask_diameter", 9.0),
        ({}, {"pad_object": False}, "pad_object", False),
        ({}, {"object_big": False}, "object_big", False),
        ({}, {"probe_big": False}, "probe_big", False),
        ({}, {"gaussian_smoothing_sigma": 0.5}, "gaussian_smoothing_sigma", 0.5),
        ({}, {"n_filters_scale": 1}, "n_filters_scale", 1),
        ({}, {"architecture": "fno"}, "architecture", "fno"),
        ({}, {"fno_modes": 8}, "fno_modes", 8),
        ({}, {"fno_width": 8}, "fno_width", 8),
        ({}, {"fno_blocks": 8}, "fno_blocks", 8),
        ({}, {"fno_cnn_blocks": 8}, "fno_cnn_blocks", 8),
        ({}, {"fno_input_transform": "sqrt"}, "fno_input_transform", "sqrt"),
        ({}, {"generator_output_mode": "amp_phase"}, "generator_output_mode", "amp_phase"),
        ({}, {"learned_input_channels": 2}, "learned_input_channels", 2),
        ({}, {"max_hidden_channels": 8}, "max_hidden_channels", 8),
        ({}, {"resnet_width": 8}, "resnet_width", 8),
    ],
)
def test_field_of_the_network(data, model, field, value):
    found = network(torch.DataConfig(**data), **model)
    assert getattr(found, field) == value
    assert getattr(found, field) is value or type(value) is not bool


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("epochs", 3, "nepochs", 3),
        ("nll", True, "nll_weight", 1.0),
        ("nll", False, "nll_weight", 0.0),
        ("batch_size", 8, "batch_size", 8),
        ("output_dir", "o", "output_dir", Path("o")),
        ("optimizer", "sgd", "optimizer", "sgd"),
        ("momentum", 0.5, "momentum", 0.5),
        ("weight_decay", 0.5, "weight_decay", 0.5),
        ("adam_beta1", 0.5, "adam_beta1", 0.5),
        ("adam_beta2", 0.5, "adam_beta2", 0.5),
        ("scheduler", "Exponential", "scheduler", "Exponential"),
        ("lr_warmup_epochs", 4, "lr_warmup_epochs", 4),
        ("lr_min_ratio", 0.5, "lr_min_ratio", 0.5),
        ("plateau_factor", 0.4, "plateau_factor", 0.4),
        ("plateau_patience", 4, "plateau_patience", 4),
        ("plateau_min_lr", 0.4, "plateau_min_lr", 0.4),
        ("plateau_threshold", 0.4, "plateau_threshold", 0.4),
        ("gradient_clip_val", 0.5, "gradient_clip_val", 0.5),
        ("gradient_clip_algorithm", "agc", "gradient_clip_algorithm", "agc"),
        ("torch_loss_mode", "mae", "torch_loss_mode", "mae"),
        ("torch_mae_pred_l2_match_target", True, "torch_mae_pred_l2_match_target", True),
    ],
)
def test_field_of_the_run(name, value, field, expected):
    assert getattr(run(**{name: value}), field) == expected


def test_fields_that_change_their_class_and_constants():
    data = torch.DataConfig(K=9, subsample_seed=5, nphotons=2e6)
    model = torch.ModelConfig(intensity_scale_trainable=True)
    given = {k: v for k, v in GIVEN.items() if k != "nphotons"}
    found = run(data, model, given)
    assert (found.neighbor_count, found.subsample_seed, found.nphotons) == (9, 5, 2e6)
    assert found.intensity_scale_trainable is True
    assert found.n_subsample is None, "there it counts groups per point"
    assert (found.mae_weight, found.realspace_weight, found.realspace_mae_weight) == (0, 0, 0)
    assert found.positions_provided and not found.probe_trainable
    assert not found.sequential_sampling and found.backend == "pytorch"
    stated = run(
        overrides={"nphotons": 1e5},
        train_data_file="a.npz",
        test_data_file=Path("b.npz"),
        n_groups=4,
    )
    assert (stated.nphotons, stated.n_groups) == (1e5, 4)
    assert stated.train_data_file == Path("a.npz") and stated.test_data_file == Path("b.npz")


@pytest.mark.parametrize("grid", [(2, 3), (2,), 2, (2, 2, 2), None, ("2", "2"), (2.0, 2.0)])
def test_a_grid_that_is_not_square_is_refused(grid):
    with pytest.raises(ConfigError, match="grid_size"):
        network(torch.DataConfig(grid_size=grid))


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"mode": "supervised"}, "Unsupervised, Supervised"), ({"amp_activation": "tanh"}, "silu")],
)
def test_unknown_words_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        network(**changes)


@pytest.mark.parametrize(
    ("missing", "words"),
    [("nphotons", "1e9"), ("train_data_file", "to train on"), ("n_groups", "number of groups")],
)
def test_what_a_run_must_have(missing, words):
    with pytest.raises(ValueError, match=f"{missing} .*{words}"):
        run(overrides={k: v for k, v in GIVEN.items() if k != missing})


def test_a_missing_test_file_only_warns():
    with pytest.warns(UserWarning, match="no test_data_file"):
        found = run(overrides={k: v for k, v in GIVEN.items() if k != "test_data_file"})
    assert found.test_data_file is None


def test_overrides_count_and_unknown_ones_are_refused():
    found = run(overrides={**GIVEN, "probe_trainable": True, "nepochs": 2}, epochs=7)
    assert found.probe_trainable and found.nepochs == 2
    with pytest.raises(ConfigError, match="'epoch', which is no field of TrainingConfig"):
        run(overrides={**GIVEN, "epoch": 2})
    with pytest.raises(ConfigError, match="no field of ModelConfig"):
        to_model_config(torch.DataConfig(), torch.ModelConfig(), {"K": 3})
    assert to_model_config(torch.DataConfig(), torch.ModelConfig(), {"N": 32}).N == 32


def test_a_reconstruction_and_what_it_must_have():
    data = torch.DataConfig(K=9, subsample_seed=5)
    given = {"model_path": Path("m"), "test_data_file": Path("t"), "n_groups": 7}
    found = to_inference_config(network(data), data, torch.InferenceConfig(), given)
    expected = InferenceConfig(
        network(data), **given, neighbor_count=9, subsample_seed=5, backend="pytorch"
    )
    assert found == expected
    for name in given:
        less = {k: v for k, v in given.items() if k != name}
        with pytest.raises(ConfigError, match=f"{name} is missing"):
            to_inference_config(network(data), data, torch.InferenceConfig(), less)
    with pytest.raises(ConfigError, match="inference is TrainingConfig"):
        to_inference_config(network(data), data, torch.TrainingConfig(), given)


def test_bridged_configurations_translate():
    found = translated(run())
    assert found.backend == "torch" and found.model.amp_activation == "softplus"
    assert found.train.neighbours == 6 and not found.model.scale_trainable
    assert translated(run(nll=False)).train.loss == "mae"


def test_what_stays_behind_is_named_with_our_option_for_it():
    assert left_behind(*(kind() for kind in KINDS)) == []
    notes = left_behind(
        torch.DataConfig(min_neighbor_distance=2.0, N=128),
        torch.ModelConfig(batch_norm=True, cbam_encoder=False, probe_mask=np.ones(3)),
        torch.TrainingConfig(learning_rate=0.1, epochs=3),
        torch.InferenceConfig(varpro_scaling=False),
    )
    assert [note.split(" ")[0] for note in notes] == [
        "DataConfig.min_neighbor_distance",
        "ModelConfig.batch_norm",
        "ModelConfig.cbam_encoder",
        "TrainingConfig.learning_rate",
        "InferenceConfig.varpro_scaling",
    ]
    assert notes[0].endswith("no canonical field has it")
    assert "pinn has" not in notes[1]


KINDS = (
    torch.DataConfig,
    torch.ModelConfig,
    torch.TrainingConfig,
    torch.InferenceConfig,
    torch.DatagenConfig,
)


@pytest.mark.parametrize("kind", KINDS)
def test_classes_are_plain_and_travel(kind):
    made = kind()
    name = dataclasses.fields(made)[0].name
    setattr(made, name, "anything")
    assert getattr(ForkingPickler.loads(ForkingPickler.dumps(made)), name) == "anything"
    assert made != kind()


def test_options_and_fields_that_are_named_exist():
    options = {
        *ours.ModelConfig.model_fields,
        *ours.TrainConfig.model_fields,
        *ours.ReconstructConfig.model_fields,
    }
    canonical = {f.name for kind in (ModelConfig, TrainingConfig) for f in dataclasses.fields(kind)}
    for table in torch.FIELDS.values():
        for row in table.values():
            assert row.keys() <= {"default", "to", "ours"}
            assert row.get("to", "N") in canonical
            assert row.get("ours", "N").split(" ")[0] in options


# -- execution


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("devices", 0),
        ("devices", True),
        ("devices", "all"),
        ("devices", 1.0),
        ("precision", "64"),
        ("accelerator", "tpu"),
        ("accelerator", "CPU"),
        ("num_workers", -1),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("inference_batch_size", 0),
        ("accum_steps", 0),
        ("accum_steps", True),
        ("checkpoint_save_top_k", -1),
        ("early_stop_patience", 0),
        ("checkpoint_mode", "best"),
        ("deterministic", "yes"),
        ("logger_backend", "wandb"),
        ("ffno_encoder_blocks", 0),
        ("ffno_encoder_modes", 0),
        ("spectral_bottleneck_blocks", 0),
        ("spectral_bottleneck_modes", 0),
        ("spectral_bottleneck_gate_mode", "none"),
        ("scheduler", "Cosine"),
        ("gradient_clip_algorithm", "l2"),
        ("gradient_clip_val", -1.0),
    ],
)
def test_rules_of_the_execution(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value!r}"):
        PyTorchExecutionConfig(**{name: value})


@pytest.mark.parametrize(
    "values",
    [
        {"devices": "auto"},
        {"devices": 2},
        {"num_workers": 0},
        {"checkpoint_save_top_k": 0},
        {"inference_batch_size": 1},
        {"logger_backend": None},
        {"deterministic": "warn"},
        *({"accelerator": name} for name in ("auto", "cpu", "gpu", "cuda", "mps")),
        *({"precision": name} for name in ("32-true", "16-mixed", "bf16-mixed")),
    ],
)
def test_allowed_values_of_the_execution(values):
    made = PyTorchExecutionConfig(**values)
    assert {name: getattr(made, name) for name in values} == values
