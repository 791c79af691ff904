"""How the weights are changed: optimiser, learning rate, clipping, averaging, frozen parts."""

from __future__ import annotations

import fnmatch
import math
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from pinn.config.base import Config

# Who uses an option: for others it would be without effect.
_ADAMS = ("adam", "adamw")
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
        "optimizer": "Optimiser",
        "learning_rate": "Learning rate",
    }
    keys_only: ClassVar[frozenset[str]] = frozenset(
        (
            *("momentum", "beta_1", "beta_2", "clip_value", "clip_adaptive"),
            *("plateau_factor", "plateau_patience", "plateau_threshold"),
        )
    )

    optimizer: Literal["adam", "adamw", "sgd", "rmsprop"] = Field(
        "adam", description="Update rule."
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of sgd and rmsprop.")
    beta_1: float = Field(
        0.9, ge=0, lt=1, description="Decay of the first moment of adam and adamw."
    )
    beta_2: float = Field(
        0.999, ge=0, lt=1, description="Decay of the second moment of adam and adamw."
    )
    weight_decay: float | None = Field(
        None,
        ge=0,
        description="Decoupled weight decay of the network's kernels (not of biases, probe or "
        "scale). Default: 0.01 for adamw, 0 for the others.",
    )
    clip_norm: float | None = Field(
        1.0,
        gt=0,
        description="Largest norm of the whole gradient. Applied after clip_adaptive and "
        "clip_value.",
    )
    clip_value: float | None = Field(
        None, gt=0, description="Largest modulus of each element of the gradient."
    )
    clip_adaptive: float | None = Field(
        None,
        gt=0,
        description="Largest norm of the gradient of an output channel, relative to the norm of "
        "its weights. Applied before clip_value and clip_norm.",
    )
    accumulate: int = Field(
        1,
        ge=1,
        description="Number of batches whose gradients are averaged for one update. Learning rates "
        "count updates.",
    )
    ema_decay: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Decay per update of a moving average of the weights. Validation and archives "
        "use the average. Default: no average.",
    )
    rate_factors: str | None = Field(
        None,
        description="Factors on the learning rate of layers, for instance 'stem:0.1,near_*:0'. 0 "
        "freezes a layer. The first matching pattern applies.",
    )
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = Field(
        "float32",
        description="Floating-point type of the network in training. The physics is always "
        "float32.",
    )
    learning_rate: float = Field(1e-3, gt=0, description="Peak learning rate.")
    schedule: Literal["cosine", "constant", "exponential", "plateau"] = Field(
        "cosine",
        description="Learning rate over the run: a half cosine after the warm-up, constant, "
        "falling by decay after each epoch, or falling when the monitored metric stops improving.",
    )
    warmup_epochs: float | None = Field(
        None,
        ge=0,
        description="Epochs of linear warm-up from a tenth of the learning rate. Default: a "
        "twentieth of the run for cosine (at most 100 updates), none for the others.",
    )
    rate_floor: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Lowest learning rate, as a fraction of learning_rate (cosine, exponential and "
        "plateau).",
    )
    decay: float = Field(
        0.95, gt=0, le=1, description="Factor on the learning rate per epoch (exponential)."
    )
    plateau_factor: float = Field(
        0.5, gt=0, lt=1, description="Factor on the learning rate at each fall (plateau)."
    )
    plateau_patience: int = Field(
        2, ge=1, description="Epochs without improvement before the learning rate falls (plateau)."
    )
    plateau_threshold: float = Field(
        0.0,
        ge=0,
        description="Smallest change of the metric that counts as an improvement (plateau).",
    )

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

    def rate_factor(self, name: str) -> float:
        """Factor on the learning rate of a layer; 0 if it is frozen."""
        for pattern, factor in self.factors:
            if fnmatch.fnmatchcase(name, pattern):
                return factor
        return 1.0

    @model_validator(mode="after")
    def _check_optimisation(self) -> Self:
        _factors(self.rate_factors)
        for option, users in _USERS.items():
            field = "optimizer" if option in ("momentum", "beta_1", "beta_2") else "schedule"
            chosen, value = getattr(self, field), getattr(self, option)
            if chosen not in users and value != type(self).model_fields[option].default:
                raise ValueError(
                    f"{option} is {value!r}, but {field} {chosen} does not use it; leave it out, "
                    f"or choose {' or '.join(users)}"
                )
        if self.precision == "mixed_float16" and self.accumulate > 1:
            raise ValueError(
                "mixed_float16 skips batches whose gradients overflow, so that accumulate cannot "
                "count them; use mixed_bfloat16, or larger batches without accumulate"
            )
        return self


def _factors(text: str | None) -> list[tuple[str, float]]:
    factors = []
    for item in (text or "").split(","):
        if not item.strip():
            continue
        name, _, number = item.rpartition(":")
        try:
            factor = float(number)
        except ValueError:
            factor = math.nan
        if not (math.isfinite(factor) and factor >= 0):
            raise ValueError(
                f"rate_factors has {item.strip()!r}, but NAME:NUMBER is required, numbers from 0"
            )
        factors.append((name.strip(), factor))
    return factors
