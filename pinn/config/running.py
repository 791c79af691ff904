"""How a run goes: length, seeds, checkpoints and records."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from pinn.config.base import Config


class RunOptions(Config):
    """Length, seed, checkpoints and records of a run."""

    sections: ClassVar[dict[str, str]] = {
        "epochs": "Run",
        "monitor": "Checkpoints and early stop",
        "logger": "Records",
    }
    keys_only: ClassVar[frozenset[str]] = frozenset(("monitor", "monitor_mode"))

    epochs: int = Field(40, ge=1, description="Number of passes over the groups.")
    batch_size: int = Field(8, ge=1, description="Groups per step.")
    calibrate_start: bool = Field(
        False,
        description="Fit the count scale and the contrast to a sample of the groups before the "
        "first step. Use it to train a trained network on a new scan.",
    )
    seed: int = Field(0, ge=0, description="Seed of the weights, the groups and their order.")
    deterministic: bool = Field(
        False, description="Make results bitwise reproducible on one backend. Slower."
    )
    monitor: str | None = Field(
        None,
        description="Column of history.csv that decides which epoch is best. Default: val_loss, or "
        "loss if nothing is held out.",
    )
    monitor_mode: Literal["min", "max"] = Field(
        "min", description="Whether a small or a large value of the monitored column is good."
    )
    keep_best: int = Field(
        0,
        ge=0,
        description="Number of best epochs to keep as archives in the folder best.",
    )
    restore_best: bool = Field(
        False, description="End with the weights of the best epoch. Needs keep_best."
    )
    early_stop: int | None = Field(
        None, ge=1, description="Stop after this many epochs without improvement."
    )
    logger: Literal["csv", "tensorboard", "mlflow", "none"] = Field(
        "csv",
        description="Where the history is written besides the archive: history.csv, TensorBoard "
        "event files, an MLflow run (MLFLOW_TRACKING_URI), or nowhere. TensorBoard and MLflow "
        "need the extra with their name.",
    )
    sample_every: int = Field(
        0,
        ge=0,
        description="Number of epochs between pictures of sample patches (0 = only at the end).",
    )
    preview_every: int = Field(
        0,
        ge=0,
        description="Number of epochs between previews, which are reconstructions of the first "
        "scan (0 = no previews).",
    )

    @model_validator(mode="after")
    def _check_running(self) -> Self:
        if self.restore_best and not self.keep_best:
            raise ValueError("restore_best needs keep_best of at least 1")
        return self
