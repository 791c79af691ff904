"""The epochs of a refinement: what is changed when, what is accepted, and when it ends."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pinn.config.refine import RefineConfig
from pinn.errors import DivergedError
from pinn.progress import (
    ALL_DONE,
    OVER,
    SETTLED,
    STOPPED,
    Deadline,
    OutOfTime,
    Progress,
    StopRequested,
)
from pinn.refinement import gauge, positions, raster
from pinn.refinement.engine import Engine
from pinn.refinement.outputs import Pass
from pinn.refinement.reports import Reports
from pinn.refinement.start import support
from pinn.refinement.state import State

GROWTH = 1.2  # an epoch whose likelihood is worse than the best by this factor is taken back
MOST_REJECTED = 6
_WEIGHING = 0.1  # of the time, at most, to look at what is begun with
_RETRIES = 3  # with shorter steps, of epochs that only make a result worse
TOLERANCE = 1e-3  # smallest relative improvement of the likelihood that counts
PAYS = 0.02  # relative improvement of an epoch below which L-BFGS gains more for the time
_LONG = 5.0  # seconds of an epoch after which what there is may be looked at within it
_SHORTER = 0.7  # what steps are multiplied with after an epoch that gained nothing
_DAMPED = 0.7  # fraction of a least-squares change of intensities and weights that is made


@dataclass(frozen=True)
class Schedule:
    """The first epoch that changes each quantity: the object has a shape by then."""

    probe: int = 2
    positions: int = 4
    opr_weights: int = 4
    intensities: int = 3
    background: int = 2

    def of(self, config: RefineConfig) -> dict[str, int]:
        """The first epochs of what is refined besides the object, by name."""
        used = {
            "probe": config.update_probe,
            "positions": config.update_positions,
            "opr_weights": config.opr_modes > 1,
            "intensities": config.update_intensities,
            "background": config.background != "none",
        }
        return {name: getattr(self, name) for name, refined in used.items() if refined}

    def all_from(self, config: RefineConfig) -> int:
        """The first epoch that changes all that is refined besides the object; 0: nothing is."""
        return max(self.of(config).values(), default=0)


class Loop:
    """Epochs until the likelihood no longer improves.

    Args:
        engine: of the scan.
        state: where to begin; not changed.
        start: `(M, 2)` positions before any refinement.
        config: of the refinement.
        deadline: when time is over.
        schedule: what is changed when.
        stage: for progress reports.
        lbfgs_follows: epochs end as soon as L-BFGS is the faster way. Where counts are few (the
            Poisson likelihood) it never is: it fits their noise, over which epochs take means.

    Attributes:
        best: the state whose likelihood was best.
        notes: sentences about what happened.
        ended: why the loop ended.
        lattice: of the positions where object and probe could share a pattern of its period.
        begun_with: likelihood of the result that it began with; infinite if it began from nothing.
        low_pass: limit in cycles per pixel to which the object was smoothed at the end, or None.
        cut: `epoch` in which it ended and `frames` of it that were done; None between two.
    """

    def __init__(
        self,
        engine: Engine,
        state: State,
        start: np.ndarray,
        config: RefineConfig,
        deadline: Deadline,
        schedule: Schedule,
        stage: str = "refine",
        lbfgs_follows: bool = False,
    ) -> None:
        self.engine, self.config, self.deadline, self.stage = engine, config, deadline, stage
        self.lbfgs_follows = lbfgs_follows
        self.start, self.schedule, self.ended = start, schedule, ALL_DONE
        self.notes: list[str] = []
        self.low_pass: float | None = None
        self.cut: dict[str, int] | None = None
        self.best: State = state
        self.begin_from(state)
        joint = config.update_probe and config.update_object and not config.update_positions
        self.lattice = raster.lattice_of(start) if joint else None
        self.begun_with = math.inf
        self._begun: State | None = None
        self._all_from = schedule.all_from(config)
        self._joining = set(schedule.of(config).values())

    def begin_from(self, state: State) -> None:
        """Begin with a state; it is copied."""
        self.go_on_from(state.copy(), state.copy(), gauge.energy(state.probe), 0, 0.0)

    def weigh_start(self) -> None:
        """Let the start, a result, be the best state until there is a better one."""
        every, deadline = np.arange(len(self.engine.frames)), self.deadline
        if deadline.pace * len(every) > _WEIGHING * deadline.left:
            return
        value = self._likelihood_of(self.state)
        if math.isfinite(value):
            self.begun_with, self._begun = value, self.state.copy()
            deadline.later += len(every)  # to compare the result with it

    def _likelihood_of(self, state: State) -> float:
        every = np.arange(len(self.engine.frames))
        found = self.engine.look(state, every, fitted=True, before=self.deadline.learn)
        return found.per_pixel(held=self.config.held_out > 0)

    def _compare_with(self, begun: State) -> None:
        """Go back to the start where the best of the epochs is worse; the likelihood of an epoch
        is taken while the epoch changes the state, and may be better than what it ends with."""
        if self.best.history and self._likelihood_of(self.best) < self.begun_with:
            return
        self.best = begun.copy()
        self.best.history = [dict(row) for row in self.state.history]
        self.best.epoch = self.state.epoch
        self.notes.append("no epoch explains the frames better than the start, which stays")

    def go_on_from(
        self, state: State, best: State, energy: float, rejected: int, restored: float
    ) -> None:
        """Go on with what a checkpoint holds.

        Args:
            state: where to go on.
            best: the state whose likelihood was best.
            energy: of the probe at the beginning.
            rejected: epochs that were taken back.
            restored: likelihood of the state that the last of them went back to, or 0.
        """
        self.state, self.best, self.energy, self.rejected = state, best, energy, rejected
        self.restored = restored

    def run(
        self,
        progress: Callable[[Progress], None] | None = None,
        after_epoch: Callable[[Loop], None] | None = None,
        peek: Callable[[], Callable[[], None] | None] | None = None,
    ) -> None:
        """Go on from `state` to the end.

        Args:
            progress: told of every batch; `StopRequested` from it ends the loop after the batch.
            after_epoch: called with the loop after every epoch that was accepted.
            peek: asked now and then within an epoch that takes long, see `Engine.epoch`.

        Raises:
            DivergedError: not one epoch led to finite values.
        """
        total, first = len(self.engine.frames), self.state.epoch
        reports = Reports(self.stage, total, self.config.epochs, first, self.deadline, progress)
        try:
            while self.state.epoch < self.config.epochs and not self._settled():
                self._epoch(reports, peek)
                if after_epoch is not None:
                    after_epoch(self)
            if self._settled():
                self.ended = SETTLED
        except OutOfTime:
            self.ended = OVER
        except StopRequested:
            self.ended = STOPPED
        if self._begun is not None and self.state.history:
            self._compare_with(self._begun)
        if not self.best.finite:
            raise DivergedError(
                "refinement gave values that are not finite from its first step on; look at the "
                "frames and the probe with pinn check"
            )

    # -- one epoch -----------------------------------------------------------------------

    def _epoch(
        self, reports: Reports, peek: Callable[[], Callable[[], None] | None] | None
    ) -> None:
        before, state, c = self.state.copy(), self.state, self.config
        number = state.epoch + 1
        lengths = {
            "object": state.length,
            "probe": state.length if number >= self.schedule.probe else 0.0,
        }
        began = time.perf_counter()

        def within() -> Callable[[], None] | None:
            long = peek is not None and time.perf_counter() - began > _LONG
            return peek() if long and peek is not None else None

        try:
            result = self.engine.epoch(state, lengths, c.momentum, reports.before, within)
        except (OutOfTime, StopRequested):
            self._keep_unfinished(before, reports.seen)
            raise
        watched = result.per_pixel(held=c.held_out > 0)
        accepted = math.isfinite(watched) and state.finite and result.finite
        # A state is compared with states: the one that was gone back to may itself be worse than
        # the value of the best epoch, which is taken while the epoch changes it.
        worse = watched > GROWTH * max(self._best_value(), self.restored)
        spoils = self._start_is_best and watched > self.begun_with and self.rejected < _RETRIES
        if not accepted or worse or spoils:
            self._reject(before, watched)
            return
        self._correct(result, number)
        state = self.state
        state.epoch = number
        row = {
            "epoch": number,
            "deviance": result.per_pixel(),
            "held_deviance": result.per_pixel(held=True) if c.held_out else None,
            "seconds": time.perf_counter() - began,
            "length": state.length,
        }
        if c.update_positions:
            moved = state.positions - self.start
            row["position_shift_rms_px"] = float(np.sqrt(np.mean(np.sum(moved**2, axis=1))))
        least = min(self._best_value(), self._value_of(self.best), self.begun_with)
        improved = watched < least
        state.history.append(row)
        self.restored = 0.0
        if improved:  # what has joined is kept only where it has improved the likelihood
            self.best = state.copy()
        elif number not in self._joining:
            state.velocity[...] = 0.0
            state.length *= _SHORTER
        reports.after_round(number, result, c.held_out > 0)

    def _keep_unfinished(self, before: State, seen: int) -> None:
        """What a cut epoch has changed is kept where it is finite and there is nothing better."""
        self.state.epoch, self.cut = before.epoch, {"epoch": before.epoch + 1, "frames": seen}
        if self.state.finite and not before.history and not self._start_is_best:
            if self.config.update_object:
                gauge.fix_energy(self.state, self.energy)
            self.best = self.state.copy()
        else:
            self.state = before

    def _reject(self, before: State, watched: float) -> None:
        self.rejected += 1
        best = self.best.history or self._start_is_best
        self.state = (self.best if best else before).copy()
        self.state.velocity[...] = 0.0
        self.state.drift[...] = 0.0
        self.state.length = before.length * 0.5
        self.state.epoch, self.state.history = before.epoch, [dict(row) for row in before.history]
        what = "values that are not finite" if not math.isfinite(watched) else "a worse likelihood"
        self.notes.append(
            f"epoch {before.epoch + 1} gave {what} and was taken back; steps are "
            f"{self.state.length:g} as long from there on"
        )
        self.restored = self._likelihood_of(self.state)
        if self.rejected >= MOST_REJECTED:
            self.notes.append(f"{self.rejected} epochs were taken back: the last good state stays")
            self.state.epoch = self.config.epochs

    # -- what changes once in an epoch ---------------------------------------------------

    def _correct(self, result: Pass, number: int) -> None:
        """Positions, intensities, OPR weights and background, and the gauge."""
        state, c, first = self.state, self.config, self.schedule
        if c.update_positions and number >= first.positions:
            since = number - first.positions
            positions.update(
                self.engine.look, self.engine.origin, state, result, self.start, c, since
            )
        if c.update_intensities and number >= first.intensities:
            corrections = np.nan_to_num(result.others["intensity_corrections"], nan=1.0)
            state.factors *= np.clip(corrections, 0.25, 4.0) ** _DAMPED
            gauge.fix_factors(state)
        if c.opr_modes > 1 and number >= first.opr_weights:
            updates = np.nan_to_num(result.others["opr_updates"])
            state.opr_weights[:, 1:] += _DAMPED * np.clip(updates[:, 1:], -0.5, 0.5)
            gauge.fix_variations(state)
        if c.background != "none" and number >= first.background:
            state.background = self._background()
        if c.update_probe:
            if c.probe_support is not None:
                state.probe = state.probe * support(self.engine.N, c.probe_support)
            gauge.orthogonalise(state)
            if self.lattice is not None and number >= first.probe:
                state = self.state = raster.without_pattern(state, self.lattice) or state
            if c.update_object:
                gauge.fix_energy(state, self.energy)

    def _background(self) -> np.ndarray:
        """The background that explains its part of the counts best, never negative.

        One step of expectation maximisation (Richardson and Lucy), which keeps the sign.
        """
        assert self.engine.background_sums is not None
        ratio, uses = self.engine.background_sums
        if self.config.background == "constant":
            factor = np.full_like(ratio, ratio.sum() / max(float(uses.sum()), 1.0))
        else:
            factor = np.where(uses > 0, ratio / np.maximum(uses, 1.0), 1.0)
        return (self.state.background * np.clip(factor, 0.1, 10.0)).astype(np.float32)

    @property
    def _start_is_best(self) -> bool:
        """It began with a result, and no epoch was better than that."""
        return math.isfinite(self.begun_with) and not self.best.history

    # -- when to end ---------------------------------------------------------------------

    def _value_of(self, state: State) -> float:
        """Of a state refined by L-BFGS before an interruption; others are in the history."""
        rows = [row for row in state.history if "lbfgs_iteration" in row]
        watched = "held_deviance" if self.config.held_out else "deviance"
        return float(rows[-1][watched]) if rows else math.inf

    def _best_value(self) -> float:
        return min(self.state.watched(self.config.held_out > 0), default=math.inf)

    def _settled(self) -> bool:
        """No improvement by `TOLERANCE` in the last epochs, counted from when all has begun; or,
        where L-BFGS follows, two epochs that improved by less than `PAYS` each."""
        c, values = self.config, self.state.watched(self.config.held_out > 0)
        if not values or len(values) < self._all_from:
            return False
        before = values[:-2] if len(values) > self._all_from + 1 else []
        if self.lbfgs_follows and before and min(values[-2:]) > (1.0 - PAYS) ** 2 * min(before):
            return True
        best, since = math.inf, 0
        for number, value in enumerate(values, 1):
            if value < best * (1.0 - TOLERANCE) or number < self._all_from:
                best, since = min(value, best), 0
            else:
                since += 1
        return since >= c.patience
