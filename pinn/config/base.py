"""What all configuration classes share: frozen, validated, errors as one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from pinn.errors import ConfigError


class Config(BaseModel):
    """Base: frozen, unknown keys refused, errors as one sentence."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigError(_sentence(type(self), error)) from None

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
            known = ", ".join(sorted(cls.model_fields))
            parts.append(f"unknown option {name!r}; {cls.__name__} knows: {known}")
        elif item["type"] == "missing":
            parts.append(f"option {name!r} is required")
        else:
            text = item["msg"].removeprefix("Value error, ")
            where = f"option {name!r}: " if name else ""
            got = "" if isinstance(item["input"], dict) else f" (got {item['input']!r})"
            parts.append(f"{where}{text}{got}")
    return "; ".join(parts)


def from_toml(path: Path) -> dict[str, Any]:
    """Read a TOML options file.

    Raises:
        ConfigError: the file is missing or is not TOML.
    """
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"options file {path} does not exist") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"options file {path} is not valid TOML: {error}") from None
