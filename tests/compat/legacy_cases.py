"""What the legacy bridge does, case by case: the cases, and what there is to see of each.

`python tests/compat/legacy_cases.py` writes `tests/goldens/legacy_bridge.json.gz`, one line a
case, from the bridge as it is; version 0.1.0 wrote it.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from legacy_tables import INFERENCE_FIELDS, MODEL_FIELDS, PATHS, TRAINING_FIELDS

from pinn.config import ModelConfig as OurModel
from pinn.config import ScanConfig, TrainConfig
from pinn.errors import ConfigError
from pinn.io.legacy import to_legacy, to_pinn
from ptycho._classes import (
    InferenceConfig,
    ModelConfig,
    PyTorchExecutionConfig,
    TrainingConfig,
    translated,
    values_of,
)
from ptycho._dictionary import config_from_dict, dataclass_to_legacy_dict

GOLDEN = Path(__file__).parents[1] / "goldens" / "legacy_bridge.json.gz"
ODD = [0, -1, 1, 2.5, None, True, "nonsense", "", math.nan, math.inf, np.int64(3)]
CONTEXTS: list[dict[str, Any]] = [
    {"gridsize": 2},
    {"gridsize": 3, "enable_oversampling": True, "neighbor_pool_size": 12},
    {"model_type": "supervised"},
    {"architecture": "fno"},
    {"architecture": "ffno", "generator_output_mode": "amp_phase"},
    {"architecture": "fno_vanilla"},
    {"architecture": "lean"},
    {"backend": "pytorch"},
    {"backend": "pytorch", "torch_loss_mode": "mae"},
    {"probe_mask": True, "N": 128},
    {"mae_weight": 0.5},
    {"optimizer": "adamw"},
    {"scheduler": "WarmupCosine"},
    {"scheduler": "ReduceLROnPlateau"},
    {"gradient_clip_val": 0.5},
]
WORDS = {
    "architecture": ["neuralop_uno", "hybrid_resnet", "lean", "baseline", "fno", "fno_vanilla"],
    "fno_input_transform": ["sqrt", "log1p", "instancenorm"],
    "amp_activation": ["sigmoid", "swish", "silu", "softplus", "relu"],
    "backend": ["tensorflow", "pytorch", "torch", "jax"],
    "gradient_clip_algorithm": ["norm", "value", "agc"],
    "optimizer": ["adam", "adamw", "sgd", "rmsprop"],
    "scheduler": [
        *("Exponential", "WarmupCosine", "ReduceLROnPlateau", "CosineAnnealing"),
        *("MultiStage", "Adaptive"),
    ],
    "lr_min_ratio": [1, 1.0, 0.0],
    "weight_decay": [1e-3],
    "plateau_min_lr": [1e-2],
    "gradient_clip_val": [0.0, 0.5],
    "n_groups": [512],
    "N": [16, 96],
}
EXECUTION = {
    "accelerator": ["cpu", "tpu"], "devices": [2, "auto", "all"], "strategy": ["ddp"],
    "deterministic": [False, "warn", "yes"], "precision": ["16-mixed", "bf16-mixed", "64"],
    "gradient_clip_val": [0.5, 0.0, -1.0], "gradient_clip_algorithm": ["agc", "l2"],
    "accum_steps": [4], "num_workers": [3], "pin_memory": [True], "persistent_workers": [True],
    "prefetch_factor": [2], "learning_rate": [0.02, 0.0, 1e-6],
    "scheduler": ["Exponential", "ReduceLROnPlateau", "Cosine"], "enable_progress_bar": [True],
    "enable_checkpointing": [False], "checkpoint_save_top_k": [3],
    "checkpoint_monitor_metric": ["loss", "poisson_val_loss"],
    "checkpoint_mode": ["max", "best"], "early_stop_patience": [7],
    "logger_backend": ["tensorboard", "mlflow", "wandb"], "recon_log_every_n_epochs": [5],
    "recon_log_num_patches": [9], "recon_log_fixed_indices": [[1, 2]], "recon_log_stitch": [True],
    "recon_log_max_stitch_samples": [4], "ffno_encoder_blocks": [7], "ffno_encoder_modes": [5],
    "ffno_encoder_share_weights": [False], "ffno_encoder_gate_init": [0.2],
    "ffno_encoder_norm": ["layer"], "ffno_encoder_mlp_ratio": [3.0],
    "spectral_bottleneck_blocks": [7], "spectral_bottleneck_modes": [5],
    "spectral_bottleneck_share_weights": [False], "spectral_bottleneck_gate_init": [0.2],
    "spectral_bottleneck_gate_mode": ["per_layer", "none"], "inference_batch_size": [8],
    "middle_trim": [4], "pad_eval": [True],
}  # fmt: skip
OUR_MODEL: list[dict[str, Any]] = [
    {}, {"N": 128}, {"gridsize": 3}, {"architecture": "cnn"}, {"architecture": "baseline"},
    {"architecture": "fno"}, {"architecture": "ffno", "head": "rectangular"},
    {"n_filters_scale": 3}, {"amp_activation": "relu"}, {"amp_activation": "sigmoid2"},
    {"amp_activation": "sigmoid"}, {"amp_activation": "swish"}, {"head": "rectangular"},
    {"fno_modes": 5}, {"fno_width": 5}, {"fno_blocks": 5}, {"fno_refine_blocks": 5},
    {"object_big": False}, {"pad_object": False}, {"probe_big": False}, {"probe_trainable": True},
    {"probe_support": 16.0}, {"probe_support": 9.0}, {"scale_trainable": False},
    {"probe_modes": 3}, {"merge": "uniform"}, {"input_transform": "standard"},
    {"architecture": "cnn", "amp_activation": "sigmoid", "ring_activation": "swish",
     "merge": "legacy", "input_transform": "none"},
]  # fmt: skip
OUR_TRAIN: list[dict[str, Any]] = [
    {"epochs": 3}, {"batch_size": 3}, {"n_groups": 3}, {"neighbours": 9}, {"subsample": 3},
    {"subsample_seed": 3}, {"sequential": True}, {"mode": "supervised"}, {"loss": "mae"},
    {"loss": "poisson + 0.5 mae"}, {"loss": "gaussian"}, {"loss": "poisson + 0.1 tv_phase"},
    {"optimizer": "sgd", "momentum": 0.5}, {"beta_1": 0.5}, {"beta_2": 0.5},
    {"weight_decay": 0.5}, {"optimizer": "adamw"}, {"clip_norm": None}, {"clip_norm": 0.5},
    {"clip_value": 1.0}, {"clip_norm": None, "clip_adaptive": 0.01}, {"schedule": "constant"},
    {"schedule": "exponential"}, {"schedule": "exponential", "rate_floor": 0.5},
    {"warmup_epochs": 2.0}, {"warmup_epochs": 0.5}, {"rate_floor": 0.5},
    {"schedule": "plateau", "plateau_factor": 0.25, "plateau_patience": 9, "rate_floor": 0.25},
    {"learning_rate": 0.1}, {"seed": 4},
]  # fmt: skip


def made(kind: type, values: dict[str, Any]) -> Any:
    network = {name: value for name, value in values.items() if name in MODEL_FIELDS}
    rest = {name: value for name, value in values.items() if name not in MODEL_FIELDS}
    if kind is InferenceConfig:
        rest = {"model_path": Path("m"), "test_data_file": Path("t.npz"), **rest}
    return kind(ModelConfig(**network), **rest)


def forward_cases() -> Iterator[tuple[type, dict[str, Any], dict[str, Any] | None]]:
    for kind, table in (
        (TrainingConfig, {**MODEL_FIELDS, **TRAINING_FIELDS}),
        (InferenceConfig, INFERENCE_FIELDS),
    ):
        for name, (_, typical, _) in table.items():
            typical = Path(typical) if name in PATHS else typical
            for value in [typical, *WORDS.get(name, []), *ODD]:
                yield kind, {name: value}, None
            if kind is TrainingConfig:
                for context in CONTEXTS:
                    for value in [typical, *WORDS.get(name, [])]:
                        if name not in context:
                            yield kind, {**context, name: value}, None
    for name, values in EXECUTION.items():
        for value in [*values, *ODD[:7]]:
            yield TrainingConfig, {}, {name: value}
            yield TrainingConfig, {"architecture": "ffno"}, {name: value}


def changed(now: dict[str, Any], plain: dict[str, Any]) -> dict[str, Any]:
    """Values that are others than in `plain`, down to the fields of classes inside; notes that
    came, and with a minus those that went."""
    found: dict[str, Any] = {}
    for name in sorted({*now, *plain} - ({"flat", "back"} - {*now})):
        value, before = now.get(name, "default"), plain.get(name, "default")
        if isinstance(value, dict) and isinstance(before, dict):
            value = changed(value, before)
            if value:
                found[name] = value
        elif name == "notes":
            came = [note for note in value if note not in before]
            went = [f"- {note}" for note in before if note not in value]
            if came or went:
                found[name] = came + went
        elif type(value) is not type(before) or value != before:
            found[name] = value
    return found


def plain_of(value: Any) -> Any:
    if hasattr(value, "model_dump"):  # ours: what is no default
        kept = value.model_dump(mode="json").items()
        return {k: v for k, v in kept if v != type(value).model_fields[k].default}
    if dataclasses.is_dataclass(value):
        return {f.name: plain_of(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def forward(kind: type, values: dict[str, Any], execution: dict[str, Any] | None, **more) -> Any:
    try:
        options = None if execution is None else PyTorchExecutionConfig(**execution)
        config = made(kind, values)
        flat = dataclass_to_legacy_dict(config)
        if len(values) > 1 or execution is not None:
            if more:
                return plain_of(to_pinn(values_of(config), **more))
            return plain_of(translated(config, options))
        back = config_from_dict(
            {k: v for k, v in flat.items() if v is not None},
            "training" if kind is TrainingConfig else "inference",
        )
        seen = plain_of(translated(config, options))
    except ConfigError as error:
        return f"refused: {str(error).partition(', but ')[0]}"
    except (AttributeError, OSError, TypeError, ValueError) as error:
        return f"crashed: {type(error).__name__}"
    return {**seen, "flat": flat, "back": back == config or plain_of(back)}


def backward(model: dict[str, Any], train: dict[str, Any], backend: str) -> Any:
    try:
        fields, notes = to_legacy(
            OurModel(**model), TrainConfig(**train), ScanConfig(), backend=backend
        )
    except ConfigError as error:
        return f"refused: {str(error).partition(', but ')[0]}"
    return {"config": plain_of(made(TrainingConfig, fields)), "notes": notes}


def observed() -> dict[str, Any]:
    """Every case by what is asked for, and what is other than for the default."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return json.loads(json.dumps(_observed(), default=repr))


def _observed() -> dict[str, Any]:
    found: dict[str, Any] = {}
    plain: dict[Any, Any] = {}
    for kind in (TrainingConfig, InferenceConfig):
        for given in (None, {}):
            plain[kind, given is None] = forward(kind, {}, given)
            found[f"{kind.__name__} {given}"] = plain[kind, given is None]
    for kind, values, given in forward_cases():
        seen = forward(kind, values, given)
        key = f"{kind.__name__} {values}" + ("" if given is None else f" execution {given}")
        found[key] = seen if isinstance(seen, str) else changed(seen, plain[kind, given is None])
    for name in ("cnn", "fno", "ffno", "lean"):
        for activation in WORDS["amp_activation"]:
            values = {"architecture": name, "amp_activation": activation}
            seen = forward(TrainingConfig, values, None, exact=True)
            first = plain[TrainingConfig, True]
            found[f"exact {values}"] = seen if isinstance(seen, str) else changed(seen, first)
    old = backward({}, {}, "tensorflow")
    found["to_legacy"] = old
    for backend in ("tensorflow", "torch", "jax"):
        for model, train in [*((m, {}) for m in OUR_MODEL), *(({}, t) for t in OUR_TRAIN)]:
            seen = backward(model, train, backend)
            key = f"to_legacy {model} {train} {backend}"
            found[key] = seen if isinstance(seen, str) else changed(seen, old)
    return found


if __name__ == "__main__":
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in observed().items()]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    GOLDEN.write_bytes(gzip.compress(text.encode(), mtime=0))
