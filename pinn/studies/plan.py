"""A study as its file states it: what is not understood, or contradicts itself, is an error."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
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
        first = {axis: self.sweep.get(axis, every) for axis, every in self._named.items()}
        return {axis: values for axis, values in first.items() if values} | self.sweep

    @property
    def _named(self) -> dict[str, list[str]]:
        """What the axes of names may hold."""
        return {DATA: [key for key in self.data if key != ONE], VARIANT: [*self.variant]}

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
        _check_known("report", "axis", [name], self.axes)
        return name

    @model_validator(mode="after")
    def _scans_are_there(self) -> Plan:
        for name in self.recipe:
            chain = [name]
            while (like := self.recipe[chain[-1]].get("like")) is not None:
                _check_known(f"recipe.{chain[-1]}.like", "recipe", [like], self.recipe)
                if like in chain:
                    raise ConfigError(f"the recipes {listed(chain)} are like each other")
                chain.append(like)
        for key, item in self.data.items():
            for scan in (*item.train, *item.test.values()):
                if scan not in self.recipe and not Path(scan).suffix:
                    place, hint = f"data.{key}" if key else "data", nearest(scan, self.recipe)
                    raise ConfigError(f"{place}: {scan!r} is neither a recipe nor a file{hint}")
        return self

    @model_validator(mode="after")
    def _axes_are_there(self) -> Plan:
        for place, sweep in (("sweep", self.sweep), ("quick.sweep", self.quick.sweep)):
            _check_known(place, "axis", sweep, self.axes)
            for axis, names in self._named.items():
                _check_known(place, axis, sweep.get(axis, []), names)
        for index, match in enumerate(self.exclude):
            self._check_match(f"exclude.{index}", match)
        stated = {"options": self.options, "quick.options": self.quick.options}
        stated |= {f"variant.{key}": table for key, table in self.variant.items()}
        for index, when in enumerate(self.when):
            self._check_match(f"when.{index}.if", when.match)
            stated[f"when.{index}.set"] = when.options
        for place, options in stated.items():
            for name in options.keys() & self.axes.keys():
                raise ConfigError(
                    f"{place}: {name} is an axis of [sweep] as well; leave one of them out"
                )
        for index, other in enumerate(self.reference):
            place, tests = f"reference.{index}", [other.test] if other.test is not None else []
            _check_known(f"{place}.test", "test", tests, self.tests)
            named = {axis: [other.at[axis]] for axis in self._named if axis in other.at}
            self._check_match(f"{place}.at", named)
        _ = self.layout
        return self

    def _check_match(self, place: str, match: Mapping[str, list[Any]]) -> None:
        _check_known(place, "axis", match, self.axes)
        for axis, values in match.items():
            _check_known(place, f"value of {axis}", values, self.axes[axis])


def _check_known(place: str, what: str, values: Iterable[Any], known: Collection[Any]) -> None:
    """Refuse values that are not known.

    Raises:
        ConfigError: one of them.
    """
    for value in values:
        if value not in known:
            raise ConfigError(f"{place}: there is no {what} {value!r}; there are {listed(known)}")


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
