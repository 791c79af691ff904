"""The cells of a study: every combination of the axes' values, with the options of each."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pinn.errors import ConfigError
from pinn.studies.names import SECTIONS, section_of, sorted_out
from pinn.studies.page import listed
from pinn.studies.plan import DATA, VARIANT, DataSet, Plan

_DATA_OPTIONS = ("simulate",)  # a recipe is checked when its scan is looked for


@dataclass(frozen=True)
class Cell:
    """One combination.

    Attributes:
        axes: value of each axis.
        options: all options that the study states for this cell, by name.
        data: what it learns from and is tested on.
    """

    axes: dict[str, Any]
    options: dict[str, Any]
    data: DataSet

    @property
    def label(self) -> str:
        """The axes with their values, for people."""
        return ", ".join(f"{name} = {value_text(value)}" for name, value in self.axes.items())

    def parts(self) -> dict[str, dict[str, Any]]:
        """The options by section and field."""
        return sorted_out(self.options)

    def value(self, name: str) -> Any:
        """Value of an axis or option, stated or by default; None for another variant or data."""
        if name in self.axes:
            return self.axes[name]
        if name in (DATA, VARIANT):
            return None
        if name in self.options:
            return self.options[name]
        section, field = section_of(name)
        return SECTIONS[section].model_fields[field].default


def cells_of(plan: Plan, only: Sequence[str] = ()) -> list[Cell]:
    """All cells in order, the last axis changing fastest, without those left out.

    Args:
        plan: the study.
        only: `NAME=VALUE` of axes; several of one axis are alternatives.

    Raises:
        ConfigError: options of a cell that are impossible or contradict each other, no cell
            left, or an `only` that names nothing.
    """
    wanted = _wanted(plan, only)
    cells = []
    for values in itertools.product(*plan.axes.values()):
        axes = dict(zip(plan.axes, values, strict=True))
        if any(_fits(axes, match) for match in plan.exclude) or not _fits(axes, wanted):
            continue
        cell = Cell(axes, _options(plan, axes), plan.data[axes.get(DATA, next(iter(plan.data)))])
        _check(plan, cell)
        cells.append(cell)
    if not cells:
        reason = f"--only {listed(only)} and [[exclude]]" if only else "[[exclude]]"
        raise ConfigError(f"{plan.where}: {reason} leave no cell of the study")
    return cells


def count_cells(plan: Plan) -> int:
    """How many cells a study has, all of them."""
    combinations = itertools.product(*plan.axes.values())
    every = (dict(zip(plan.axes, values, strict=True)) for values in combinations)
    return sum(not any(_fits(axes, match) for match in plan.exclude) for axes in every)


def value_text(value: Any) -> str:
    """A value of an axis as tables and figures write it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _options(plan: Plan, axes: Mapping[str, Any]) -> dict[str, Any]:
    options = dict(plan.options)
    if VARIANT in axes:
        options |= plan.variants[axes[VARIANT]]
    options |= {name: value for name, value in axes.items() if name not in (DATA, VARIANT)}
    for item in plan.when:
        if _fits(axes, item.match):
            options |= item.options
    return options


def _fits(axes: Mapping[str, Any], match: Mapping[str, list[Any]]) -> bool:
    return all(axes[name] in values for name, values in match.items())


def _wanted(plan: Plan, only: Sequence[str]) -> dict[str, list[Any]]:
    wanted: dict[str, list[Any]] = {}
    for text in only:
        name, sign, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not sign or name not in plan.axes:
            raise ConfigError(
                f"--only {text!r} must be AXIS=VALUE; the axes are {listed(plan.axes)}"
            )
        found = [v for v in plan.axes[name] if _same(v, value.strip())]
        if not found:
            values = listed(value_text(v) for v in plan.axes[name])
            raise ConfigError(f"--only {text!r}: the values of {name} are {values}")
        wanted.setdefault(name, []).extend(found)
    return wanted


def _same(value: Any, text: str) -> bool:
    if text == value_text(value):
        return True
    try:
        return not isinstance(value, bool | str | None) and float(text) == value
    except ValueError:
        return False


def _check(plan: Plan, cell: Cell) -> None:
    """Build every configuration once, so that a slip is found before the first hour of work."""
    parts = cell.parts()
    for section, cls in SECTIONS.items():
        if section in _DATA_OPTIONS:
            continue
        try:
            cls(**parts[section])
        except ConfigError as error:
            where = f"cell {cell.label}" if cell.axes else "options"
            raise ConfigError(f"{plan.where}, {where}: {error}") from None
