"""What a study is: scans, options, axes and what becomes of the numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA, VARIANT = "data", "variant"
TEST = "test"  # not an axis, for a cell has all its tests, but a figure may run along it
ONE = ""  # name of the data set of a study that has one


@dataclass(frozen=True)
class DataSet:
    """What a cell learns from, and what it is tested on.

    Attributes:
        train: recipes or files.
        tests: name in the table to recipe or file.
    """

    train: tuple[str, ...]
    tests: dict[str, str]


@dataclass(frozen=True)
class When:
    """Options of the cells whose every axis in `match` has one of the values there."""

    match: dict[str, list[Any]]
    options: dict[str, Any]


@dataclass(frozen=True)
class Reference:
    """Figures of others, to stand beside ours.

    Attributes:
        label: whose they are.
        source: where they are from, or empty.
        at: options of ours that they compare with; an axis left out compares with all its values.
        test: the test scan, or None for all.
        values: by name of the metric.
    """

    label: str
    source: str
    at: dict[str, Any]
    test: str | None
    values: dict[str, float]


@dataclass(frozen=True)
class Report:
    """What becomes of the numbers.

    Attributes:
        x: axis along the figure, or `test`, or None for a study without axes.
        lines: axes whose values are the lines of a figure.
        over: axes over which median and spread are taken.
        metrics: columns of the table; one figure each.
    """

    x: str | None
    lines: tuple[str, ...]
    over: tuple[str, ...]
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """A study. Names of options are those of `pinn.studies.names.option_name`.

    Attributes:
        name, about: for people.
        where: file name, for errors.
        folder: of the file; names of files are meant from here.
        recipes: options of `pinn simulate` by name, `like` among them.
        data: data sets by name; one without a name if there are no several.
        options: of every cell.
        axes: name to values; every combination is a cell.
        variants: named options; the axis `variant` has their names.
        exclude: combinations of values that are no cell.
        when: options of some cells.
        evaluate: keywords of `pinn.evaluate`.
        report: table and figures.
        references: figures of others.
    """

    name: str
    about: str
    where: str
    folder: Path
    recipes: dict[str, dict[str, Any]]
    data: dict[str, DataSet]
    options: dict[str, Any]
    axes: dict[str, list[Any]]
    variants: dict[str, dict[str, Any]]
    exclude: list[dict[str, list[Any]]]
    when: list[When]
    evaluate: dict[str, Any]
    report: Report
    references: list[Reference]

    @property
    def tests(self) -> list[str]:
        """Names of all test scans, in order."""
        return list(dict.fromkeys(name for item in self.data.values() for name in item.tests))
