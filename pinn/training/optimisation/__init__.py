"""How the weights are changed: optimisers, learning rates, clipping, averaging, frozen parts."""

from pinn.training.optimisation.averaging import AveragedWeights, average_is_in, averaged, swap
from pinn.training.optimisation.composed import ComposedOptimizer, composed
from pinn.training.optimisation.optimizer import equip, make_optimizer
from pinn.training.optimisation.parts import freeze
from pinn.training.optimisation.schedules import Rate, changes_per_epoch
from pinn.training.optimisation.state import arrays_of, assign, set_plateau_factor

__all__ = [
    "AveragedWeights",
    "ComposedOptimizer",
    "Rate",
    "arrays_of",
    "assign",
    "average_is_in",
    "averaged",
    "changes_per_epoch",
    "composed",
    "equip",
    "freeze",
    "make_optimizer",
    "set_plateau_factor",
    "swap",
]
