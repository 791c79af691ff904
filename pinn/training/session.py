"""One call of `train`: the model, the optimiser and the batches it owns."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from pinn import backend
from pinn.config import ModelConfig, TrainConfig
from pinn.data.fingerprint import digest
from pinn.data.statistics import training_statistics
from pinn.networks.model import PtychoModel
from pinn.networks.objective import Objective
from pinn.networks.precision import check_precision
from pinn.networks.trained import Model
from pinn.training.history import early_stop, judged, metric_of, plateau_factor
from pinn.training.likeness import training_likeness
from pinn.training.optimisation import (
    assign,
    equip,
    set_plateau_factor,
)
from pinn.training.optimisation.schedules import Rate, changes_per_epoch
from pinn.training.plan import Plan
from pinn.training.resume import Unfinished
from pinn.training.run_log import RunLog
from pinn.training.start import calibrate_start, needs_contrast, set_start
from pinn.training.validation import Validation

_log = logging.getLogger("pinn")


class Session:
    """One call of `train`: owns the model, the optimiser and the batches.

    Args:
        plan: the data.
        config, run: options.
        start: the trained model that is trained on or resumed, or None.
        resumed: whether `start` is the last state of this very run.

    Attributes:
        scans: those to learn from, then those for validation.
        feed, held: batches to learn from and to validate on; the latter may be None.
        network: in training.
        model: what `train` returns.
        history: one row per epoch, those before this call included.
        origin: epochs of a trained model that this run trains on; one that was converted has none.
        first, last: number of the first epoch of this call and of the one after the last.
        from_model: the run began from a trained model.
        before: training options of the run when it was interrupted.
        id: of the run.
        unfinished: the epoch that was cut, or None.
        metric: column of the history that says which epoch is best.
    """

    def __init__(
        self,
        plan: Plan,
        config: ModelConfig,
        run: TrainConfig,
        start: Model | None,
        resumed: bool,
    ) -> None:
        check_precision(run)
        self.scans, self.config, self.run, self.resumed = plan.scans, config, run, resumed
        stored = start.provenance if start is not None and resumed else {}
        self.history = [] if start is None else list(start.history)
        self.first = len(self.history)
        self.origin: int = stored.get("origin", 0) if resumed else self.first
        self.last = self.origin + run.epochs
        self.from_model = start is not None
        if resumed:
            self.from_model = stored.get("from_model", self.origin > 0)
        self.before: Mapping[str, Any] = stored.get("train", {})
        self.id = stored.get("run") if resumed else secrets.token_hex(8)
        self.unfinished = Unfinished.of(start) if start is not None and resumed else None
        self.feed, self.held = plan.feed(run, origin=self.origin), plan.held(run)
        digests = [digest(scan) for scan in plan.scans]
        self._learned = plan.trained
        self.network = PtychoModel(
            config,
            plan.canvas,
            len(plan.scans),
            Objective(run),
            run.precision,
            contrast=needs_contrast(run, config, start, digests),
            frames=plan.frames,
        )
        set_start(self.network, plan, digests, run, start)
        if run.calibrate_start and self.network.contrast is not None and not resumed:
            names = [scan.name for scan in plan.scans]
            calibrate_start(self.network, self.feed, names, self.held)
        self.validation = Validation(self.network, self.held, plan.trained)
        equip(self.network, run, len(self.feed))
        if start is not None and resumed and start.optimizer_arrays is not None:
            assign(self.network.optimizer, start.optimizer_arrays)
        self.model = self._model(plan, digests, stored)
        names = [metric.name for metric in self.network.metrics]
        watched = [f"val_{name}" for name in names if self.held is not None]
        self.metric = metric_of(run, [*names, *watched])
        self._rate = Rate(run, changes_per_epoch(run, len(self.feed)))
        self.set_rate()

    def _model(self, plan: Plan, digests: Sequence[str], stored: Mapping[str, Any]) -> Model:
        """What is returned and archived; `stored` is the provenance of the run resumed."""
        learned = plan.scans[: plan.trained]
        statistics = training_statistics(
            [scan.name for scan in learned],
            learned[0].N,
            [scan.statistics() for scan in learned],
        )
        provenance = {
            **plan.provenance(digests),
            "notes": [*plan.notes, *seen_twice(plan, digests)],
            "train": self.run.to_dict(),
            "hardware": backend.hardware(),
            "origin": self.origin,
            "from_model": self.from_model,
            "events": list(stored.get("events", ())),
        }
        provenance |= {} if self.id is None else {"run": self.id}
        provenance |= {name: stored[name] for name in ("mlflow_run",) if name in stored}
        return Model(
            self.config, self.network, statistics.to_dict(), self.history, provenance=provenance
        )

    @property
    def judged(self) -> list[Mapping[str, Any]]:
        """Rows of the history that the run is judged by."""
        return judged(self.history, self.origin)

    def legs(self, log: RunLog) -> list[tuple[int, int, int]]:
        """What is left to train: first epoch, the one after the last, first batch."""
        stopped = early_stop(self.judged, self.run, self.metric)
        if self.first >= self.last or stopped:
            done = f"the run has all of its {self.last} epochs; more epochs would go on with it"
            log.say(stopped or done)
            return []
        log.forget("early_stop")
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

    def record_likeness(self) -> None:
        """Put into the archive how the groups of training are explained."""
        learned = self.scans[: self._learned]
        counted = all(scan.statistics().photons_known for scan in learned)
        found = training_likeness(self.network, self.feed, len(learned), counted)
        if found is not None:
            self.model.statistics["likeness"] = found

    def _plateau(self) -> float:
        return plateau_factor([row.get(self.metric) for row in self.judged], self.run)


def seen_twice(plan: Plan, digests: Sequence[str]) -> list[str]:
    """Notes on validation scans that are also trained on."""
    learned = set(digests[: plan.trained])
    notes = [
        f"{scan.name} is also trained on, so its val_loss says nothing about other scans"
        for scan, found in zip(plan.scans[plan.trained :], digests[plan.trained :], strict=True)
        if found in learned
    ]
    for note in notes:
        _log.warning("%s", note)
    return notes
