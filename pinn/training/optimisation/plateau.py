"""Learning rate by progress: a pure function of the history, so that a resumed run agrees."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pinn.config import TrainConfig


def improvements(
    values: Sequence[float | None], mode: str = "min", threshold: float = 0.0
) -> list[bool]:
    """Which values are better than all before them by more than `threshold`.

    The first finite value is; None, and numbers that are not finite, are not.

    Args:
        values: of the monitored metric, one per epoch.
        mode: `min` or `max`, what is better.
    """
    sign = 1.0 if mode == "min" else -1.0
    best, better = math.inf, []
    for value in values:
        if value is None or not math.isfinite(value):
            better.append(False)
            continue
        better.append(sign * value < best - threshold)
        if better[-1]:
            best = sign * value
    return better


def plateau_factor(values: Sequence[float | None], run: TrainConfig) -> float:
    """Factor on the learning rate after these epochs: `plateau_factor` for every
    `plateau_patience` epochs in a row without an improvement, at least `rate_floor`.

    Args:
        values: of the monitored metric in the epochs of this run, the interrupted part included.
        run: the options; 1 unless its schedule is plateau.
    """
    if run.schedule != "plateau":
        return 1.0
    factor, waited = 1.0, 0
    for better in improvements(values, run.monitor_mode, run.plateau_threshold):
        waited = 0 if better else waited + 1
        if waited == run.plateau_patience:
            factor, waited = factor * run.plateau_factor, 0
    return max(factor, run.rate_floor)
