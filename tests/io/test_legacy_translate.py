"""From the reference's configuration to ours: every field, every refusal, and stale values."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from legacy_tables import ARCHIVE, DEFAULTS, INFERENCE_FIELDS, MODEL_FIELDS, TRAINING_FIELDS

from pinn import config as ours
from pinn.errors import ConfigError
from pinn.io.legacy import (
    InferenceConfig,
    LegacyParams,
    ModelConfig,
    PyTorchExecutionConfig,
    TrainingConfig,
    to_pinn,
    update_legacy_dict,
)
from pinn.io.legacy.execution_options import NO_EFFECT as EXECUTION_NO_EFFECT
from pinn.io.legacy.execution_options import TRANSLATED as EXECUTION_TRANSLATED
from pinn.io.legacy.fields import NO_EFFECT, TRANSLATED
from pinn.io.legacy.values import RULES

MODEL = {field.name for field in dataclasses.fields(ModelConfig)}


def config(**values) -> TrainingConfig:
    network = {name: values.pop(name) for name in list(values) if name in MODEL}
    return TrainingConfig(ModelConfig(**network), **values)


def translated(**values):
    return to_pinn(config(**values))


def said(translation, words: str) -> list[str]:
    return [note for note in translation.notes if words in note]


# -- completeness


def test_every_field_and_key_has_one_fate():
    names = {*MODEL_FIELDS, *TRAINING_FIELDS, *INFERENCE_FIELDS}
    keys = {key for *_, key in [*MODEL_FIELDS.values(), *TRAINING_FIELDS.values()] if key}
    only_keys = {*DEFAULTS, *ARCHIVE} - names - keys
    assert not set(TRANSLATED) & set(NO_EFFECT)
    assert names | only_keys <= set(TRANSLATED) | set(NO_EFFECT)
    assert names == set(RULES) | {"debug"}
    execution = {field.name for field in dataclasses.fields(PyTorchExecutionConfig)}
    assert execution == set(EXECUTION_TRANSLATED) | set(EXECUTION_NO_EFFECT)
    assert not set(EXECUTION_TRANSLATED) & set(EXECUTION_NO_EFFECT)


@pytest.mark.parametrize("name", sorted(NO_EFFECT.keys() & {*MODEL_FIELDS, *TRAINING_FIELDS}))
def test_a_changed_field_without_effect_is_named(name):
    _, value, _ = {**MODEL_FIELDS, **TRAINING_FIELDS}[name]
    plain, changed = translated(), translated(**{name: value})
    assert len(said(changed, f"{name} {value!r} has no effect")) == 1
    assert not said(plain, f"{name} ")
    assert (changed.model, changed.train, changed.scan) == (plain.model, plain.train, plain.scan)


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
    exact = to_pinn(config(), exact=True).model
    assert exact.amp_activation == "sigmoid" and exact.ring_activation == "swish"
    assert exact.merge == "legacy" and exact.input_transform == "none"
    assert to_pinn(config(amp_activation="silu"), exact=True).model.amp_activation == "swish"
    with pytest.raises(ConfigError, match="only cnn"):
        to_pinn(config(architecture="ffno"), exact=True)


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


def test_a_reconstruction():
    asked = InferenceConfig(
        ModelConfig(gridsize=2),
        Path("m"),
        Path("t.npz"),
        n_groups=30,
        n_subsample=50,
        subsample_seed=3,
        debug=(True,),
    )
    found = to_pinn(asked)
    assert found.train is None and found.model.gridsize == 2
    assert (found.n_groups, found.subsample, found.subsample_seed) == (30, 50, 3)
    assert (found.model_path, found.test_file) == (Path("m"), Path("t.npz"))
    assert to_pinn(InferenceConfig(ModelConfig(), Path(), Path())).n_groups is None
    few = InferenceConfig(ModelConfig(gridsize=3), Path(), Path(), neighbor_count=2)
    assert len(said(to_pinn(few), "neighbor_count 2 has no effect")) == 1
    assert to_pinn(ModelConfig(N=128)).model.N == 128


def test_a_scan_at_hand_decides_dose_and_number_of_groups():
    found = translated(n_groups=300, nphotons=1e6)
    fitted = found.for_scan(frames=100, counts=True)
    assert fitted.scan.photons_per_frame is None and fitted.train.n_groups == 100
    assert said(fitted, "the frames are counts") and said(fitted, "100 are used")
    same = found.for_scan(frames=1000, counts=False)
    assert (same.scan, same.train, same.notes) == (found.scan, found.train, found.notes)
    assert translated(n_groups=300, n_subsample=40).for_scan(100, True).train.n_groups == 40
    groups = {"n_groups": 300, "gridsize": 2, "neighbor_count": 6}
    with pytest.raises(ConfigError, match="enable_oversampling"):
        translated(**groups).for_scan(frames=100, counts=True)
    more = translated(**groups, enable_oversampling=True, neighbor_pool_size=8)
    assert more.for_scan(frames=100, counts=True).train.n_groups == 300


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


@pytest.mark.filterwarnings("ignore:n_images is an old name:DeprecationWarning")
@pytest.mark.parametrize("name", sorted({*MODEL_FIELDS, *TRAINING_FIELDS}))
def test_any_value_gives_a_translation_or_one_sentence(name):
    refused = []
    for gridsize in (1, 2):
        for value in ODD:
            values = {"gridsize": gridsize, "mae_weight": 0.5, name: value}
            for also in ({}, {"backend": "pytorch"}, {"scheduler": "ReduceLROnPlateau"}):
                made = config(**{**also, **values})
                params = LegacyParams()
                update_legacy_dict(params.cfg, made)
                for start, kind in (
                    (made, "training"),
                    (params.cfg, "training"),
                    (params.cfg, "inference"),
                ):
                    try:
                        assert (to_pinn(start, kind=kind).train is None) == (kind == "inference")
                    except ConfigError as error:
                        refused.append(str(error))
    assert refused and not any("\n" in sentence for sentence in refused)


def test_the_dictionary_of_an_archive_gives_its_network():
    results = {"probe": np.ones((64, 64, 1), np.complex64), "intensity_scale": 988.2}
    found = to_pinn({**ARCHIVE, **results, "_version": "1.0"}, exact=True)
    assert found.notes == ()
    assert found.model == ours.ModelConfig(
        architecture="cnn",
        N=64,
        gridsize=1,
        n_filters_scale=2,
        amp_activation="sigmoid",
        ring_activation="swish",
        merge="legacy",
        input_transform="none",
    )


def test_what_is_no_configuration_is_refused():
    for wrong in (None, PyTorchExecutionConfig(), "config.yaml"):
        with pytest.raises(ConfigError, match="no legacy configuration"):
            to_pinn(wrong)
    with pytest.raises(ConfigError, match="model is NoneType"):
        to_pinn(TrainingConfig(None))
    with pytest.raises(ConfigError, match="two legacy dictionaries"):
        to_pinn({}, dictionary={})


# -- configuration and dictionary


def test_the_configuration_counts_and_the_dictionary_is_compared_with_it():
    params = LegacyParams()
    update_legacy_dict(params.cfg, config(N=128, n_subsample=1024, nepochs=60))
    now = config(N=64, nepochs=60)
    found = to_pinn(now, dictionary=params.cfg)
    assert found.model.N == 64 and found.train.subsample is None
    assert len(said(found, "N = 128, the configuration 64: the configuration counts")) == 1
    assert len(said(found, "n_subsample = 1024, which the configuration leaves unset")) == 1
    assert not said(found, "nepochs")
    assert (found.model, found.train) == (to_pinn(now).model, to_pinn(now).train)
    update_legacy_dict(params.cfg, now)
    again = to_pinn(now, dictionary=params.cfg)
    assert not said(again, "N = 128") and len(said(again, "n_subsample = 1024")) == 1


def test_defaults_of_an_untouched_dictionary_are_no_disagreement():
    params = LegacyParams()
    now = config(N=64)
    assert to_pinn(now, dictionary=params.cfg).notes == to_pinn(now).notes
    params.set("nepochs", 7)
    (note,) = set(to_pinn(now, dictionary=params.cfg).notes) - set(to_pinn(now).notes)
    assert "nepochs = 7" in note


def test_a_stale_value_that_was_deleted_is_gone():
    params = LegacyParams()
    update_legacy_dict(params.cfg, config(n_subsample=1024))
    update_legacy_dict(params.cfg, config())
    del params.cfg["n_subsample"]
    assert not said(to_pinn(params.cfg), "n_subsample")


def test_a_dictionary_alone_after_an_update_gives_what_the_configuration_gives():
    params = LegacyParams()
    now = config(N=128, gridsize=2, nphotons=1e6, train_data_file=Path("a.npz"))
    update_legacy_dict(params.cfg, now)
    for cfg in (params.cfg, dict(params.cfg)):
        assert to_pinn(cfg) == to_pinn(now)


def test_a_stale_value_of_a_dictionary_alone_counts_as_unset():
    params = LegacyParams()
    update_legacy_dict(params.cfg, config(n_subsample=1024))
    update_legacy_dict(params.cfg, config())
    found = to_pinn(params.cfg)
    assert found.train.subsample is None
    assert len(said(found, "n_subsample = 1024 was left")) == 1


def test_a_dictionary_nobody_updated_is_taken_at_its_word_and_doubted():
    found = to_pinn(LegacyParams().cfg)
    assert (found.model.N, found.model.gridsize, found.train.epochs) == (128, 2, 60)
    assert found.model.probe_support == 32.0 and not found.model.probe_big
    (doubt,) = said(found, "no configuration was written")
    for word in ("N 128 (64)", "gridsize 2 (1)", "nepochs 60 (50)", "probe.big False (True)",
                 "probe.mask True (False)", "probe_scale 10.0 (4.0)",
                 "intensity_scale.trainable False (True)", "positions.provided False"):  # fmt: skip
        assert word in doubt
    assert "mae_weight" not in doubt and "nphotons" not in doubt


def test_other_keys_of_a_dictionary_have_no_effect_and_are_named_if_changed():
    params = LegacyParams()
    update_legacy_dict(params.cfg, config())
    plain = to_pinn(params.cfg)
    params.cfg.update(max_position_jitter=20, offset=4, n_group=3, intensity_scale=988.2)
    params.cfg["probe"] = np.ones((4, 4))
    found = to_pinn(params.cfg)
    assert (found.model, found.train) == (plain.model, plain.train)
    new = [note for note in found.notes if note not in plain.notes]
    assert len(new) == 2
    assert "max_position_jitter 20" in new[0] and "n_group in the legacy" in new[1]


def test_a_dictionary_for_inference():
    cfg = {"N": 64, "gridsize": 1, "architecture": "cnn", "model_path": "m", "n_groups": 5}
    found = to_pinn(cfg, kind="inference")
    assert found.train is None and found.n_groups == 5 and found.model_path == Path("m")


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
    found = to_pinn(config(), execution=PyTorchExecutionConfig(**option)).train
    assert {name: getattr(found, name) for name in new} == new


def test_execution_counts_before_the_configuration_and_leaves_it_alone():
    old = config(scheduler="ReduceLROnPlateau", gradient_clip_val=0.5)
    execution = PyTorchExecutionConfig(
        scheduler="Exponential", gradient_clip_val=2.0, accelerator="cpu", inference_batch_size=7
    )
    found = to_pinn(old, execution=execution)
    assert found.train.schedule == "exponential" and found.train.rate_floor == 0.01
    assert found.train.clip_norm == 2.0
    assert found.device == "cpu" and found.reconstruct.batch_size == 7
    assert old == config(scheduler="ReduceLROnPlateau", gradient_clip_val=0.5)
    ffno = to_pinn(config(architecture="ffno"), execution=PyTorchExecutionConfig())
    assert ffno.model.fno_blocks == 24
    lower = PyTorchExecutionConfig(learning_rate=1e-5)
    with pytest.raises(ConfigError, match="plateau_min_lr"):
        to_pinn(config(scheduler="ReduceLROnPlateau"), execution=lower)


def test_an_execution_configuration_changed_to_nonsense_is_refused():
    execution = PyTorchExecutionConfig()
    execution.precision = "64"
    with pytest.raises(ConfigError, match="32-true"):
        to_pinn(config(), execution=execution)
    many = PyTorchExecutionConfig(devices=4, num_workers=2)
    found = to_pinn(config(), execution=many)
    assert said(found, "devices 4 has no effect") and said(found, "num_workers 2 has no effect")
