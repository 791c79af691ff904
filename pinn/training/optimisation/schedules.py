"""The learning rate as a function of the number of weight changes, inside the compiled step.

Nothing is remembered: a resumed run has, at each change, the rate that an uninterrupted run of as
many epochs has. Asked for more epochs than before, a cosine is stretched to the new length.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from pinn.config import TrainConfig

_WARM_START = 0.1  # of the rate that follows
_LONGEST_WARMUP = 100  # changes, unless the options say otherwise


def changes_per_epoch(run: TrainConfig, batches: int) -> int:
    """Weight changes in an epoch of so many batches; the last group of batches may be smaller."""
    return -(-batches // run.accumulate)


def warmup_changes(run: TrainConfig, changes: int) -> int:
    """Length of the warm-up, with so many changes in an epoch."""
    if run.warmup_epochs is not None:
        return round(run.warmup_epochs * changes)
    if run.schedule != "cosine":
        return 0
    return max(1, min(run.epochs * changes // 20, _LONGEST_WARMUP))


class Rate(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate at the change n, counted from 0; epochs are counted from the first change.

    The product of the peak, of a linear warm-up from a tenth to one, and of the schedule:

    - cosine (Loshchilov and Hutter, 2017): half a cosine from the end of the warm-up to the end of
      the run, down to `rate_floor`;
    - constant: 1;
    - exponential: `decay` to the power of the whole epochs done (a staircase, not a slope), at
      least `rate_floor`;
    - plateau: `multiplier`, which is set at the ends of epochs.

    Args:
        run: the options.
        changes: weight changes in an epoch.

    Attributes:
        multiplier: a Keras variable of the optimiser that owns the schedule, or None.
    """

    def __init__(self, run: TrainConfig, changes: int) -> None:
        self.run, self.changes = run, changes
        self.warm = warmup_changes(run, changes)
        self.multiplier: Any = None

    def __call__(self, step: Any) -> Any:
        """Scalar float32; `step` is the number of changes made so far."""
        step = ops.cast(step, "int32")
        rate = self.run.learning_rate * self._shape(step)
        if self.warm:
            share = ops.cast(step, "float32") / self.warm
            warmth = _WARM_START + (1.0 - _WARM_START) * ops.minimum(share, 1.0)
            rate = rate * warmth
        if self.multiplier is not None:
            rate = rate * self.multiplier
        return ops.cast(rate, "float32")

    def _shape(self, step: Any) -> Any:
        run = self.run
        match run.schedule:
            case "cosine":
                length = max(1, run.epochs * self.changes - self.warm)
                done = ops.cast(ops.clip(step - self.warm, 0, length), "float32") / length
                cosine = 0.5 * (1.0 + ops.cos(math.pi * done))
                return (1.0 - run.rate_floor) * cosine + run.rate_floor
            case "exponential":
                epochs = ops.cast(ops.floor_divide(step, self.changes), "float32")
                return ops.maximum(ops.power(float(run.decay), epochs), run.rate_floor)
        return ops.ones(())

    def get_config(self) -> dict[str, Any]:
        return {"run": self.run.to_dict(), "changes": self.changes}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Rate:
        return cls(TrainConfig(**config["run"]), config["changes"])
