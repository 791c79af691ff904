"""The three configuration classes of the reference system, as its callers build them.

Unlike all other configuration here they are plain and mutable and check nothing when they are
made: callers create them with placeholders (`N=0`, `Path()`, a tuple for `debug`), send them to a
child process and fill them there. They are checked when they are translated into ours
(`pinn.io.legacy.translate`), which happens before any work. The three `validate_*` functions are
the reference's own rules, for callers that ask for them.

Names, defaults and meanings are those of PtychoPINN (July 2026).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pinn.errors import ConfigError

DEFAULT_GROUPS = 512  # what the reference trains on when nobody says a number
ARCHIVE = "wts.h5.zip"

ARCHITECTURES = ("cnn", "ffno", "fno", "fno_vanilla", "neuralop_uno")


class Unstated(str):
    """A word that is a default and that nobody stated; equal to its text in every other way."""

    __slots__ = ()


@dataclass
class ModelConfig:
    """Network and physics of the reference; fields without a comment say what they are."""

    N: int = 64  # side of a frame in pixels; the reference knows 64, 128 and 256
    gridsize: int = 1  # a group has gridsize squared frames
    n_filters_scale: int = 2
    model_type: str = "pinn"  # or supervised
    architecture: str = Unstated("cnn")  # or ffno, fno, fno_vanilla, neuralop_uno (PyTorch only)
    fno_modes: int = 12
    fno_width: int = 32
    fno_blocks: int = 4
    fno_cnn_blocks: int = 2
    learned_input_channels: int = 1
    max_hidden_channels: int | None = None
    resnet_width: int | None = None
    fno_input_transform: str = "none"  # or sqrt, log1p, instancenorm
    generator_output_mode: str = "real_imag"  # or amp_phase_logits, amp_phase (FNO family)
    amp_activation: str = "sigmoid"  # or swish, softplus, relu; PyTorch also silu
    object_big: bool = True  # one patch per frame, merged; False: one per group
    probe_big: bool = True  # a branch of the decoder fills the ring around the centre
    probe_mask: bool = False  # a disc of radius N//4
    probe_mask_sigma: float = 1.0  # soft edge of the disc in pixels (PyTorch only)
    probe_mask_diameter: float | None = None  # pixels (PyTorch only)
    pad_object: bool = True  # the decoder proper covers the central half only
    probe_scale: float = 4.0
    gaussian_smoothing_sigma: float = 0.0  # of the exit wave, in pixels


@dataclass
class TrainingConfig:
    """One training run of the reference.

    `n_images` is an old name of `n_groups`; without either there are 512.
    """

    model: ModelConfig
    train_data_file: Path | None = None
    test_data_file: Path | None = None
    batch_size: int = 16
    nepochs: int = 50
    mae_weight: float = 0.0
    nll_weight: float = 1.0
    realspace_mae_weight: float = 0.0
    realspace_weight: float = 0.0
    nphotons: float = 1e9  # per frame
    n_groups: int | None = None
    n_images: int | None = None
    n_subsample: int | None = None  # frames kept before groups are made
    subsample_seed: int | None = None
    neighbor_count: int = 4
    enable_oversampling: bool = False
    neighbor_pool_size: int | None = None
    positions_provided: bool = True
    probe_trainable: bool = False
    intensity_scale_trainable: bool = True
    output_dir: Path = Path("training_outputs")
    sequential_sampling: bool = False
    backend: str = Unstated("tensorflow")  # or pytorch
    torch_loss_mode: str = "poisson"  # or mae
    torch_mae_pred_l2_match_target: bool = False
    gradient_clip_val: float | None = None
    gradient_clip_algorithm: str = "norm"  # or value, agc
    optimizer: str = "adam"  # or adamw, sgd
    momentum: float = 0.9
    weight_decay: float = 0.0
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    scheduler: str = "Default"  # or Exponential, WarmupCosine, ReduceLROnPlateau
    lr_warmup_epochs: int = 0
    lr_min_ratio: float = 0.1
    plateau_factor: float = 0.5
    plateau_patience: int = 2
    plateau_min_lr: float = 5e-5
    plateau_threshold: float = 0.0

    def __post_init__(self) -> None:
        _warn_of_n_images(self)
        self.n_groups = groups_of(self)


@dataclass
class InferenceConfig:
    """One reconstruction by the reference; `n_groups` None means all."""

    model: ModelConfig
    model_path: Path
    test_data_file: Path
    n_groups: int | None = None
    n_images: int | None = None
    n_subsample: int | None = None
    subsample_seed: int | None = None
    neighbor_count: int = 4
    enable_oversampling: bool = False
    neighbor_pool_size: int | None = None
    debug: Any = False
    output_dir: Path = Path("inference_outputs")
    backend: str = Unstated("tensorflow")

    def __post_init__(self) -> None:
        _warn_of_n_images(self)
        self.n_groups = groups_of(self)


def groups_of(config: TrainingConfig | InferenceConfig) -> int | None:
    """`n_groups`, or else `n_images`, or else 512 for training and None (all) for inference."""
    for value in (config.n_groups, config.n_images):
        if value is not None:
            return value
    return DEFAULT_GROUPS if isinstance(config, TrainingConfig) else None


def _warn_of_n_images(config: TrainingConfig | InferenceConfig) -> None:
    if config.n_images is not None:
        warnings.warn(
            "n_images is an old name; use n_groups, which counts groups and not images",
            DeprecationWarning,
            stacklevel=4,  # this function, __post_init__, __init__, the caller
        )


def validate_model_config(config: ModelConfig) -> None:
    """The reference's rules for the network.

    Raises:
        ConfigError: (a ValueError) for the first field that breaks one.
    """
    if config.architecture not in ARCHITECTURES:
        raise ConfigError(
            f"architecture is {config.architecture!r}, but one of {', '.join(ARCHITECTURES)} is "
            "required"
        )
    _require("gridsize", config.gridsize, config.gridsize > 0, "a positive number")
    _require(
        "n_filters_scale", config.n_filters_scale, config.n_filters_scale > 0, "a positive number"
    )
    _require("probe_scale", config.probe_scale, config.probe_scale > 0, "a positive number")
    sigma = config.gaussian_smoothing_sigma
    _require("gaussian_smoothing_sigma", sigma, sigma >= 0, "zero or a positive number")


def validate_training_config(config: TrainingConfig) -> None:
    """The reference's rules for a training run, and those for its network.

    Its batch size must be a power of two and its two weights at most 1; ours need not
    (`pinn.io.legacy.translate` does not call this).

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
    """The reference's rules for a reconstruction: its network, and that the archive is there.

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
