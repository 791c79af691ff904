"""One refinement of some frames: epochs, then L-BFGS; then what frames do not tell goes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from keras import ops

from pinn.config.refine import RefineConfig
from pinn.ops import likelihood
from pinn.progress import OVER, STOPPED, Deadline, Progress
from pinn.refinement import gauge
from pinn.refinement.engine import Engine
from pinn.refinement.frames import Frames
from pinn.refinement.lbfgs import LBFGS
from pinn.refinement.loop import TOLERANCE, Loop, Schedule
from pinn.refinement.raster import without_pattern
from pinn.refinement.smoothing import smooth
from pinn.refinement.state import State

_SAMPLE = 512  # frames that are looked at


def loop_from(
    state: State,
    frames: Frames,
    start: np.ndarray,
    config: RefineConfig,
    deadline: Deadline,
    schedule: Schedule,
    stage: str = "refine",
) -> Loop:
    """The epochs from a state, with passes compiled for it; arguments as of `Loop`."""
    _, unit = counts_per_unit(frames.factor)
    engine = Engine(frames, config, unit, state)
    follows = config.lbfgs_iterations > 0 and not config.restricts_object
    follows &= config.likelihood == "amplitude"
    return Loop(engine, state, start, config, deadline, schedule, stage, follows)


def descend(
    loop: Loop,
    progress: Callable[[Progress], None] | None = None,
    after: Callable[[State], None] = lambda state: None,
) -> None:
    """Run the epochs of a loop, then L-BFGS from the best of them, then smooth the object.

    Args:
        loop: gets the best state, why it ended, and notes.
        progress: told of every batch.
        after: called with the state after every epoch, and every iteration that made it better.
    """
    loop.run(progress, lambda one: after(one.state))
    config = loop.config
    if (
        loop.ended not in (OVER, STOPPED)
        and config.lbfgs_iterations
        and not config.restricts_object
    ):
        stage = "lbfgs" if loop.stage == "refine" else f"lbfgs {loop.stage}"
        last = LBFGS(loop.engine, loop.best, loop.start, config, loop.deadline, stage)

        def improved(state: State) -> None:
            loop.best = state
            after(state)

        last.run(progress, improved)
        loop.notes.extend(last.notes)
        loop.best, loop.ended = last.best, last.ended or loop.ended
    if loop.ended != STOPPED and config.update_object:
        _take_out(loop)


def _take_out(loop: Loop) -> None:
    """Take out of the best object what the frames do not tell, but have put there."""
    config, best = loop.config, loop.best
    if loop.lattice is not None:
        regular = without_pattern(best, loop.lattice)
        if regular is not None and not _worse(loop.engine, regular, best):
            gauge.fix_energy(regular, loop.energy)
            loop.best = regular
    if config.held_out and config.smooth_object:
        found = smooth(loop.engine, loop.best)
        if found is not None:
            loop.best, loop.low_pass = found.state, found.limit
            loop.notes.append(found.note)


def _worse(engine: Engine, state: State, than: State) -> bool:
    """Whether a state explains fitted pixels worse than another."""
    rows = np.unique(np.linspace(0, len(engine.frames) - 1, _SAMPLE).astype(int))
    one, other = (engine.look(s, rows, fitted=True).per_pixel() for s in (state, than))
    return not one <= other * (1.0 + TOLERANCE)


def counts_per_unit(factor: float) -> tuple[bool, float]:
    """Whether the numbers are counts, and Poisson counts per unit of normalised intensity."""
    unit, _ = likelihood.brightness(ops.convert_to_tensor(np.array([factor], np.float32)))
    scale = float(ops.convert_to_numpy(unit)[0])
    return scale == 1.0, scale / factor**2


def set_scale(loop: Loop) -> None:
    """Bring object or probe to where predicted and measured amplitudes agree best.

    One number, in closed form, from a sample of frames spread over the scan: for the object, or
    for the probe where the object stays.
    """
    engine, state = loop.engine, loop.state
    few = np.unique(np.linspace(0, len(engine.frames) - 1, _SAMPLE).astype(int))
    found = engine.look(state, few)
    top, below = found.others["measured_root"], found.others["root_root"]
    scale = float(np.nansum(top) / max(float(np.nansum(below)), 1e-30))
    if not (np.isfinite(scale) and scale > 0):
        return
    name = "object" if loop.config.update_object else "probe"
    setattr(state, name, (getattr(state, name) * scale).astype(np.complex64))
    loop.begin_from(state)
