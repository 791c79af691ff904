"""Run-time options of the reference's PyTorch side, from its names to ours."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from pinn.io.legacy.execution import PRECISIONS, PyTorchExecutionConfig

# Option: our option. The others have no effect here.
TRANSLATED = {
    "accelerator": "device",
    "deterministic": "train.deterministic",
    "precision": "train.precision",
    "gradient_clip_val": "train.clip_norm, clip_value or clip_adaptive",
    "gradient_clip_algorithm": "which of these",
    "accum_steps": "train.accumulate",
    "learning_rate": "train.learning_rate",
    "scheduler": "train.schedule",
    "enable_checkpointing": "train.keep_best 0 without it",
    "checkpoint_save_top_k": "train.keep_best",
    "checkpoint_monitor_metric": "train.monitor",
    "checkpoint_mode": "train.monitor_mode",
    "early_stop_patience": "train.early_stop",
    "logger_backend": "train.logger",
    "recon_log_every_n_epochs": "train.sample_every",
    "recon_log_stitch": "train.preview_every, with recon_log_every_n_epochs",
    "inference_batch_size": "reconstruct.batch_size",
    "ffno_encoder_blocks": "model.fno_blocks (ffno)",
    "ffno_encoder_modes": "model.fno_modes (ffno)",
    "ffno_encoder_share_weights": "model.fno_shared_weights (ffno)",
}
NO_EFFECT = {
    "devices": "one device is used",
    "strategy": "one device is used",
    "num_workers": "frames are read by one thread beside the training",
    "pin_memory": "frames are read by one thread beside the training",
    "persistent_workers": "frames are read by one thread beside the training",
    "prefetch_factor": "frames are read by one thread beside the training",
    "enable_progress_bar": "progress is reported to whoever asks for it",
    "recon_log_num_patches": "samples.png has a fixed number of patches",
    "recon_log_fixed_indices": "samples.png shows the same patches every time",
    "recon_log_max_stitch_samples": "the preview takes the whole scan",
    "ffno_encoder_gate_init": "it is fixed",
    "ffno_encoder_norm": "it is fixed",
    "ffno_encoder_mlp_ratio": "it is fixed",
    "spectral_bottleneck_blocks": "the reference no longer has that network",
    "spectral_bottleneck_modes": "the reference no longer has that network",
    "spectral_bottleneck_share_weights": "the reference no longer has that network",
    "spectral_bottleneck_gate_init": "the reference no longer has that network",
    "spectral_bottleneck_gate_mode": "the reference no longer has that network",
    "middle_trim": "the reference never reads it here",
    "pad_eval": "the reference never reads it here",
}


@dataclass(frozen=True)
class FromExecution:
    """Fields of our classes that an execution configuration sets."""

    model: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    reconstruct: dict[str, Any] = field(default_factory=dict)
    device: str = "auto"


def execution_options(
    execution: PyTorchExecutionConfig | None, values: dict[str, Any], notes: list[str]
) -> FromExecution:
    """What an execution configuration says; it is checked again, since it can be changed.

    Args:
        execution: or None, which says nothing.
        values: of `pinn.io.legacy.values.checked`; those it has as well are replaced there.
        notes: sentences are added to it.

    Raises:
        ConfigError: an impossible value.
    """
    if execution is None:
        return FromExecution()
    execution.__post_init__()
    plain = PyTorchExecutionConfig()
    notes += [
        f"{f.name} {getattr(execution, f.name)!r} has no effect: {NO_EFFECT[f.name]}"
        for f in fields(execution)
        if f.name in NO_EFFECT and getattr(execution, f.name) != getattr(plain, f.name)
    ]
    train: dict[str, Any] = {
        "deterministic": bool(execution.deterministic),
        "precision": PRECISIONS[execution.precision],
        "accumulate": execution.accum_steps,
        "learning_rate": execution.learning_rate,
        "keep_best": execution.checkpoint_save_top_k if execution.enable_checkpointing else 0,
        "monitor": _column(execution.checkpoint_monitor_metric),
        "monitor_mode": execution.checkpoint_mode,
        "early_stop": execution.early_stop_patience,
        "logger": execution.logger_backend or "none",
    }
    if execution.scheduler != plain.scheduler:
        values["scheduler"] = execution.scheduler
    if execution.gradient_clip_val is not None:
        values["gradient_clip_val"] = execution.gradient_clip_val
        values["gradient_clip_algorithm"] = execution.gradient_clip_algorithm
    every = execution.recon_log_every_n_epochs
    if every:
        train["sample_every"] = every
        if execution.recon_log_stitch:
            train["preview_every"] = every
    model: dict[str, Any] = {}
    if values["architecture"] == "ffno":
        model = {
            "fno_blocks": execution.ffno_encoder_blocks,
            "fno_modes": execution.ffno_encoder_modes,
            "fno_shared_weights": execution.ffno_encoder_share_weights,
        }
    batch = execution.inference_batch_size
    reconstruct = {} if batch is None else {"batch_size": batch}
    return FromExecution(model, train, reconstruct, execution.accelerator)


def _column(metric: str) -> str | None:
    """Ours for a metric; the reference has one alias for whatever it validates with."""
    return None if metric == "val_loss" or metric.endswith("_val_loss") else metric
