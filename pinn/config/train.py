"""One training run: all its options under one name."""

from __future__ import annotations

from typing import ClassVar

from pinn.config.groups import GroupOptions
from pinn.config.loss import LossOptions
from pinn.config.optimisation import OptimiserOptions
from pinn.config.running import RunOptions


class TrainConfig(OptimiserOptions, LossOptions, GroupOptions, RunOptions):
    """One training run."""

    sections: ClassVar[dict[str, str]] = {
        **RunOptions.sections,
        **GroupOptions.sections,
        **LossOptions.sections,
        **OptimiserOptions.sections,
    }
