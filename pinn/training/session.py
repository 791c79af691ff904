"""One call of `train`: the model, the optimiser and the batches it owns."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from pinn import backend
from pinn.data.fingerprint import digest
from pinn.data.statistics import training_statistics
from pinn.networks.model import PtychoModel
from pinn.networks.objective import Objective
from pinn.networks.trained import Model
from pinn.training.collapse import Sentinel
from pinn.training.feed import Feed
from pinn.training.journal import Journal
from pinn.training.keeper import Keeper
from pinn.training.monitor import early_stop, judged, metric_of
from pinn.training.optimisation import (
    AveragedWeights,
    arrays_of,
    assign,
    check_precision,
    equip,
    in_float32,
    plateau_factor,
    set_plateau_factor,
    swap,
)
from pinn.training.optimisation.schedules import Rate, changes_per_epoch
from pinn.training.plan import Plan
from pinn.training.resume import Unfinished
from pinn.training.start import calibrate_start, needs_contrast, set_start
from pinn.training.watched import WatchedScales
from pinn.training.watcher import Report, Watch, Watcher

_log = logging.getLogger("pinn")


class Session:
    """One call of `train`: owns the model, the optimiser and the feed."""

    def __init__(self, plan, config, run, start, resume) -> None:
        self.scans, self.config, self.run = plan.scans, config, run
        self.first = 0 if start is None else len(start.history)
        self.resumed = resume
        # epochs of a trained model that this run trains on; one that was converted has none
        self.origin = start.provenance.get("origin", 0) if resume else self.first
        known = start.provenance if resume else {}
        self.from_model = known.get("from_model", self.origin > 0) if resume else start is not None
        self.before: Mapping[str, Any] = known.get("train", {})
        self.id = known.get("run") if resume else secrets.token_hex(8)
        self.last = self.origin + run.epochs
        self.unfinished = Unfinished.of(start) if resume else None
        self.feed = plan.feed(run, origin=self.origin)
        self.held = plan.held(run)
        statistics = [scan.statistics() for scan in plan.scans]
        own = [digest(scan) for scan in plan.scans]
        check_precision(run)
        self.network = PtychoModel(
            config,
            plan.canvas,
            len(plan.scans),
            Objective(run),
            run.precision,
            contrast=needs_contrast(run, start, own),
            frames=plan.frames,
        )
        set_start(self.network, plan, own, run, start)
        if run.calibrate_start and run.mode == "pinn" and not resume:
            names = [scan.name for scan in plan.scans]
            calibrate_start(self.network, self.feed, names, self.held)
        self.watched = WatchedScales(self.network, self.held, plan.trained)
        equip(self.network, run, len(self.feed))
        self.history: list[dict[str, Any]] = []
        if start is not None:
            self.history = list(start.history)
            if resume and start.optimizer_arrays is not None:
                assign(self.network.optimizer, start.optimizer_arrays)
        taken_over = {name: known[name] for name in ("mlflow_run",) if name in known}
        self.model = Model(
            config,
            self.network,
            training_statistics(plan.scans[: plan.trained], statistics[: plan.trained]).to_dict(),
            self.history,
            provenance={
                **plan.provenance(own),
                "notes": [*plan.notes, *seen_twice(plan, own)],
                "train": run.to_dict(),
                "hardware": backend.hardware(),
                "origin": self.origin,
                "from_model": self.from_model,
                **({} if self.id is None else {"run": self.id}),
                "events": list(start.provenance.get("events", ())) if resume else [],
                **taken_over,
            },
        )
        self.metric = metric_of(run, self._columns())
        self._rate = Rate(run, changes_per_epoch(run, len(self.feed)))
        self.set_rate()

    @property
    def judged(self) -> list[Mapping[str, Any]]:
        """Rows of the history that the run is judged by."""
        return judged(self.history, self.origin)

    def fit(
        self,
        folder: Path | None,
        progress: Report | None,
        watch: Watch | None = None,
        record: Mapping[str, Any] | None = None,
    ) -> Model:
        """Train to the last epoch, or until the run stops.

        Args:
            folder: for archives and records, or None.
            progress, watch: see `train`.
            record: further entries of `config.json`.

        Raises:
            ConfigError: options that need a folder or a package, or an unknown column.
            DivergedError: the loss is not finite; the last archive stays as it was.
        """
        journal = Journal(self.model.provenance["events"])
        keeper = Keeper(self, folder, self.metric, journal, record)
        sentinel = Sentinel(self.network, self.feed, from_scratch=not self.from_model)
        watcher = Watcher(self, keeper, journal, sentinel, progress, watch)
        if progress is not None:
            journal.tell = watcher.say
        keeper.begin(self.resumed, self.unfinished is None)
        finished = False
        try:
            for first, last, batch in self._legs(journal):
                watcher.feed = Feed(self.feed, batch)
                self.network.fit(
                    watcher.feed,
                    initial_epoch=first,
                    epochs=last,
                    callbacks=[AveragedWeights(), watcher],
                    shuffle=False,
                    verbose=0,
                )
                if self.network.stop_training:
                    break
            finished = not watcher.stopped
            swap(self.network, average=True)  # where nothing was left to train, `fit` has not
            self.model.optimizer_arrays = arrays_of(self.network.optimizer)
            if self.run.precision != "float32":
                self.model.network = in_float32(self.network)
            keeper.end(finished)
        finally:
            keeper.close(finished)
        keeper.remember()
        return self.model

    def _legs(self, journal: Journal) -> list[tuple[int, int, int]]:
        """What is left to train: first epoch, the one after the last, first batch."""
        stopped = early_stop(self.judged, self.run, self.metric)
        if self.first >= self.last or stopped:
            done = f"the run has all of its {self.last} epochs; more epochs would go on with it"
            journal.say(stopped or done)
            return []
        journal.forget("early_stop")
        if self.unfinished is None:
            return [(self.first, self.last, 0)]
        legs = [(self.first, self.first + 1, self.unfinished.batch)]
        return [*legs, (self.first + 1, self.last, 0)] if self.first + 1 < self.last else legs

    def set_rate(self) -> None:
        """Lower the learning rate where the schedule is plateau and the metric has not moved."""
        set_plateau_factor(self.network.optimizer, self._plateau())

    def rate_of(self, epoch: int) -> float:
        """Learning rate of the last change of an epoch (from 0) that is not in the history yet."""
        last = (epoch - self.origin + 1) * self._rate.changes - 1
        return float(keras.ops.convert_to_numpy(self._rate(last))) * self._plateau()

    def _plateau(self) -> float:
        return plateau_factor([row.get(self.metric) for row in self.judged], self.run)

    def validate(self, epoch: int) -> dict[str, float]:
        """Means over the held-out groups, `val_loss` and so on; nothing if there are none."""
        if self.held is None:
            return {}
        feed = Feed(self.held)
        feed.epoch = epoch
        with self.watched.fitted():
            means = self.network.evaluate(feed, verbose=0, return_dict=True)
        return {f"val_{name}": float(value) for name, value in means.items()}

    def _columns(self) -> list[str]:
        """Columns that the history will have, and a run can be judged by."""
        names = [metric.name for metric in self.network.metrics]
        return [*names, *(f"val_{name}" for name in names if self.held is not None)]


def seen_twice(plan: Plan, digests: Sequence[str]) -> list[str]:
    """What is to say of scans that are watched and learned from as well."""
    learned = set(digests[: plan.trained])
    notes = [
        f"{scan.name} is learned from as well, so its val_loss says nothing of other scans"
        for scan, found in zip(plan.scans[plan.trained :], digests[plan.trained :], strict=True)
        if found in learned
    ]
    for note in notes:
        _log.warning("%s", note)
    return notes
