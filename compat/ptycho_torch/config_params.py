"""The configuration classes of the PyTorch side, from `fields.toml`.

Plain and mutable, and checked when they are bridged (`ptycho_torch.config_bridge`), as the
canonical ones in `ptycho.config.config` are. Several share a name with those; callers tell them
apart by the module.
"""

from __future__ import annotations

import dataclasses
import tomllib
from importlib import resources
from typing import Any

__all__ = ["DataConfig", "DatagenConfig", "InferenceConfig", "ModelConfig", "TrainingConfig"]

FIELDS = tomllib.loads(resources.files("ptycho_torch").joinpath("fields.toml").read_text("utf-8"))
# The other side's default is 1e9: the bridge takes this one only when it is given on purpose.
UNSTATED_PHOTONS = FIELDS["DataConfig"]["nphotons"]["default"]


def _with_fields(name: str) -> Any:
    made: list[Any] = []
    for field, row in FIELDS[name].items():
        default = row.get("default")
        if default == []:
            made.append((field, "list", dataclasses.field(default_factory=list)))
        else:
            plain = tuple(default) if isinstance(default, list) else default
            made.append((field, type(plain).__name__, dataclasses.field(default=plain)))
    return dataclasses.make_dataclass("Fields", made)


class DataConfig(_with_fields("DataConfig")):  # type: ignore[misc]
    """Scan, groups and their normalisation."""


class ModelConfig(_with_fields("ModelConfig")):  # type: ignore[misc]
    """Network, physics and loss."""


class TrainingConfig(_with_fields("TrainingConfig")):  # type: ignore[misc]
    """One run."""


class InferenceConfig(_with_fields("InferenceConfig")):  # type: ignore[misc]
    """One reconstruction."""


class DatagenConfig(_with_fields("DatagenConfig")):  # type: ignore[misc]
    """Simulated training data."""
