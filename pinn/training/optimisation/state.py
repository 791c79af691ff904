"""State of the optimiser as named arrays that no framework or Keras version owns."""

from __future__ import annotations

import keras
import numpy as np

from pinn.errors import ConfigError
from pinn.training.optimisation.composed import composed


def arrays_of(optimizer: keras.optimizers.Optimizer) -> dict[str, np.ndarray]:
    """Copies of all variables by position and name; positions agree on every backend.

    Where weights are averaged, the place of an average holds the weight that training goes on
    from, whichever of the two the model has at the moment: an archive's weights are the averages.
    """
    wrapper = composed(optimizer)
    weights = {}
    if wrapper is not None and wrapper.averages and not wrapper.average_is_in:
        weights = {
            id(average): variable
            for average, variable in zip(wrapper.averages, wrapper.model_variables, strict=True)
        }
    return {
        f"{number:04d}_{variable.name}": np.array(
            keras.ops.convert_to_numpy(weights.get(id(variable), variable))
        )
        for number, variable in enumerate(optimizer.variables)
    }


def assign(optimizer: keras.optimizers.Optimizer, arrays: dict[str, np.ndarray]) -> None:
    """Take over what `arrays_of` gave, for a model that has the archive's weights.

    Averages go to their place, and the model gets the weights that training goes on from. The
    learning rate is a function of options and counter; one in an old archive is left out.

    Raises:
        ConfigError: the state of another network or optimiser.
    """
    by_position = [arrays[name] for name in sorted(arrays) if not name.endswith("_learning_rate")]
    if len(by_position) != len(optimizer.variables) or any(
        a.shape != tuple(v.shape) for a, v in zip(by_position, optimizer.variables, strict=False)
    ):
        raise ConfigError(
            "the archive's optimiser state belongs to another network or optimiser; resume with "
            "the optimizer, accumulate, ema_decay, precision, rate_factors and schedule it had"
        )
    for variable, array in zip(optimizer.variables, by_position, strict=True):
        variable.assign(array)
    wrapper = composed(optimizer)
    if wrapper is not None and wrapper.averages:
        wrapper.average_is_in = True
        wrapper.swap()


def set_plateau_factor(optimizer: keras.optimizers.Optimizer, factor: float) -> None:
    """Set what `plateau_factor` says, between two epochs; without the schedule nothing happens."""
    wrapper = composed(optimizer)
    if wrapper is not None and wrapper.multiplier is not None:
        wrapper.multiplier.assign(factor)
