"""What becomes of a study's numbers: comparison, table, figures, and the figures of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pinn.errors import ConfigError
from pinn.studies.measures import MEASURES, USUAL, check_measures
from pinn.studies.names import kinds_of, known_keys, option_name
from pinn.studies.page import Axes, Page, listed
from pinn.studies.plan import DATA, TEST, VARIANT, Reference, Report

_METHODS = (VARIANT, "mode")  # what one compares rather than varies


def read_evaluation(page: Page) -> dict[str, Any]:
    """Keywords of `pinn.evaluate`: border, register, ramp."""
    table, where = page.table("evaluate"), page.where("[evaluate]")
    known_keys(table, ("border", "register", "ramp"), where)
    border = table.get("border")
    number = isinstance(border, int | float) and not isinstance(border, bool)
    if border is not None and not (number and border >= 0):
        raise ConfigError(f"{where}: border is {border!r}; give a number of pixels, 0 or more")
    register, ramp = table.get("register", True), table.get("ramp", True)
    if not isinstance(register, bool) and register not in ("modulus", "complex"):
        raise ConfigError(f"{where}: register is {register!r}; give true, false or 'complex'")
    if not isinstance(ramp, bool):
        raise ConfigError(f"{where}: ramp is {ramp!r}; give true or false")
    return {"border": None if border is None else float(border), "register": register, "ramp": ramp}


def read_report(page: Page, axes: Axes) -> Report:
    """The table `[report]`, with what it leaves open decided by the axes."""
    table, where = page.table("report"), page.where("[report]")
    known_keys(table, ("x", "lines", "over", "metrics"), where)
    over = _axes(table.get("over", ["seed"] if "seed" in axes else []), axes, f"{where}: over")
    left = [axis for axis in axes if axis not in over]
    along = [axis for axis in left if len(axes[axis]) > 1 and axis not in _METHODS]
    asked = table.get("x", (along or left)[:1])
    x = [TEST] if asked == TEST else _axes(asked, axes, f"{where}: x")
    if len(x) > 1:
        raise ConfigError(f"{where}: x is {listed(x)}; a figure has one axis along it")
    rest = [axis for axis in left if axis not in x]
    methods = [axis for axis in rest if axis in _METHODS]
    lines = _axes(table.get("lines", methods or rest[:1]), axes, f"{where}: lines")
    used = [*x, *lines, *over]
    for axis in used:
        if used.count(axis) > 1:
            raise ConfigError(f"{where}: {axis} is two of x, lines and over; choose one")
    metrics = table.get("metrics", list(USUAL))
    if not isinstance(metrics, list):
        raise ConfigError(f"{where}: metrics is {metrics!r}; give a list")
    return Report(x[0] if x else None, tuple(lines), tuple(over), check_measures(metrics, where))


def read_references(page: Page, axes: Axes, tests: Sequence[str]) -> list[Reference]:
    """The tables `[[reference]]`."""
    return [_reference(page, item, axes, tests) for item in page.array("reference")]


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "switch"
    return "number" if isinstance(value, int | float) else "text"


def _axes(value: Any, axes: Axes, where: str) -> list[str]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{where} is {value!r}; name an axis or several")
    found = [name if name in axes else option_name(name, where) for name in names]
    for name in found:
        if name not in axes:
            raise ConfigError(f"{where} has {name}, but the axes are {listed(axes)}")
    return found


def _reference(page: Page, table: dict[str, Any], axes: Axes, tests: Sequence[str]) -> Reference:
    where = page.where("[[reference]]")
    known_keys(table, ("label", "source", "at", "test", *MEASURES), where)
    label, source, test = table.get("label"), table.get("source", ""), table.get("test")
    if not isinstance(label, str) or not label:
        raise ConfigError(f"{where}: label is {label!r}; say whose figures these are")
    where = f"{where} {label!r}"
    if not isinstance(source, str):
        raise ConfigError(f"{where}: source is {source!r}; give a text")
    if test is not None and test not in tests:
        raise ConfigError(f"{where}: there is no test {test!r}; the tests are {listed(tests)}")
    values = {name: table[name] for name in MEASURES if name in table}
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"{where}: {name} is {value!r}; give a number")
    if not values:
        raise ConfigError(f"{where}: there is no metric; give one of {listed(MEASURES)}")
    at = page.as_table(table.get("at", {}), "[[reference]] at")
    own = {axis: at.pop(axis) for axis in (DATA, VARIANT) if axis in at}
    for axis, value in own.items():
        if value not in axes.get(axis, ()):
            raise ConfigError(f"{where}: {axis} {value!r} is no value of an axis")
    stated = page.options(at, "[[reference]] at")
    for name, value in stated.items():
        kinds = {_kind(item) for item in axes.get(name, ()) if item is not None}
        kinds = kinds or kinds_of(name)
        if value is not None and _kind(value) not in kinds:
            raise ConfigError(
                f"{where}: at {name} is the {_kind(value)} {value!r}, but {name} is a "
                f"{' or a '.join(sorted(kinds))}; nothing would compare with it"
            )
    conditions = {**own, **stated}
    return Reference(label, source, conditions, test, {k: float(v) for k, v in values.items()})
