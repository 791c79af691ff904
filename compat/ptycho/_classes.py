"""The configuration classes of the original, made from the table of `pinn.io.legacy`.

They are plain and mutable: callers create them with placeholders (`N=0`, `Path()`, a tuple for
`debug`), send them to a child process and fill them there. They are checked when they are
translated into ours, which happens before any work; the execution configuration also when it is
made, as in the original.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from typing import Any

from pinn.errors import ConfigError
from pinn.io.legacy import Translation, to_pinn
from pinn.io.legacy.run import DEFAULT_GROUPS
from pinn.io.legacy.table import EXECUTION, INFERENCE, MODEL, TRAINING, Row, check


class _Run:
    def __post_init__(self) -> None:
        if self.n_images is not None:  # type: ignore[attr-defined]
            warnings.warn(
                "n_images is an old name; use n_groups, which counts groups and not images",
                DeprecationWarning,
                stacklevel=3,  # this function, __init__, the caller
            )
        self.n_groups = groups_of(self)


class _Execution:
    def __post_init__(self) -> None:
        for name, row in EXECUTION.items():
            check(name, row, getattr(self, name))


def _with_fields(table: Mapping[str, Row], model: type | None = None, base: Any = object) -> Any:
    """A dataclass with the fields of a table, after a network where one is given."""
    made: list[Any] = [] if model is None else [("model", model)]
    for name, row in table.items():
        rest = () if row.required else (dataclasses.field(default=row.default),)
        made.append((name, row.type, *rest))
    return dataclasses.make_dataclass("Fields", made, bases=(base,))


class ModelConfig(_with_fields(MODEL)):  # type: ignore[misc]
    """Network and physics."""


class TrainingConfig(_with_fields(TRAINING, ModelConfig, _Run)):  # type: ignore[misc]
    """One training run; `n_images` is an old name of `n_groups`, without either there are 512."""


class InferenceConfig(_with_fields(INFERENCE, ModelConfig, _Run)):  # type: ignore[misc]
    """One reconstruction; `n_groups` None means all."""


class PyTorchExecutionConfig(_with_fields(EXECUTION, base=_Execution)):  # type: ignore[misc]
    """Hardware, precision and records; never part of the legacy dictionary.

    Raises:
        ConfigError: a value that is not allowed.
    """


AnyConfig = ModelConfig | TrainingConfig | InferenceConfig


def groups_of(config: Any) -> int | None:
    """`n_groups`, or else `n_images`, or else 512 for training and None (all) for inference."""
    values: list[int | None] = [config.n_groups, config.n_images]
    if isinstance(config, TrainingConfig):
        values.append(DEFAULT_GROUPS)
    return next((value for value in values if value is not None), None)


def values_of(config: Any) -> dict[str, Any]:
    """All fields by name, those of the network beside those of the run; `n_groups` is what
    `n_images` or the default make of it.

    Raises:
        ConfigError: none of the three classes, or a network that is no `ModelConfig`.
    """
    if not isinstance(config, AnyConfig):
        raise ConfigError(
            f"{type(config).__name__} is no legacy configuration; ModelConfig, TrainingConfig or "
            "InferenceConfig is required"
        )
    found: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name != "model":
            found[field.name] = groups_of(config) if field.name == "n_groups" else value
        elif isinstance(value, ModelConfig):
            found |= values_of(value)
        else:
            raise ConfigError(
                f"model is {type(value).__name__}, but a legacy ModelConfig is required"
            )
    return found


def translated(config: Any, execution: PyTorchExecutionConfig | None = None) -> Translation:
    """Our configuration for one of the three classes; see `pinn.io.legacy.to_pinn`.

    Raises:
        ConfigError: a value with a wrong type or range, or an option that is not here.
    """
    fields = values_of(config)
    kind = type(config).__name__.removesuffix("Config").lower()
    options = None if execution is None else vars(execution)
    return to_pinn(fields, kind, execution=options)  # type: ignore[arg-type]
