"""From the options of a run to its optimiser."""

from __future__ import annotations

from typing import Any

import keras

from pinn.config import TrainConfig
from pinn.training.optimisation.composed import ComposedOptimizer, Treatment
from pinn.training.optimisation.parts import factors_of, freeze, kernels_of
from pinn.training.optimisation.schedules import Rate, changes_per_epoch


def equip(model: keras.Model, run: TrainConfig, batches: int) -> None:
    """Freeze parts of a model, compile it, and build its optimiser.

    Args:
        model: with the weights it starts from.
        batches: in an epoch.

    Raises:
        ConfigError: `rate_factors` names nothing, or leaves nothing that learns.
    """
    freeze(model, run)
    model.compile(optimizer=make_optimizer(model, run, batches))
    model.optimizer.build(model.trainable_variables)


def make_optimizer(
    model: keras.Model, run: TrainConfig, batches: int
) -> keras.optimizers.Optimizer:
    """The optimiser of a run; a plain one of Keras where that does all that is asked.

    Args:
        model: its trainable variables are what is changed.
        batches: in an epoch.
    """
    rate = Rate(run, changes_per_epoch(run, batches))
    kernels = kernels_of(model)
    treatment = Treatment(
        batches=batches,
        accumulate=run.accumulate,
        clip_value=run.clip_value,
        clip_adaptive=run.clip_adaptive,
        ema_decay=run.ema_decay,
        factors=tuple(factors_of(model, run)),
        kernels=tuple(kernels),
        rate=rate if run.schedule == "plateau" else None,
    )
    optimizer = _plain(run, rate)
    others = [v for v, kernel in zip(model.trainable_variables, kernels, strict=True) if not kernel]
    optimizer.exclude_from_weight_decay(var_list=others)
    if treatment.needed:
        optimizer = ComposedOptimizer(optimizer, treatment)
    if run.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def _plain(run: TrainConfig, rate: Rate) -> keras.optimizers.Optimizer:
    common: dict[str, Any] = {
        "learning_rate": rate,
        "global_clipnorm": run.clip_norm,
        "weight_decay": run.decay_of_weights or None,  # decoupled, as in AdamW, in all of Keras
    }
    betas = {"beta_1": run.beta_1, "beta_2": run.beta_2}
    match run.optimizer:
        case "adam" | "adamw":
            return keras.optimizers.Adam(**common, **betas)
        case "sgd":
            return keras.optimizers.SGD(**common, momentum=run.momentum)
        case "rmsprop":
            return keras.optimizers.RMSprop(**common, momentum=run.momentum)
    raise ValueError(f"unknown optimizer {run.optimizer!r}")
