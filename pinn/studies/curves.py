"""What the figures of a study show: panels, lines and points from its numbers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from pinn.plots.study import Curves, Line, Mark, Panel
from pinn.studies.measures import MEASURES
from pinn.studies.names import DATA, VARIANT, value_text
from pinn.studies.numbers import QUARTILES_FROM, finite_of, positions, spread_of
from pinn.studies.plan import Plan
from pinn.studies.tables import TEST, Reference

_LOG_FROM = 8.0  # largest over smallest from which an axis is logarithmic


def curves_of(plan: Plan, cells: pd.DataFrame, metric: str) -> Curves:
    """Medians and spreads of a metric, arranged for a figure."""
    layout, measure = plan.layout, MEASURES[metric]
    order = {**plan.axes, TEST: plan.tests}
    values = order[layout.x] if layout.x else [plan.name]
    places, ticks = _places(values)
    used = (layout.x, *layout.lines, *layout.over)
    apart = [name for name in [TEST, *plan.axes] if len(order[name]) > 1 and name not in used]
    panels = []
    for fixed in itertools.product(*(order[name] for name in apart)):
        shown = cells
        for name, value in zip(apart, fixed, strict=True):
            shown = shown[shown[name].map(lambda item, value=value: item == value)]
        if len(shown):
            title = ", ".join(
                f"{name} = {value_text(value)}" for name, value in zip(apart, fixed, strict=True)
            )
            lines = _lines(plan, shown, metric, places)
            panels.append(Panel(title, lines, _marks(plan, shown, metric, values, places)))
    log = ticks is None and min(places) > 0 and max(places) / min(places) >= _LOG_FROM
    better = {"low": " (lower is better)", "high": " (higher is better)"}
    over = ", ".join(layout.over)
    return Curves(
        title=f"{plan.name}: {metric}{better.get(measure.better, '')}",
        x_label=layout.x or "",
        y_label=measure.label,
        log_x=log,
        wide_y=measure.wide,
        ticks=ticks,
        panels=panels,
        caption=f"median over {over}; bars: smallest to largest value, from {QUARTILES_FROM} "
        "values on first to third quartile; dots: single values"
        if over
        else "",
    )


def _lines(plan: Plan, cells: pd.DataFrame, metric: str, places: Sequence[float]) -> list[Line]:
    names = plan.layout.lines
    (along,) = positions(plan, cells, [plan.layout.x])
    lines = []
    for _, chosen in cells.groupby(positions(plan, cells, names or [None])):
        first = chosen.iloc[0]
        line = Line(_label(names, [value_text(first[name]) for name in names]))
        for _, group in chosen.groupby(along):
            spread = spread_of(group[metric])
            if spread.n:
                line.x.append(places[along[group.index[0]]])
                line.median.append(spread.median)
                line.low.append(spread.low)
                line.high.append(spread.high)
                line.values.append(tuple(finite_of(group[metric])))
        lines.append(line)
    return lines


def _marks(
    plan: Plan, cells: pd.DataFrame, metric: str, values: Sequence[Any], places: Sequence[float]
) -> list[Mark]:
    compared = set(itertools.chain.from_iterable(cells["references"]))
    items = [item for index, item in enumerate(plan.reference) if index in compared]
    return [
        Mark(item.label, _place(item, plan.layout.x, values, places), item.values[metric])
        for item in items
        if metric in item.values
    ]


def _place(
    item: Reference, x: str | None, values: Sequence[Any], places: Sequence[float]
) -> float | None:
    at = item.test if x == TEST else item.at.get(x or "")
    return places[values.index(at)] if at is not None and at in values else None


def _places(values: Sequence[Any]) -> tuple[list[float], list[tuple[float, str]] | None]:
    """Where values lie on the axis: where they are if they are numbers, else one after another."""
    if len(values) > 1 and all(_is_number(value) for value in values):
        return [float(value) for value in values], None
    places = [float(i) for i in range(len(values))]
    return places, [(p, value_text(v)) for p, v in zip(places, values, strict=True)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _label(names: Sequence[str], values: Sequence[str]) -> str:
    if len(names) == 1 and names[0] in (VARIANT, "mode", DATA):
        return values[0]
    return ", ".join(f"{name} = {value}" for name, value in zip(names, values, strict=True))
