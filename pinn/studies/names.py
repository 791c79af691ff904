"""Names of options in a study, and the configuration class each belongs to.

A plain name is an option of `pinn train` (reading, model, run) or of `pinn reconstruct`; an option
of both, such as `batch_size`, is that of training. A prefix says which is meant where it is
another: `reconstruct.batch_size`, `scan.photons_per_frame`, `simulate.photons_per_frame`. Options
of the simulation always have theirs.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pinn.config import Config, ModelConfig, ReconstructConfig, ScanConfig, TrainConfig
from pinn.errors import ConfigError
from pinn.simulate.config import SimulateConfig

SECTIONS: dict[str, type[Config]] = {
    "train": TrainConfig,
    "model": ModelConfig,
    "reconstruct": ReconstructConfig,
    "scan": ScanConfig,
    "simulate": SimulateConfig,
}
_PLAIN = ("train", "model", "reconstruct", "scan")
_OF_THE_SCAN = ("N", "probe_modes")


def option_name(text: str, where: str) -> str:
    """The one spelling of an option's name: plain where that is unique, else with its prefix.

    Args:
        text: as somebody wrote it.
        where: file and table, for the error.

    Raises:
        ConfigError: no such option, one whose prefix is missing, or one that the scan fixes.
    """
    section, field = _located(text.replace("-", "_"), where)
    if section == "model" and field in _OF_THE_SCAN:
        raise ConfigError(
            f"{where}: {text} is fixed by the scan; for simulated ones write simulate.{field}"
        )
    unclear = section == "scan" and field in SimulateConfig.model_fields
    plain = section != "simulate" and _home(field) == section and not unclear
    return field if plain else f"{section}.{field}"


def section_of(name: str) -> tuple[str, str]:
    """Section and field of a name that `option_name` returned."""
    section, _, field = name.rpartition(".")
    return (section or str(_home(field))), field


def option_value(name: str, value: Any, where: str) -> Any:
    """A plain value; the word none for no value where the option may have none.

    Raises:
        ConfigError: a list, table, date or other thing that no option takes.
    """
    if not isinstance(value, bool | int | float | str):
        raise ConfigError(f"{where}: {name} is {value!r}; give one plain value")
    section, field = section_of(name)
    if isinstance(value, str) and value.lower() == "none":
        return None if _takes(section, field, type(None)) else value
    return value


def is_path(name: str) -> bool:
    """Whether the option's value is the name of a file."""
    return _takes(*section_of(name), Path)


def kinds_of(name: str) -> set[str]:
    """What the option's value may be: `number`, `switch`, `text`."""
    section, field = section_of(name)
    kinds = {"number": (int, float), "switch": (bool,)}
    found = {kind for kind, types in kinds.items() if any(_takes(section, field, t) for t in types)}
    return found or {"text"}


def flattened(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Options of a table by name; the tables of sections inside it are opened, and no others.

    Raises:
        ConfigError: as `option_name`, or an option that is stated twice.
    """
    found: dict[str, Any] = {}
    for key, value in table.items():
        inner = value if key in SECTIONS and isinstance(value, Mapping) else None
        for text, item in {key: value}.items() if inner is None else inner.items():
            name = option_name(text if inner is None else f"{key}.{text}", where)
            if name in found:
                raise ConfigError(f"{where}: {name} is stated twice; leave one of them out")
            found[name] = item
    return found


def sorted_out(options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Options by section and field: `{"train": {"epochs": 3}, ...}`, every section present."""
    parts: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for name, value in options.items():
        section, field = section_of(name)
        parts[section][field] = value
    return parts


def known_keys(table: Mapping[str, Any], known: typing.Iterable[str], where: str) -> None:
    """Refuse keys that mean nothing.

    Raises:
        ConfigError: an unknown key.
    """
    names = list(known)
    for key in table:
        if key not in names:
            raise ConfigError(f"{where}: unknown key {key!r}{nearest(key, names)}")


def nearest(word: str, names: typing.Iterable[str]) -> str:
    """What may have been meant, or all there is, as the end of a sentence."""
    names = sorted(names)
    close = difflib.get_close_matches(word, names, 3)
    if close:
        return f"; did you mean {' or '.join(close)}?"
    return f"; known: {', '.join(names)}" if len(names) <= 16 else ""


def _home(field: str) -> str | None:
    return next((s for s in _PLAIN if field in SECTIONS[s].model_fields), None)


def _located(text: str, where: str) -> tuple[str, str]:
    prefix, _, field = text.rpartition(".")
    if prefix:
        if prefix not in SECTIONS:
            raise ConfigError(f"{where}: unknown option {text!r}{nearest(prefix, SECTIONS)}")
        fields = SECTIONS[prefix].model_fields
        if field not in fields:
            raise ConfigError(f"{where}: unknown option {text!r}{nearest(field, fields)}")
        return prefix, field
    home, simulated = _home(field), field in SimulateConfig.model_fields
    if home is None and simulated:
        raise ConfigError(
            f"{where}: {field} is an option of the simulation; write simulate.{field}"
        )
    if home is None:
        every = {name for s in _PLAIN for name in SECTIONS[s].model_fields}
        raise ConfigError(f"{where}: unknown option {text!r}{nearest(field, every)}")
    if home == "scan" and simulated:
        raise ConfigError(
            f"{where}: {field} may be how a scan is read or how it is made; write scan.{field} or "
            f"simulate.{field}"
        )
    return home, field


def _takes(section: str, field: str, kind: type) -> bool:
    annotation: Any = SECTIONS[section].model_fields[field].annotation
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return kind in typing.get_args(annotation)
    return annotation is kind
