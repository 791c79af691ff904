"""One training run: all its options under one name."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import model_validator

from pinn.config.groups import GroupOptions
from pinn.config.loss import LossOptions
from pinn.config.optimisation import OptimiserOptions
from pinn.config.running import RunOptions


class TrainConfig(OptimiserOptions, LossOptions, GroupOptions, RunOptions):
    """Options of one training run."""

    sections: ClassVar[dict[str, str]] = {
        **RunOptions.sections,
        **GroupOptions.sections,
        **LossOptions.sections,
        **OptimiserOptions.sections,
    }
    keys_only: ClassVar[frozenset[str]] = frozenset().union(
        RunOptions.keys_only, GroupOptions.keys_only, OptimiserOptions.keys_only
    )

    @model_validator(mode="after")
    def _check_length(self) -> Self:
        early = self.label_epochs + self.blend_epochs
        if self.mode == "pinn" and early >= self.epochs:
            raise ValueError(
                f"label_epochs and blend_epochs take {early} of {self.epochs} epochs and leave "
                "none for the physics; raise epochs, or use mode supervised"
            )
        return self
