"""Which epochs are best and when a run stops early: pure functions of the history.

Nothing here counts while training goes on, so that a resumed run decides as an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pinn.config import TrainConfig
from pinn.errors import ConfigError
from pinn.training.optimisation.plateau import improvements

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


def epochs_without_improvement(history: History, metric: str, mode: str, threshold: float) -> int:
    """Epochs since the metric last improved by more than `threshold` on all before."""
    values = [float(row[metric]) for row in history if metric in row]
    better = improvements(values, mode, threshold)
    return len(better) if True not in better else better[::-1].index(True)


def early_stop(history: History, run: TrainConfig, metric: str) -> str | None:
    """Why the run stops after its last epoch, or None if it goes on."""
    if run.early_stop is None:
        return None
    mode, threshold = run.monitor_mode, run.early_stop_threshold
    since = epochs_without_improvement(history, metric, mode, threshold)
    if since < run.early_stop:
        return None
    best = best_epochs(history, metric, mode, 1)
    return (
        f"{metric} has not improved for {since} epochs (best in epoch {best[0]}), so the run "
        f"stopped early after epoch {history[-1]['epoch']}; a larger early_stop goes on"
    )
