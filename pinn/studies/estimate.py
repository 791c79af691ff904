"""How long a study will take: by the rates of what is done, or by nominal ones."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from pinn.config import ModelConfig, TrainConfig
from pinn.studies.records import ARCHIVE, DONE, of_training, test_record, training_record
from pinn.studies.runs import Run

# Groups of four trained, and frames reconstructed, per CPU second: frames of 64 x 64, `lean`, as in
# docs/benchmarks.md. The registry says nothing about the cost of other networks: of these, the
# first that is done corrects the estimate.
_RATES = {"tensorflow": (195.0, 548.0), "jax": (302.0, 462.0), "torch": (134.0, 419.0)}
_RATES_CNN = (60.0, 230.0)
_START = 15.0  # CPU seconds of loading and compiling
_DEFAULT_GROUPS = 512


def nominal_cpu_s(run: Run, left: bool = False) -> float:
    """CPU seconds of a run at nominal rates.

    Args:
        run: the training and its tests.
        left: without the training and the tests that are done, where its archive is there.
    """
    train = TrainConfig(**run.learning["options"]["train"])
    model = ModelConfig(**run.learning["options"]["model"])
    per_groups, per_frames = _RATES_CNN
    if model.architecture == "lean":
        per_groups, per_frames = _RATES.get(run.backend, _RATES_CNN)
    groups = 0
    for scan in run.scans:
        drawn = train.n_groups or min(_DEFAULT_GROUPS, scan.frames)
        groups += min(drawn, train.groups_per_epoch or drawn)
    area = (run.scans[0].N / 64) ** 2
    scans = run.test_scans
    training = training_record(run) if left else None
    if training and training["status"] == DONE and (run.folder / ARCHIVE).exists():
        groups = 0
        known = [test_record(run, id) for id in run.tests]
        scans = [
            scan
            for scan, test in zip(scans, known, strict=True)
            if not (test and test["status"] == DONE and of_training(test, training))
        ]
    learned = train.epochs * groups * area * model.gridsize**2 / 4 / per_groups
    tested = sum(scan.frames for scan in scans) * area / per_frames
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

    def cpu_s(self, run: Run, left: bool = True) -> float:
        """CPU seconds that are left of a run that is not done, or of the whole of it."""
        every = [ratio for ratios in self._ratios.values() for ratio in ratios]
        ratios = self._ratios.get(_network(run)) or every or [1.0]
        return nominal_cpu_s(run, left) * statistics.median(ratios)


def duration(seconds: float) -> str:
    """For people: `2:05 h`, `12 min`, `40 s`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60}:{minutes % 60:02d} h"


def _network(run: Run) -> str:
    options = run.learning["resolved"]["model"]
    return f"{options['architecture']} {options['n_filters_scale']}"
