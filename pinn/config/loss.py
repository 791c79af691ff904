"""What a run minimises: physics, labels, regularisers, and how they follow one another."""

from __future__ import annotations

import math
import re
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from pinn.config.base import Config

# Terms of the measured counts; the physics takes part in them.
LIKELIHOODS = ("poisson", "gaussian", "mae")
# Distances of the predicted patches from label patches.
LABEL_TERMS = ("label_amplitude", "label_phase", "label_complex")
# Penalties on the predicted object alone.
REGULARISERS = ("tv_amplitude", "tv_phase", "deviation_amplitude", "deviation_phase")
TERMS = (*LIKELIHOODS, *LABEL_TERMS, *REGULARISERS)

_TERM = re.compile(r"\s*(?:([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*\*?\s*)?([a-z_]+)\s*")


def parse_loss(text: str) -> dict[str, float]:
    """Weights of the terms of a sum such as `poisson + 0.1 mae + 1e-3 tv_phase`, by name.

    Raises:
        ValueError: no such sum, an unknown term, one that is there twice, or a weight that is
            not positive.
    """
    weights: dict[str, float] = {}
    for part in re.split(r"(?<![0-9.][eE])\+", text):
        found = _TERM.fullmatch(part)
        if found is None:
            raise ValueError(
                f"{text!r} is no sum of terms as 'poisson + 0.1 mae'; terms: {', '.join(TERMS)}"
            )
        number, name = found.groups()
        if name not in TERMS:
            raise ValueError(f"unknown term {name!r}; terms: {', '.join(TERMS)}")
        if name in weights:
            raise ValueError(f"{name} is there twice")
        try:
            weight = 1.0 if number is None else float(number)
        except ValueError:
            raise ValueError(f"the weight {number!r} of {name} is no number") from None
        if not (weight > 0 and math.isfinite(weight)):
            raise ValueError(f"the weight of {name} is {number}, but it must be positive")
        weights[name] = weight
    return weights


class LossOptions(Config):
    """What is minimised."""

    sections: ClassVar[dict[str, str]] = {"mode": "What is minimised"}

    mode: Literal["pinn", "supervised"] = Field(
        "pinn",
        description="Learn from the measurement through the physics, or from label patches (of "
        "the scan's truth or its label patches).",
    )
    loss: str | None = Field(
        None,
        description="Sum of terms with weights, as 'poisson + 0.1 mae + 1e-3 tv_phase'; likelihoods"
        f" {', '.join(LIKELIHOODS)}; against labels {', '.join(LABEL_TERMS)}; regularisers "
        f"{', '.join(REGULARISERS)}. Default: poisson, or 2 label_amplitude + 4 label_phase if "
        "supervised.",
    )
    label_weighting: Literal["probe", "uniform"] = Field(
        "probe", description="Weight of a pixel against labels: illumination, or equal."
    )
    label_phase: Literal["relative", "absolute"] = Field(
        "relative",
        description="Labels less their mean phase, which no frame of the far field knows, or as "
        "they are.",
    )
    label_epochs: int = Field(
        0,
        ge=0,
        description="Staged training: so many first epochs against labels only (stage 1).",
    )
    blend_epochs: int = Field(
        0,
        ge=0,
        description="Staged training: then so many epochs in which the physics takes over "
        "(stage 2); the rest is physics (stage 3).",
    )
    blend_schedule: Literal["linear", "cosine", "constant"] = Field(
        "cosine",
        description="Weight of the physics in stage 2: rising linearly, as a half cosine, or one "
        "half throughout.",
    )
    physics_rate_factor: float = Field(
        1.0, gt=0, description="Factor on the learning rate in stage 3 (the reference has 0.1)."
    )

    @property
    def loss_terms(self) -> dict[str, float]:
        """Weight of each term, by name."""
        if self.loss is not None:
            return parse_loss(self.loss)
        if self.mode == "supervised":
            return {"label_amplitude": 2.0, "label_phase": 4.0}
        staged = {"label_amplitude": 2.0, "label_phase": 4.0} if self.staged else {}
        return {"poisson": 1.0, **staged}

    @property
    def staged(self) -> bool:
        """Whether label terms hand over to the physics."""
        return self.label_epochs + self.blend_epochs > 0

    @property
    def needs_labels(self) -> bool:
        """Whether a term compares with labels."""
        return any(name in LABEL_TERMS for name in self.loss_terms)

    @model_validator(mode="after")
    def _check_loss(self) -> Self:
        try:
            terms = self.loss_terms
        except ValueError as error:
            raise ValueError(f"loss: {error}") from None
        physics = any(name in LIKELIHOODS for name in terms)
        labels = any(name in LABEL_TERMS for name in terms)
        if self.mode == "supervised" and (physics or self.staged or not labels):
            raise ValueError(
                "supervised training takes label terms and regularisers only; leave the "
                "likelihoods and stages out, or use mode pinn"
            )
        if self.mode == "pinn" and not physics:
            raise ValueError(
                f"mode pinn needs a likelihood in the loss ({', '.join(LIKELIHOODS)}); for labels "
                "alone use mode supervised"
            )
        if self.staged and not labels:
            raise ValueError(
                "label_epochs and blend_epochs need a label term in the loss, for instance "
                "'poisson + 2 label_amplitude + 4 label_phase'"
            )
        needed = {
            "label_weighting": (labels, "a label term in the loss"),
            "label_phase": (labels, "a label term in the loss"),
            "blend_schedule": (self.blend_epochs > 0, "blend_epochs"),
            "physics_rate_factor": (self.staged, "label_epochs or blend_epochs"),
        }
        for name, (there, what) in needed.items():
            value = getattr(self, name)
            if not there and value != type(self).model_fields[name].default:
                raise ValueError(
                    f"{name} is {value!r}, which has no effect without {what}; leave it out, or "
                    "ask for that"
                )
        return self
