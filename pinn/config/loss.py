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
                f"{text!r} is not a sum of terms like 'poisson + 0.1 mae'; terms: "
                f"{', '.join(TERMS)}"
            )
        number, name = found.groups()
        if name not in TERMS:
            raise ValueError(f"unknown term {name!r}; terms: {', '.join(TERMS)}")
        if name in weights:
            raise ValueError(f"{name} appears twice")
        try:
            weight = 1.0 if number is None else float(number)
        except ValueError:
            raise ValueError(f"the weight {number!r} of {name} is not a number") from None
        if not (weight > 0 and math.isfinite(weight)):
            raise ValueError(f"the weight of {name} is {number}, but it must be positive")
        weights[name] = weight
    return weights


class LossOptions(Config):
    """What is minimised."""

    sections: ClassVar[dict[str, str]] = {"mode": "Loss"}

    mode: Literal["pinn", "supervised"] = Field(
        "pinn",
        description="Train on the measured counts through the physics, or on label patches (from "
        "the scan's true object, or stored in the scan).",
    )
    loss: str | None = Field(
        None,
        description="Weighted sum of terms, for instance 'poisson + 0.1 mae + 1e-3 tv_phase'. "
        f"Likelihoods: {', '.join(LIKELIHOODS)}. Against labels: {', '.join(LABEL_TERMS)}. "
        f"Regularisers: {', '.join(REGULARISERS)}. Default: poisson; 2 label_amplitude + 4 "
        "label_phase if supervised.",
    )
    label_epochs: int = Field(
        0, ge=0, description="Staged training: number of first epochs that use labels only."
    )
    blend_epochs: int = Field(
        0,
        ge=0,
        description="Staged training: number of epochs after label_epochs in which the physics "
        "replaces the labels. The remaining epochs use the physics only.",
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
        return self
