"""How the weights are changed: optimisers, learning rates, clipping, averaging, frozen parts."""

from pinn.optimisation.averaging import AveragedWeights, average_is_in, averaged, swap
from pinn.optimisation.composed import ComposedOptimizer, composed
from pinn.optimisation.optimizer import equip, make_optimizer
from pinn.optimisation.parts import freeze
from pinn.optimisation.plateau import improvements, plateau_factor
from pinn.optimisation.precision import check_precision, in_float32, network_precision
from pinn.optimisation.schedules import Rate, changes_per_epoch
from pinn.optimisation.state import arrays_of, assign, set_batches_done, set_plateau_factor

__all__ = [
    "AveragedWeights",
    "ComposedOptimizer",
    "Rate",
    "arrays_of",
    "assign",
    "average_is_in",
    "averaged",
    "changes_per_epoch",
    "check_precision",
    "composed",
    "equip",
    "freeze",
    "improvements",
    "in_float32",
    "make_optimizer",
    "network_precision",
    "plateau_factor",
    "set_batches_done",
    "set_plateau_factor",
    "swap",
]
