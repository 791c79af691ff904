"""`pinn.refine`: one scan, from a start to the best object that its frames allow."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from pinn import backend
from pinn.config.refine import RefineConfig
from pinn.data.kept_frames import Frames
from pinn.data.quantum import counted
from pinn.data.scan import Scan
from pinn.errors import ConfigError, ScanError
from pinn.io.lock import held
from pinn.io.product import Reconstruction
from pinn.networks.trained import Model
from pinn.progress import OVER, STOPPED, Deadline, OutOfTime, Progress, StopRequested, wanted
from pinn.reconstruction.illumination import counted_for
from pinn.reconstruction.network_start import network_start
from pinn.refinement.checkpoint import Keeper
from pinn.refinement.descent import descend, frames_to_smooth, loop_from, set_scale
from pinn.refinement.dose import choose_likelihood
from pinn.refinement.halves import correlate_halves
from pinn.refinement.loop import Schedule
from pinn.refinement.more_modes import further_mode
from pinn.refinement.result import UNFINISHED, assemble, judged_frames
from pinn.refinement.start import begin, probe_to_begin_with
from pinn.refinement.state import State

# A network that makes the start sees as few frames as illuminate each pixel this often.
_COVER = 1
_LOWER = "--batch-size, --probe-modes or --opr-modes"
_MOST_JUDGING = 1 / 3  # of the time: where it would take more the result is left unjudged
_SCHEDULE = Schedule()


def refine(
    scan: Scan,
    start: Reconstruction | Model | None = None,
    config: RefineConfig | None = None,
    *,
    output: str | Path | None = None,
    resume: bool = False,
    progress: Callable[[Progress], None] | None = None,
    watch: Callable[[Reconstruction], None] | None = None,
    schedule: Schedule = _SCHEDULE,
    deadline: Deadline | None = None,
    **options: Any,
) -> Reconstruction:
    """Refine object, probe and positions of a scan through the forward model.

    Args:
        scan: the measurement; its probe is used where the start has none, and where it has none
            either, one that is fitted to some of its frames.
        start: an earlier result; a trained model, whose reconstruction of a few frames
            is the beginning; or None for a flat object.
        config: see `RefineConfig`; `options` override its fields.
        output: folder that gets a checkpoint after every epoch.
        resume: go on from the checkpoint in `output`.
        progress: called with a `Progress` before every batch; `StopRequested` from it ends the
            work after the batch, and what is best by then is returned.
        watch: called after every epoch, and within one that takes long, with the best by then,
            without what takes another pass (likelihood of frames, disagreement), marked
            unfinished. One with a method `due` is called where that returns True.
        schedule: the first epoch that changes each quantity.
        deadline: when all has to end, writing included; by default `seconds` from now, for a
            result that is not written.

    Raises:
        ScanError: a start that does not fit.
        ConfigError: options that contradict each other or the kind of start.
        ArchiveError: a checkpoint that is damaged or of another refinement.
        DivergedError: no step gives finite values.
        OutOfMemoryError: memory ran out.
        OutputError: `output` cannot be written, or another run writes there.
    """
    config = (config or RefineConfig()).replace(**options)
    folder = None if output is None else Path(output)
    lock = nullcontext() if folder is None else held(folder)
    if deadline is None:
        at = None if config.seconds is None else time.perf_counter() + config.seconds
        deadline = Deadline(at)
    with lock, backend.told_what_to_lower("refinement", _LOWER):
        return _refine(scan, start, config, folder, resume, progress, watch, schedule, deadline)


def _refine(
    scan: Scan,
    start: Reconstruction | Model | None,
    config: RefineConfig,
    folder: Path | None,
    resume: bool,
    progress: Callable[[Progress], None] | None,
    watch: Callable[[Reconstruction], None] | None,
    schedule: Schedule,
    deadline: Deadline,
) -> Reconstruction:
    began = time.perf_counter()
    scan = counted_for(scan, start) if isinstance(start, Model) else counted(scan)
    rows = np.setdiff1d(np.arange(len(scan)), scan.statistics().dark_frames)
    if not len(rows):
        raise ScanError(f"all frames of scan {scan.name} are dark")
    deadline.later = judged_frames(len(rows))
    most = _MOST_JUDGING * max(deadline.left, 0.0)
    frames = Frames(scan, rows)
    begun, cut_short = _beginning(scan, start, rows, deadline, progress)
    choice = choose_likelihood(scan, rows, config)
    config = choice.config
    deadline.later += frames_to_smooth(config, len(rows))
    first = probe_to_begin_with(scan, begun)
    made = None if begun is None else begun.probe
    made = made if first is None else first.probe
    state = begin(scan, config, begun, rows, frames.factor, made)
    loop = loop_from(state, frames, scan.positions_px[rows], config, deadline, schedule)
    loop.notes += [choice.note] if choice.note else []
    loop.notes += [] if first is None else [first.note]
    keeper = None if folder is None else Keeper(folder, scan, config, begun, schedule)
    kept = keeper.load(state) if keeper is not None and resume else None
    if kept is None:
        set_scale(loop)
        if begun is not None and _holds_out_alike(begun, config):
            loop.weigh_start()
        deadline.decide(most)
    else:
        loop.go_on_from(kept.state, kept.best, kept.energy, kept.rejected, kept.restored)
        loop.begun_with = kept.begun_with

    def result(state: State, judge: bool, ended: str, halves: Any = None) -> Reconstruction:
        return assemble(scan, rows, loop, state, begun, judge, ended, began, halves)

    def last(ended: str, halves: Any = None) -> Reconstruction:
        return result(loop.best, deadline.judged or ended != OVER, ended, halves)

    def show() -> None:
        assert watch is not None
        best = loop.best if loop.best.history else loop.state
        watch(result(best, judge=False, ended=UNFINISHED))
        deadline.pause()

    def peek() -> Callable[[], None] | None:
        return show if wanted(watch) else None

    def after(state: State) -> None:
        deadline.decide(most)
        if keeper is not None:
            keeper.save(loop)
        if wanted(watch):
            show()

    if cut_short is not None:
        return last(cut_short)
    descend(loop, progress, after, peek)
    deadline.later = judged_frames(len(rows))
    deadline.decide(most)  # no time is kept for smoothing any more
    ended, halves = loop.ended, None
    if config.split_half and config.update_object and ended not in (OVER, STOPPED):
        try:
            deadline.check(deadline.longest)
            halves = correlate_halves(
                scan, rows, loop.best, config, deadline, schedule, progress, made
            )
            deadline.check(deadline.longest)
            further = further_mode(scan, rows, loop, deadline, progress)
            loop.notes += [further] if further else []
        except OutOfTime:
            ended = OVER
        except StopRequested:
            ended = STOPPED
    return last(ended, halves)


def _holds_out_alike(begun: Reconstruction, config: RefineConfig) -> bool:
    """The start was not fitted to the pixels that are held out now: its likelihood means something.

    A network was not, nor was a refinement with the same fraction; of others it is not known.
    """
    before = (begun.config or {}).get("refine")
    if before is None:
        return begun.archive_sha256 is not None or "network_start" in begun.statistics
    return bool(before.get("held_out") == config.held_out)


def _beginning(
    scan: Scan,
    start: Reconstruction | Model | None,
    rows: np.ndarray,
    deadline: Deadline,
    progress: Callable[[Progress], None] | None,
) -> tuple[Reconstruction | None, str | None]:
    """The result to begin with, and why making it was cut short, or None."""
    if isinstance(start, Model):
        begun, cut = network_start(scan, start, rows, _COVER, deadline, progress)
        return begun, None if cut is None else OVER if cut is OutOfTime else STOPPED
    if start is not None and not isinstance(start, Reconstruction):
        raise ConfigError(
            f"start is a {type(start).__name__}, but a Reconstruction, a trained Model or None is "
            "required; load files with pinn.load_reconstruction or pinn.load_model"
        )
    return start, None
