"""From the reference's configuration to ours: every field and every refusal."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from legacy_tables import INFERENCE_FIELDS, MODEL_FIELDS, TRAINING_FIELDS

from pinn import config as ours
from pinn.errors import ConfigError
from pinn.io.legacy import to_pinn
from pinn.io.legacy.table import EXECUTION, KINDS, RULES, TABLE


def translated(**values):
    return to_pinn(values)


def said(translation, words: str) -> list[str]:
    return [note for note in translation.notes if words in note]


# -- completeness


def test_every_field_has_one_fate():
    rows = [*KINDS["training"].items(), *KINDS["inference"].items(), *EXECUTION.items()]
    assert {name for name, _ in rows} >= {*MODEL_FIELDS, *TRAINING_FIELDS, *INFERENCE_FIELDS}
    for name, row in rows:
        assert bool(row.why) != bool(row.ours or row.how), name
        kind = row.kind.removesuffix("?")
        assert (
            kind in RULES or "|" in kind or kind in ("Any", "bool", "int", "float", "str", "list")
        )


def test_options_of_ours_in_the_table_exist():
    fields = {
        "model": ours.ModelConfig.model_fields,
        "train": ours.TrainConfig.model_fields,
        "reconstruct": ours.ReconstructConfig.model_fields,
        "scan": ours.ScanConfig.model_fields,
    }
    for row in (*KINDS["training"].values(), *EXECUTION.values()):
        for option in row.ours.split():
            where, _, name = option.rpartition(".")
            assert not where or name in fields[where], option
    assert set(TABLE["clip"].values()) <= set(fields["train"])
    assert set(TABLE["exact"]) <= set(fields["model"])


@pytest.mark.parametrize("name", [name for name, row in KINDS["training"].items() if row.why])
def test_a_changed_field_without_effect_is_named(name):
    _, value, _ = {**MODEL_FIELDS, **TRAINING_FIELDS}[name]
    plain, changed = translated(), translated(**{name: value})
    assert len(said(changed, f"{name} {value!r} has no effect")) == 1
    assert not said(plain, f"{name} ")
    assert (changed.model, changed.train, changed.scan) == (plain.model, plain.train, plain.scan)


def test_what_moved_says_where_it_is():
    with pytest.raises(ImportError, match=r"Use ptycho\.params of the distribution ptychopinn"):
        from pinn.io.legacy import LEGACY  # noqa: F401
    with pytest.raises(ImportError, match="cannot import name 'nonsense'"):
        from pinn.io.legacy import nonsense  # noqa: F401


# -- the network


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"N": 128}, {"N": 128}),
        ({"N": np.int64(128)}, {"N": 128}),
        ({"gridsize": 2}, {"gridsize": 2}),
        ({"n_filters_scale": 3}, {"n_filters_scale": 3}),
        ({}, {"architecture": "cnn", "n_filters_scale": 2, "gridsize": 1, "N": 64}),
        ({}, {"ring_activation": "head", "merge": "probe", "input_transform": "mean"}),
        ({}, {"amp_activation": "sigmoid2", "probe_support": None, "scale_trainable": True}),
        ({"amp_activation": "silu"}, {"amp_activation": "softplus"}),
        ({"amp_activation": "swish"}, {"amp_activation": "softplus"}),
        ({"amp_activation": "relu"}, {"amp_activation": "relu"}),
        ({"amp_activation": "softplus"}, {"amp_activation": "softplus"}),
        ({"object_big": False}, {"object_big": False}),
        ({"probe_big": False}, {"probe_big": False}),
        ({"pad_object": False}, {"pad_object": False}),
        ({"probe_mask": True}, {"probe_support": 16.0}),
        ({"probe_mask": True, "N": 128}, {"probe_support": 32.0}),
        ({"probe_mask": True, "probe_mask_diameter": 20.0}, {"probe_support": 10.0}),
        ({"probe_mask_diameter": 20.0}, {"probe_support": None}),
        ({"probe_trainable": True}, {"probe_trainable": True}),
        ({"intensity_scale_trainable": False}, {"scale_trainable": False}),
        ({"model_type": "supervised"}, {"architecture": "baseline", "n_filters_scale": 2}),
        ({"model_type": "supervised", "pad_object": False}, {"pad_object": True}),
        (
            {"model_type": "supervised", "gridsize": 2, "object_big": False},
            {"gridsize": 2, "object_big": True},
        ),
        ({"model_type": "supervised", "object_big": False}, {"object_big": False}),
        ({"architecture": "fno"}, {"architecture": "fno", "head": "rectangular"}),
        ({"architecture": "fno"}, {"n_filters_scale": 1, "fno_refine_blocks": 2}),
        ({"architecture": "fno", "fno_modes": 8, "fno_width": 48}, {"fno_modes": 8}),
        ({"architecture": "fno", "fno_modes": 8, "fno_width": 48}, {"fno_width": 48}),
        ({"architecture": "fno", "fno_blocks": 6}, {"fno_blocks": 6}),
        ({"architecture": "fno", "fno_cnn_blocks": 1}, {"fno_refine_blocks": 1}),
        (
            {"architecture": "fno", "generator_output_mode": "amp_phase"},
            {"head": "polar", "amp_activation": "sigmoid2"},
        ),
        ({"architecture": "fno_vanilla"}, {"architecture": "fno", "fno_refine_blocks": 0}),
        ({"architecture": "ffno"}, {"architecture": "ffno", "fno_blocks": None}),
        ({"architecture": "mine"}, {"architecture": "mine", "n_filters_scale": 1}),
        ({"architecture": "mine", "n_filters_scale": 3}, {"n_filters_scale": 3}),
        ({"architecture": "mine", "amp_activation": "relu"}, {"amp_activation": "relu"}),
        ({"architecture": "mine", "amp_activation": "swish"}, {"amp_activation": "softplus"}),
    ],
)
def test_field_of_the_network(old, new):
    model = translated(**old).model
    assert {name: getattr(model, name) for name in new} == new


def test_exact_network_of_an_archive():
    exact = to_pinn({}, exact=True).model
    assert exact.amp_activation == "sigmoid" and exact.ring_activation == "swish"
    assert exact.merge == "legacy" and exact.input_transform == "none"
    assert to_pinn({"amp_activation": "silu"}, exact=True).model.amp_activation == "swish"
    with pytest.raises(ConfigError, match="only cnn"):
        to_pinn({"architecture": "ffno"}, exact=True)


# -- the run


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"nepochs": 3}, {"epochs": 3}),
        ({"batch_size": 15}, {"batch_size": 15}),  # no power of two is needed here
        ({"model_type": "supervised"}, {"mode": "supervised", "loss": None}),
        ({"n_groups": 77}, {"n_groups": 77}),
        ({"n_groups": 512}, {"n_groups": None}),
        ({"n_groups": 512, "enable_oversampling": True}, {"n_groups": 512}),
        ({"n_subsample": 9, "subsample_seed": 4}, {"subsample": 9, "subsample_seed": 4}),
        ({"sequential_sampling": True}, {"sequential": True}),
        ({"neighbor_count": 7}, {"neighbours": None}),  # gridsize 1 has no neighbours
        ({"gridsize": 2}, {"neighbours": 4}),
        ({"gridsize": 2, "neighbor_count": 7}, {"neighbours": 7}),
        ({"gridsize": 2, "neighbor_count": 3}, {"neighbours": None}),
        ({"gridsize": 3}, {"neighbours": None}),
        (
            {"gridsize": 2, "enable_oversampling": True, "neighbor_pool_size": 9},
            {"neighbours": 9},
        ),
        ({"gridsize": 2, "neighbor_pool_size": 9}, {"neighbours": 4}),
        ({"mae_weight": 0.5, "nll_weight": 0.0}, {"loss": "mae"}),
        ({"nll_weight": 0.5}, {"loss": "poisson"}),
        ({"backend": "pytorch", "torch_loss_mode": "mae"}, {"loss": "mae"}),
        ({"backend": "pytorch", "nll_weight": 0.0}, {"loss": "mae"}),
        ({"torch_loss_mode": "mae"}, {"loss": "poisson"}),
        ({}, {"clip_norm": 1.0, "schedule": "cosine", "learning_rate": 1e-3}),
        ({"gradient_clip_val": 0.5}, {"clip_norm": 0.5}),
        (
            {"gradient_clip_val": 0.5, "gradient_clip_algorithm": "value"},
            {"clip_norm": None, "clip_value": 0.5},
        ),
        (
            {"gradient_clip_val": 0.01, "gradient_clip_algorithm": "agc"},
            {"clip_norm": None, "clip_adaptive": 0.01},
        ),
        ({"gradient_clip_val": 0.0}, {"clip_norm": None, "clip_value": None}),
        ({"optimizer": "sgd", "momentum": 0.5}, {"optimizer": "sgd", "momentum": 0.5}),
        ({"adam_beta1": 0.8, "adam_beta2": 0.99}, {"beta_1": 0.8, "beta_2": 0.99}),
        ({"optimizer": "adamw", "weight_decay": 0.1}, {"weight_decay": 0.1}),
        ({"optimizer": "adamw"}, {"decay_of_weights": 0.0}),
        ({"scheduler": "Exponential"}, {"schedule": "exponential", "decay": 0.95}),
        (
            {"scheduler": "WarmupCosine", "lr_warmup_epochs": 5, "lr_min_ratio": 0.2},
            {"schedule": "cosine", "warmup_epochs": 5.0, "rate_floor": 0.2},
        ),
        ({"scheduler": "WarmupCosine", "lr_min_ratio": 1.0}, {"schedule": "constant"}),
        ({"scheduler": "CosineAnnealing"}, {"warmup_epochs": 0.0, "rate_floor": 0.0}),
        (
            {"scheduler": "ReduceLROnPlateau", "plateau_factor": 0.3, "plateau_patience": 4},
            {"schedule": "plateau", "plateau_factor": 0.3, "plateau_patience": 5},
        ),
        (
            {"scheduler": "ReduceLROnPlateau", "plateau_min_lr": 2e-4, "plateau_threshold": 0.1},
            {"rate_floor": pytest.approx(0.2), "plateau_threshold": 0.1},
        ),
        ({"scheduler": "MultiStage"}, {"schedule": "constant"}),
    ],
)
def test_field_of_the_run(old, new):
    train = translated(**old).train
    assert {name: getattr(train, name) for name in new} == new


def test_two_terms_pull_on_each_other_as_in_the_reference():
    """Slopes of both losses at one prediction, with counts as the reference scales them."""
    N, photons, mae, nll = 64, 1e6, 0.3, 0.7
    k = np.full((N, N), photons / N**2)  # equal pixels, for which the weight is exact
    rate = k * 1.1
    amplitude = np.sqrt(rate)
    of_nll = nll * 2 * (amplitude - k / amplitude) / N**2  # d/dA of mean(A^2 - k log A^2)
    of_mae = mae * np.sign(amplitude - np.sqrt(k)) / N**2
    loss = translated(mae_weight=mae, nll_weight=nll, nphotons=photons).train.loss_terms
    ours_nll = loss["poisson"] * 4 * (amplitude - k / amplitude) / k.sum()
    ours_mae = loss["mae"] * np.sign(amplitude - np.sqrt(k)) / np.sqrt(k).sum()
    np.testing.assert_allclose(ours_mae / ours_nll, of_mae / of_nll, rtol=1e-9)


def test_paths_backend_and_photons():
    found = translated(
        train_data_file=Path("a.npz"), test_data_file=Path(), output_dir=Path("o"), nphotons=3e5
    )
    assert (found.train_file, found.test_file, found.output) == (Path("a.npz"), None, Path("o"))
    assert found.scan.photons_per_frame == 3e5
    assert translated(output_dir=Path()).output is None
    names = {"tensorflow": "tensorflow", "pytorch": "torch", "jax": "jax"}
    assert {name: translated(backend=name).backend for name in names} == names


def reconstructed(**values):
    return to_pinn({"model_path": Path(), "test_data_file": Path(), **values}, "inference")


def test_a_reconstruction():
    found = reconstructed(
        gridsize=2,
        model_path=Path("m"),
        test_data_file=Path("t.npz"),
        n_groups=30,
        n_subsample=50,
        subsample_seed=3,
        debug=(True,),
    )
    assert found.train is None and found.model.gridsize == 2
    assert (found.n_groups, found.subsample, found.subsample_seed) == (30, 50, 3)
    assert (found.model_path, found.test_file) == (Path("m"), Path("t.npz"))
    assert reconstructed().n_groups is None and reconstructed().model_path is None
    few = reconstructed(gridsize=3, neighbor_count=2)
    assert len(said(few, "neighbor_count 2 has no effect")) == 1
    assert to_pinn({"N": 128}, "model").model.N == 128


@pytest.mark.parametrize(
    ("old", "words"),
    [
        ({"mae_weight": 0.3}, "poisson + 0.00121 mae"),
        ({"gridsize": 3}, "8 nearest are taken"),
        ({"neighbor_pool_size": 9}, "without enable_oversampling"),
        ({"sequential_sampling": True, "n_subsample": 5}, "first n_subsample frames"),
        ({"momentum": 0.5}, "the optimizer adam has none"),
        ({"optimizer": "sgd", "adam_beta1": 0.5}, "the optimizer sgd has none"),
        ({"weight_decay": 0.1}, "shrinks the weights directly"),
        ({"scheduler": "Adaptive"}, "keeps the learning rate constant"),
        ({"torch_loss_mode": "mae"}, "use mae_weight"),
        ({"torch_mae_pred_l2_match_target": True}, "without backend pytorch"),
        ({"model_type": "supervised", "mae_weight": 0.5}, "compares with labels"),
        (
            {"model_type": "supervised", "gridsize": 2, "object_big": False},
            "predicts every frame",
        ),
        ({"model_type": "supervised", "pad_object": False}, "the network baseline has none"),
        ({"architecture": "fno", "n_filters_scale": 3}, "the network fno has none"),
        ({"probe_mask": True}, "half a pixel"),
        ({}, "sigmoid becomes sigmoid2"),
        ({"amp_activation": "silu"}, "silu becomes softplus"),
    ],
)
def test_what_is_not_quite_the_same_is_said(old, words):
    assert len(said(translated(**old), words)) == 1


# -- refusals


@pytest.mark.parametrize(
    ("old", "words"),
    [
        ({"N": 0}, "placeholder"),
        ({"N": 65}, "even"),
        ({"N": 2048}, "N"),
        ({"N": "64"}, "N is '64'"),
        ({"N": True}, "N is True"),
        ({"gridsize": 6}, "gridsize"),
        ({"gridsize": 2.0}, "gridsize is 2.0"),
        ({"model_type": "PINN"}, "pinn, supervised"),
        ({"architecture": "neuralop_uno"}, "choose fno"),
        ({"architecture": ""}, "a name is required"),
        ({"output_dir": 5}, "a path"),
        ({"architecture": "fno", "fno_input_transform": "sqrt"}, "sqrt"),
        ({"amp_activation": "tanh"}, "sigmoid, swish"),
        ({"object_big": "False"}, "True or False"),
        ({"probe_mask": 1}, "True or False"),
        ({"probe_scale": 0}, "probe_scale is 0"),
        ({"gaussian_smoothing_sigma": -1.0}, "gaussian_smoothing_sigma"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"nepochs": 0}, "nepochs is 0"),
        ({"nphotons": math.nan}, "nphotons is nan"),
        ({"nphotons": 0}, "nphotons is 0"),
        ({"nphotons": "1e6"}, "nphotons is '1e6'"),
        ({"mae_weight": -0.1}, "mae_weight is -0.1"),
        ({"nll_weight": math.inf}, "nll_weight is inf"),
        ({"nll_weight": 0.0}, "nothing to minimise"),
        ({"n_groups": 0}, "n_groups is 0"),
        ({"subsample_seed": -1}, "subsample_seed is -1"),
        ({"gridsize": 3, "neighbor_count": 7}, "at least 8"),
        (
            {"gridsize": 2, "enable_oversampling": True, "neighbor_pool_size": 2},
            "neighbor_pool_size is 2",
        ),
        ({"backend": "mxnet"}, "tensorflow, pytorch"),
        ({"scheduler": "Cosine"}, "WarmupCosine"),
        ({"optimizer": "adamm"}, "adamw"),
        ({"gradient_clip_algorithm": "l2"}, "norm, value, agc"),
        ({"lr_min_ratio": 1.5}, "at most 1"),
        ({"momentum": 1.0}, "below 1"),
        ({"scheduler": "ReduceLROnPlateau", "plateau_min_lr": 0.1}, "above the learning rate"),
        (
            {
                "backend": "pytorch",
                "torch_loss_mode": "mae",
                "torch_mae_pred_l2_match_target": True,
            },
            "set it to False",
        ),
    ],
)
def test_bad_values_are_refused_in_one_sentence(old, words):
    with pytest.raises(ConfigError, match=words) as caught:
        translated(**old)
    assert "\n" not in str(caught.value)


ODD = [
    *(None, -1, 0, 10**30, math.nan, math.inf, 1e300, 5e-324, "", "x", True, (), [1], {}),
    *(
        np.array([1, 2]),
        np.ones((3, 3)),
        np.float32(2),
        np.array(3),
        b"x",
        object,
        Path(),
        Path("x"),
    ),
]


@pytest.mark.parametrize("name", sorted({*MODEL_FIELDS, *TRAINING_FIELDS}))
def test_any_value_gives_a_translation_or_one_sentence(name):
    refused = []
    for gridsize in (1, 2):
        for value in ODD:
            values = {"gridsize": gridsize, "mae_weight": 0.5, name: value}
            for also in ({}, {"backend": "pytorch"}, {"scheduler": "ReduceLROnPlateau"}):
                for kind in ("training", "inference"):
                    given = {k: v for k, v in {**also, **values}.items() if k in KINDS[kind]}
                    try:
                        assert (to_pinn(given, kind).train is None) == (kind == "inference")
                    except ConfigError as error:
                        refused.append(str(error))
    assert refused and not any("\n" in sentence for sentence in refused)


def test_an_unknown_field_is_refused():
    with pytest.raises(ConfigError, match="epochs is no field"):
        to_pinn({"epochs": 3})
    with pytest.raises(ConfigError, match="nepochs is no field"):
        to_pinn({"nepochs": 3}, "inference")


# -- execution


@pytest.mark.parametrize(
    ("option", "new"),
    [
        ({"deterministic": False}, {"deterministic": False}),
        ({"deterministic": "warn"}, {"deterministic": True}),
        ({"precision": "bf16-mixed"}, {"precision": "mixed_bfloat16"}),
        ({"precision": "16-mixed"}, {"precision": "mixed_float16"}),
        ({"accum_steps": 4}, {"accumulate": 4}),
        ({"learning_rate": 0.02}, {"learning_rate": 0.02}),
        ({"scheduler": "Exponential"}, {"schedule": "exponential"}),
        ({"gradient_clip_val": 2.0, "gradient_clip_algorithm": "value"}, {"clip_value": 2.0}),
        ({"checkpoint_save_top_k": 3}, {"keep_best": 3}),
        ({"enable_checkpointing": False}, {"keep_best": 0}),
        ({"checkpoint_monitor_metric": "poisson_val_loss"}, {"monitor": None}),
        ({"checkpoint_monitor_metric": "loss"}, {"monitor": "loss"}),
        ({"checkpoint_mode": "max"}, {"monitor_mode": "max"}),
        ({"early_stop_patience": 7}, {"early_stop": 7}),
        ({"logger_backend": None}, {"logger": "none"}),
        ({"logger_backend": "tensorboard"}, {"logger": "tensorboard"}),
        ({"recon_log_every_n_epochs": 5}, {"sample_every": 5, "preview_every": 0}),
        (
            {"recon_log_every_n_epochs": 5, "recon_log_stitch": True},
            {"sample_every": 5, "preview_every": 5},
        ),
    ],
)
def test_option_of_the_execution(option, new):
    found = to_pinn({}, execution=option).train
    assert {name: getattr(found, name) for name in new} == new


def test_execution_counts_before_the_configuration():
    old = {"scheduler": "ReduceLROnPlateau", "gradient_clip_val": 0.5}
    execution = {
        "scheduler": "Exponential",
        "gradient_clip_val": 2.0,
        "accelerator": "cpu",
        "inference_batch_size": 7,
    }
    found = to_pinn(old, execution=execution)
    assert found.train.schedule == "exponential" and found.train.rate_floor == 0.01
    assert found.train.clip_norm == 2.0
    assert found.device == "cpu" and found.reconstruct.batch_size == 7
    assert to_pinn({"architecture": "ffno"}, execution={}).model.fno_blocks == 24
    with pytest.raises(ConfigError, match="plateau_min_lr"):
        to_pinn({"scheduler": "ReduceLROnPlateau"}, execution={"learning_rate": 1e-5})
    with pytest.raises(ConfigError, match="32-true"):
        to_pinn({}, execution={"precision": "64"})
    many = to_pinn({}, execution={"devices": 4, "num_workers": 2})
    assert said(many, "devices 4 has no effect") and said(many, "num_workers 2 has no effect")
