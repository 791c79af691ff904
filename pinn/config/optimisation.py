"""How the weights are changed: optimiser, learning rate, clipping, averaging, frozen parts."""

from __future__ import annotations

import fnmatch
import math
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from pinn.config.base import Config

_ADAMS = ("adam", "adamw", "nadam", "adamax", "lion", "lamb")
# Who uses an option: for others it would be without effect.
_USERS = {
    "momentum": ("sgd", "rmsprop"),
    "beta_1": _ADAMS,
    "beta_2": _ADAMS,
    "rate_floor": ("cosine", "exponential", "plateau"),
    "decay": ("exponential",),
    "plateau_factor": ("plateau",),
    "plateau_patience": ("plateau",),
    "plateau_threshold": ("plateau",),
}


class OptimiserOptions(Config):
    """Optimisation."""

    sections: ClassVar[dict[str, str]] = {
        "optimizer": "Optimisation",
        "schedule": "Learning rate",
    }

    optimizer: Literal[
        "adam", "adamw", "nadam", "adamax", "sgd", "rmsprop", "adagrad", "adadelta", "lion", "lamb"
    ] = Field("adam", description="Update rule.")  # fmt: skip
    momentum: float = Field(0.9, ge=0, lt=1, description="sgd, rmsprop: momentum.")
    beta_1: float = Field(
        0.9, ge=0, lt=1, description="adam family, lion, lamb: decay of the first moment."
    )
    beta_2: float = Field(
        0.999, ge=0, lt=1, description="adam family, lion, lamb: decay of the second moment."
    )
    weight_decay: float | None = Field(
        None,
        ge=0,
        description="Decoupled weight decay of the network's kernels; no bias, probe or scale "
        "decays. Default: 0.01 with adamw, else none.",
    )
    clip_norm: float | None = Field(
        1.0, gt=0, description="Clip the gradient to this norm (the last of the three clips)."
    )
    clip_value: float | None = Field(
        None, gt=0, description="Clip each number of the gradient to this size (the second)."
    )
    clip_adaptive: float | None = Field(
        None,
        gt=0,
        description="Clip the gradient of each output channel of a kernel to this share of the "
        "norm of its weights (the first).",
    )
    accumulate: int = Field(
        1,
        ge=1,
        description="Batches whose gradients are averaged before the weights change; the last "
        "ones of an epoch may be fewer. Learning rates count changes.",
    )
    ema_decay: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Keep a moving average of the weights with this decay per change; it is what "
        "is validated and saved.",
    )
    freeze: str | None = Field(
        None,
        description="Parts that stay as they are: names of layers with * and ?, separated by "
        "commas, as 'stem,near_*' (probe where it is trained).",
    )
    rate_factors: str | None = Field(
        None,
        description="Factors on the learning rate of parts, as 'stem:0.1,near_*:0.01'; the "
        "first that fits counts.",
    )
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = Field(
        "float32", description="Numbers of the network in training; the physics stays float32."
    )
    learning_rate: float = Field(1e-3, gt=0, description="Peak learning rate.")
    schedule: Literal["cosine", "constant", "exponential", "stages", "plateau"] = Field(
        "cosine",
        description="Learning rate: half a cosine from the end of the warm-up to that of the run, "
        "constant, falling by decay after each epoch, by rate_stages, or when the monitored metric "
        "no longer improves.",
    )
    warmup_epochs: float | None = Field(
        None,
        ge=0,
        description="Epochs of linear warm-up from a tenth; default: a twentieth of a cosine run, "
        "at most 100 changes, and none otherwise.",
    )
    rate_floor: float = Field(
        0.01,
        ge=0,
        le=1,
        description="cosine, exponential, plateau: lowest share of learning_rate.",
    )
    decay: float = Field(
        0.95, gt=0, le=1, description="exponential: factor of the learning rate per epoch."
    )
    rate_stages: str | None = Field(
        None,
        description="stages: factors of learning_rate after so many epochs, as '10:0.3,20:0.1'.",
    )
    plateau_factor: float = Field(
        0.5, gt=0, lt=1, description="plateau: factor when nothing improves."
    )
    plateau_patience: int = Field(
        2, ge=1, description="plateau: epochs without improvement before that."
    )
    plateau_threshold: float = Field(
        0.0, ge=0, description="plateau: smallest change of the metric that counts."
    )

    @property
    def stages(self) -> list[tuple[float, float]]:
        """`rate_stages` as (epoch, factor), in order."""
        return [] if self.rate_stages is None else _pairs("rate_stages", self.rate_stages)

    @property
    def decay_of_weights(self) -> float:
        """Weight decay that is used."""
        if self.weight_decay is None:
            return 0.01 if self.optimizer == "adamw" else 0.0
        return self.weight_decay

    @property
    def factors(self) -> list[tuple[str, float]]:
        """`rate_factors` as (pattern, factor)."""
        return _factors(self.rate_factors)

    @property
    def frozen(self) -> list[str]:
        """`freeze` as patterns."""
        return _names(self.freeze)

    def rate_factor(self, name: str) -> float:
        """Factor on the learning rate of a layer; 0 if it is frozen."""
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in self.frozen):
            return 0.0
        for pattern, factor in self.factors:
            if fnmatch.fnmatchcase(name, pattern):
                return factor
        return 1.0

    @model_validator(mode="after")
    def _check_optimisation(self) -> Self:
        _factors(self.rate_factors)
        stages = self.stages
        if stages != sorted(stages) or any(epoch < 0 for epoch, _ in stages):
            raise ValueError(f"rate_stages {self.rate_stages!r} must rise from epoch to epoch")
        if (self.schedule == "stages") != bool(stages):
            raise ValueError("schedule stages and rate_stages go together; give both or neither")
        for option, users in _USERS.items():
            field = "optimizer" if option in ("momentum", "beta_1", "beta_2") else "schedule"
            chosen, value = getattr(self, field), getattr(self, option)
            if chosen not in users and value != type(self).model_fields[option].default:
                raise ValueError(
                    f"{option} is {value!r}, but {field} {chosen} has no such thing; leave it out, "
                    f"or choose {' or '.join(users)}"
                )
        if self.optimizer == "lion" and self.beta_1 == 0:
            raise ValueError("optimizer lion needs a beta_1 above 0")
        if self.precision == "mixed_float16" and self.accumulate > 1:
            raise ValueError(
                "mixed_float16 leaves batches out whose gradients overflow, and then accumulate "
                "does not know its place in the epoch; use mixed_bfloat16, or larger batches"
            )
        return self


def _names(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def _factors(text: str | None) -> list[tuple[str, float]]:
    found = []
    for part in _names(text):
        name, _, number = part.rpartition(":")
        found.append((name.strip(), _number("rate_factors", part, number)))
    return found


def _pairs(option: str, text: str) -> list[tuple[float, float]]:
    found = []
    for part in _names(text):
        left, _, right = part.partition(":")
        found.append((_number(option, part, left), _number(option, part, right)))
    return found


def _number(option: str, part: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{option} has {part!r}, but NAME:NUMBER is required, numbers from 0")
    return value
