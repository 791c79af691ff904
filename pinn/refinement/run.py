"""`pinn.refine`: one scan, from a start to the best object that its frames allow."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from pinn.config.refine import RefineConfig
from pinn.data.ramp import phase_gradient, phase_ramp
from pinn.data.reconstruction import Reconstruction
from pinn.data.scan import Scan
from pinn.errors import ConfigError, ScanError
from pinn.networks.trained import Model
from pinn.ops import likelihood
from pinn.plots.refinement import picture
from pinn.progress import Progress, StopRequested
from pinn.quality.halves import correlate, interleaved
from pinn.refinement import checkpoint
from pinn.refinement.engine import Engine
from pinn.refinement.frames import Frames
from pinn.refinement.loop import OVER, STOPPED, Clock, Loop, OutOfTime
from pinn.refinement.polish import Polish
from pinn.refinement.result import FLOOR, assemble
from pinn.refinement.start import begin
from pinn.refinement.state import State

_SCALE_FRAMES = 512  # whose amplitudes set the scale of the start


def refine(
    scan: Scan,
    start: Reconstruction | Model | None = None,
    config: RefineConfig | None = None,
    *,
    output: str | Path | None = None,
    resume: bool = False,
    progress: Callable[[Progress], None] | None = None,
    watch: Callable[[Reconstruction], None] | None = None,
    **options: Any,
) -> Reconstruction:
    """Refine object, probe, positions and scale by descent through the forward model.

    Args:
        scan: the measurement; its probe is used where the start has none.
        start: an earlier result; a trained model, whose picture of a few frames (`start_cover`)
            is the beginning; or None for a flat object.
        config: see `RefineConfig`; `options` override its fields.
        output: folder that gets a checkpoint after every epoch.
        resume: go on from the checkpoint in `output`.
        progress: called with a `Progress` before every batch; `StopRequested` from it ends the
            work after the batch, and what is best by then is returned.
        watch: called after every epoch with what there is by then, without what takes another
            pass (likelihood of frames, disagreement).

    Raises:
        ScanError: no probe, or a start that does not fit.
        ConfigError: options that contradict each other or the kind of start.
        ArchiveError: a checkpoint that is damaged or of another refinement.
        DivergedError: no step gives finite values.
    """
    began = time.perf_counter()
    config = (config or RefineConfig()).replace(**options)
    clock = Clock(began, None if config.seconds is None else began + config.seconds)
    statistics = scan.statistics()
    rows = np.setdiff1d(np.arange(len(scan)), statistics.dark_frames)
    if not len(rows):
        raise ScanError(f"scan {scan.name} has no frame with light")
    frames = Frames(scan, rows)
    begun, cut_short = _beginning(scan, start, rows, config, clock, progress)
    state = begin(scan, config, begun, rows, frames.factor)
    _, unit = counts_per_unit(frames.factor)
    engine = Engine(frames, config, unit, state)
    first = scan.positions_px[rows]
    kept = None if output is None else checkpoint.Keeper(Path(output), scan, config, begun)
    known = kept.load(state) if kept is not None and resume else None
    if known is None:
        set_scale(engine, state, fixed_object=not config.update_object)
    loop = Loop(engine, state if known is None else known.state, first, config, clock)
    if known is not None:
        loop.best, loop.energy, loop.rejected = known.best, known.energy, known.rejected

    def made(state: State, judge: bool, ended: str, halves: Any = None) -> Reconstruction:
        return assemble(scan, rows, first, loop, state, config, begun, judge, ended, began, halves)

    def shown(state: State) -> None:
        if watch is not None:
            watch(made(state, judge=False, ended="in progress"))

    def after_epoch(loop: Loop, state: State | None = None) -> None:
        if kept is not None:
            kept.save(loop)
        shown(loop.state if state is None else state)

    def after_polish(state: State) -> None:
        loop.best = state
        after_epoch(loop, state)

    if cut_short is None:
        loop.run(progress, after_epoch)
    else:
        loop.ended = cut_short
    ended, best, halves = loop.ended, loop.best, None
    cut = ended in (OVER, STOPPED)
    try:
        if config.polish and not cut and not config.restricts_object:
            polish = Polish(engine, best, first, config, clock)
            polish.run(progress, after_polish)
            loop.notes.extend(polish.notes)
            best, ended = polish.best, polish.ended or ended
            cut = polish.ended is not None
        if config.split_half and config.update_object and not cut:
            halves = _halves(scan, rows, best, config, clock, progress)
    except OutOfTime:
        ended = OVER
    except StopRequested:
        ended = STOPPED
    return made(best, judge=True, ended=ended, halves=halves)


def _beginning(
    scan: Scan,
    start: Reconstruction | Model | None,
    rows: np.ndarray,
    config: RefineConfig,
    clock: Clock,
    progress: Callable[[Progress], None] | None,
) -> tuple[Reconstruction | None, str | None]:
    """The result to begin with, and why making it was cut short, or None."""
    if isinstance(start, Model):
        return picture(scan, start, rows, config.start_cover, clock, progress)
    if start is not None and not isinstance(start, Reconstruction):
        raise ConfigError(
            f"start is a {type(start).__name__}, but a Reconstruction, a trained Model or None is "
            "required; load files with pinn.load_reconstruction or pinn.load_model"
        )
    if config.start_cover != RefineConfig().start_cover:
        raise ConfigError(
            f"start_cover {config.start_cover} has no effect without a network to start from; give "
            "a model, or leave it out"
        )
    return start, None


def _halves(
    scan: Scan,
    rows: np.ndarray,
    best: State,
    config: RefineConfig,
    clock: Clock,
    progress: Callable[[Progress], None] | None,
) -> dict[str, Any] | None:
    """Refine two halves of the frames, each from a flat object and the scan's own probe, and
    compare: positions, intensities and background are those of the whole."""
    side, pictures = interleaved(best.positions), []
    alone = config.replace(
        update_positions=False, position_model="free", update_factors=False, background="none",
        split_half=False, seconds=None,
    )  # fmt: skip
    for half in (0, 1):
        chosen = np.flatnonzero(side == half)
        if len(chosen) < 2:
            return None
        frames = Frames(scan, rows[chosen])
        state = begin(scan, alone, None, rows[chosen], frames.factor)
        # on the canvas of the whole, so that the two lie pixel on pixel
        state.object = np.ones_like(best.object)
        state.velocity = np.zeros_like(best.object)
        state.origin, state.positions = best.origin.copy(), best.positions[chosen].copy()
        state.factors, state.background = best.factors[chosen].copy(), best.background.copy()
        _, unit = counts_per_unit(frames.factor)
        engine = Engine(frames, alone, unit, state)
        set_scale(engine, state, fixed_object=False)
        loop = Loop(engine, state, state.positions.copy(), alone, clock, f"half {half + 1}")
        loop.run(progress)
        found, ended = loop.best, loop.ended
        if alone.polish and ended not in (OVER, STOPPED) and not alone.restricts_object:
            polish = Polish(engine, found, found.positions, alone, clock, f"polish half {half + 1}")
            polish.run(progress)
            found, ended = polish.best, polish.ended or ended
        if ended == OVER:
            raise OutOfTime
        if ended == STOPPED:
            raise StopRequested
        _, planes = engine.judge(found)
        pictures.append((found.object, planes["light"]))
    (one, light), (other, other_light) = pictures
    both = (light > FLOOR * light.max()) & (other_light > FLOOR * other_light.max())
    return correlate(one, aligned(other, one, both), both)


def aligned(image: np.ndarray, like: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """An image without what two refinements need not share: a factor and a phase ramp."""
    for _ in range(3):
        product = np.where(valid, like * np.conj(image), 0)
        image = image * phase_ramp(phase_gradient(product), image.shape)
    factor = np.sum(np.where(valid, like * np.conj(image), 0)) / np.sum(
        np.where(valid, np.abs(image) ** 2, 0)
    )
    return np.asarray(image * factor)


def counts_per_unit(factor: float) -> tuple[bool, float]:
    """Whether the numbers are counts, and Poisson counts per unit of normalised intensity."""
    unit, _ = likelihood.brightness(ops.convert_to_tensor(np.array([factor], np.float32)))
    own = float(ops.convert_to_numpy(unit)[0])
    return own == 1.0, own / factor**2


def set_scale(engine: Engine, state: State, fixed_object: bool) -> None:
    """Bring the object, or the probe, to where predicted and measured amplitudes agree best.

    One number, in closed form, from a sample of frames spread over the scan.
    """
    few = np.unique(np.linspace(0, len(engine.frames) - 1, _SCALE_FRAMES).astype(int))
    found = engine.look(state, few)
    top, below = found.others["measured_root"], found.others["root_root"]
    scale = float(np.nansum(top) / max(float(np.nansum(below)), 1e-30))
    if not (np.isfinite(scale) and scale > 0):
        return
    if fixed_object:
        state.probe = (state.probe * scale).astype(np.complex64)
    else:
        state.object = (state.object * scale).astype(np.complex64)
