"""What happens beside the steps of a training run: progress, history, judgement, saving."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import keras

from pinn.config import TrainConfig
from pinn.data.feed import Batches
from pinn.errors import DivergedError
from pinn.networks.model import PtychoModel
from pinn.networks.trained import Model
from pinn.progress import Progress, StopRequested
from pinn.training.collapse import Sentinel
from pinn.training.feed import Feed
from pinn.training.journal import Journal
from pinn.training.keeper import Keeper
from pinn.training.monitor import early_stop
from pinn.training.optimisation import arrays_of, averaged
from pinn.training.pace import Pace
from pinn.training.resume import Unfinished, metric_sums, set_metric_sums
from pinn.training.staging import columns_of_epoch

Report = Callable[[Progress], None]
Watch = Callable[[Model], None]
_EVERY = 0.2  # seconds between reports inside an epoch


class Session(Protocol):
    """The part of a training session that is watched."""

    run: TrainConfig
    origin: int
    first: int
    last: int
    metric: str
    unfinished: Unfinished | None
    feed: Batches
    network: PtychoModel
    model: Model
    history: list[dict[str, Any]]

    def validate(self, epoch: int) -> dict[str, float]: ...

    @property
    def judged(self) -> list[Mapping[str, Any]]: ...

    def set_rate(self) -> None: ...

    def rate_of(self, epoch: int) -> float: ...


class Watcher(keras.callbacks.Callback):
    """Reports progress, keeps the history, judges the run and has it saved.

    A stop request ends the run after the step: the archive then holds an unfinished epoch, which
    a resumed run finishes before anything else. Weights are read at the ends of epochs only,
    which a stop brings about: in the middle of one JAX has given their memory away.

    Attributes:
        feed: what Keras trains on; told which epoch it is.
        stopped: on request.
    """

    def __init__(
        self,
        session: Session,
        keeper: Keeper,
        journal: Journal,
        sentinel: Sentinel,
        report: Report | None,
        watch: Watch | None = None,
    ) -> None:
        super().__init__()
        self.session, self.keeper, self.journal = session, keeper, journal
        self.sentinel, self.report, self.watch = sentinel, report, watch
        self.feed: Feed | None = None
        self.stopped = False
        cut = session.unfinished
        done = 0 if cut is None else cut.batch * session.run.batch_size
        self.pace = Pace(session.feed.groups * (session.last - session.first) - done)
        self._epoch, self._batch, self._before = session.first, 0, 0.0
        self._begun, self._told = time.perf_counter(), 0.0

    def on_epoch_begin(self, epoch, logs=None):
        assert self.feed is not None
        self.feed.epoch = epoch
        self._epoch, self._batch, self._before = epoch, 0, 0.0
        self._begun = time.perf_counter()
        cut = self.session.unfinished
        if cut is not None and cut.epoch == epoch + 1:
            self._batch, self._before = cut.batch, cut.seconds
            set_metric_sums(self.model.metrics, cut.metrics)

    def on_train_batch_end(self, batch, logs=None):
        groups, size = self.session.feed.groups, self.session.run.batch_size
        self.pace.step(min(size, groups - self._batch * size))
        self._batch += 1
        if not math.isfinite((logs or {}).get("loss", 0.0)):  # the mean so far: NaN stays in it
            raise self._diverged(f"in epoch {self._epoch + 1}, batch {self._batch}")
        now = time.perf_counter()
        if now - self._told > _EVERY:
            self._told = now
            self._tell(epoch=self._epoch + 1)

    def on_epoch_end(self, epoch, logs=None):
        # averaged weights, where there are some, are what is validated, judged, drawn and saved
        with averaged(self.model):
            self._end_epoch(epoch, logs or {})

    def _end_epoch(self, epoch: int, logs: dict[str, Any]) -> None:
        session = self.session
        seconds = self._before + time.perf_counter() - self._begun
        session.unfinished = None
        if self._batch < len(session.feed):
            sums = metric_sums(self.model.metrics)
            session.unfinished = Unfinished(epoch + 1, self._batch, seconds, sums)
            self.save()
            return
        row = {name: float(value) for name, value in logs.items()}
        row |= session.validate(epoch)
        if not all(math.isfinite(value) for value in row.values()):
            raise self._diverged(f"after epoch {epoch + 1}")
        seconds = self._before + time.perf_counter() - self._begun
        session.history.append(
            {
                "epoch": epoch + 1,
                **row,
                **columns_of_epoch(session.run, epoch - session.origin),
                "learning_rate": session.rate_of(epoch),
                "seconds": round(seconds, 3),
                "groups_per_second": round(session.feed.groups / seconds, 2),
                "backend": keras.backend.backend(),
            }
        )
        session.set_rate()
        own = session.history[session.origin :]
        for kind, text in self.sentinel.look(own):
            self.journal.note(kind, epoch + 1, text)
        reason = early_stop(session.judged, session.run, session.metric)
        if reason is not None:
            self.journal.note("early_stop", epoch + 1, reason)
            self.model.stop_training = True
        self.save()
        self._tell(epoch=epoch + 1, loss=row["loss"], val_loss=row.get("val_loss"))
        if self.watch is not None and not self.stopped:
            try:
                self.watch(session.model)
            except StopRequested:
                self._stop()

    def save(self) -> None:
        """Have the state written, of a whole epoch or of one that was cut."""
        session, model = self.session, self.session.model
        model.optimizer_arrays = arrays_of(session.network.optimizer)
        cut = session.unfinished
        model.provenance["unfinished"] = None if cut is None else cut.to_dict()
        if cut is None:
            self.keeper.epoch()
        else:
            self.keeper.save()

    def say(self, text: str) -> None:
        """A line for whoever watches."""
        self._tell(epoch=self._epoch + 1, message=text)

    def _tell(self, **values: Any) -> None:
        # Not by an exception through `fit`, which would leave the epoch's end out.
        if self.report is None:
            return
        session, pace = self.session, self.pace
        try:
            self.report(
                Progress(
                    stage="train",
                    done=pace.done,
                    total=pace.total,
                    rate=pace.rate,
                    epochs=session.last,
                    **values,
                )
            )
        except StopRequested:
            self._stop()

    def _stop(self) -> None:
        self.stopped = True
        if self.model is not None:
            self.model.stop_training = True

    def _diverged(self, where: str) -> DivergedError:
        return DivergedError(
            f"the loss is not finite {where}; lower learning_rate (now "
            f"{self.session.run.learning_rate:g}) or clip_norm, or check the scan; the archive of "
            "the last good epoch stays, and --resume with a lower learning_rate goes on from it"
        )
