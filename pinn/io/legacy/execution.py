"""How the reference's PyTorch side runs: hardware, precision, records.

These options say nothing about the physics and never enter the legacy dictionary. They are checked
when they are made, as in the reference; unlike there, `auto` stays `auto` until a device is taken,
because this module imports no framework.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pinn.errors import ConfigError

ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
PRECISIONS = {
    "32-true": "float32",
    "16-mixed": "mixed_float16",
    "bf16-mixed": "mixed_bfloat16",
}
LOGGERS = ("csv", "tensorboard", "mlflow", None)
GATE_MODES = ("shared", "per_layer")
SCHEDULERS = (
    *("Default", "Exponential", "WarmupCosine", "ReduceLROnPlateau"),
    *("CosineAnnealing", "MultiStage", "Adaptive"),
)
_COUNTS = {  # whole numbers and the least each may be; None is allowed where it is the default
    "num_workers": 0,
    "inference_batch_size": 1,
    "accum_steps": 1,
    "checkpoint_save_top_k": 0,
    "early_stop_patience": 1,
    "ffno_encoder_blocks": 1,
    "ffno_encoder_modes": 1,
    "spectral_bottleneck_blocks": 1,
    "spectral_bottleneck_modes": 1,
}


@dataclass
class PyTorchExecutionConfig:
    """Run-time options of the reference's PyTorch side."""

    accelerator: str = "auto"
    devices: int | str = 1  # a number, or auto
    strategy: str = "auto"
    deterministic: bool | str = True  # or warn
    precision: str = "32-true"
    gradient_clip_val: float | None = None
    gradient_clip_algorithm: str = "norm"
    accum_steps: int = 1
    num_workers: int = 0
    pin_memory: bool = False
    persistent_workers: bool = False
    prefetch_factor: int | None = None
    learning_rate: float = 1e-3
    scheduler: str = "Default"
    enable_progress_bar: bool = False
    enable_checkpointing: bool = True
    checkpoint_save_top_k: int = 1
    checkpoint_monitor_metric: str = "val_loss"
    checkpoint_mode: str = "min"
    early_stop_patience: int = 100
    logger_backend: str | None = "csv"
    recon_log_every_n_epochs: int | None = None
    recon_log_num_patches: int = 4
    recon_log_fixed_indices: Sequence[int] | None = None
    recon_log_stitch: bool = False
    recon_log_max_stitch_samples: int | None = None
    ffno_encoder_blocks: int = 24
    ffno_encoder_modes: int = 12
    ffno_encoder_share_weights: bool = True
    ffno_encoder_gate_init: float = 0.1
    ffno_encoder_norm: str = "instance"
    ffno_encoder_mlp_ratio: float = 2.0
    spectral_bottleneck_blocks: int = 6
    spectral_bottleneck_modes: int = 12
    spectral_bottleneck_share_weights: bool = True
    spectral_bottleneck_gate_init: float = 0.1
    spectral_bottleneck_gate_mode: str = "shared"
    inference_batch_size: int | None = None
    middle_trim: int = 0
    pad_eval: bool = False

    def __post_init__(self) -> None:
        if self.devices != "auto":
            _whole("devices", self.devices, 1, "a positive number or auto")
        _choice("accelerator", self.accelerator, ACCELERATORS)
        _choice("precision", self.precision, tuple(PRECISIONS))
        _choice("checkpoint_mode", self.checkpoint_mode, ("min", "max"))
        _choice("deterministic", self.deterministic, (True, False, "warn"))
        _choice("logger_backend", self.logger_backend, LOGGERS)
        _choice("spectral_bottleneck_gate_mode", self.spectral_bottleneck_gate_mode, GATE_MODES)
        _choice("scheduler", self.scheduler, SCHEDULERS)
        _choice("gradient_clip_algorithm", self.gradient_clip_algorithm, ("norm", "value", "agc"))
        for name, least in _COUNTS.items():
            if name == "inference_batch_size" and self.inference_batch_size is None:
                continue
            _whole(name, getattr(self, name), least, f"a whole number of at least {least}")
        _number("learning_rate", self.learning_rate, self.learning_rate != 0)
        if self.gradient_clip_val is not None:
            _number("gradient_clip_val", self.gradient_clip_val, True)


def _number(name: str, value: Any, allowed: bool) -> None:
    if type(value) not in (int, float) or not (0 <= value < math.inf and allowed):
        raise ConfigError(f"{name} is {value!r}, but a positive number is required")


def _whole(name: str, value: Any, least: int, expected: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name} is {value!r}, but {expected} is required")


def _choice(name: str, value: Any, known: tuple[Any, ...]) -> None:
    if value not in known:
        words = ", ".join(str(k) for k in known)
        raise ConfigError(f"{name} is {value!r}, but one of {words} is required")
