"""Flags from the fields of configuration classes, and values from a YAML file.

Later counts more: defaults of the classes, the YAML file, the command line. Only what was stated
is kept, so that a default is never mistaken for a wish.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterable, Mapping
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from pinn.errors import ConfigError
from pinn.io.legacy.table import KEY_MAPPINGS
from ptycho._doubts import NO_EFFECT

_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")


def add_fields(
    parser: argparse.ArgumentParser, cls: type, title: str, leave_out: Iterable[str] = ()
) -> None:
    """One flag per field, `--name value`; `--name`, `--no-name` and `--name false` for booleans."""
    group = parser.add_argument_group(title)
    for field in fields(cls):
        if field.name in leave_out:
            continue
        add_flag(group, [f"--{field.name.replace('_', '-')}"], field.name, field)


def add_flag(group: Any, names: list[str], target: str, field: Field[Any], text: str = "") -> None:
    """A flag for a field under some names, with - and with _; nothing is set where it is not
    given."""
    names = list(dict.fromkeys([*names, *(f"--{n[2:].replace('-', '_')}" for n in names)]))

    def read(value: str) -> Any:
        try:
            return converted(field, value)
        except ConfigError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    settings: dict[str, Any] = {
        "dest": target,
        "default": argparse.SUPPRESS,
        "type": read,
        "metavar": kind_of(field).upper(),
        "help": f"{text} [default: {field.default}]".strip(),
    }
    if kind_of(field) == "bool":
        settings |= {"nargs": "?", "const": True, "metavar": "true|false"}
        off = [f"--no-{name.removeprefix('--')}" for name in names]
        group.add_argument(
            *off, dest=target, action="store_const", const=False, default=argparse.SUPPRESS
        )
    group.add_argument(*names, **settings)


def kind_of(field: Field[Any]) -> str:
    """`bool`, `int`, `float`, `path` or `str`."""
    text = str(field.type)
    for kind in ("bool", "int", "float", "Path"):
        if kind in text.replace("|", " ").split():
            return kind.lower()
    return "str"


def converted(field: Field[Any], value: Any) -> Any:
    """A value as its field has it; text is read, other types must be right already.

    Raises:
        ConfigError: text that is no such value.
    """
    if value is None or (isinstance(value, str) and value.lower() == "none"):
        if "None" in str(field.type):
            return None
        if value is not None and kind_of(field) == "str":
            return value  # a word like any other: fno_input_transform none
        raise ConfigError(f"{field.name} is {value!r}, but a value is required")
    kind = kind_of(field)
    if not isinstance(value, str):
        if kind == "float" and type(value) is int:
            return float(value)
        return value  # checked when the configuration is translated
    try:
        if kind == "bool":
            if value.lower() in (*_TRUE, *_FALSE):
                return value.lower() in _TRUE
            if "str" in str(field.type):  # deterministic: true, false, or warn
                return value
            raise ValueError
        if kind == "int":
            return int(value)
        if kind == "float":
            return float(value)
    except ValueError:
        words = {"bool": "true or false", "int": "a whole number", "float": "a number"}[kind]
        raise ConfigError(f"{field.name} is {value!r}, but {words} is required") from None
    return Path(value) if kind == "path" else value


def read_yaml(path: Path, *classes: type) -> dict[str, Any]:
    """Fields stated by a YAML file, flat or with those of the network under `model`.

    The keys of the legacy dictionary do as well; those that have no effect are said.

    Raises:
        ConfigError: it cannot be read, or has a key that no class knows.
    """
    import yaml  # type: ignore[import-untyped]

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = "" if where is None else f" (line {where.line + 1})"
        raise ConfigError(f"{path} is not YAML{line}; correct it") from None
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path} holds no options by name; write lines as 'nepochs: 50'")
    nested = content.get("model")
    flat = {k: v for k, v in content.items() if k != "model"}
    if isinstance(nested, Mapping):
        flat |= nested
    elif nested is not None:
        raise ConfigError(f"model in {path} is {nested!r}, but options by name are required")
    known = {field.name: field for cls in classes for field in fields(cls)}
    names = {key: name for name, key in KEY_MAPPINGS.items()}
    flat = {names.get(key, key): value for key, value in flat.items()}
    for name in sorted(flat.keys() & NO_EFFECT.keys() - known.keys()):
        logging.getLogger("ptycho").warning("%s has no effect: %s", name, NO_EFFECT[name])
        del flat[name]
    unknown = sorted(str(name) for name in flat if name not in known)
    if unknown:
        raise ConfigError(
            f"unknown option {', '.join(map(repr, unknown))} in {path}; known are "
            f"{', '.join(sorted(known))}"
        )
    return {name: converted(known[name], value) for name, value in flat.items()}
