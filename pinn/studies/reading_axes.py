"""Axes of a study, and conditions on their values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pinn.errors import ConfigError
from pinn.studies.names import flattened, known_keys, option_value
from pinn.studies.page import Axes, Page, listed
from pinn.studies.plan import DATA, VARIANT, When


def read_axes(
    page: Page, table: Any, place: str, names: Mapping[str, list[str]], implied: bool
) -> dict[str, list[Any]]:
    """Axes with their values.

    Args:
        page: the file.
        table: of lists.
        place: of the table.
        names: what the axes `data` and `variant` may hold.
        implied: whether these two are axes without being mentioned, where they have names.
    """
    where = page.where(place)
    table = page.as_table(table, place)
    axes: dict[str, list[Any]] = {}
    for axis in (DATA, VARIANT):
        if axis in table:
            axes[axis] = _values(axis, table.pop(axis), where)
            for value in axes[axis]:
                if value not in names[axis]:
                    raise ConfigError(
                        f"{where}: there is no {axis} {value!r}; the file has {listed(names[axis])}"
                    )
        elif implied and names[axis]:
            axes[axis] = names[axis]
    for axis, values in flattened(table, where).items():
        axes[axis] = [option_value(axis, value, where) for value in _values(axis, values, where)]
    return axes


def read_match(page: Page, table: Any, axes: Axes, place: str) -> dict[str, list[Any]]:
    """Axes and some of their values, as `[[exclude]]` and `[[when]]` state them."""
    where = page.where(place)
    table = page.as_table(table, place)
    if not table:
        raise ConfigError(f"{where}: name an axis and its values")
    own = {axis: table.pop(axis) for axis in (DATA, VARIANT) if axis in table}
    found = {}
    for axis, value in {**own, **flattened(table, where)}.items():
        if axis not in axes:
            raise ConfigError(f"{where}: {axis} is no axis; the axes are {listed(axes)}")
        items = value if isinstance(value, list) else [value]
        found[axis] = items if axis in own else [option_value(axis, i, where) for i in items]
        for item in found[axis]:
            if item not in axes[axis]:
                raise ConfigError(
                    f"{where}: {axis} has no value {item!r}; it has {listed(axes[axis])}"
                )
    return found


def read_whens(page: Page, axes: Axes) -> Iterator[When]:
    """The tables `[[when]]`."""
    for item in page.array("when"):
        known_keys(item, ("if", "set"), page.where("[[when]]"))
        match = read_match(page, item.get("if", {}), axes, "[[when]] if")
        options = page.options(item.get("set", {}), "[[when]] set")
        if not options:
            raise ConfigError(f"{page.where('[[when]]')}: set names no option")
        yield When(match, options)


def _values(axis: str, values: Any, where: str) -> list[Any]:
    if not isinstance(values, list):
        raise ConfigError(f"{where}: {axis} is {values!r}; give a list, or put it under [options]")
    distinct = {(isinstance(value, bool), value) for value in values if _plain(value)}
    if not values or len(distinct) < sum(map(_plain, values)):
        raise ConfigError(f"{where}: {axis} is {values!r}; give values, each of them once")
    return values


def _plain(value: Any) -> bool:
    return isinstance(value, bool | int | float | str)
