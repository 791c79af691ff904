"""The TOML file of a study as tables, with the place of every one for errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pinn.errors import ConfigError
from pinn.studies.names import flattened, option_value

Axes = Mapping[str, list[Any]]


class Page:
    """Content of a study file.

    Attributes:
        file: its name, for errors.
        content: what it holds.
    """

    def __init__(self, content: Mapping[str, Any], file: str) -> None:
        self.content, self.file = content, file

    def where(self, place: str) -> str:
        """File and place, the beginning of an error."""
        return f"{self.file} {place}"

    def table(self, key: str) -> dict[str, Any]:
        """The table `[key]`, empty if there is none."""
        return self.as_table(self.content.get(key, {}), f"[{key}]")

    def tables(self, key: str) -> dict[str, dict[str, Any]]:
        """The tables `[key.NAME]` by name."""
        return {
            name: self.as_table(item, f"[{key}.{name}]") for name, item in self.table(key).items()
        }

    def array(self, key: str) -> list[dict[str, Any]]:
        """The tables `[[key]]`."""
        items = self.content.get(key, [])
        if not isinstance(items, list):
            raise ConfigError(f"{self.file}: {key} must be tables [[{key}]], but is {items!r}")
        return [self.as_table(item, f"[[{key}]]") for item in items]

    def as_table(self, value: Any, place: str) -> dict[str, Any]:
        """A copy of a table.

        Raises:
            ConfigError: it is none.
        """
        if not isinstance(value, Mapping):
            raise ConfigError(f"{self.where(place)}: a table is needed, but this is {value!r}")
        return dict(value)

    def text(self, key: str) -> str:
        """A text at the top of the file, empty if there is none."""
        value = self.content.get(key, "")
        if not isinstance(value, str):
            raise ConfigError(f"{self.file}: {key} is {value!r}; give a text")
        return value

    def options(self, value: Any, place: str) -> dict[str, Any]:
        """A table of options, each with one plain value."""
        where = self.where(place)
        found = flattened(self.as_table(value, place), where)
        return {name: option_value(name, item, where) for name, item in found.items()}


def listed(names: Iterable[Any]) -> str:
    """Names for a sentence."""
    return ", ".join(map(str, names)) or "none"
