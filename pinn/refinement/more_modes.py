"""Whether a further probe mode would explain the frames better."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pinn.data.kept_frames import Frames
from pinn.data.masks import decode
from pinn.data.scan import Scan
from pinn.progress import OVER, Deadline, OutOfTime, Progress
from pinn.quality.noise import deviance_of_one_pattern
from pinn.refinement.descent import loop_from
from pinn.refinement.loop import Loop, Schedule
from pinn.refinement.start import with_modes

_EPOCHS = 6
_LEFT = 0.05  # of what the object does to the frames: less is not worth a trial
_NOISE = 1.1  # deviance of counts from counting noise alone, at most
_SAMPLE = 256  # frames
_PAYS = 0.03  # relative improvement of the held-out deviance


def further_mode(
    scan: Scan,
    rows: np.ndarray,
    loop: Loop,
    deadline: Deadline,
    progress: Callable[[Progress], None] | None,
) -> str | None:
    """A sentence, where a short trial with one more mode lowers the held-out deviance.

    From the best state, a few epochs with a weak further mode. Only where counting noise leaves
    something to be explained.

    Args:
        scan: the measurement.
        rows: `(M,)` frames that were used.
        loop: refined to its end; not changed.
        deadline: when time is over.
        progress: told of every batch; `StopRequested` from it ends the trial.
    """
    config, best = loop.config, loop.best
    if not (config.update_probe and config.held_out):
        return None
    everything = np.arange(len(loop.engine.frames))
    before = loop.engine.look(best, everything, True, deadline.step).per_pixel(held=True)
    if not before > _worth_a_trial(loop, scan.statistics().photons_known):
        return None
    modes = best.probe.shape[1]
    state = best.copy()
    state.probe = with_modes(state.probe, modes + 1).astype(np.complex64)
    state.epoch, state.history = 0, []
    state.velocity[...], state.drift[...] = 0.0, 0.0
    short = config.replace(
        probe_modes=modes + 1, epochs=_EPOCHS, lbfgs_iterations=0, update_positions=False
    )
    frames, schedule = Frames(scan, rows), Schedule(probe=1)
    trial = loop_from(state, frames, loop.start, short, deadline, schedule, "one more mode")
    trial.run(progress)
    if trial.ended == OVER:
        raise OutOfTime
    after = min(trial.best.watched(held_out=True), default=before)
    if after > (1.0 - _PAYS) * before:
        return None
    return (
        f"another probe mode would pay: {_EPOCHS} epochs with {modes + 1} modes lower the held-out "
        f"deviance from {before:.3g} to {after:.3g}; refine with --probe-modes {modes + 1} or more"
    )


def _worth_a_trial(loop: Loop, counted: bool) -> float:
    """The held-out deviance above which enough is left to be explained."""
    frames = loop.engine.frames
    rows = frames.spread(_SAMPLE)
    amplitude, valid = decode(frames.read(rows))
    counts = np.square(amplitude, dtype=np.float64) * loop.engine.counts_per_unit
    pattern = deviance_of_one_pattern(counts, valid)
    if pattern is None:
        return np.inf
    return (_NOISE if counted else 0.0) + _LEFT * pattern
