"""From the configuration classes of the PyTorch side to the canonical ones.

What the canonical classes have no field for stays behind; `left_behind` names it, with the option
of ours that does the same where there is one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from pinn.errors import ConfigError
from ptycho import _classes as canonical
from ptycho_torch import config_params as torch

__all__ = ["left_behind", "to_inference_config", "to_model_config", "to_training_config"]

MODES = {"Unsupervised": "pinn", "Supervised": "supervised"}
ACTIVATIONS = {"silu": "swish", "SiLU": "swish"}
ACTIVATIONS |= {name: name for name in ("sigmoid", "swish", "softplus", "relu")}


def to_model_config(
    data: torch.DataConfig,
    model: torch.ModelConfig,
    overrides: Mapping[str, Any] | None = None,
) -> canonical.ModelConfig:
    """The canonical network.

    Args:
        data: N, grid and probe scale come from it.
        model: the rest.
        overrides: canonical fields that count instead.

    Raises:
        ConfigError: the grid is not square, or mode, activation or an override is unknown.
    """
    return canonical.ModelConfig(**_carried(canonical.ModelConfig, (data, model), overrides))


def to_training_config(
    model: canonical.ModelConfig,
    data: torch.DataConfig,
    torch_model: torch.ModelConfig,
    training: torch.TrainingConfig,
    overrides: Mapping[str, Any] | None = None,
) -> canonical.TrainingConfig:
    """The canonical run, with `backend` pytorch.

    Args:
        model: of `to_model_config`.
        data: photons, neighbours and seed come from it.
        torch_model: whether the intensity scale is trained.
        training: the rest.
        overrides: canonical fields that count instead; `nphotons` must be among them unless
            `data` has another than its default.

    Raises:
        ConfigError: `nphotons` nobody gave, no `train_data_file` or `n_groups`, or an unknown
            override.

    Warns:
        UserWarning: there is no test file.
    """
    if "nphotons" not in (overrides or {}) and data.nphotons == torch.UNSTATED_PHOTONS:
        raise ConfigError(
            f"nphotons is {data.nphotons:g}, which is only the default of the PyTorch side (the "
            "other side has 1e9); say overrides={'nphotons': ...}, photons per frame"
        )
    values = _carried(canonical.TrainingConfig, (data, torch_model, training), overrides)
    _require(values, train_data_file="the scan to train on")
    _require(values, n_groups="the number of groups to train on")
    if values["test_data_file"] is None:
        warnings.warn(
            "there is no test_data_file: nothing is reconstructed after training",
            UserWarning,
            stacklevel=2,
        )
    return canonical.TrainingConfig(**{"model": model, **values})


def to_inference_config(
    model: canonical.ModelConfig,
    data: torch.DataConfig,
    inference: torch.InferenceConfig,
    overrides: Mapping[str, Any] | None = None,
) -> canonical.InferenceConfig:
    """The canonical reconstruction, with `backend` pytorch.

    Args:
        model: of `to_model_config`.
        data: neighbours and seed come from it.
        inference: has nothing the canonical class has a field for (see `left_behind`).
        overrides: canonical fields; `model_path`, `test_data_file` and `n_groups` are required.

    Raises:
        ConfigError: one of these three is missing, or an override is unknown.
    """
    if not isinstance(inference, torch.InferenceConfig):
        raise ConfigError(
            f"inference is {type(inference).__name__}, but the InferenceConfig of the PyTorch "
            "side is required"
        )
    values = _carried(canonical.InferenceConfig, (data, inference), overrides)
    _require(values, model_path="the archive of the trained network")
    _require(values, test_data_file="the scan to reconstruct")
    _require(values, n_groups="the number of groups to reconstruct")
    return canonical.InferenceConfig(**{"model": model, **values})


def left_behind(*configs: Any) -> list[str]:
    """Sentences on fields that were changed but that the canonical classes have no place for.

    Args:
        configs: any of the five classes of the PyTorch side.
    """
    notes = []
    for config in configs:
        plain, kind = type(config)(), type(config).__name__
        for name, row in torch.FIELDS[kind].items():
            value = getattr(config, name)
            if "to" in row or value == getattr(plain, name):
                continue
            ours = f"; pinn has {row['ours']} for it" if "ours" in row else ""
            notes.append(
                f"{kind}.{name} {value!r} is not carried over: no canonical field has it{ours}"
            )
    return notes


def _carried(
    kind: type, configs: tuple[Any, ...], overrides: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The fields of a canonical class that these have, and those that count instead."""
    known = {field.name for field in fields(kind)}
    unknown = sorted(set(overrides or {}) - known)
    if unknown:
        raise ConfigError(
            f"overrides has {unknown[0]!r}, which is no field of {kind.__name__}; it has "
            f"{', '.join(sorted(known))}"
        )
    values: dict[str, Any] = {"backend": "pytorch"} if "backend" in known else {}
    for config in configs:
        for name, row in torch.FIELDS[type(config).__name__].items():
            field, value = row.get("to"), getattr(config, name)
            if field in known and not (name == "probe_mask_tensor" and value is None):
                values[field] = _CONVERSIONS.get(field, _same)(value)
    return {**values, **(overrides or {})}


def _same(value: Any) -> Any:
    return value


def _side(grid: Any) -> int:
    try:
        rows, columns = grid
    except (TypeError, ValueError):
        rows, columns = None, None
    if rows is None or rows != columns or isinstance(rows, bool) or not isinstance(rows, int):
        raise ConfigError(
            f"grid_size is {grid!r}, but two equal whole numbers are required, as (2, 2): groups "
            "are square"
        )
    return rows


def _word(name: str, known: Mapping[str, str]) -> Callable[[Any], str]:
    def word(value: Any) -> str:
        if value not in known:
            raise ConfigError(f"{name} is {value!r}, but one of {', '.join(known)} is required")
        return known[value]

    return word


def _path(value: Path | str | None) -> Path | None:
    return None if value is None else Path(value)


# Canonical field: what its value is made by.
_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "gridsize": _side,
    "model_type": _word("mode", MODES),
    "amp_activation": _word("amp_activation", ACTIVATIONS),
    "probe_mask": lambda mask: mask if isinstance(mask, bool) else mask is not None,
    "nll_weight": lambda nll: 1.0 if nll else 0.0,
    "train_data_file": _path,
    "test_data_file": _path,
    "output_dir": _path,
}


def _require(values: Mapping[str, Any], **wanted: str) -> None:
    for name, what in wanted.items():
        if values.get(name) is None:
            raise ConfigError(f"{name} is missing: {what}; give it, for instance in overrides")
