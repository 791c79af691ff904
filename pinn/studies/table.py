"""The one table of a study, as Markdown and as CSV, with what is needed to read it above it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pinn.io.text import csv_text
from pinn.quality.evaluate import BORDER
from pinn.studies.cells import value_text
from pinn.studies.measures import MEASURES
from pinn.studies.plan import Plan
from pinn.studies.rows import QUARTILES_FROM, GroupRow, Row

NO_REFERENCE = "no reference figure exists"


def heading(plan: Plan, rows: Sequence[Row], part: str = "") -> list[str]:
    """What the table's numbers are: comparison, units, ranges, spread, versions.

    Args:
        plan: the study.
        rows: of the table.
        part: what of the study is not in it, as a sentence.
    """
    options = plan.evaluate
    steps = {True: "registered on the modulus", False: "not registered"}
    placed = steps.get(options["register"], f"registered on the {options['register']}")
    ramp = "linear phase ramp removed" if options["ramp"] else "no phase ramp removed"
    over = ", ".join(plan.report.over)
    border = options["border"]
    less = f"{BORDER} (fewer of a small scan)" if border is None else f"{border:g}"
    lines = [
        f"{plan.name}." + (f" {plan.about}" if plan.about else ""),
        f"Frame of comparison: pixel grid of the truth, box of the scan positions less "
        f"{less} px on each side; {placed} (sub-pixel shift), {ramp}, one complex "
        "factor removed.",
        "nrmse = norm(reconstruction - truth) / norm(truth), complex. PSNR and SSIM have the data "
        f"range of the truth in that box ({_ranges(plan, rows)}). FRC: complex images, Hann "
        "window, frequency in cycles per pixel (Nyquist 0.5).",
    ]
    lines.append(
        f"Each number is the median over {over} (smallest to largest value; from the "
        f"{QUARTILES_FROM}th value on first to third quartile); n runs. Where a metric has a value "
        "in some of them only, it says in how many."
        if over
        else "Each number is of one run."
    )
    if any(not MEASURES[name].compared for name in plan.report.metrics):
        lines.append(
            "CPU seconds are those of the process, all its threads together; peak memory is that "
            "of the process up to then."
        )
    if part:
        lines.insert(1, part)
    computed = _versions(rows)
    if computed:
        lines.append(f"Computed with {computed}.")
    return lines


def markdown(plan: Plan, groups: Sequence[GroupRow], rows: Sequence[Row], part: str = "") -> str:
    """The table as Markdown, with its heading and the cells that failed."""
    names = _axes(groups)
    metrics = plan.report.metrics
    header = [*names, "test", "n", *(_title(name) for name in metrics), "reference"]
    body = []
    for group in groups:
        numbers = [_cell(name, group) for name in metrics]
        labels = "; ".join(item.label for item in group.references) or NO_REFERENCE
        axes = [value_text(group.axes[name]) for name in names]
        body.append([*axes, group.test, _count(group), *numbers, labels])
    for item in plan.references:
        axes = [value_text(item.at[name]) if name in item.at else "" for name in names]
        numbers = [
            MEASURES[name].text(item.values[name]) if name in item.values else "-"
            for name in metrics
        ]
        source = f" ({item.source})" if item.source else ""
        body.append([*axes, item.test or "", "", *numbers, f"**{item.label}**{source}"])
    lines = [f"# {plan.name}", "", *([plan.about, ""] if plan.about else [])]
    lines += [*(f"- {line}" for line in heading(plan, rows, part)[1:]), ""]
    lines += [_line(header), _line(["---"] * len(header)), *map(_line, body), ""]
    for error, cells in _failures(rows).items():
        lines += [f"Failed: {error}", "", *(f"- {cell}" for cell in cells), ""]
    missing = sum(row.status == "open" for row in rows)
    if missing:
        lines += [f"Not computed yet: {missing} of {len(rows)} rows.", ""]
    return "\n".join(lines)


def csv(plan: Plan, groups: Sequence[GroupRow], rows: Sequence[Row], part: str = "") -> str:
    """The table as CSV; lines that begin with # say what the numbers are."""
    names = _axes(groups)
    records: list[dict[str, Any]] = []
    for group in groups:
        record: dict[str, Any] = {name: value_text(group.axes[name]) for name in names}
        record |= {"test": group.test, "n": group.n, "failed": group.failed}
        for name in plan.report.metrics:
            spread = group.spreads[name]
            for kind in ("median", "low", "high"):
                value = getattr(spread, kind)
                record[_column(name, kind)] = None if math.isnan(value) else value
            record[f"{name} n"] = len(spread.values)
        kinds = {group.spreads[name].kind for name in plan.report.metrics}
        record["spread"] = " / ".join(sorted(kinds))
        record["reference"] = "; ".join(item.label for item in group.references) or NO_REFERENCE
        records.append(record)
    for item in plan.references:
        record = {name: value_text(item.at[name]) for name in names if name in item.at}
        record |= {"test": item.test or "", "reference": item.label}
        record |= {
            _column(name, "median"): item.values[name]
            for name in plan.report.metrics
            if name in item.values
        }
        records.append(record)
    return "".join(f"# {line}\n" for line in heading(plan, rows, part)) + csv_text(records)


def raw_csv(rows: Sequence[Row]) -> str:
    """Every cell on every test, one line each, for analyses of one's own."""
    return csv_text([row.to_dict() for row in rows])


def _column(name: str, part: str) -> str:
    unit = MEASURES[name].unit
    return f"{name} {part} [{unit}]" if unit else f"{name} {part}"


def _title(name: str) -> str:
    measure = MEASURES[name]
    return f"{name} ({measure.unit})" if measure.unit else name


def _cell(name: str, group: GroupRow) -> str:
    spread, measure = group.spreads[name], MEASURES[name]
    known = len(spread.values)
    fewer = f", {known} of {group.n}" if known < group.n else ""
    if not known:
        return f"-{fewer}"
    middle, low, high = (measure.text(v) for v in (spread.median, spread.low, spread.high))
    return (middle if known == 1 else f"{middle} ({low} to {high})") + fewer


def _count(group: GroupRow) -> str:
    return str(group.n) if group.n == group.of else f"{group.n} of {group.of}"


def _axes(groups: Sequence[GroupRow]) -> list[str]:
    return list(dict.fromkeys(name for group in groups for name in group.axes))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _failures(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Cells that failed, by what was said about it."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.status == "failed":
            found.setdefault(row.error, []).append(f"{row.cell.label}, test {row.test}")
    return found


def _ranges(plan: Plan, rows: Sequence[Row]) -> str:
    found = []
    for test in plan.tests:
        of = [row.ranges for row in rows if row.test == test and row.ranges]
        if not of:
            continue
        amplitude, phase = (
            _span([item[key] for item in of if key in item]) for key in ("amplitude", "phase_rad")
        )
        found.append(f"{test}: amplitude {amplitude}, phase {phase} rad")
    return "; ".join(found) or "no run has finished yet"


def _span(values: Sequence[float]) -> str:
    if not values:
        return "unknown"
    low, high = f"{min(values):.3g}", f"{max(values):.3g}"
    return low if low == high else f"{low} to {high}"


def _versions(rows: Sequence[Row]) -> str:
    found: dict[str, set[str]] = {}
    for row in rows:
        for name, version in (row.versions or {}).items():
            if name != "backend":
                found.setdefault(name, set()).add(str(version))
    return ", ".join(f"{name} {' and '.join(sorted(found[name]))}" for name in found)
