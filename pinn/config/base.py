"""What all configuration classes share: frozen, validated, errors as one sentence."""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from pinn.config import successors
from pinn.errors import ConfigError

_log = logging.getLogger("pinn")


class Config(BaseModel):
    """Base: frozen, unknown keys refused, errors as one sentence."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    # First field under a heading of the help to that heading; without any, the class is one.
    sections: ClassVar[dict[str, str]] = {}
    # Fields without an option on the command line: for TOML files, Python and archives.
    keys_only: ClassVar[frozenset[str]] = frozenset()

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        # pydantic takes true for 1, which in an options file is a slip of the pen
        if isinstance(value, bool) and info.field_name is not None:
            annotation = cls.model_fields[info.field_name].annotation
            if bool not in (annotation, *get_args(annotation)):
                raise ValueError("this option takes neither true nor false")
        return value

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigError(_sentence(type(self), error)) from None

    @classmethod
    def from_stored(cls, values: Mapping[str, Any], lenient: bool = False) -> Self:
        """The configuration that a file states, perhaps one of an earlier version.

        Args:
            values: its fields by name.
            lenient: leave out what has no counterpart any more, with a warning in the log.

        Raises:
            ConfigError: impossible values, or one that has no counterpart any more.
        """
        values, lost = successors.translated(cls.__name__, values)
        if lost and not lenient:
            raise ConfigError("; ".join(lost))
        for text in lost:
            _log.warning("%s", text)
        return cls(**values)

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, validated again."""
        return type(self)(**{**self.model_dump(), **changes})

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary (paths become strings)."""
        return self.model_dump(mode="json")


def _sentence(cls: type[BaseModel], error: ValidationError) -> str:
    parts = []
    for item in error.errors():
        name = ".".join(str(p) for p in item["loc"])
        if item["type"] == "extra_forbidden":
            parts.append(successors.sentence(name, cls.__name__) or _unknown(name, cls))
        elif told := successors.value_sentence(name, item["input"], cls.__name__):
            parts.append(told)
        elif item["type"] == "missing":
            parts.append(f"option {name!r} is required")
        else:
            text = item["msg"].removeprefix("Value error, ")
            where = f"option {name!r}: " if name else ""
            got = "" if isinstance(item["input"], dict) else f" (got {item['input']!r})"
            parts.append(f"{where}{text}{got}")
    return "; ".join(parts)


def _unknown(name: str, cls: type[BaseModel]) -> str:
    names = ", ".join(sorted(cls.model_fields))
    return f"unknown option {name!r}; {cls.__name__} knows: {names}"


def from_toml(path: Path) -> dict[str, Any]:
    """Read a TOML options file.

    Raises:
        ConfigError: the file is missing, is not TOML, or is nested without end.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"options file {path} does not exist") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"options file {path} is not valid TOML: {error}") from None
    except RecursionError:
        raise ConfigError(
            f"options file {path} is nested too deeply to be read; options are plain values in "
            "tables"
        ) from None
