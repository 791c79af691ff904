"""The numbers of a study as data frames: of each cell and test, and of each group of cells.

A group is all cells that agree in everything but the axes named `over`, seeds as a rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pinn.studies.cells import Cell
from pinn.studies.measures import MEASURES
from pinn.studies.plan import Plan
from pinn.studies.records import DONE, test_record, training_record
from pinn.studies.runs import Run
from pinn.studies.tables import TEST, Reference

QUARTILES_FROM = 4  # values; of fewer the smallest and the largest say more
NO_REFERENCE = "no reference figure exists"
# What a row of the cells knows besides what `cells.csv` holds.
BEHIND = ["references", "ranges", "versions"]


class Spread(NamedTuple):
    """Median and spread of the finite values of a metric; NaN where there are none.

    Attributes:
        median: of all of them.
        low, high: smallest and largest; from four values on the quartiles (linear interpolation).
        n: how many.
        kind: what `low` and `high` are.
    """

    median: float
    low: float
    high: float
    n: int
    kind: str


def spread_of(values: pd.Series) -> Spread:
    """Median and spread of what is a finite number."""
    finite = finite_of(values)
    if len(finite) >= QUARTILES_FROM:
        low, median, high = finite.quantile([0.25, 0.5, 0.75])
        return Spread(median, low, high, len(finite), "quartiles")
    kind = "min to max" if len(finite) > 1 else "one value" if len(finite) else "no value"
    return Spread(finite.median(), finite.min(), finite.max(), len(finite), kind)


def finite_of(values: pd.Series) -> pd.Series:
    """The finite numbers among values, as float64."""
    numbers = values.astype(float)
    return numbers[np.isfinite(numbers)]


def cells_frame(plan: Plan, runs: Iterable[Run]) -> pd.DataFrame:
    """All cells on all their tests, as far as they are computed, in the order of the runs.

    Columns: the axes, `test`, `status` (`done`, `failed` or `open`), all metrics and costs of
    `pinn.studies.measures`, `error`, `run` (identity of the training); and `references` (numbers of
    those in the plan that compare), `ranges` (data ranges of PSNR and SSIM, those of the truth),
    `versions` (of the libraries).
    """
    rows = []
    for run in runs:
        training = training_record(run)
        for cell, need in zip(run.cells, run.need, strict=True):
            for test, id in need.items():
                compared = [i for i, item in enumerate(plan.reference) if _fits(item, cell, test)]
                found = {**cell.axes, TEST: test, **_numbers(training, test_record(run, id))}
                rows.append({**found, "run": run.id, "references": compared})
    columns = [*plan.axes, TEST, "status", *MEASURES, "error", "run", *BEHIND]
    frame = pd.DataFrame(rows, columns=columns, dtype=object)
    return frame.astype(dict.fromkeys(MEASURES, float))


def groups_frame(plan: Plan, cells: pd.DataFrame) -> pd.DataFrame:
    """Cells by group, in the order of the axes' values; test scans of a group together.

    Columns: the axes but those of `over`, `test`, `n` (cells with values), `failed`; of each metric
    `NAME median [UNIT]`, `low`, `high` and `NAME n`; `spread` (what low and high are) and
    `reference` (figures of others that compare); and `of` (cells that there should be).
    """
    names = [name for name in plan.axes if name not in plan.layout.over]
    records = []
    for _, group in cells.groupby(positions(plan, cells, [*names, TEST]), sort=True):
        first, done = group.iloc[0], group[group["status"] == DONE]
        record = {name: first[name] for name in [*names, TEST]}
        record |= {"n": len(done), "failed": int((group["status"] == "failed").sum())}
        spreads = {name: spread_of(done[name]) for name in plan.report.metrics}
        for name, spread in spreads.items():
            record |= {column(name, kind): getattr(spread, kind) for kind in Spread._fields[:3]}
            record[f"{name} n"] = spread.n
        record["spread"] = " / ".join(sorted({spread.kind for spread in spreads.values()}))
        labels = [plan.reference[index].label for index in first["references"]]
        record["reference"] = "; ".join(labels) or NO_REFERENCE
        records.append(record | {"of": len(group)})
    numbers = {k: type(v) for k, v in records[0].items() if isinstance(v, int | float)}
    frame = pd.DataFrame(records, dtype=object)
    return frame.astype({k: kind for k, kind in numbers.items() if k not in names})


def positions(plan: Plan, cells: pd.DataFrame, names: Sequence[str | None]) -> list[pd.Series]:
    """Of each cell, where its value stands among those of these axes (or of `test`).

    Without a name (there is no such axis) that is 0.
    """
    order = {**plan.axes, TEST: plan.tests}
    return [cells[n].map(order[n].index) if n else pd.Series(0, index=cells.index) for n in names]


def column(name: str, kind: str) -> str:
    """Name of a column of numbers, with their unit."""
    unit = MEASURES[name].unit
    return f"{name} {kind} [{unit}]" if unit else f"{name} {kind}"


def _fits(item: Reference, cell: Cell, test: str) -> bool:
    stated = all(cell.value(name) == value for name, value in item.at.items())
    return stated and item.test in (None, test)


def _numbers(training: dict[str, Any] | None, test: dict[str, Any] | None) -> dict[str, Any]:
    records = [record for record in (training, test) if record is not None]
    failed = next((item for item in records if item["status"] != DONE), None)
    if training is not None and failed is not None:
        return {"status": "failed", "error": str(failed.get("error", ""))}
    if training is None or test is None:
        return {"status": "open", "error": ""}
    # Training and test may have been computed by two processes.
    peaks = [peak for item in records if (peak := item["values"].get("peak_memory_mb"))]
    return {
        **training["values"],
        **test["values"],
        **test["metrics"],
        "peak_memory_mb": max(peaks, default=None),
        "status": DONE,
        "error": "",
        "ranges": test["evaluation"]["data_range"],
        "versions": training.get("versions"),
    }
