"""L-BFGS refinement at the end: object, probe and positions together, over all frames.

First-order steps on batches leave a little noise in the object, and are slow where object and
positions would have to change together: an object a little stretched explains frames at positions
a little further apart almost as well. The variables are scaled so that all have about the same
curvature (Nocedal and Wright, Numerical Optimization, 2006, section 7.2).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize

from pinn.config.refine import RefineConfig
from pinn.progress import OVER, SETTLED, STOPPED, Deadline, OutOfTime, Progress, StopRequested
from pinn.refinement import gauge, positions
from pinn.refinement.engine import Engine
from pinn.refinement.loop import TOLERANCE
from pinn.refinement.outputs import Gradient
from pinn.refinement.reports import Reports
from pinn.refinement.start import support
from pinn.refinement.state import State

_ALL_USED = 1  # status of the minimiser: the iterations are used up
_MEMORY, _LEAST_MEMORY = 10, 3  # pairs of vectors that L-BFGS keeps, in double precision
_FAR = 1e300
_NUMBERS = 1 << 27  # in all of them together: one gigabyte
_SOFT = 0.05  # of the largest (positions: the median) curvature is added, object: less if damped


@dataclass(frozen=True, eq=False)
class Variables:
    """The refined quantities as one vector of scaled differences from a state, and back.

    Attributes:
        state: at the origin.
        start: `(M, 2)` positions before any refinement.
        config: of the refinement.
        roots: of the Hessian's diagonal, by name: `object`, `probe`, `positions`.
        kinds: `(2 M, K)` displacements that positions are made of, or None: free.
    """

    state: State
    start: np.ndarray
    config: RefineConfig
    roots: dict[str, np.ndarray]
    kinds: np.ndarray | None

    @classmethod
    def around(
        cls, state: State, start: np.ndarray, config: RefineConfig, gradient: Gradient
    ) -> Variables:
        """The variables of what is refined, with the origin at a state."""
        roots, kinds = {}, None
        diagonal = {name: d.astype(np.float64) for name, d in gradient.diagonal.items()}
        if config.update_object:
            curvature = diagonal["object"]
            soft = min(_SOFT, config.object_damping) * curvature.max()
            roots["object"] = np.sqrt(curvature + soft)
        if "probe" in diagonal:
            curvature = diagonal["probe"]
            soft = _SOFT * curvature.max(axis=(-2, -1), keepdims=True)
            root = np.sqrt(np.broadcast_to(curvature + soft, state.probe.shape))
            if config.probe_support is not None:
                kept = support(state.probe.shape[-1], config.probe_support) > 0
                root = np.where(kept, root, np.inf)  # what is outside does not change
            roots["probe"] = root
        if "positions" in diagonal:
            curvature = diagonal["positions"]
            if config.position_parts:
                common = np.tile(np.eye(2), (len(start), 1))
                kinds = np.hstack([positions.design_of(start, config.position_parts), common])
                curvature = np.sum(kinds**2 * curvature.reshape(-1, 1), axis=0)
            roots["positions"] = np.sqrt(curvature + _SOFT * np.median(curvature))
        # what no frame tells anything of does not change
        roots = {name: np.where(root > 0, root, np.inf) for name, root in roots.items()}
        return cls(state, start, config, roots, kinds)

    @property
    def size(self) -> int:
        """Length of the vector."""
        return sum(r.size * (1 if name == "positions" else 2) for name, r in self.roots.items())

    def state_at(self, x: np.ndarray) -> State:
        """The state at a vector; what does not change is shared with the first."""
        changed: dict[str, Any] = {}
        first = 0
        for name, root in self.roots.items():
            count = root.size * (1 if name == "positions" else 2)
            values, first = x[first : first + count], first + count
            if name == "positions":
                shift = values.reshape(root.shape) / root
                if self.kinds is not None:
                    shift = (self.kinds @ shift).reshape(self.start.shape)
                changed[name] = self.state.positions + shift
                continue
            re, im = values.reshape(2, *root.shape) / root
            changed[name] = (getattr(self.state, name) + (re + 1j * im)).astype(np.complex64)
        return replace(self.state, **changed)

    def gradient_at(self, gradient: Gradient) -> np.ndarray:
        """The gradient with respect to the vector."""
        parts = []
        for name, root in self.roots.items():
            values = np.asarray(getattr(gradient, name))
            if name != "positions":
                values = values / root
                parts.append(np.stack([values.real, values.imag]).ravel())
                continue
            if self.kinds is not None:
                values = self.kinds.T @ values.ravel()
            parts.append((values / root).ravel())
        return np.concatenate(parts).astype(np.float64)

    def beyond(self, state: State, anchor: np.ndarray) -> bool:
        """Positions would have to be cut off: they, or the object as a whole, go too far."""
        if "positions" not in self.roots:
            return False
        moved = state.positions - self.start
        common = moved.mean(0)
        far = np.linalg.norm(moved - common, axis=1).max() > positions.LIMIT_PX
        shift = np.abs(state.origin - common - anchor).max()
        return bool(far and self.kinds is not None) or bool(shift > positions.MOST_SHIFT)

    def bounds(self) -> list[tuple[float | None, float | None]] | None:
        """Free positions stay in a square within their limit; there are no other bounds."""
        if "positions" not in self.roots or self.kinds is not None:
            return None
        root, limit = self.roots["positions"], positions.LIMIT_PX / np.sqrt(2.0)
        moved = self.state.positions - self.start
        root = np.where(np.isfinite(root), root, 1.0)
        low = np.minimum((-limit - moved) * root, 0.0).ravel()
        high = np.maximum((limit - moved) * root, 0.0).ravel()
        rest: list[tuple[float | None, float | None]] = [(None, None)] * (self.size - low.size)
        return rest + list(zip(low.tolist(), high.tolist(), strict=True))


class LBFGS:
    """L-BFGS from a state, until the likelihood no longer improves.

    Args:
        engine: of the scan.
        state: where to begin; not changed.
        start: `(M, 2)` positions before any refinement.
        config: of the refinement.
        deadline: when time is over.
        stage: for progress reports.

    Attributes:
        best: the state whose likelihood was best.
        iterations: that were made.
        notes: sentences about what happened.
        ended: why it ended; None where it used all its iterations, or made none.
    """

    def __init__(
        self,
        engine: Engine,
        state: State,
        start: np.ndarray,
        config: RefineConfig,
        deadline: Deadline,
        stage: str = "lbfgs",
    ) -> None:
        self.engine, self.config, self.deadline, self.start = engine, config, deadline, start
        self.stage, self.energy = stage, gauge.energy(state.probe)
        self.best, self.iterations = state, 0
        self.notes: list[str] = []
        self.ended: str | None = None
        self._value = self._least = np.inf  # the best likelihood, and the best by `TOLERANCE`
        self._least_at = 0  # iteration of the latter
        self._since = time.perf_counter()  # when the state before was kept

    def run(
        self,
        progress: Callable[[Progress], None] | None = None,
        after: Callable[[State], None] | None = None,
    ) -> None:
        """Go on to the end; `after` gets the state after each iteration that made it better."""
        try:
            total, most = len(self.engine.frames), self.config.lbfgs_iterations
            reports = Reports(self.stage, total, most, 0, self.deadline, progress)
            self._minimise(reports, after)
        except OutOfTime:
            self.ended = OVER
        except StopRequested:
            self.ended = STOPPED

    def _minimise(self, reports: Reports, after: Callable[[State], None] | None) -> None:
        c, first = self.config, self.best
        gradient = self.engine.gradient(first, reports.before)
        variables = Variables.around(first, self.start, c, gradient)
        if not variables.size:
            return
        memory = min((_NUMBERS // variables.size - 5) // 2, _MEMORY)
        if memory < _LEAST_MEMORY:
            self.notes.append(
                f"not refined by L-BFGS: {variables.size} numbers are too many for its memory"
            )
            return
        self._value = self._least = gradient.frames.per_pixel(held=c.held_out > 0)
        latest: list[tuple[np.ndarray, Gradient]] = []

        def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
            trial = variables.state_at(x)
            if variables.beyond(trial, self.engine.origin):  # the line search goes back from here
                return _FAR, np.zeros_like(x)
            gradient = self.engine.gradient(trial, reports.before)
            latest[:] = [(x.copy(), gradient)]
            if not np.isfinite(gradient.value):
                return _FAR, np.zeros_like(x)
            return gradient.value, variables.gradient_at(gradient)

        def accepted(x: np.ndarray) -> None:
            self.iterations += 1
            evaluated, gradient = latest[0]
            watched = gradient.frames.per_pixel(held=c.held_out > 0)
            better = np.array_equal(evaluated, x) and np.isfinite(watched) and watched < self._value
            if better:
                self._keep(variables.state_at(x), gradient)
                self._value = watched
                if after is not None:
                    after(self.best)
            reports.after_round(self.iterations, gradient.frames, c.held_out > 0)
            if better and watched < self._least * (1.0 - TOLERANCE):
                self._least, self._least_at = watched, self.iterations
            if self.iterations - self._least_at >= 2 * c.patience:
                raise StopIteration

        found = minimize(
            loss,
            np.zeros(variables.size),
            jac=True,
            method="L-BFGS-B",
            bounds=variables.bounds(),
            callback=accepted,
            options={"maxiter": c.lbfgs_iterations, "maxcor": memory},
        )
        if found.status != _ALL_USED:
            self.ended = SETTLED

    def _keep(self, state: State, gradient: Gradient) -> None:
        """Make a state the best one, in the declared gauge."""
        if not state.finite:
            return
        c, state = self.config, state.copy()
        if c.update_probe:
            gauge.fix_variations(state)
            gauge.orthogonalise(state)
            if c.update_object:
                gauge.fix_energy(state, self.energy)
        if c.update_positions:
            positions.within_limits(state, self.start, positions.LIMIT_PX, self.engine.origin)
        row = {
            "epoch": state.epoch + self.iterations,
            "lbfgs_iteration": self.iterations,
            "deviance": gradient.frames.per_pixel(),
            "held_deviance": gradient.frames.per_pixel(held=True) if c.held_out else None,
            "seconds": time.perf_counter() - self._since,
        }
        self._since = time.perf_counter()
        state.history = [*self.best.history, row]
        self.best = state
