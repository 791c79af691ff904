"""What happens beside the steps of a training run: progress, history, archive, refusal of NaN."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np

from pinn.config import ModelConfig, TrainConfig
from pinn.data.feed import Batches
from pinn.errors import DivergedError
from pinn.model import PtychoModel
from pinn.optimiser import arrays_of
from pinn.progress import Progress, StopRequested
from pinn.trained import Model
from pinn.training.report import write_config, write_run

Report = Callable[[Progress], None]


class Session(Protocol):
    """The part of a training session that is watched."""

    config: ModelConfig
    run: TrainConfig
    first: int
    last: int
    feed: Batches
    held: Batches | None
    network: PtychoModel
    model: Model
    history: list[dict[str, Any]]


class Watcher(keras.callbacks.Callback):
    """Reports progress, keeps the history, refuses NaN and writes the archive.

    A stop request ends the epoch after the step; what it did is in the history as an epoch.
    """

    def __init__(self, session: Session, folder: Path | None, report: Report | None) -> None:
        super().__init__()
        self.session, self.folder, self.report = session, folder, report
        self._done = 0
        self._batch = 0
        self._started = self._epoch_started = time.perf_counter()
        self._told = 0.0
        self._configured = False

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch_started = time.perf_counter()
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self._done += self.session.run.batch_size
        now = time.perf_counter()
        if self.report is not None and now - self._told > 0.2:
            self._told = now
            self._tell(epoch=self._epoch + 1)

    def on_epoch_end(self, epoch, logs=None):
        row = {key: float(value) for key, value in (logs or {}).items()}
        if not all(np.isfinite(value) for value in row.values()):
            raise DivergedError(
                f"the loss is not finite after epoch {epoch + 1}; lower the learning rate (now "
                f"{self.session.run.learning_rate:g}) or check the scan; the archive of the last "
                "good epoch stays"
            )
        seconds = time.perf_counter() - self._epoch_started
        groups = self.session.feed.groups
        self.session.history.append(
            {
                "epoch": epoch + 1,
                **row,
                "learning_rate": float(
                    keras.ops.convert_to_numpy(self.session.network.optimizer.learning_rate)
                ),
                "seconds": round(seconds, 3),
                "groups_per_second": round(groups / seconds, 2),
                "backend": keras.backend.backend(),
            }
        )
        self.save()
        if self.report is not None:
            self._tell(epoch=epoch + 1, loss=row.get("loss"), val_loss=row.get("val_loss"))

    def _tell(self, **values: Any) -> None:
        # Not by an exception through `fit`: in the middle of an epoch JAX has given the weights'
        # memory away, and they could not be saved.
        try:
            if self.report is not None:
                self.report(self._progress(**values))
        except StopRequested:
            self.model.stop_training = True

    def save(self) -> None:
        """Write the archive with the optimiser's state (atomic: the old one stays until then)."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)  # or the archive would take its name
        model = self.session.model
        model.optimizer_arrays = arrays_of(self.session.network.optimizer)
        model.save(self.folder)
        if not self._configured:
            write_config(self.folder, self.session.config, self.session.run)
            self._configured = True
        epoch, every = len(model.history), self.session.run.sample_every
        feed = self.session.held or self.session.feed
        write_run(self.folder, model, feed, pictures=bool(every) and epoch % every == 0)

    def _progress(self, **values: Any) -> Progress:
        elapsed = max(time.perf_counter() - self._started, 1e-9)
        session = self.session
        return Progress(
            stage="train",
            done=self._done,
            total=len(session.feed) * session.run.batch_size * (session.last - session.first),
            rate=self._done / elapsed,
            epochs=session.last,
            **values,
        )
