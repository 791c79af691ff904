"""Names of options in a study, and the configuration class each belongs to.

A plain name is an option of `pinn train` (reading, model, run) or of `pinn reconstruct`; an option
of both, such as `batch_size`, is that of training. A prefix says which is meant where it is
another: `reconstruct.batch_size`, `scan.photons_per_frame`, `simulate.photons_per_frame`. Options
of the simulation always have theirs.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args

from pinn.config import (
    Config,
    ModelConfig,
    ReconstructConfig,
    ScanConfig,
    TrainConfig,
    successors,
)
from pinn.errors import ConfigError
from pinn.simulate.config import SimulateConfig

SECTIONS: dict[str, type[Config]] = {
    "train": TrainConfig,
    "model": ModelConfig,
    "reconstruct": ReconstructConfig,
    "scan": ScanConfig,
    "simulate": SimulateConfig,
}
DATA, VARIANT = "data", "variant"  # axes that are no options
_BY_THE_SCAN = ("model.N", "model.probe_modes", "model.propagation", "model.detector_response")


def option_name(text: str) -> str:
    """The one spelling of an option's name: plain where that is unique, else with its prefix.

    Raises:
        ConfigError: no such option, one whose prefix is missing, or one that the scan fixes.
    """
    spellings, plain = _spellings(), text.replace("-", "_")
    if plain in spellings:
        return spellings[plain]
    prefixed = [name for name in spellings if name.endswith(f".{plain}")]
    if prefixed:
        raise ConfigError(f"{text} is no name by itself; write {' or '.join(prefixed)}")
    section, _, field = plain.rpartition(".")
    if plain in _BY_THE_SCAN:
        simulated = field in SimulateConfig.model_fields
        remedy = (
            f"for simulated ones write simulate.{field}" if simulated else f"write scan.{field}"
        )
        raise ConfigError(f"{text} is fixed by the scan; {remedy}")
    classes = [SECTIONS[section]] if section in SECTIONS else list(SECTIONS.values())
    if (told := successors.sentence(field, *(cls.__name__ for cls in classes))) is not None:
        raise ConfigError(told)
    raise ConfigError(f"unknown option {text!r}{nearest(plain, spellings)}")


def section_of(name: str) -> tuple[str, str]:
    """Section and field of a name that `option_name` returned."""
    section, _, field = name.rpartition(".")
    if not section:
        names = (s for s in SECTIONS if f"{s}.{field}" not in _BY_THE_SCAN)
        section = next(s for s in names if field in SECTIONS[s].model_fields)
    return section, field


def option_value(name: str, value: Any) -> Any:
    """A plain value; the word none for no value where the option may have none.

    Raises:
        ConfigError: a list, table, date or other thing that no option takes.
    """
    if not isinstance(value, bool | int | float | str):
        raise ConfigError(f"{name} is {value!r}; give one plain value")
    if name in (DATA, VARIANT) or str(value).lower() != "none":
        return value
    return None if _takes(name, type(None)) else value


def is_path(name: str) -> bool:
    """Whether the option's value is the name of a file."""
    return _takes(name, Path)


def is_text(name: str) -> bool:
    """Whether the option's value is a word and not a number or switch."""
    return not any(_takes(name, kind) for kind in (bool, int, float))


def flattened(table: Any, axes: bool = False) -> dict[str, Any]:
    """Options of a table by name; the tables of sections inside it are opened, and no others.

    Args:
        table: of options.
        axes: `data` and `variant` may be among them.

    Raises:
        ConfigError: no table, as `option_name`, or an option that is stated twice.
    """
    if not isinstance(table, Mapping):
        raise ConfigError(f"give a table of options, not {table!r}")
    found: dict[str, Any] = {}
    for key, value in table.items():
        inner = key in SECTIONS and isinstance(value, Mapping)
        for text, item in value.items() if inner else [(key, value)]:
            plain = axes and text in (DATA, VARIANT)
            name = text if plain else option_name(f"{key}.{text}" if inner else text)
            if name in found:
                raise ConfigError(f"{name} is stated twice; leave one of them out")
            found[name] = item
    return found


def by_section(options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Options by section and field: `{"train": {"epochs": 3}, ...}`, every section present."""
    parts: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for name, value in options.items():
        section, field = section_of(name)
        parts[section][field] = value
    return parts


def value_text(value: Any) -> str:
    """A value of an axis as tables and figures write it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def listed(names: Iterable[Any]) -> str:
    """Names for a sentence."""
    return ", ".join(map(str, names)) or "none"


def nearest(word: str, names: Iterable[str]) -> str:
    """What may have been meant, or all there is, as the end of a sentence."""
    names = sorted(names)
    close = difflib.get_close_matches(word, names, 3)
    if close:
        return f"; did you mean {' or '.join(close)}?"
    return f"; known: {', '.join(names)}" if len(names) <= 16 else ""


@cache
def _spellings() -> dict[str, str]:
    """Every way to write an option to its name."""
    found: dict[str, str] = {}
    plain: dict[str, str] = {}
    for section, cls in SECTIONS.items():
        for field in cls.model_fields:
            full = f"{section}.{field}"
            if full in _BY_THE_SCAN:
                continue
            unclear = section == "scan" and field in SimulateConfig.model_fields
            found[full] = full
            if section != "simulate" and not unclear and field not in plain:
                found[full] = plain[field] = field
    return plain | found


def _takes(name: str, kind: type) -> bool:
    section, field = section_of(name)
    annotation = SECTIONS[section].model_fields[field].annotation
    return kind in (get_args(annotation) or (annotation,))
