"""Two independent halves of the frames, refined each by itself: what both show is resolved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pinn.config.refine import RefineConfig
from pinn.data.kept_frames import Frames
from pinn.data.scan import Scan
from pinn.progress import OVER, STOPPED, Deadline, OutOfTime, Progress, StopRequested
from pinn.quality.halves import correlate, interleaved
from pinn.quality.register import find_factor, find_ramp, remove_ramp
from pinn.refinement.descent import descend, loop_from, set_scale
from pinn.refinement.loop import Schedule
from pinn.refinement.result import FLOOR
from pinn.refinement.start import begin
from pinn.refinement.state import State


def correlate_halves(
    scan: Scan,
    rows: np.ndarray,
    best: State,
    config: RefineConfig,
    deadline: Deadline,
    schedule: Schedule,
    progress: Callable[[Progress], None] | None,
    made: np.ndarray | None = None,
) -> dict[str, Any] | None:
    """Refine two halves of the frames, each from a flat object and the scan's own probe.

    Positions, intensities and background are those of the whole.

    Args:
        rows: `(M,)` frames that were used.
        best: the state of the whole.
        made: probe `(P, N, N)` to begin with where the scan has none.

    Returns:
        What `pinn.quality.halves.correlate` says; None where a half has fewer than two frames.
    """
    side, results = interleaved(best.positions), []
    alone = config.replace(
        update_positions=False, position_model="free", update_intensities=False, background="none",
        split_half=False, seconds=None,
    )  # fmt: skip
    for half in (0, 1):
        chosen = np.flatnonzero(side == half)
        if len(chosen) < 2:
            return None
        frames = Frames(scan, rows[chosen])
        state = begin(scan, alone, None, rows[chosen], frames.factor, made)
        # on the canvas of the whole, so that the two lie pixel on pixel
        state.object = np.ones_like(best.object)
        state.velocity = np.zeros_like(best.object)
        state.origin, state.positions = best.origin.copy(), best.positions[chosen].copy()
        state.factors, state.background = best.factors[chosen].copy(), best.background.copy()
        start = state.positions.copy()
        loop = loop_from(state, frames, start, alone, deadline, schedule, f"half {half + 1}")
        set_scale(loop)
        descend(loop, progress)
        if loop.ended == OVER:
            raise OutOfTime
        if loop.ended == STOPPED:
            raise StopRequested
        _, sums = loop.engine.judge(loop.best, deadline.step)
        lit = sums["illumination"] > FLOOR * loop.best.brightest
        results.append((loop.best.object, lit))
    (one, other), lit = zip(*results, strict=True)
    both = np.logical_and(*lit)
    # what two refinements need not share: a phase ramp and a factor
    flat = remove_ramp(other, find_ramp(other, one, both))
    return correlate(one, flat * find_factor(flat, one, both), both)
