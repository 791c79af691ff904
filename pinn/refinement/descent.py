"""One refinement of some frames: epochs, then L-BFGS; then what frames do not tell goes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from keras import ops

from pinn.config.refine import RefineConfig
from pinn.data.kept_frames import Frames
from pinn.ops import likelihood
from pinn.progress import OVER, STOPPED, Deadline, Progress
from pinn.refinement import gauge
from pinn.refinement.engine import Engine
from pinn.refinement.lbfgs import LBFGS
from pinn.refinement.loop import TOLERANCE, Loop, Schedule
from pinn.refinement.outputs import Pass
from pinn.refinement.raster import without_pattern
from pinn.refinement.smoothing import MOST_LOOKS, smooth
from pinn.refinement.state import State

_SAMPLE, _SHORT = 512, 128  # frames that are looked at; with a time limit
_SCALE_SHARE = 0.1  # of the time, for all of them


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
    peek: Callable[[], Callable[[], None] | None] | None = None,
) -> None:
    """Run the epochs of a loop, then L-BFGS from the best of them, then smooth the object.

    Args:
        loop: gets the best state, why it ended, and notes.
        progress: told of every batch.
        after: called with the state after every epoch, and every iteration that made it better.
        peek: asked within an epoch that takes long, see `Loop.run`.
    """
    loop.run(progress, lambda one: after(one.state), peek)
    config = loop.config
    if (
        loop.ended not in (OVER, STOPPED)
        and config.lbfgs_iterations
        and not config.restricts_object
    ):
        _run_lbfgs(loop, progress, after)
    if loop.ended != STOPPED and config.update_object:
        _take_out(loop)


def frames_to_smooth(config: RefineConfig, frames: int) -> int:
    """How many frames to keep time for, so that the object can still be smoothed when time is over.

    Args:
        config: of the refinement, its likelihood decided: the Poisson likelihood means few counts.
        frames: of the scan.
    """
    few = config.likelihood == "poisson" and config.held_out and config.smooth_object
    return MOST_LOOKS * min(_SHORT, frames) if few else 0


def _run_lbfgs(
    loop: Loop, progress: Callable[[Progress], None] | None, after: Callable[[State], None]
) -> None:
    if loop.deadline.left <= loop.deadline.longest:  # its first step compiles, as that one did
        loop.ended = OVER
        return
    stage = "lbfgs" if loop.stage == "refine" else f"lbfgs {loop.stage}"
    last = LBFGS(loop.engine, loop.best, loop.start, loop.config, loop.deadline, stage)

    def improved(state: State) -> None:
        loop.best = state
        after(state)

    last.run(progress, improved)
    loop.notes.extend(last.notes)
    loop.best, loop.ended = last.best, last.ended or loop.ended


def _take_out(loop: Loop) -> None:
    """Take out of the best object what the frames do not tell, but have put there."""
    config, best = loop.config, loop.best
    both = 2 * min(_SAMPLE, len(loop.engine.frames))
    if loop.lattice is not None and loop.ended != OVER and _time_to_look(loop, both):
        regular = without_pattern(best, loop.lattice)
        if regular is not None and not _worse(loop.engine, regular, best):
            gauge.fix_energy(regular, loop.energy)
            loop.best = regular
    if config.held_out and config.smooth_object:
        most = _SAMPLE if loop.deadline.at is None else _SHORT
        found = smooth(loop.engine, loop.best, most, lambda many: _time_to_look(loop, many))
        if found is not None:
            loop.best, loop.low_pass = found.state, found.limit
            loop.notes.append(found.note)


def _time_to_look(loop: Loop, frames: int) -> bool:
    """Whether there is time to look at so many frames and to judge the result after that."""
    deadline, kept = loop.deadline, 0
    if loop.stage == "refine":  # for halves nothing is kept
        kept = frames_to_smooth(loop.config, len(loop.engine.frames))
    besides = 0.0 if deadline.judged else deadline.judging  # else it is not in what is left
    return deadline.left - besides > deadline.pace * (frames - kept)


def _worse(engine: Engine, state: State, than: State) -> bool:
    """Whether a state explains fitted pixels worse than another."""
    rows = engine.frames.spread(_SAMPLE)
    one, other = (engine.look(s, rows, fitted=True).per_pixel() for s in (state, than))
    return not one <= other * (1.0 + TOLERANCE)


def counts_per_unit(factor: float) -> tuple[bool, float]:
    """Whether the numbers are counts, and Poisson counts per unit of normalised intensity."""
    unit, _ = likelihood.brightness(ops.convert_to_tensor(np.array([factor], np.float32)))
    scale = float(ops.convert_to_numpy(unit)[0])
    return scale == 1.0, scale / factor**2


def _sample(loop: Loop) -> Pass:
    """What a sample of frames spread over the scan says of the start; from its pace the deadline
    learns. Where time is short they are two batches."""
    engine, deadline = loop.engine, loop.deadline
    few = engine.frames.spread(_SAMPLE)
    if deadline.at is None or len(few) <= 2 * engine.size:
        return engine.look(loop.state, few, before=deadline.learn)
    batches = engine.frames.spread(2 * engine.size)
    for rows in (batches[0::2], batches[1::2]):  # the first one compiles
        deadline.learn(0)
        found = engine.look(loop.state, rows)
        deadline.learn(len(rows))
    if deadline.pace * len(few) > _SCALE_SHARE * deadline.left:
        return found
    return engine.look(loop.state, few, before=deadline.learn)


def set_scale(loop: Loop) -> None:
    """Bring object or probe to where predicted and measured frames agree best.

    One number, in closed form, from a sample of frames spread over the scan: for the object, or
    for the probe where the object stays. It is the maximum of the likelihood that is minimised:
    amplitudes would come out too weak where counts are few.
    """
    found = _sample(loop)
    both, predicted, distance = (
        float(np.nansum(found.others[name])) for name in ("measured_root", "root_root", "distance")
    )
    scale = both / max(predicted, 1e-30)
    if loop.config.likelihood == "poisson":
        measured = distance / (4.0 * loop.engine.counts_per_unit) + 2.0 * both - predicted
        scale = float(np.sqrt(max(measured, 0.0) / max(predicted, 1e-30)))
    if not (np.isfinite(scale) and scale > 0):
        return
    state, name = loop.state, "object" if loop.config.update_object else "probe"
    setattr(state, name, (getattr(state, name) * scale).astype(np.complex64))
    loop.begin_from(state)
