"""An optimiser around one of Keras: accumulation, more clipping, rate factors, averaged weights.

Keras has accumulation, averaging and one clip at a time too; tests/training/test_optimisation_keras
shows where they do something else. What is wrapped here is the plain Keras optimiser, so that on
PyTorch its fused step is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from pinn.training.optimisation.schedules import Rate

_FLOOR = 1e-3  # of the norm of a unit's weights: a unit that starts at zero can leave it


@dataclass(frozen=True, eq=False)
class Treatment:
    """What is done to the variables besides the step of the optimiser.

    Attributes:
        batches: in an epoch.
        accumulate: batches whose gradients are averaged before a change.
        clip_adaptive, clip_value: clips of units (`clip_units`), then of single numbers; that of
            the norm, by Keras, comes last. Each only shortens, so that all bounds hold.
        ema_decay: of the moving average of the weights, or None.
        factors: on the change of each variable.
        kernels: which variables `clip_adaptive` looks at.
        rate: the schedule, if it has a multiplier that is set from outside.
    """

    batches: int
    accumulate: int
    clip_value: float | None
    clip_adaptive: float | None
    ema_decay: float | None
    factors: tuple[float, ...]
    kernels: tuple[bool, ...]
    rate: Rate | None

    @property
    def needed(self) -> bool:
        """Whether a plain optimiser would not do."""
        wanted = (self.clip_value, self.clip_adaptive, self.ema_decay, self.rate)
        others = any(option is not None for option in wanted)
        return others or self.accumulate > 1 or any(factor != 1 for factor in self.factors)


class _Hidden:
    """Holds the model's variables out of sight of Keras, which would take them for the state."""

    def __init__(self, variables: list[Any]) -> None:
        self.variables = variables


class ComposedOptimizer(keras.optimizers.Optimizer):
    """Applies `treatment` around the steps of `inner_optimizer`.

    `iterations` counts batches; that of the inner optimiser, and with it learning rates and bias
    corrections, counts changes of the weights. Between changes the gradients are summed, and the
    weights and the inner state stay as they are; the sum is divided by the number of batches in
    it, which is smaller for the last group of an epoch.

    The variables are, in this order: the counter, the multiplier of the rate, the sums, the
    averages (each where it is needed), and the inner optimiser's.

    Args:
        inner_optimizer: a Keras optimiser; clips the norm and decays the weights.
        treatment: see there; its tuples are in the order of the variables given to `build`.
    """

    def __init__(
        self, inner_optimizer: keras.optimizers.Optimizer, treatment: Treatment, **kwargs: Any
    ) -> None:
        super().__init__(learning_rate=_no_rate, **kwargs)
        self.inner_optimizer = inner_optimizer
        self.treatment = treatment
        self.average_is_in = False  # the model has the averages, the averages' place the weights

    def build(self, variables: list[Any]) -> None:
        if len(variables) != len(self.treatment.factors):
            raise ValueError(
                f"{len(variables)} variables, but {len(self.treatment.factors)} factors"
            )
        super().build(variables)
        self._model = _Hidden(list(variables))
        self.multiplier = None
        if self.treatment.rate is not None:
            self.multiplier = self.add_variable((), "ones", "float32", name="rate_multiplier")
            self.treatment.rate.multiplier = self.multiplier
        self.sums = self._places("sum") if self.treatment.accumulate > 1 else []
        self.averages = self._places("average") if self.treatment.ema_decay is not None else []
        for average, variable in zip(self.averages, variables, strict=False):
            average.assign(ops.copy(variable))
        self.inner_optimizer.build(variables)

    def _places(self, name: str) -> list[Any]:
        return [self.add_variable_from_reference(v, name) for v in self._model.variables]

    @property
    def model_variables(self) -> list[Any]:
        """The variables of the model, in the order of `averages`."""
        return self._model.variables

    @property
    def variables(self) -> list[Any]:
        return super().variables + self.inner_optimizer.variables

    @property
    def learning_rate(self) -> Any:
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: Any) -> None:
        self.inner_optimizer.learning_rate = rate

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        if not self.built:
            self.build(list(trainable_variables))
        variables, treatment = self._model.variables, self.treatment
        grads, last = self._accumulated(list(grads))
        kept = None
        if last is not None:
            kept = [(v, ops.copy(v)) for v in [*variables, *self.inner_optimizer.variables]]
        before = [
            (variable, ops.copy(variable), factor)
            for variable, factor in zip(variables, treatment.factors, strict=True)
            if factor != 1
        ]
        self.inner_optimizer.apply(self._clipped(grads), variables)
        for variable, old, factor in before:
            variable.assign(old + factor * (variable - old))
        for variable, old in kept or ():
            variable.assign(ops.where(last, ops.convert_to_tensor(variable), old))
        self._average(last)
        self.iterations.assign_add(1)

    def _accumulated(self, grads: list[Any]) -> tuple[list[Any], Any]:
        """Mean gradients of the group so far, and whether the batch is its last; None: always."""
        size, batches = self.treatment.accumulate, self.treatment.batches
        if size == 1:
            return grads, None
        batch = ops.mod(ops.cast(self.iterations, "int32"), batches)
        place = ops.mod(batch, size)
        last = ops.logical_or(place == size - 1, batch == batches - 1)
        first, count = place == 0, ops.cast(place + 1, "float32")
        means: list[Any] = []
        for total, gradient in zip(self.sums, grads, strict=True):
            if gradient is None:
                means.append(None)
                continue
            new = ops.where(first, gradient, total + gradient)
            total.assign(new)
            means.append(new / count)
        return means, last

    def _clipped(self, grads: list[Any]) -> list[Any]:
        share, size = self.treatment.clip_adaptive, self.treatment.clip_value
        rows = zip(grads, self._model.variables, self.treatment.kernels, strict=True)
        clipped = []
        for gradient, variable, kernel in rows:
            if gradient is not None and share is not None and kernel:
                gradient = clip_units(gradient, variable, share)
            if gradient is not None and size is not None:
                gradient = ops.clip(gradient, -size, size)
            clipped.append(gradient)
        return clipped

    def _average(self, last: Any) -> None:
        """The average starts at the weights after the first change."""
        decay = self.treatment.ema_decay or 0.0  # without one there are no averages
        first = ops.cast(self.inner_optimizer.iterations, "int32") <= 1
        for average, variable in zip(self.averages, self._model.variables, strict=False):
            old, now = ops.convert_to_tensor(average), ops.convert_to_tensor(variable)
            new = ops.where(first, now, decay * old + (1.0 - decay) * now)
            average.assign(new if last is None else ops.where(last, new, old))

    def swap(self) -> None:
        """Exchange the weights of the model and their averages."""
        if not self.averages:
            return
        for average, variable in zip(self.averages, self._model.variables, strict=True):
            old = ops.copy(variable)
            variable.assign(ops.copy(average))
            average.assign(old)
        self.average_is_in = not self.average_is_in

    def get_config(self) -> dict[str, Any]:
        raise NotImplementedError("the options of the run describe it; archives hold its variables")


def clip_units(gradient: Any, weight: Any, share: float) -> Any:
    """Adaptive clipping (Brock, De, Smith and Simonyan, 2021, arXiv:2102.06171), equation 3.

    The gradient of each unit, an output channel (the last axis), is shortened to `share` of the
    norm of the unit's weights, this norm being at least 1e-3.

    Args:
        gradient, weight: of one shape, with two or more axes.
    """
    axes = tuple(range(len(weight.shape) - 1))
    norm = ops.sqrt(ops.sum(ops.square(gradient), axes, keepdims=True))
    size = ops.sqrt(ops.sum(ops.square(weight), axes, keepdims=True))
    limit = share * ops.maximum(size, _FLOOR)
    return ops.where(norm > limit, gradient * (limit / ops.maximum(norm, 1e-30)), gradient)


def _no_rate() -> float:
    """The rate is the inner optimiser's; a number here would be one more variable."""
    return 0.0


def composed(optimizer: keras.optimizers.Optimizer) -> ComposedOptimizer | None:
    """The composed optimiser in it, through loss scaling; None if it is a plain one."""
    while optimizer is not None and not isinstance(optimizer, ComposedOptimizer):
        optimizer = getattr(optimizer, "inner_optimizer", None)
    return optimizer
