"""The tables of a study's file as models: unknown keys and values of another kind are errors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from pinn.errors import ConfigError
from pinn.studies.measures import MEASURES, USUAL, check_measures
from pinn.studies.names import (
    DATA,
    VARIANT,
    flattened,
    is_text,
    listed,
    nearest,
    option_value,
)

TEST = "test"  # not an axis, for a cell has all its tests, but a figure may run along it


def _options(table: Any, axes: bool = False) -> dict[str, Any]:
    return {name: option_value(name, value) for name, value in flattened(table, axes).items()}


def _axes(table: Any) -> dict[str, list[Any]]:
    axes = flattened(table, axes=True)
    for name, values in axes.items():
        if not isinstance(values, list):
            raise ConfigError(f"{name} is {values!r}; give a list, or put it under [options]")
        axes[name] = [option_value(name, value) for value in values]
        if not values or len(set(axes[name])) < len(values):
            raise ConfigError(f"{name} is {values!r}; give values, each of them once")
    return axes


def _match(table: Any) -> dict[str, list[Any]]:
    found = flattened(table, axes=True)
    items = {name: value if isinstance(value, list) else [value] for name, value in found.items()}
    if not items:
        raise ConfigError("name an axis and its values")
    return {name: [option_value(name, item) for item in values] for name, values in items.items()}


def _recipe(table: Any) -> dict[str, Any]:
    if not isinstance(table, Mapping):
        raise ConfigError(f"give a table of options, not {table!r}")
    stated = {key: value for key, value in table.items() if key != "like"}
    like = {"like": str(table["like"])} if "like" in table else {}
    return like | _options({"simulate": stated})


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Options = Annotated[dict[str, Any], BeforeValidator(_options)]
Condition = Annotated[dict[str, Any], BeforeValidator(partial(_options, axes=True))]
Axes = Annotated[dict[str, list[Any]], BeforeValidator(_axes)]
Match = Annotated[dict[str, list[Any]], BeforeValidator(_match)]
Recipe = Annotated[dict[str, Any], BeforeValidator(_recipe)]
Names = Annotated[list[str], BeforeValidator(_one_or_more)]
Metrics = Annotated[list[str], BeforeValidator(check_measures)]


class Table(BaseModel):
    """A table of the file; unknown keys are refused, and no value is taken for another kind."""

    model_config = ConfigDict(frozen=True, strict=True)

    @classmethod
    def known(cls) -> set[str]:
        """What may stand in it."""
        return {field.alias or name for name, field in cls.model_fields.items()}

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, table: Any) -> Any:
        for key in table if isinstance(table, Mapping) else ():
            if key not in cls.known():
                raise ConfigError(f"unknown key {key!r}{nearest(key, cls.known())}")
        return table


class DataSet(Table):
    """What a cell learns from, and what it is tested on: recipes or files.

    Attributes:
        train: one or several.
        test: by the name in the table.
    """

    train: Annotated[Names, Field(min_length=1)]
    test: Annotated[
        dict[str, str],
        BeforeValidator(lambda test: {TEST: test} if isinstance(test, str) else test),
        Field(min_length=1),
    ]


class When(Table):
    """Options of the cells whose every axis in `match` has one of the values there."""

    match: Match = Field(alias="if")
    options: Options = Field(alias="set", min_length=1)


class Quick(Table):
    """What replaces options and values under `--quick`."""

    options: Options = Field({})
    sweep: Axes = Field({})


class Evaluation(Table):
    """Keywords of `pinn.evaluate`."""

    border: float | None = Field(None, ge=0)
    registration: Literal[True, False, "modulus", "complex"] = Field(True, alias="register")
    ramp: bool = True


class Report(Table):
    """What becomes of the numbers; what is left out follows from the axes (`Plan.layout`).

    Attributes:
        x: axis along the figure, or `test`.
        lines: axes whose values are the lines of a figure.
        over: axes over which median and spread are taken.
        metrics: columns of the table; one figure each.
    """

    x: str | None = None
    lines: Names | None = None
    over: Names | None = None
    metrics: Metrics = list(USUAL)


class Reference(Table):
    """Figures of others, to stand beside ours.

    Attributes:
        label: whose they are.
        source: where they are from, or empty.
        at: options of ours that they compare with; an axis left out compares with all its values.
        test: the test scan, or None for all.
        values: by name of the metric; each is a key of the table.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float] = Field(init=False)

    label: str = Field(min_length=1)
    source: str = ""
    at: Condition = Field({})
    test: str | None = None

    @classmethod
    def known(cls) -> set[str]:
        """What may stand in it, the metrics included."""
        return super().known() | MEASURES.keys()

    @property
    def values(self) -> dict[str, float]:
        """The figures."""
        return {k: v for k in MEASURES if (v := self.__pydantic_extra__.get(k)) is not None}

    @model_validator(mode="after")
    def _comparable(self) -> Reference:
        if not self.values:
            raise ConfigError(f"{self.label!r}: there is no metric; give one of {listed(MEASURES)}")
        for name, value in self.at.items():
            known = name in (DATA, VARIANT) or value is None
            if not known and isinstance(value, str) != is_text(name):
                kind = "text" if is_text(name) else "number or switch"
                raise ConfigError(f"{self.label!r}: at {name} is {value!r}, but {name} is a {kind}")
        return self
