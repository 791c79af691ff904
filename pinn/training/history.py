"""Which epochs are best, when a run stops early or slower: pure functions of the history.

Nothing here counts while training goes on, so that a resumed run decides as an uninterrupted one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pinn.config import TrainConfig
from pinn.errors import ConfigError

History = Sequence[Mapping[str, Any]]


def metric_of(run: TrainConfig, columns: Iterable[str]) -> str:
    """The column that says which epoch is best.

    Args:
        run: `monitor`, or None for val_loss where it exists and else loss.
        columns: those that this run will have.

    Raises:
        ConfigError: there will be no such column.
    """
    names = list(columns)
    if run.monitor is None:
        return "val_loss" if "val_loss" in names else "loss"
    if run.monitor not in names:
        held = "" if "val_loss" in names else " (nothing is held out)"
        raise ConfigError(
            f"monitor is {run.monitor!r}, but this run measures {', '.join(names)}{held}; name one "
            "of these"
        )
    return run.monitor


def judged(history: History, origin: int = 0) -> list[Mapping[str, Any]]:
    """The epochs that a run is judged by: its own, and of staged training those of the last stage.

    The loss of an earlier stage is another quantity under the same name.

    Args:
        history: rows of the run, after those of the model that it trains on.
        origin: how many the latter are.
    """
    return [row for row in history[origin:] if row.get("physics_weight", 1.0) == 1.0]


def best_epochs(
    history: History, metric: str, mode: str, count: int, among: Iterable[int] | None = None
) -> list[int]:
    """Numbers of the best epochs, best first; of equal ones the earlier.

    Args:
        history: rows with `epoch`; those without the metric do not take part.
        metric: a column.
        mode: min or max.
        count: how many at most.
        among: only these epochs.
    """
    sign = -1.0 if mode == "max" else 1.0
    allowed = None if among is None else set(among)
    ranked = sorted(
        (sign * float(row[metric]), int(row["epoch"]))
        for row in history
        if metric in row and (allowed is None or row["epoch"] in allowed)
    )
    return [epoch for _, epoch in ranked[:count]]


def epochs_without_improvement(history: History, metric: str, mode: str) -> int:
    """Epochs since the metric was last better than all before."""
    better = improvements([float(row[metric]) for row in history if metric in row], mode)
    return len(better) if True not in better else better[::-1].index(True)


def early_stop(history: History, run: TrainConfig, metric: str) -> str | None:
    """Why the run stops after its last epoch, or None if it goes on."""
    if run.early_stop is None:
        return None
    mode = run.monitor_mode
    since = epochs_without_improvement(history, metric, mode)
    if since < run.early_stop:
        return None
    best = best_epochs(history, metric, mode, 1)
    return (
        f"{metric} has not improved for {since} epochs (best in epoch {best[0]}), so the run "
        f"stopped early after epoch {history[-1]['epoch']}; a larger early_stop goes on"
    )


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
