"""The table of the bridge (`table.toml`), and its rules for the values of a field."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from pinn.errors import ConfigError

# Rule: type, what a value must satisfy, and that in words.
RULES: dict[str, tuple[str, Callable[[Any], bool], str]] = {
    "side": ("int", lambda n: n >= 16, "a whole number of at least 16"),
    "count": ("int", lambda n: n >= 1, "a whole number of at least 1"),
    "whole": ("int", lambda n: n >= 0, "a whole number of at least 0"),
    "positive": ("float", lambda x: 0 < x < math.inf, "a number above 0"),
    "amount": ("float", lambda x: 0 <= x < math.inf, "a number of at least 0"),
    "share": ("float", lambda x: 0 <= x < 1, "a number of at least 0 and below 1"),
    "ratio": ("float", lambda x: 0 <= x <= 1, "a number of at least 0 and at most 1"),
    "factor": ("float", lambda x: 0 < x < 1, "a number above 0 and below 1"),
    "flag": ("bool", lambda _: True, "True or False"),
    "name": ("str", bool, "a name"),
    "path": ("Path", lambda _: True, "a path"),
    "switch": ("bool | str", lambda x: x in (True, False, "warn"), "one of True, False, warn"),
    "devices": (
        "int | str",
        lambda n: n == "auto" or (type(n) is int and n > 0),
        "a positive number or auto",
    ),
}
_TYPES: dict[str, Any] = {"int": int, "float": int | float, "bool": bool, "str": str}
_TYPES["Path"] = str | Path


class Unstated(str):
    """A word that is a default and that nobody stated; equal to its text in every other way."""

    __slots__ = ()


@dataclass(frozen=True)
class Row:
    """One field of the reference; see the head of the table."""

    kind: str
    default: Any = None
    required: bool = False
    key: str = ""
    ours: str = ""
    words: Mapping[str, Any] = field(default_factory=dict)
    how: str = ""
    why: str = ""

    @property
    def type(self) -> str:
        """Its type as text: `int`, `float | None`, `str`, ..."""
        kind, none = self.kind.removesuffix("?"), " | None" * self.kind.endswith("?")
        return ("str" if "|" in kind else RULES[kind][0] if kind in RULES else kind) + none


TABLE = tomllib.loads(resources.files(__package__).joinpath("table.toml").read_text("utf-8"))


def _rows(section: str) -> dict[str, Row]:
    rows = {}
    for name, row in TABLE[section].items():
        row = {**TABLE["training"].get(name, {}), **row}
        if row.pop("unstated", False):
            row["default"] = Unstated(row["default"])
        elif row["kind"] == "path" and "default" in row:
            row["default"] = Path(row["default"])
        rows[name] = Row(**row)
    return rows


MODEL, TRAINING, INFERENCE, EXECUTION = map(_rows, ("model", "training", "inference", "execution"))
KINDS = {"model": MODEL, "training": MODEL | TRAINING, "inference": MODEL | INFERENCE}
# Field: key in the legacy dictionary, where the two differ.
KEY_MAPPINGS = {name: row.key for name, row in KINDS["training"].items() if row.key}


def check(name: str, row: Row, value: Any) -> Any:
    """A value as it is, NumPy's numbers as Python's.

    Raises:
        ConfigError: it breaks the rule of its field, or names a network that is not here.
    """
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    kind = row.kind.removesuffix("?")
    if value is None and (kind != row.kind or kind == "path"):
        return None
    if "|" in kind:
        met = isinstance(value, str) and value in kind.split("|")
        words = "one of " + kind.replace("|", ", ")
    elif kind in RULES:
        plain, rule, words = RULES[kind]
        truth = isinstance(value, bool) and plain in ("int", "float")  # a bool is an int to Python
        met = isinstance(value, _TYPES.get(plain, object)) and not truth and rule(value)
    else:
        return value
    if not met:
        hint = ", or None" if kind != row.kind else ""
        if name == "N" and type(value) is int and value == 0:
            hint = "; 0 is a placeholder to be filled in before anything is done"
        raise ConfigError(f"{name} is {summary(value)}, but {words}{hint} is required")
    if name == "architecture" and value in TABLE["not_here"]:
        raise ConfigError(f"architecture {value!r} is not here; {TABLE['not_here'][value]}")
    return str(value) if isinstance(value, Unstated) else value


def summary(value: Any) -> str:
    """A value in one line, arrays by shape and type."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is None or dtype is None or len(shape) == 0:
        return repr(value)
    return f"array of shape {tuple(shape)}, {dtype}"
