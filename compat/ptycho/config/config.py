"""The configuration classes, plain and mutable, the way into the legacy dictionary, and the rules
of the original for those that ask for them."""

from __future__ import annotations

from pathlib import Path

from pinn.errors import ConfigError
from ptycho._classes import (
    InferenceConfig,
    ModelConfig,
    PyTorchExecutionConfig,
    TrainingConfig,
)
from ptycho._dictionary import dataclass_to_legacy_dict, update_legacy_dict

__all__ = [
    "InferenceConfig",
    "ModelConfig",
    "PyTorchExecutionConfig",
    "TrainingConfig",
    "dataclass_to_legacy_dict",
    "update_legacy_dict",
    "validate_inference_config",
    "validate_model_config",
    "validate_training_config",
]
ARCHIVE = "wts.h5.zip"
ARCHITECTURES = ("cnn", "ffno", "fno", "fno_vanilla", "neuralop_uno")


def validate_model_config(config: ModelConfig) -> None:
    """The original's rules for the network.

    Raises:
        ConfigError: (a ValueError) for the first field that breaks one.
    """
    if config.architecture not in ARCHITECTURES:
        raise ConfigError(
            f"architecture is {config.architecture!r}, but one of {', '.join(ARCHITECTURES)} is "
            "required"
        )
    for name in ("gridsize", "n_filters_scale", "probe_scale"):
        _require(name, getattr(config, name), getattr(config, name) > 0, "a positive number")
    sigma = config.gaussian_smoothing_sigma
    _require("gaussian_smoothing_sigma", sigma, sigma >= 0, "zero or a positive number")


def validate_training_config(config: TrainingConfig) -> None:
    """The original's rules for a training run, and those for its network.

    Its batch size must be a power of two and its two weights at most 1; ours need not.

    Raises:
        ConfigError: (a ValueError) for the first field that breaks one.
    """
    validate_model_config(config.model)
    size = config.batch_size
    _require("batch_size", size, size > 0 and size & (size - 1) == 0, "a power of two")
    _require("nepochs", config.nepochs, config.nepochs > 0, "a positive number")
    for name in ("mae_weight", "nll_weight"):
        weight = getattr(config, name)
        _require(name, weight, 0 <= weight <= 1, "a number from 0 to 1")
    _require("nphotons", config.nphotons, config.nphotons > 0, "a positive number")


def validate_inference_config(config: InferenceConfig) -> None:
    """The original's rules for a reconstruction: its network, and that the archive is there.

    Raises:
        ConfigError: (a ValueError) for the first field that breaks one.
    """
    validate_model_config(config.model)
    path = Path(config.model_path)
    if path.is_dir():
        if not (path / ARCHIVE).is_file():
            raise ConfigError(f"model_path {path} is a folder without {ARCHIVE}")
    elif not any(Path(f"{path}{ending}").is_file() for ending in ("", ".zip", ".h5.zip")):
        raise ConfigError(
            f"model_path {path} does not exist, nor with .zip or .h5.zip added; give the archive "
            f"or the folder with its {ARCHIVE}"
        )


def _require(name: str, value: object, met: bool, expected: str) -> None:
    if not met:
        raise ConfigError(f"{name} is {value!r}, but {expected} is required")
