"""The one table of a study, as Markdown and as CSV, with what is needed to read it above it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pinn.io.text import markdown_table
from pinn.quality.evaluate import BORDER
from pinn.studies.measures import MEASURES
from pinn.studies.names import value_text
from pinn.studies.numbers import BEHIND, QUARTILES_FROM, column
from pinn.studies.plan import Plan
from pinn.studies.tables import TEST, Reference


def heading(plan: Plan, cells: pd.DataFrame, partial: str = "") -> list[str]:
    """What the table's numbers are: comparison, units, ranges, spread, versions.

    Args:
        plan: the study.
        cells: of the table.
        partial: what of the study is not in it, as a sentence.
    """
    options, over = plan.evaluate, ", ".join(plan.layout.over)
    by = {"True": "registered on the modulus", "False": "not registered"}
    placed = by.get(str(options.registration), f"registered on the {options.registration}")
    ramp = "linear phase ramp removed" if options.ramp else "no phase ramp removed"
    less = f"{BORDER} (fewer of a small scan)" if options.border is None else f"{options.border:g}"
    median = (
        f"Each number is the median over {over} (smallest to largest value; from the "
        f"{QUARTILES_FROM}th value on first to third quartile); n runs. Where a metric has a value "
        "in some of them only, it says in how many."
    )
    costs = (
        "CPU seconds are those of the process, all its threads together; peak memory is that "
        "of the process up to then."
    )
    versions = _versions(cells)
    lines = [
        f"{plan.name}." + (f" {plan.about}" if plan.about else ""),
        partial,
        f"Frame of comparison: pixel grid of the truth, box of the scan positions less "
        f"{less} px on each side; {placed} (sub-pixel shift), {ramp}, one complex "
        "factor removed.",
        "nrmse = norm(reconstruction - truth) / norm(truth), complex. PSNR and SSIM have the data "
        f"range of the truth in that box ({_ranges(plan, cells)}). FRC: complex images, Hann "
        "window, frequency in cycles per pixel (Nyquist 0.5).",
        median if over else "Each number is of one run.",
        "" if all(MEASURES[name].compared for name in plan.report.metrics) else costs,
        f"Computed with {versions}." if versions else "",
    ]
    return [line for line in lines if line]


def markdown(plan: Plan, groups: pd.DataFrame, cells: pd.DataFrame, partial: str = "") -> str:
    """The table as Markdown, with its heading and the cells that failed."""
    axes, metrics = list(groups.columns[: groups.columns.get_loc(TEST)]), plan.report.metrics
    titles = [f"{name} ({unit})" if (unit := MEASURES[name].unit) else name for name in metrics]
    table = [
        [*axes, TEST, "n", *titles, "reference"],
        *(
            [
                *(value_text(row[name]) for name in axes),
                row[TEST],
                str(row["n"]) if row["n"] == row["of"] else f"{row['n']} of {row['of']}",
                *(_numbers(name, row) for name in metrics),
                row["reference"],
            ]
            for row in groups.to_dict("records")
        ),
        *(_reference_line(item, axes, metrics) for item in plan.reference),
    ]
    lines = [f"# {plan.name}", "", *([plan.about, ""] if plan.about else [])]
    lines += [*(f"- {line}" for line in heading(plan, cells, partial)[1:]), ""]
    lines += [markdown_table(table), ""]
    for error, rows in cells[cells["status"] == "failed"].groupby("error", sort=False):
        names = [*plan.axes, TEST]
        labels = (
            ", ".join(_stated(name, row[name]) for name in names) for _, row in rows.iterrows()
        )
        lines += [f"Failed: {error}", "", *(f"- {label}" for label in labels), ""]
    missing = int((cells["status"] == "open").sum())
    if missing:
        lines += [f"Not computed yet: {missing} of {len(cells)} rows.", ""]
    return "\n".join(lines)


def csv(plan: Plan, groups: pd.DataFrame, cells: pd.DataFrame, partial: str = "") -> str:
    """The table as CSV; lines that begin with # say what the numbers are."""
    axes = groups.columns[: groups.columns.get_loc(TEST)]
    shown = groups.drop(columns="of").astype(object)
    shown[axes] = shown[axes].map(value_text)
    others = [
        {
            **{name: value_text(item.at[name]) for name in axes if name in item.at},
            TEST: item.test,
            **{column(name, "median"): value for name, value in item.values.items()},
            "reference": item.label,
        }
        for item in plan.reference
    ]
    references = pd.DataFrame(others, columns=shown.columns, dtype=object)
    text: str = pd.concat([shown, references]).to_csv(index=False, lineterminator="\n")
    return "".join(f"# {line}\n" for line in heading(plan, cells, partial)) + text


def raw_csv(cells: pd.DataFrame) -> str:
    """Every cell on every test, one line each, for analyses of one's own."""
    text: str = cells.drop(columns=BEHIND).to_csv(index=False, lineterminator="\n")
    return text


def _numbers(name: str, row: Mapping[Any, Any]) -> str:
    measure, n = MEASURES[name], row[f"{name} n"]
    fewer = f", {n} of {row['n']}" if n < row["n"] else ""
    if not n:
        return f"-{fewer}"
    kinds = ("median", "low", "high")
    middle, low, high = (format(row[column(name, kind)], measure.form) for kind in kinds)
    return (middle if n == 1 else f"{middle} ({low} to {high})") + fewer


def _reference_line(item: Reference, axes: Sequence[str], metrics: Sequence[str]) -> list[str]:
    stated = [value_text(item.at[name]) if name in item.at else "" for name in axes]
    values = item.values
    numbers = [format(values[k], MEASURES[k].form) if k in values else "-" for k in metrics]
    source = f" ({item.source})" if item.source else ""
    return [*stated, item.test or "", "", *numbers, f"**{item.label}**{source}"]


def _stated(name: str, value: Any) -> str:
    return f"test {value}" if name == TEST else f"{name} = {value_text(value)}"


def _ranges(plan: Plan, cells: pd.DataFrame) -> str:
    parts = []
    for test in plan.tests:
        ranges = pd.DataFrame(cells.loc[cells[TEST] == test, "ranges"].dropna().tolist())
        if len(ranges):
            amplitude, phase = (_span(ranges.get(key)) for key in ("amplitude", "phase_rad"))
            parts.append(f"{test}: amplitude {amplitude}, phase {phase} rad")
    return "; ".join(parts) or "no run has finished yet"


def _span(values: pd.Series | None) -> str:
    if values is None or math.isnan(values.min()):
        return "unknown"
    low, high = f"{values.min():.3g}", f"{values.max():.3g}"
    return low if low == high else f"{low} to {high}"


def _versions(cells: pd.DataFrame) -> str:
    versions = pd.DataFrame(cells["versions"].dropna().tolist()).drop(
        columns="backend", errors="ignore"
    )
    return ", ".join(
        f"{name} {' and '.join(sorted(set(versions[name].dropna().map(str))))}" for name in versions
    )
