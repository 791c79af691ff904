"""The values of a legacy configuration, checked: types, ranges and words, by their old names."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pinn.errors import ConfigError
from pinn.io.legacy.configuration import (
    InferenceConfig,
    ModelConfig,
    TrainingConfig,
    groups_of,
)
from pinn.io.legacy.dictionary import summary
from pinn.io.legacy.execution import SCHEDULERS


@dataclass(frozen=True)
class Whole:
    """A whole number from `least` on."""

    least: int = 1
    none: bool = False

    def met(self, value: Any) -> bool:
        """Whether `value` is one."""
        return type(value) is int and value >= self.least

    def __str__(self) -> str:
        return f"a whole number of at least {self.least}"


@dataclass(frozen=True)
class Number:
    """A finite number from `least` to `most`; `above` and `below` leave these two out."""

    least: float = 0.0
    most: float = math.inf
    above: bool = False
    below: bool = False
    none: bool = False

    def met(self, value: Any) -> bool:
        """Whether `value` is one."""
        if type(value) not in (int, float) or not math.isfinite(value):
            return False
        low = value > self.least if self.above else value >= self.least
        return low and (value < self.most if self.below else value <= self.most)

    def __str__(self) -> str:
        words = f"a number {'above' if self.above else 'of at least'} {self.least:g}"
        if self.most < math.inf:
            words += f" and {'below' if self.below else 'at most'} {self.most:g}"
        return words


@dataclass(frozen=True)
class Flag:
    """True or False."""

    none: bool = False

    def met(self, value: Any) -> bool:
        """Whether `value` is one."""
        return type(value) is bool

    def __str__(self) -> str:
        return "True or False"


@dataclass(frozen=True)
class Word:
    """One of some words."""

    known: tuple[str, ...]
    none: bool = False

    def met(self, value: Any) -> bool:
        """Whether `value` is one."""
        return isinstance(value, str) and value in self.known

    def __str__(self) -> str:
        return "one of " + ", ".join(self.known)


@dataclass(frozen=True)
class Name:
    """A text that is not empty."""

    none: bool = False

    def met(self, value: Any) -> bool:
        """Whether `value` is one."""
        return isinstance(value, str) and bool(value)

    def __str__(self) -> str:
        return "a name"


@dataclass(frozen=True)
class File:
    """A path; an empty one stands for none."""

    none: bool = True

    def met(self, value: Any) -> bool:
        """Whether `value` is one."""
        return isinstance(value, str | Path)

    def __str__(self) -> str:
        return "a path"


Rule = Whole | Number | Flag | Word | Name | File

BACKENDS = {
    "tensorflow": "tensorflow",
    "pytorch": "torch",
    "torch": "torch",
    "jax": "jax",
}

RULES: dict[str, Rule] = {
    "N": Whole(16),
    "gridsize": Whole(),
    "n_filters_scale": Whole(),
    "model_type": Word(("pinn", "supervised")),
    "architecture": Name(),
    "fno_modes": Whole(),
    "fno_width": Whole(),
    "fno_blocks": Whole(),
    "fno_cnn_blocks": Whole(0),
    "learned_input_channels": Whole(),
    "max_hidden_channels": Whole(none=True),
    "resnet_width": Whole(none=True),
    "fno_input_transform": Word(("none", "sqrt", "log1p", "instancenorm")),
    "generator_output_mode": Word(("real_imag", "amp_phase_logits", "amp_phase")),
    "amp_activation": Word(("sigmoid", "swish", "silu", "softplus", "relu")),
    "object_big": Flag(),
    "probe_big": Flag(),
    "probe_mask": Flag(),
    "probe_mask_sigma": Number(),
    "probe_mask_diameter": Number(above=True, none=True),
    "pad_object": Flag(),
    "probe_scale": Number(above=True),
    "gaussian_smoothing_sigma": Number(),
    "train_data_file": File(),
    "test_data_file": File(),
    "model_path": File(),
    "output_dir": File(),
    "batch_size": Whole(),
    "nepochs": Whole(),
    "mae_weight": Number(),
    "nll_weight": Number(),
    "realspace_mae_weight": Number(),
    "realspace_weight": Number(),
    "nphotons": Number(above=True),
    "n_groups": Whole(none=True),
    "n_images": Whole(none=True),
    "n_subsample": Whole(none=True),
    "subsample_seed": Whole(0, none=True),
    "neighbor_count": Whole(),
    "enable_oversampling": Flag(),
    "neighbor_pool_size": Whole(none=True),
    "positions_provided": Flag(),
    "probe_trainable": Flag(),
    "intensity_scale_trainable": Flag(),
    "sequential_sampling": Flag(),
    "backend": Word(tuple(BACKENDS)),
    "torch_loss_mode": Word(("poisson", "mae")),
    "torch_mae_pred_l2_match_target": Flag(),
    "gradient_clip_val": Number(none=True),
    "gradient_clip_algorithm": Word(("norm", "value", "agc")),
    "optimizer": Name(),
    "momentum": Number(most=1, below=True),
    "weight_decay": Number(),
    "adam_beta1": Number(most=1, below=True),
    "adam_beta2": Number(most=1, below=True),
    "scheduler": Word(SCHEDULERS),
    "lr_warmup_epochs": Whole(0),
    "lr_min_ratio": Number(most=1),
    "plateau_factor": Number(above=True, most=1, below=True),
    "plateau_patience": Whole(0),
    "plateau_min_lr": Number(),
    "plateau_threshold": Number(),
}

# Networks of the reference that are not here; other names are looked up when one is built.
NOT_HERE = {
    "neuralop_uno": "choose fno, ffno or cnn",
    "hybrid_resnet": "choose cnn",
}


def checked(config: ModelConfig | TrainingConfig | InferenceConfig) -> dict[str, Any]:
    """All fields by name, those of the network beside those of the run, as plain values.

    Raises:
        ConfigError: the first field whose value has a wrong type or range, by its old name.
    """
    found: dict[str, Any] = {}
    for field in fields(config):
        value = getattr(config, field.name)
        if field.name == "model":
            if not isinstance(value, ModelConfig):
                raise ConfigError(
                    f"model is {type(value).__name__}, but a legacy ModelConfig is required"
                )
            found |= checked(value)
        elif field.name == "debug":  # callers pass a tuple by mistake; it means nothing here
            found["debug"] = value
        else:
            if field.name == "n_groups" and not isinstance(config, ModelConfig):
                value = groups_of(config)
            found[field.name] = _checked(field.name, value)
    return found


def _checked(name: str, value: Any) -> Any:
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()  # a NumPy number
    rule = RULES[name]
    if value is None and rule.none:
        return None
    if not rule.met(value):
        hint = ", or None" if rule.none else ""
        if name == "N" and type(value) is int and value == 0:
            hint = "; 0 is a placeholder to be filled in before anything is done"
        raise ConfigError(f"{name} is {summary(value)}, but {rule}{hint} is required")
    if name == "architecture" and value in NOT_HERE:
        raise ConfigError(f"architecture {value!r} is not here; {NOT_HERE[value]}")
    return value
