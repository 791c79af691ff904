"""What the figures of a study show, as numbers: panels, lines and points."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pinn.studies.cells import value_text
from pinn.studies.plan import TEST, Plan, Reference
from pinn.studies.rows import GroupRow

_LOG_FROM = 8.0  # largest over smallest from which an axis is logarithmic


@dataclass(frozen=True)
class Line:
    """Points of one line, in the order of the axis.

    Attributes:
        label: values of the axes that make the line.
        x: place of each point on the axis.
        median, low, high: of each point.
        values: the single values behind each point.
    """

    label: str
    x: list[float] = field(default_factory=list)
    median: list[float] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    values: list[tuple[float, ...]] = field(default_factory=list)


@dataclass(frozen=True)
class Mark:
    """A figure of others: at one place of the axis, or (x None) for all of it."""

    label: str
    x: float | None
    value: float


@dataclass(frozen=True)
class Panel:
    """One pair of axes of a figure.

    Attributes:
        title: test scan and values of the axes that are neither along it nor lines.
        lines, marks: what is in it.
    """

    title: str
    lines: list[Line]
    marks: list[Mark]


@dataclass(frozen=True)
class Curves:
    """A figure of one metric.

    Attributes:
        metric: its name.
        x_label: name of the axis along it.
        log_x: whether that is logarithmic.
        ticks: places and texts of an axis of names; None for one of numbers.
        panels: side by side.
    """

    metric: str
    x_label: str
    log_x: bool
    ticks: list[tuple[float, str]] | None
    panels: list[Panel]


def curves_of(plan: Plan, groups: Sequence[GroupRow], metric: str) -> Curves:
    """Medians and spreads of a metric, arranged for a figure."""
    report = plan.report
    x_name = report.x
    values = _values(plan, x_name)
    places, ticks = _places(values)
    apart = [
        name
        for name in plan.axes
        if name not in (x_name, *report.lines, *report.over) and len(plan.axes[name]) > 1
    ]
    panels = []
    if x_name != TEST and len(plan.tests) > 1:
        apart.insert(0, TEST)
    for fixed in itertools.product(*(_values(plan, name) for name in apart)):
        here = dict(zip(apart, fixed, strict=True))
        chosen = [g for g in groups if all(_value(g, k) == v for k, v in here.items())]
        if not chosen:
            continue
        titles = [f"{name} = {value_text(value)}" for name, value in here.items()]
        lines: dict[tuple[str, ...], Line] = {}
        for group in chosen:
            key = tuple(value_text(group.axes[name]) for name in report.lines)
            line = lines.setdefault(key, Line(_label(report.lines, key)))
            spread = group.spreads[metric]
            if not spread.values:
                continue
            index = 0 if x_name is None else values.index(_value(group, x_name))
            line.x.append(places[index])
            line.median.append(spread.median)
            line.low.append(spread.low)
            line.high.append(spread.high)
            line.values.append(spread.values)
        marks = [
            _mark(item, metric, x_name, values, places)
            for item in plan.references
            if metric in item.values and any(item in group.references for group in chosen)
        ]
        panels.append(Panel(", ".join(titles), list(lines.values()), marks))
    log = ticks is None and min(places) > 0 and max(places) / min(places) >= _LOG_FROM
    return Curves(metric, x_name or "", log, ticks, panels)


def _values(plan: Plan, name: str | None) -> list[Any]:
    if name is None:
        return [plan.name]
    return list(plan.tests) if name == TEST else plan.axes[name]


def _value(group: GroupRow, name: str) -> Any:
    return group.test if name == TEST else group.axes[name]


def _places(values: Sequence[Any]) -> tuple[list[float], list[tuple[float, str]] | None]:
    """Where values lie on the axis: where they are if they are numbers, else one after another."""
    if len(values) > 1 and all(_is_number(value) for value in values):
        return [float(value) for value in values], None
    places = [float(i) for i in range(len(values))]
    return places, [(p, value_text(v)) for p, v in zip(places, values, strict=True)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _label(names: Sequence[str], values: Sequence[str]) -> str:
    if len(names) == 1 and names[0] in ("variant", "mode", "data"):
        return values[0]
    return ", ".join(f"{name} = {value}" for name, value in zip(names, values, strict=True))


def _mark(
    item: Reference, metric: str, x_name: str | None, values: Sequence[Any], places: list[float]
) -> Mark:
    at = item.test if x_name == TEST else item.at.get(x_name or "")
    x = places[values.index(at)] if at is not None and at in values else None
    return Mark(item.label, x, item.values[metric])
