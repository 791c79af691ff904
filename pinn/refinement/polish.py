"""The last stretch: L-BFGS on the object, over all frames at once.

The variables are the object times the root of the light on each pixel, so that all have about the
same curvature (Nocedal and Wright, Numerical Optimization, 2006, section 7.2).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize

from pinn.config.refine import RefineConfig
from pinn.progress import Progress
from pinn.refinement.engine import Engine
from pinn.refinement.loop import Clock
from pinn.refinement.state import State


def polish(
    engine: Engine,
    state: State,
    config: RefineConfig,
    clock: Clock,
    progress: Callable[[Progress], None] | None = None,
) -> State:
    """The state with an object of lower deviance, or the state itself where none is found.

    Raises:
        OutOfTime, StopRequested: before the end; the state given stays what it is.
    """
    _, planes = engine.judge(state)
    light = planes["light"]
    root = np.sqrt(light + config.object_damping * float(light.max())).astype(np.float64)
    rounds = [0]
    total = len(engine.frames)

    def before(done: int) -> None:
        clock.check()
        if progress is not None:
            progress(
                Progress(
                    "polish", rounds[0] * total + done, config.polish * total, epoch=rounds[0] + 1
                )
            )

    def loss(variables: np.ndarray) -> tuple[float, np.ndarray]:
        trial = state.copy()
        parts = variables.reshape(2, *root.shape) / root
        trial.object = (parts[0] + 1j * parts[1]).astype(np.complex64)
        value, slope = engine.slope(trial, before)
        slope = slope / root
        return value, np.stack([slope.real, slope.imag]).astype(np.float64).ravel()

    def count(_: np.ndarray) -> None:
        rounds[0] = min(rounds[0] + 1, config.polish - 1)

    first = (np.stack([state.object.real, state.object.imag]) * root).astype(np.float64).ravel()
    value, _ = loss(first)
    found = minimize(
        loss,
        first,
        jac=True,
        method="L-BFGS-B",
        callback=count,
        options={"maxiter": config.polish, "maxcor": 10},
    )
    if not (np.isfinite(found.fun) and np.isfinite(found.x).all() and found.fun < value):
        return state
    better = state.copy()
    parts = found.x.reshape(2, *root.shape) / root
    better.object = (parts[0] + 1j * parts[1]).astype(np.complex64)
    return better
