"""How long a study will take: by the rates of what is done, or by nominal ones."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from pinn.config import ModelConfig, TrainConfig
from pinn.studies.records import DONE, test_record, training_record
from pinn.studies.runs import Run

# Per CPU second, frames of 64 x 64, groups of four: docs/benchmarks.md, TensorFlow.
_GROUPS, _FRAMES = 60.0, 230.0
_START = 15.0  # CPU seconds of loading and compiling
_DEFAULT_GROUPS = 512


def nominal_cpu_s(run: Run) -> float:
    """CPU seconds of a run at nominal rates, whatever its network."""
    train = TrainConfig(**run.learning["options"]["train"])
    model = ModelConfig(**run.learning["options"]["model"])
    groups = 0
    for scan in run.scans:
        drawn = train.n_groups or min(_DEFAULT_GROUPS, scan.frames)
        groups += min(drawn, train.groups_per_epoch or drawn)
    area = (run.scans[0].N / 64) ** 2
    learned = train.epochs * groups * area * model.gridsize**2 / 4 / _GROUPS
    tested = sum(scan.frames for scan in run.test_scans) * area / _FRAMES
    return _START + learned + tested


def measured_cpu_s(run: Run) -> float | None:
    """CPU seconds that a finished run took, its tests included; None if it is not finished."""
    training = training_record(run)
    if training is None or training["status"] != DONE:
        return None
    total = float(training["values"]["train_cpu_s"])
    for id in run.tests:
        test = test_record(run, id)
        if test is None or test["status"] != DONE:
            return None
        total += float(test["values"]["reconstruct_cpu_s"])
    return total


class Estimate:
    """CPU seconds of runs, corrected by those that are finished.

    Runs of the same network are compared first, then all.
    """

    def __init__(self, runs: Iterable[Run]) -> None:
        self._ratios: dict[str, list[float]] = {}
        for run in runs:
            spent = measured_cpu_s(run)
            if spent is not None:
                self._ratios.setdefault(_network(run), []).append(spent / nominal_cpu_s(run))

    @property
    def source(self) -> str:
        """What the estimate rests on, for people."""
        return "by the runs that are done" if self._ratios else "by nominal rates"

    def cpu_s(self, run: Run) -> float:
        """CPU seconds of a run that is not done."""
        every = [ratio for ratios in self._ratios.values() for ratio in ratios]
        ratios = self._ratios.get(_network(run)) or every or [1.0]
        return nominal_cpu_s(run) * statistics.median(ratios)


def duration(seconds: float) -> str:
    """For people: `2:05 h`, `12 min`, `40 s`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60}:{minutes % 60:02d} h"


def _network(run: Run) -> str:
    options = run.learning["resolved"]["model"]
    return f"{options['architecture']} {options['n_filters_scale']}"
