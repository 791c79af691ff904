"""The cells of a study: every combination of the axes' values, with the options of each."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pinn.errors import ConfigError
from pinn.studies.names import (
    DATA,
    SECTIONS,
    VARIANT,
    by_section,
    listed,
    section_of,
    value_text,
)
from pinn.studies.plan import Plan
from pinn.studies.tables import DataSet


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
        return by_section(self.options)

    def value(self, name: str) -> Any:
        """Value of an axis or option, stated or by default; None for another variant or data."""
        if name in self.axes or name in (DATA, VARIANT):
            return self.axes.get(name)
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
    cells = [_cell(plan, axes) for axes in _combinations(plan) if _fits(axes, wanted)]
    if not cells:
        reason = f"--only {listed(only)} and [[exclude]]" if only else "[[exclude]]"
        raise ConfigError(f"{reason} leave no cell of the study")
    return cells


def count_cells(plan: Plan) -> int:
    """How many cells a study has, all of them."""
    return len(_combinations(plan))


def _combinations(plan: Plan) -> list[dict[str, Any]]:
    names, values = plan.axes.keys(), plan.axes.values()
    every = (dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*values))
    return [axes for axes in every if not any(_fits(axes, match) for match in plan.exclude)]


def _cell(plan: Plan, axes: dict[str, Any]) -> Cell:
    options = plan.options | plan.variant.get(axes.get(VARIANT, ""), {})
    options |= {name: value for name, value in axes.items() if name not in (DATA, VARIANT)}
    for item in plan.when:
        if _fits(axes, item.match):
            options |= item.options
    cell = Cell(axes, options, plan.data[axes.get(DATA, next(iter(plan.data)))])
    # Every configuration once, so that a slip is found before the first hour of work; a recipe is
    # checked where its scan is looked for.
    for section, stated in cell.parts().items():
        if section != "simulate":
            try:
                SECTIONS[section](**stated)
            except ConfigError as error:
                raise ConfigError(f"cell {cell.label or 'of the options'}: {error}") from None
    return cell


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
        chosen = [item for item in plan.axes[name] if _same(item, value.strip())]
        if not chosen:
            values = listed(value_text(v) for v in plan.axes[name])
            raise ConfigError(f"--only {text!r}: the values of {name} are {values}")
        wanted.setdefault(name, []).extend(chosen)
    return wanted


def _same(value: Any, text: str) -> bool:
    if text == value_text(value):
        return True
    try:
        return not isinstance(value, bool | str | None) and float(text) == value
    except ValueError:
        return False
