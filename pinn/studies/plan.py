"""A study as its file states it: what is not understood, or contradicts itself, is an error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from pinn.config import from_toml
from pinn.errors import ConfigError, ScanError
from pinn.studies.names import DATA, VARIANT, listed, nearest, option_name
from pinn.studies.tables import (
    TEST,
    Axes,
    DataSet,
    Evaluation,
    Match,
    Options,
    Quick,
    Recipe,
    Reference,
    Report,
    Table,
    When,
)

ONE = ""  # name of the data set of a study that has one
_METHODS = (VARIANT, "mode")  # what one compares rather than varies


@dataclass(frozen=True)
class Layout:
    """The axes of a study by what a report does with them; `x` None: there is no axis left."""

    x: str | None
    lines: tuple[str, ...]
    over: tuple[str, ...]


def _data_sets(data: Any) -> Any:
    one = isinstance(data, Mapping) and {"train", "test"} & data.keys()
    return {ONE: data} if one else data


class Plan(Table):
    """A study. Names of options are those of `pinn.studies.names.option_name`.

    Attributes:
        name, about: for people.
        recipe: options of `pinn simulate` by name, `like` among them.
        data: data sets by name; one without a name if there are no several.
        options: of every cell.
        sweep: axis to values, as the file states them; `axes` are all.
        variant: named options; the axis `variant` has their names.
        exclude: combinations of values that are no cell.
        when: options of some cells.
        quick: changes that make it short.
        evaluate, report, reference: what becomes of the numbers.
    """

    name: str = Field(min_length=1)
    about: str = ""
    recipe: dict[str, Recipe] = Field({})
    data: Annotated[dict[str, DataSet], BeforeValidator(_data_sets), Field(min_length=1)]
    options: Options = Field({})
    sweep: Axes = Field({})
    variant: dict[str, Options] = Field({})
    exclude: list[Match] = Field([])
    when: list[When] = Field([])
    quick: Quick = Quick()
    evaluate: Evaluation = Evaluation()
    report: Report = Report()
    reference: list[Reference] = Field([])

    @property
    def axes(self) -> dict[str, list[Any]]:
        """Name to values; every combination is a cell. Data sets and variants come first."""
        names = {DATA: [key for key in self.data if key != ONE], VARIANT: [*self.variant]}
        first = {axis: self.sweep.get(axis, every) for axis, every in names.items()}
        return {axis: values for axis, values in first.items() if values} | self.sweep

    @property
    def tests(self) -> list[str]:
        """Names of all test scans, in order."""
        return list(dict.fromkeys(name for item in self.data.values() for name in item.test))

    @property
    def layout(self) -> Layout:
        """What the report does with each axis.

        Raises:
            ConfigError: an axis that is none, or has two tasks.
        """
        axes, report = self.axes, self.report
        usual = ["seed"] if "seed" in axes and report.over is None else []
        over = [self._axis(name) for name in report.over or usual]
        stated = [self._axis(name) for name in report.lines or []]
        left = [axis for axis in axes if axis not in (*over, *stated)]
        along = [axis for axis in left if len(axes[axis]) > 1 and axis not in _METHODS]
        x = next(iter(along or left), None)
        if report.x is not None:
            x = report.x if report.x == TEST else self._axis(report.x)
        rest = [axis for axis in left if axis != x]
        methods = [axis for axis in rest if axis in _METHODS]
        lines = stated if report.lines is not None else methods or rest[:1]
        used = [x, *lines, *over]
        for axis in used:
            if used.count(axis) > 1:
                raise ConfigError(f"report: {axis} is two of x, lines and over; choose one")
        return Layout(x, tuple(lines), tuple(over))

    def shortened(self) -> Plan:
        """The study of `--quick`."""
        changes = {
            "options": self.options | self.quick.options,
            "sweep": self.sweep | self.quick.sweep,
        }
        return self.model_copy(update=changes)

    def _axis(self, text: str) -> str:
        name = text if text in self.axes else option_name(text)
        if name not in self.axes:
            raise ConfigError(f"report: {name} is no axis; the axes are {listed(self.axes)}")
        return name

    @model_validator(mode="after")
    def _consistent(self) -> Plan:
        self._check_scans()
        self._check_axes()
        _ = self.layout
        for item in self.reference:
            if item.test is not None and item.test not in self.tests:
                raise ConfigError(
                    f"reference: {item.label!r}: there is no test {item.test!r}; the tests are "
                    f"{listed(self.tests)}"
                )
            named = {axis: [item.at[axis]] for axis in (DATA, VARIANT) if axis in item.at}
            self._check_values(f"reference: {item.label!r}: at", named)
        return self

    def _check_scans(self) -> None:
        for name in self.recipe:
            chain = [name]
            while (like := self.recipe[chain[-1]].get("like")) is not None:
                if like not in self.recipe:
                    raise ConfigError(
                        f"recipe.{name}: like is {like!r}, but the recipes are "
                        f"{listed(self.recipe)}"
                    )
                if like in chain:
                    raise ConfigError(f"the recipes {listed(chain)} are like each other")
                chain.append(like)
        for key, item in self.data.items():
            for scan in (*item.train, *item.test.values()):
                if scan not in self.recipe and not Path(scan).suffix:
                    place = f"data.{key}" if key else "data"
                    hint = nearest(scan, self.recipe)
                    raise ConfigError(f"{place}: {scan!r} is neither a recipe nor a file{hint}")

    def _check_axes(self) -> None:
        names = {DATA: [key for key in self.data if key != ONE], VARIANT: [*self.variant]}
        for place, sweep in (("sweep", self.sweep), ("quick.sweep", self.quick.sweep)):
            for axis in names.keys() & sweep.keys():
                for value in sweep[axis]:
                    if value not in names[axis]:
                        raise ConfigError(
                            f"{place}: there is no {axis} {value!r}; the file has "
                            f"{listed(names[axis])}"
                        )
        self._check_values("quick.sweep", {axis: [] for axis in self.quick.sweep})
        stated = {"options": self.options, "quick.options": self.quick.options}
        stated |= {f"variant.{key}": table for key, table in self.variant.items()}
        for match in self.exclude:
            self._check_values("exclude", match)
        for index, item in enumerate(self.when):
            self._check_values("when", item.match)
            stated[f"when.{index}.set"] = item.options
        for place, options in stated.items():
            for name in options.keys() & self.axes.keys():
                raise ConfigError(
                    f"{place}: {name} is an axis of [sweep] besides; leave one of them out"
                )

    def _check_values(self, place: str, match: Mapping[str, list[Any]]) -> None:
        axes = self.axes
        for axis, values in match.items():
            if axis not in axes:
                raise ConfigError(f"{place}: {axis} is no axis; the axes are {listed(axes)}")
            for value in values:
                if value not in axes[axis]:
                    raise ConfigError(
                        f"{place}: {axis} has no value {value!r}; it has {listed(axes[axis])}"
                    )


def read_plan(source: str | Path | Mapping[str, Any]) -> Plan:
    """A study of a TOML file, or of a dictionary with the same content.

    Raises:
        ConfigError: a key, option, name or value that makes no sense, and where it stands.
    """
    content = dict(source) if isinstance(source, Mapping) else from_toml(Path(source))
    with named(source):
        try:
            return Plan.model_validate(content)
        except ValidationError as error:
            raise ConfigError(_sentence(error, content)) from None


@contextmanager
def named(source: str | Path | Mapping[str, Any]) -> Iterator[None]:
    """Put the name of the study's file before what is wrong with it."""
    where = "study" if isinstance(source, Mapping) else Path(source).name
    try:
        yield
    except (ConfigError, ScanError) as error:
        raise type(error)(f"{where}: {error}") from None


def _sentence(error: ValidationError, content: Any) -> str:
    """The first thing that is wrong, with the keys that lead to it."""
    first = error.errors()[0]
    way: list[str] = []
    for step in first["loc"]:
        if step == ONE:
            continue
        inside = content[step] if isinstance(step, int) or step in content else None
        way.append(str(step))
        if not isinstance(inside, Mapping | list):
            break
        content = inside
    place = ".".join(way)
    if first["type"] == "missing":
        return f"{place} is missing"
    given = "" if first["type"] == "value_error" else f" (got {first['input']!r})"
    said = first["msg"].removeprefix("Value error, ")
    return f"{place}: {said}{given}" if place else f"{said}{given}"
