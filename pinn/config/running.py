"""How a run goes: length, seeds, checkpoints and records."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from pinn.config.base import Config


class RunOptions(Config):
    """Length, seeds, checkpoints and records of a run."""

    sections: ClassVar[dict[str, str]] = {
        "epochs": "One training run",
        "seed": "Seeds",
        "monitor": "Checkpoints and early stop",
        "logger": "Records",
    }

    epochs: int = Field(40, ge=1, description="Passes over the groups.")
    batch_size: int = Field(8, ge=1, description="Groups per step.")
    calibrate_start: bool = Field(
        False,
        description="Before the first step, set the count scale and the contrast in closed form "
        "from a sample of the groups; for a trained network on a new scan.",
    )
    seed: int = Field(0, ge=0, description="Seed of weights, grouping and shuffling.")
    weights_seed: int | None = Field(None, ge=0, description="Of the weights; default: seed.")
    grouping_seed: int | None = Field(None, ge=0, description="Of the groups; default: seed.")
    shuffle_seed: int | None = Field(None, ge=0, description="Of the order; default: seed.")
    deterministic: bool = Field(False, description="Bitwise repeatable on one backend, slower.")
    monitor: str | None = Field(
        None,
        description="Column of history.csv that says which epoch is best; default: val_loss, or "
        "loss if nothing is held out.",
    )
    monitor_mode: Literal["min", "max"] = Field("min", description="What is better in it.")
    keep_best: int = Field(
        0,
        ge=0,
        description="Keep the archives of this many best epochs in the folder best, besides the "
        "last one.",
    )
    restore_best: bool = Field(
        False, description="End with the weights of the best epoch (needs keep_best)."
    )
    early_stop: int | None = Field(
        None, ge=1, description="Stop after so many epochs without improvement."
    )
    early_stop_threshold: float = Field(
        0.0, ge=0, description="Smallest change of the metric that counts as improvement."
    )
    logger: Literal["csv", "tensorboard", "mlflow", "none"] = Field(
        "csv",
        description="Where the history goes besides the archive: history.csv, event files in "
        "tensorboard, an MLflow run (MLFLOW_TRACKING_URI), or nowhere; the two need an extra of "
        "that name.",
    )
    sample_every: int = Field(
        0,
        ge=0,
        description="Write a picture of sample patches every this many epochs; 0: at the end.",
    )
    preview_every: int = Field(
        0,
        ge=0,
        description="Reconstruct and draw the first scan every this many epochs; 0: never.",
    )

    @model_validator(mode="after")
    def _check_running(self) -> Self:
        if self.restore_best and not self.keep_best:
            raise ValueError("restore_best needs keep_best of at least 1")
        return self
