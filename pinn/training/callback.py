"""What happens beside the steps of a training run: progress, history, judgement, saving."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import keras

from pinn.errors import DivergedError
from pinn.networks.trained import Model
from pinn.progress import Progress, StopRequested
from pinn.training.collapse import CollapseDetector
from pinn.training.feed import Feed
from pinn.training.history import early_stop
from pinn.training.optimisation import arrays_of, averaged
from pinn.training.resume import Unfinished, metric_sums, set_metric_sums
from pinn.training.run_folder import RunFolder
from pinn.training.run_log import RunLog
from pinn.training.session import Session
from pinn.training.staging import columns_of_epoch

Report = Callable[[Progress], None]
Watch = Callable[[Model], None]
_EVERY = 0.2  # seconds between reports inside an epoch


class Throughput:
    """Counts groups and tells how many of them a second takes.

    The clock starts after the first step, which compiles; validation and saving count, so that
    the time left is what it will take.

    Args:
        total: groups of this call; an epoch that was begun before counts with what is left of it.
        clock: in seconds.
    """

    def __init__(self, total: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self.total, self.done, self._clock = total, 0, clock
        self._begun = self._since = clock()
        self._first = 0

    def step(self, groups: int) -> None:
        """`groups` more are done."""
        self.done += groups
        if not self._first:
            self._first, self._since = self.done, self._clock()

    @property
    def rate(self) -> float:
        """Groups per second."""
        now = self._clock()
        counted, seconds = self.done - self._first, now - self._since
        if counted <= 0:  # nothing but the first step: better than no answer
            counted, seconds = self.done, now - self._begun
        return counted / max(seconds, 1e-9)


class ProgressCallback(keras.callbacks.Callback):
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
        folder: RunFolder,
        log: RunLog,
        report: Report | None,
        watch: Watch | None = None,
    ) -> None:
        super().__init__()
        self.session, self.folder, self.log = session, folder, log
        self.report, self.watch = report, watch
        self.detector = CollapseDetector(session.network, session.feed, not session.from_model)
        self.feed: Feed | None = None
        self.stopped = False
        cut = session.unfinished
        done = 0 if cut is None else cut.batch * session.run.batch_size
        groups = session.feed.groups * (session.last - session.first)
        self.throughput = Throughput(groups - done)
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
        self.throughput.step(min(size, groups - self._batch * size))
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
            if self._batch < len(self.session.feed):
                sums = metric_sums(self.model.metrics)
                self._save(Unfinished(epoch + 1, self._batch, self._seconds(), sums))
            else:
                self._end_epoch(epoch, logs or {})

    def _end_epoch(self, epoch: int, logs: dict[str, Any]) -> None:
        session = self.session
        losses = {name: float(value) for name, value in logs.items()}
        losses |= session.validation.evaluate(epoch)
        if not all(math.isfinite(value) for value in losses.values()):
            raise self._diverged(f"after epoch {epoch + 1}")
        seconds = self._seconds()
        session.history.append(
            {
                "epoch": epoch + 1,
                **losses,
                **columns_of_epoch(session.run, epoch - session.origin),
                "learning_rate": session.rate_of(epoch),
                "seconds": round(seconds, 3),
                "groups_per_second": round(session.feed.groups / seconds, 2),
                "backend": keras.backend.backend(),
            }
        )
        session.set_rate()
        for kind, text in self.detector.look(session.history[session.origin :]):
            self.log.note(kind, epoch + 1, text)
        reason = early_stop(session.judged, session.run, session.metric)
        if reason is not None:
            self.log.note("early_stop", epoch + 1, reason)
            self.model.stop_training = True
        if epoch + 1 == session.last or reason is not None:
            session.record_likeness()
        self._save(None)
        self._tell(epoch=epoch + 1, loss=losses["loss"], val_loss=losses.get("val_loss"))
        if self.watch is not None and not self.stopped:
            try:
                self.watch(session.model)
            except StopRequested:
                self._stop()

    def _seconds(self) -> float:
        """What the present epoch has taken so far."""
        return self._before + time.perf_counter() - self._begun

    def _save(self, cut: Unfinished | None) -> None:
        """Have the state written, of a whole epoch or of one that was cut."""
        session, model = self.session, self.session.model
        session.unfinished = cut
        model.optimizer_arrays = arrays_of(session.network.optimizer)
        model.provenance["unfinished"] = None if cut is None else cut.to_dict()
        if cut is None:
            self.folder.epoch()
        else:
            self.folder.save()

    def say(self, text: str) -> None:
        """A line for whoever watches."""
        self._tell(epoch=self._epoch + 1, message=text)

    def _tell(self, **values: Any) -> None:
        # Not by an exception through `fit`, which would leave the epoch's end out.
        if self.report is None:
            return
        seen = self.throughput
        values |= {"rate": seen.rate, "epochs": self.session.last}
        try:
            self.report(Progress("train", seen.done, seen.total, **values))
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
