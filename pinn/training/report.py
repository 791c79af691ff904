"""What a run leaves in its folder besides the archive: configuration, history, pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pinn import backend
from pinn.config import ModelConfig, TrainConfig
from pinn.data.feed import Batches
from pinn.io.atomic import atomic_write_csv, atomic_write_json
from pinn.trained import Model


def write_config(folder: Path, config: ModelConfig, run: TrainConfig) -> None:
    """`config.json`: the resolved options and the versions that ran them."""
    atomic_write_json(
        folder / "config.json",
        {"model": config.to_dict(), "train": run.to_dict(), "versions": backend.versions()},
    )


def write_history(folder: Path, history: list[dict[str, Any]]) -> None:
    """`history.csv`: one row per epoch."""
    if history:
        atomic_write_csv(folder / "history.csv", history)


def write_training_pictures(folder: Path, model: Model, feed: Batches) -> None:
    """`loss.png` and `samples.png` (frames and predicted patches of the first batch)."""
    from keras import ops

    from pinn.pictures import write_loss, write_samples

    if model.history:
        write_loss(folder / "loss.png", model.history)
    batch = feed.batch(0, 0)
    patches = ops.convert_to_numpy(model.network.object_patches(batch["frames"]))
    real = batch["weight"] > 0
    first = patches[real][:, 0]
    frames = batch["frames"][real][..., 0]
    write_samples(folder / "samples.png", frames, first[..., 0] + 1j * first[..., 1])


def write_run(folder: Path, model: Model, feed: Batches, pictures: bool) -> None:
    """Everything but the archive; pictures only when asked for, they take a second."""
    write_history(folder, model.history)
    if pictures:
        write_training_pictures(folder, model, feed)
