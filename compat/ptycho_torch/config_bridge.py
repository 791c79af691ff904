"""From the configuration classes of the PyTorch side to the canonical ones.

What the canonical classes have no field for stays behind; `left_behind` names it, with the option
of ours that does the same where there is one.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from pinn.errors import ConfigError
from ptycho import _classes as canonical
from ptycho_torch import config_params as torch

MODES = {"Unsupervised": "pinn", "Supervised": "supervised"}
ACTIVATIONS = {
    "silu": "swish",
    "SiLU": "swish",
    "sigmoid": "sigmoid",
    "swish": "swish",
    "softplus": "softplus",
    "relu": "relu",
}

# Fields that go over under their own names.
_OF_MODEL = (
    *("n_filters_scale", "architecture", "fno_modes", "fno_width", "fno_blocks"),
    *("fno_cnn_blocks", "learned_input_channels", "max_hidden_channels", "resnet_width"),
    *("fno_input_transform", "generator_output_mode", "object_big", "probe_big"),
    *("probe_mask_sigma", "probe_mask_diameter", "pad_object", "gaussian_smoothing_sigma"),
)
_OF_TRAINING = (
    *("batch_size", "torch_loss_mode", "torch_mae_pred_l2_match_target", "gradient_clip_val"),
    *("gradient_clip_algorithm", "optimizer", "momentum", "weight_decay", "adam_beta1"),
    *("adam_beta2", "scheduler", "lr_warmup_epochs", "lr_min_ratio", "plateau_factor"),
    *("plateau_patience", "plateau_min_lr", "plateau_threshold"),
)
# Fields that go over in another way, by class.
_TRANSLATED = {
    torch.DataConfig: {"nphotons", "N", "grid_size", "K", "probe_scale", "subsample_seed"},
    torch.ModelConfig: {
        *("mode", "amp_activation", "probe_mask", "probe_mask_tensor"),
        *("intensity_scale_trainable", *_OF_MODEL),
    },
    torch.TrainingConfig: {
        *("epochs", "nll", "output_dir", "train_data_file", "test_data_file", "n_groups"),
        *_OF_TRAINING,
    },
    torch.InferenceConfig: set(),
    torch.DatagenConfig: set(),
}
# Where ours has an option for what the canonical classes cannot say.
OURS = {
    "DataConfig.neighbor_function": "grouping",
    "DataConfig.min_neighbor_distance": "min_distance",
    "DataConfig.max_neighbor_distance": "max_distance",
    "DataConfig.x_bounds": "bounds (in pixels)",
    "DataConfig.y_bounds": "bounds (in pixels)",
    "DataConfig.phase_subtraction": "label_phase",
    "ModelConfig.cnn_output_mode": "head",
    "ModelConfig.use_shared_decoder": "shared_decoder",
    "ModelConfig.eca_encoder": "encoder_attention",
    "ModelConfig.cbam_encoder": "encoder_attention",
    "ModelConfig.cbam_bottleneck": "bottleneck_attention",
    "ModelConfig.cbam_decoder": "decoder_attention",
    "ModelConfig.eca_decoder": "decoder_attention",
    "ModelConfig.spatial_decoder": "decoder_attention",
    "ModelConfig.training_patch_weighting": "merge",
    "ModelConfig.rect_s1s2_init": "calibrate_start",
    "ModelConfig.loss_function": "loss",
    "ModelConfig.amp_loss": "loss",
    "ModelConfig.amp_loss_coeff": "loss",
    "ModelConfig.phase_loss": "loss",
    "ModelConfig.phase_loss_coeff": "loss",
    "TrainingConfig.learning_rate": "learning_rate",
    "TrainingConfig.accum_steps": "accumulate",
    "TrainingConfig.epochs_fine_tune": "freeze",
    "TrainingConfig.fine_tune_gamma": "rate_factors",
    "TrainingConfig.stage_1_epochs": "label_epochs",
    "TrainingConfig.stage_2_epochs": "blend_epochs",
    "TrainingConfig.physics_weight_schedule": "blend_schedule",
    "TrainingConfig.stage_3_lr_factor": "physics_rate_factor",
    "InferenceConfig.batch_size": "batch_size",
    "InferenceConfig.middle_trim": "crop",
    "InferenceConfig.window": "crop",
    "InferenceConfig.patch_weighting": "weighting",
    "InferenceConfig.varpro_scaling": "calibrate",
}


def to_model_config(
    data: torch.DataConfig,
    model: torch.ModelConfig,
    overrides: Mapping[str, Any] | None = None,
) -> canonical.ModelConfig:
    """The canonical network.

    Args:
        data: N, grid and probe scale come from it.
        model: the rest.
        overrides: canonical fields that count instead.

    Raises:
        ConfigError: the grid is not square, or mode, activation or an override is unknown.
    """
    values = {
        **{name: getattr(model, name) for name in _OF_MODEL},
        "N": data.N,
        "gridsize": _side(data.grid_size),
        "model_type": _word("mode", model.mode, MODES),
        "amp_activation": _word("amp_activation", model.amp_activation, ACTIVATIONS),
        "probe_mask": _masked(model),
        "probe_scale": data.probe_scale,
    }
    return _made(canonical.ModelConfig, values, overrides)


def to_training_config(
    model: canonical.ModelConfig,
    data: torch.DataConfig,
    torch_model: torch.ModelConfig,
    training: torch.TrainingConfig,
    overrides: Mapping[str, Any] | None = None,
) -> canonical.TrainingConfig:
    """The canonical run, with `backend` pytorch.

    Args:
        model: of `to_model_config`.
        data: photons, neighbours and seed come from it.
        torch_model: whether the intensity scale is trained.
        training: the rest.
        overrides: canonical fields that count instead; `nphotons` must be among them unless
            `data` has another than its default.

    Raises:
        ConfigError: `nphotons` nobody gave, no `train_data_file` or `n_groups`, or an unknown
            override.

    Warns:
        UserWarning: there is no test file.
    """
    given = {**(overrides or {})}
    if "nphotons" not in given and data.nphotons == torch.UNSTATED_PHOTONS:
        raise ConfigError(
            f"nphotons is {data.nphotons:g}, which is only the default of the PyTorch side (the "
            "other side has 1e9); say overrides={'nphotons': ...}, photons per frame"
        )
    values = {
        **{name: getattr(training, name) for name in _OF_TRAINING},
        "model": model,
        "nphotons": data.nphotons,
        "neighbor_count": data.K,
        "subsample_seed": data.subsample_seed,
        "nepochs": training.epochs,
        "nll_weight": 1.0 if training.nll else 0.0,
        "mae_weight": 0.0,
        "intensity_scale_trainable": torch_model.intensity_scale_trainable,
        "train_data_file": _path(training.train_data_file),
        "test_data_file": _path(training.test_data_file),
        "output_dir": Path(training.output_dir),
        "n_groups": training.n_groups,
        "backend": "pytorch",
    }
    _require({**values, **given}, "train_data_file", "the scan to train on")
    _require({**values, **given}, "n_groups", "the number of groups to train on")
    if {**values, **given}["test_data_file"] is None:
        warnings.warn(
            "there is no test_data_file: nothing is reconstructed after training",
            UserWarning,
            stacklevel=2,
        )
    return _made(canonical.TrainingConfig, values, given)


def to_inference_config(
    model: canonical.ModelConfig,
    data: torch.DataConfig,
    inference: torch.InferenceConfig,
    overrides: Mapping[str, Any] | None = None,
) -> canonical.InferenceConfig:
    """The canonical reconstruction, with `backend` pytorch.

    Args:
        model: of `to_model_config`.
        data: neighbours and seed come from it.
        inference: has nothing the canonical class has a field for (see `left_behind`).
        overrides: canonical fields; `model_path`, `test_data_file` and `n_groups` are required.

    Raises:
        ConfigError: one of these three is missing, or an override is unknown.
    """
    if not isinstance(inference, torch.InferenceConfig):
        raise ConfigError(
            f"inference is {type(inference).__name__}, but the InferenceConfig of the PyTorch "
            "side is required"
        )
    values = {
        "model": model,
        "neighbor_count": data.K,
        "subsample_seed": data.subsample_seed,
        "backend": "pytorch",
    }
    given = {**(overrides or {})}
    _require(given, "model_path", "the archive of the trained network")
    _require(given, "test_data_file", "the scan to reconstruct")
    _require(given, "n_groups", "the number of groups to reconstruct")
    return _made(canonical.InferenceConfig, values, given)


def left_behind(*configs: Any) -> list[str]:
    """Sentences on fields that were changed but that the canonical classes have no place for.

    Args:
        configs: any of the five classes of the PyTorch side.
    """
    notes = []
    for config in configs:
        plain = type(config)()
        for field in fields(config):
            value = getattr(config, field.name)
            if field.name in _TRANSLATED[type(config)] or value == getattr(plain, field.name):
                continue
            name = f"{type(config).__name__}.{field.name}"
            ours = f"; pinn has {OURS[name]} for it" if name in OURS else ""
            notes.append(f"{name} {value!r} is not carried over: no canonical field has it{ours}")
    return notes


def _made(kind: Any, values: dict[str, Any], given: Mapping[str, Any] | None) -> Any:
    given = {**(given or {})}
    known = {field.name for field in fields(kind)}
    unknown = sorted(set(given) - known)
    if unknown:
        raise ConfigError(
            f"overrides has {unknown[0]!r}, which is no field of {kind.__name__}; it has "
            f"{', '.join(sorted(known))}"
        )
    return kind(**{**values, **given})


def _side(grid: Any) -> int:
    try:
        rows, columns = grid
    except (TypeError, ValueError):
        rows, columns = None, None
    if rows is None or rows != columns or isinstance(rows, bool) or not isinstance(rows, int):
        raise ConfigError(
            f"grid_size is {grid!r}, but two equal whole numbers are required, as (2, 2): groups "
            "are square"
        )
    return rows


def _word(name: str, value: Any, known: Mapping[str, str]) -> str:
    if value not in known:
        raise ConfigError(f"{name} is {value!r}, but one of {', '.join(known)} is required")
    return known[value]


def _masked(model: torch.ModelConfig) -> bool:
    if model.probe_mask_tensor is not None:
        return True
    mask = model.probe_mask
    return mask if isinstance(mask, bool) else mask is not None


def _path(value: Path | str | None) -> Path | None:
    return None if value is None else Path(value)


def _require(values: Mapping[str, Any], name: str, what: str) -> None:
    if values.get(name) is None:
        raise ConfigError(f"{name} is missing: {what}; give it, for instance in overrides")
