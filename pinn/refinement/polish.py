"""The last stretch: L-BFGS on object, probe and positions together, over all frames at once.

First-order steps on batches leave a little noise in the object, and are slow where object and
positions would have to change together: an object a little stretched explains frames at positions
a little further apart almost as well. The variables are scaled so that all have about the same
curvature (Nocedal and Wright, Numerical Optimization, 2006, section 7.2).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from pinn.config.refine import RefineConfig
from pinn.progress import Progress, StopRequested
from pinn.refinement import gauge
from pinn.refinement.engine import Engine, Slope
from pinn.refinement.loop import OVER, STOPPED, Clock, OutOfTime
from pinn.refinement.start import support
from pinn.refinement.state import State

_MEMORY, _LEAST_MEMORY = 10, 3  # pairs of vectors that L-BFGS keeps, in double precision
_FAR = 1e300
_NUMBERS = 1 << 27  # in all of them together: one gigabyte
_SOFT = 0.05  # of the largest (positions: the median) curvature is added, or less where damping is


@dataclass(frozen=True, eq=False)
class Variables:
    """What changes, as one vector of distances from a state, and back.

    Attributes:
        state: at the origin.
        start: `(M, 2)` positions before any refinement.
        config: of the refinement.
        roots: of the curvature, by name: `object`, `probe`, `positions`.
        kinds: `(2 M, K)` displacements that positions are made of, or None: free.
    """

    state: State
    start: np.ndarray
    config: RefineConfig
    roots: dict[str, np.ndarray]
    kinds: np.ndarray | None

    @classmethod
    def around(
        cls, state: State, start: np.ndarray, config: RefineConfig, slope: Slope
    ) -> Variables:
        """Those that are refined."""
        roots, kinds = {}, None
        if config.update_object:
            light = slope.light.astype(np.float64)
            roots["object"] = np.sqrt(light + min(_SOFT, config.object_damping) * light.max())
        if slope.probe_light is not None:
            light = slope.probe_light.astype(np.float64)
            peak = light.max(axis=(-2, -1), keepdims=True)
            soft = light + min(_SOFT, config.probe_damping) * peak
            root = np.sqrt(np.broadcast_to(soft, state.probe.shape))
            if config.probe_support is not None:
                kept = support(state.probe.shape[-1], config.probe_support) > 0
                root = np.where(kept, root, np.inf)  # what is outside does not change
            roots["probe"] = root
        if slope.curves is not None:
            curves = slope.curves
            if config.position_parts:
                common = np.tile(np.eye(2), (len(start), 1))
                kinds = np.hstack([gauge.design_of(start, config.position_parts), common])
                curves = np.sum(kinds**2 * curves.reshape(-1, 1), axis=0)
            roots["positions"] = np.sqrt(curves + _SOFT * np.median(curves))
        return cls(state, start, config, roots, kinds)

    @property
    def size(self) -> int:
        """Length of the vector."""
        return sum(r.size * (1 if name == "positions" else 2) for name, r in self.roots.items())

    def place(self, x: np.ndarray) -> State:
        """The state at a vector."""
        new, at = self.state.copy(), 0
        for name, root in self.roots.items():
            count = root.size * (1 if name == "positions" else 2)
            part, at = x[at : at + count], at + count
            if name == "positions":
                new.positions = self.state.positions + self._shift(part.reshape(root.shape) / root)
                continue
            re, im = part.reshape(2, *root.shape) / root
            setattr(new, name, (getattr(new, name) + (re + 1j * im)).astype(np.complex64))
        return new

    def _shift(self, values: np.ndarray) -> np.ndarray:
        if self.kinds is not None:
            return np.asarray((self.kinds @ values).reshape(self.start.shape))
        return values

    def pull(self, slope: Slope) -> np.ndarray:
        """The gradient with respect to the vector."""
        found = []
        for name, root in self.roots.items():
            values = np.asarray(getattr(slope, name))
            if name != "positions":
                values = values / root
                found.append(np.stack([values.real, values.imag]).ravel())
                continue
            if self.kinds is not None:
                values = self.kinds.T @ values.ravel()
            found.append((values / root).ravel())
        return np.concatenate(found).astype(np.float64)

    def bounds(self) -> list[tuple[float | None, float | None]] | None:
        """Free positions stay within a square about their limit; there are no other bounds."""
        if "positions" not in self.roots or self.kinds is not None:
            return None
        root, limit = self.roots["positions"], self.config.position_limit_px
        moved = self.state.positions - self.start
        low = np.minimum((-limit - moved) * root, 0.0).ravel()
        high = np.maximum((limit - moved) * root, 0.0).ravel()
        rest: list[tuple[float | None, float | None]] = [(None, None)] * (self.size - low.size)
        return rest + list(zip(low.tolist(), high.tolist(), strict=True))


class Polish:
    """L-BFGS from a state, until the likelihood no longer improves.

    Args:
        engine: of the scan.
        state: where to begin; not changed.
        start: `(M, 2)` positions before any refinement.
        config: of the refinement.
        clock: says when time is over.

    Attributes:
        best: the state whose likelihood was best.
        iterations: that were made.
        notes: sentences about what happened.
        ended: `OVER` or `STOPPED` where that is why it ended, else None.
    """

    def __init__(
        self, engine: Engine, state: State, start: np.ndarray, config: RefineConfig, clock: Clock
    ) -> None:
        self.engine, self.config, self.clock, self.start = engine, config, clock, start
        self.energy = gauge.energy(state.probe)
        self.best, self.iterations = state, 0
        self.notes: list[str] = []
        self.ended: str | None = None

    def run(
        self,
        progress: Callable[[Progress], None] | None = None,
        after: Callable[[State], None] | None = None,
    ) -> None:
        """Go on to the end; `after` gets the state after each iteration that made it better."""
        total, c, first = len(self.engine.frames), self.config, self.best
        since = time.perf_counter()

        def before(done: int) -> None:
            self.clock.check()
            if progress is not None:
                work = self.iterations * total + done
                rate = work / max(time.perf_counter() - since, 1e-9)
                number = min(self.iterations + 1, c.polish)
                progress(Progress("polish", work, c.polish * total, rate, number, c.polish))

        last: list[tuple[np.ndarray, Slope]] = []
        marks = {"value": np.inf, "least": np.inf, "at": 0, "time": since}

        def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
            slope = self.engine.slope(variables.place(x), before)
            last[:] = [(x.copy(), slope)]
            if not np.isfinite(slope.value):  # the line search goes back from here
                return _FAR, np.zeros_like(x)
            return slope.value, variables.pull(slope)

        def accepted(x: np.ndarray) -> None:
            self.iterations += 1
            at, slope = last[0]
            watched = slope.seen.per_pixel(held=c.held_out > 0)
            better = np.array_equal(at, x) and np.isfinite(watched) and watched < marks["value"]
            if better:
                now = time.perf_counter()
                self._keep(variables.place(x), slope, now - marks["time"])
                marks["value"], marks["time"] = watched, now
                if after is not None:
                    after(self.best)
            if better and watched < marks["least"] * (1.0 - c.tolerance):
                marks["least"], marks["at"] = watched, self.iterations
            if self.iterations - marks["at"] >= 2 * c.patience:
                raise StopIteration

        try:
            slope = self.engine.slope(first, before)
            variables = Variables.around(first, self.start, c, slope)
            if not variables.size:
                return
            memory = min(_NUMBERS // (2 * variables.size), _MEMORY)
            if memory < _LEAST_MEMORY:
                self.notes.append(
                    f"not polished by L-BFGS: {variables.size} numbers are too many for its memory"
                )
                return
            marks["value"] = marks["least"] = slope.seen.per_pixel(held=c.held_out > 0)
            minimize(
                loss,
                np.zeros(variables.size),
                jac=True,
                method="L-BFGS-B",
                bounds=variables.bounds(),
                callback=accepted,
                options={"maxiter": c.polish, "maxcor": memory},
            )
        except OutOfTime:
            self.ended = OVER
        except StopRequested:
            self.ended = STOPPED

    def _keep(self, state: State, slope: Slope, seconds: float) -> None:
        """Make a state the best one, in the declared gauge."""
        if not state.finite:
            return
        if self.config.update_probe:
            gauge.orthogonalise(state)
            gauge.fix_energy(state, self.energy)
        if self.config.update_positions:
            gauge.fix_shift(state, self.start)
        row = {
            "epoch": state.epoch + self.iterations,
            "polish_iteration": self.iterations,
            "deviance": slope.seen.per_pixel(),
            "held_deviance": slope.seen.per_pixel(held=True) if self.config.held_out else None,
            "seconds": seconds,
        }
        state.history = [*self.best.history, row]
        self.best = state
