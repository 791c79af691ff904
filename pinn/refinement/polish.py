"""The last stretch: L-BFGS on object, probe and positions together, over all frames at once.

First-order steps on batches leave a little noise in the object, and are slow where object and
positions would have to change together: an object a little stretched explains frames at positions
a little further apart almost as well. The variables are scaled so that all have about the same
curvature (Nocedal and Wright, Numerical Optimization, 2006, section 7.2).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

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
        # what no frame tells anything of does not change
        roots = {name: np.where(root > 0, root, np.inf) for name, root in roots.items()}
        return cls(state, start, config, roots, kinds)

    @property
    def size(self) -> int:
        """Length of the vector."""
        return sum(r.size * (1 if name == "positions" else 2) for name, r in self.roots.items())

    def place(self, x: np.ndarray) -> State:
        """The state at a vector; what does not change is shared with the first."""
        found: dict[str, np.ndarray] = {}
        at = 0
        for name, root in self.roots.items():
            count = root.size * (1 if name == "positions" else 2)
            part, at = x[at : at + count], at + count
            if name == "positions":
                moves = self._shift(part.reshape(root.shape) / root)
                found[name] = self.state.positions + moves
                continue
            re, im = part.reshape(2, *root.shape) / root
            found[name] = (getattr(self.state, name) + (re + 1j * im)).astype(np.complex64)
        return replace(self.state, **found)  # type: ignore[arg-type]

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

    def beyond(self, state: State, anchor: np.ndarray) -> bool:
        """Positions would have to be cut off: they, or the object as a whole, go too far."""
        if "positions" not in self.roots:
            return False
        moves = state.positions - self.start
        common = moves.mean(0)
        far = np.linalg.norm(moves - common, axis=1).max() > self.config.position_limit_px
        shift = np.abs(state.origin - common - anchor).max()
        return bool(far and self.kinds is not None) or bool(shift > gauge.MOST_SHIFT)

    def bounds(self) -> list[tuple[float | None, float | None]] | None:
        """Free positions stay in a square within their limit; there are no other bounds."""
        if "positions" not in self.roots or self.kinds is not None:
            return None
        root, limit = self.roots["positions"], self.config.position_limit_px / np.sqrt(2.0)
        moved = self.state.positions - self.start
        root = np.where(np.isfinite(root), root, 1.0)
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
        stage: for progress reports.

    Attributes:
        best: the state whose likelihood was best.
        iterations: that were made.
        notes: sentences about what happened.
        ended: `OVER` or `STOPPED` where that is why it ended, else None.
    """

    def __init__(
        self,
        engine: Engine,
        state: State,
        start: np.ndarray,
        config: RefineConfig,
        clock: Clock,
        stage: str = "polish",
    ) -> None:
        self.stage = stage
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
            # a line search may look at all frames several times
            marks["work"] = max(marks["work"], self.iterations * total + done)
            tell(min(self.iterations + 1, c.lbfgs_iterations))

        def tell(number: int, slope: Slope | None = None) -> None:
            if progress is None:
                return
            seen = None if slope is None else slope.seen
            progress(
                Progress(
                    self.stage,
                    int(marks["work"]),
                    c.lbfgs_iterations * total,
                    marks["work"] / max(time.perf_counter() - since, 1e-9),
                    number,
                    c.lbfgs_iterations,
                    None if seen is None else seen.per_pixel(),
                    None if seen is None or not c.held_out else seen.per_pixel(held=True),
                )
            )

        last: list[tuple[np.ndarray, Slope]] = []
        marks = {"value": np.inf, "least": np.inf, "at": 0, "time": since, "work": 0}

        def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
            trial = variables.place(x)
            if variables.beyond(trial, self.engine.origin):  # the line search goes back from here
                return _FAR, np.zeros_like(x)
            slope = self.engine.slope(trial, before)
            last[:] = [(x.copy(), slope)]
            if not np.isfinite(slope.value):
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
            marks["work"] = max(marks["work"], self.iterations * total)
            tell(self.iterations, slope)
            if better and watched < marks["least"] * (1.0 - c.tolerance):
                marks["least"], marks["at"] = watched, self.iterations
            if self.iterations - marks["at"] >= 2 * c.patience:
                raise StopIteration

        try:
            slope = self.engine.slope(first, before)
            variables = Variables.around(first, self.start, c, slope)
            if not variables.size:
                return
            memory = min((_NUMBERS // variables.size - 5) // 2, _MEMORY)
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
                options={"maxiter": c.lbfgs_iterations, "maxcor": memory},
            )
        except OutOfTime:
            self.ended = OVER
        except StopRequested:
            self.ended = STOPPED

    def _keep(self, state: State, slope: Slope, seconds: float) -> None:
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
            gauge.within_limits(state, self.start, c.position_limit_px, self.engine.origin)
        row = {
            "epoch": state.epoch + self.iterations,
            "polish_iteration": self.iterations,
            "deviance": slope.seen.per_pixel(),
            "held_deviance": slope.seen.per_pixel(held=True) if self.config.held_out else None,
            "seconds": seconds,
        }
        state.history = [*self.best.history, row]
        self.best = state
