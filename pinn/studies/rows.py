"""The numbers of a study: one row for each cell and test, and one for each group of cells.

A group is all cells that agree in everything but the axes named `over`, seeds as a rule.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pinn.studies.cells import Cell
from pinn.studies.measures import MEASURES
from pinn.studies.plan import Plan, Reference
from pinn.studies.records import DONE, test_record, training_record
from pinn.studies.runs import Run

QUARTILES_FROM = 4  # values; of fewer the smallest and the largest say more


@dataclass(frozen=True)
class Row:
    """One cell on one test scan.

    Attributes:
        cell: the combination.
        test: name of the test scan.
        run: identity of the training.
        status: `done`, `failed` or `open`.
        values: metrics and costs by name (`pinn.studies.measures`); None: it has none.
        ranges: data ranges of PSNR and SSIM (`amplitude`, `phase_rad`), those of the truth.
        error: why there are no values, or empty.
        versions: of the libraries, backend included.
    """

    cell: Cell
    test: str
    run: str
    status: str
    values: dict[str, float | None]
    ranges: dict[str, float]
    error: str = ""
    versions: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """One flat record: axes, test, status, values, run."""
        return {
            **self.cell.axes,
            "test": self.test,
            "status": self.status,
            **self.values,
            "error": self.error,
            "run": self.run,
        }


@dataclass(frozen=True)
class Spread:
    """Median and spread of a metric over the cells of a group.

    Attributes:
        median: NaN if there is no value.
        low, high: smallest and largest; from four values on the quartiles (linear interpolation).
        values: all of them.
    """

    median: float
    low: float
    high: float
    values: tuple[float, ...]

    @property
    def kind(self) -> str:
        """What `low` and `high` are."""
        if len(self.values) < 2:
            return "one value" if self.values else "no value"
        return "quartiles" if len(self.values) >= QUARTILES_FROM else "min to max"


@dataclass(frozen=True)
class GroupRow:
    """Cells that differ only in the axes `over`, on one test scan.

    Attributes:
        axes: values of the other axes.
        test: name of the test scan.
        n: cells with values.
        of: cells that there should be.
        failed: cells that failed.
        spreads: by metric.
        references: figures of others that compare with this group.
    """

    axes: dict[str, Any]
    test: str
    n: int
    of: int
    failed: int
    spreads: dict[str, Spread]
    references: tuple[Reference, ...]


def rows_of(runs: Iterable[Run]) -> list[Row]:
    """All cells on all their tests, as far as they are computed, in the order of the runs."""
    rows = []
    for run in runs:
        training = training_record(run)
        for cell, need in zip(run.cells, run.need, strict=True):
            for name, id in need.items():
                rows.append(_row(run, training, cell, name, id))
    return rows


def group_rows(plan: Plan, rows: Sequence[Row]) -> list[GroupRow]:
    """Rows by group, in the order of the axes' values; test scans of a group together."""
    report = plan.report
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        key = tuple(
            plan.axes[name].index(value)
            for name, value in row.cell.axes.items()
            if name not in report.over
        )
        groups.setdefault((*key, plan.tests.index(row.test)), []).append(row)
    return [_group(plan, groups[key]) for key in sorted(groups)]


def spread_of(values: Iterable[float | None]) -> Spread:
    """Median and spread of what is a finite number."""
    known = [float(v) for v in values if v is not None and math.isfinite(v)]
    if not known:
        return Spread(math.nan, math.nan, math.nan, ())
    if len(known) >= QUARTILES_FROM:
        low, middle, high = (float(q) for q in np.quantile(known, (0.25, 0.5, 0.75)))
    else:
        low, middle, high = min(known), float(np.median(known)), max(known)
    return Spread(middle, low, high, tuple(known))


def _row(run: Run, training: dict[str, Any] | None, cell: Cell, name: str, id: str) -> Row:
    test = test_record(run, id)
    if training is None:
        return Row(cell, name, run.id, "open", {}, {})
    for record in (training, test):
        if record is not None and record["status"] != DONE:
            return Row(cell, name, run.id, "failed", {}, {}, str(record.get("error", "")))
    if test is None:
        return Row(cell, name, run.id, "open", {}, {})
    found = {**training["values"], **test["values"], **test["metrics"]}
    values = {name: found.get(name) for name in MEASURES}
    # Training and test may have been computed by two processes.
    peaks = (record["values"].get("peak_memory_mb") for record in (training, test))
    values["peak_memory_mb"] = max((peak for peak in peaks if peak is not None), default=None)
    ranges = {
        key: float(value)
        for key, value in test["evaluation"]["data_range"].items()
        if isinstance(value, int | float)
    }
    return Row(cell, name, run.id, "done", values, ranges, "", training.get("versions"))


def _group(plan: Plan, rows: Sequence[Row]) -> GroupRow:
    first = rows[0]
    done = [row for row in rows if row.status == "done"]
    return GroupRow(
        axes={k: v for k, v in first.cell.axes.items() if k not in plan.report.over},
        test=first.test,
        n=len(done),
        of=len(rows),
        failed=sum(row.status == "failed" for row in rows),
        spreads={
            name: spread_of(row.values.get(name) for row in done) for name in plan.report.metrics
        },
        references=tuple(
            item
            for item in plan.references
            if item.test in (None, first.test)
            and all(first.cell.value(name) == value for name, value in item.at.items())
        ),
    )
