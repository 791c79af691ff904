"""The optimiser of a run, and its state as named arrays."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from pinn.config import TrainConfig
from pinn.errors import ConfigError


def make_optimizer(run: TrainConfig, steps: int) -> keras.optimizers.Optimizer:
    """Adam with gradient clipping and, by default, warm-up and cosine decay over `steps`."""
    rate: Any = run.learning_rate
    if run.schedule == "cosine":
        warm = max(1, min(steps // 20, 100))
        rate = keras.optimizers.schedules.CosineDecay(
            run.learning_rate * 0.1,
            max(1, steps - warm),
            alpha=0.01,
            warmup_target=run.learning_rate,
            warmup_steps=warm,
        )
    return keras.optimizers.Adam(rate, global_clipnorm=run.clip_norm)


def arrays_of(optimizer: keras.optimizers.Optimizer) -> dict[str, np.ndarray]:
    """State of the optimiser by position and name (positions agree on every backend)."""
    return {
        f"{i:04d}_{v.name}": keras.ops.convert_to_numpy(v)
        for i, v in enumerate(optimizer.variables)
    }


def assign(optimizer: keras.optimizers.Optimizer, arrays: dict[str, np.ndarray]) -> None:
    by_position = [arrays[name] for name in sorted(arrays)]
    if len(by_position) != len(optimizer.variables) or any(
        a.shape != tuple(v.shape) for a, v in zip(by_position, optimizer.variables, strict=False)
    ):
        raise ConfigError("the archive's optimiser state belongs to another network or optimiser")
    for variable, array in zip(optimizer.variables, by_position, strict=True):
        variable.assign(array)
