"""`pinn.reconstruct` with an unrolled network."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from pinn.config import ReconstructConfig
from pinn.data.geometry import check_canvas
from pinn.data.kept_frames import Frames
from pinn.data.masks import encode
from pinn.data.scan import Scan
from pinn.errors import ConfigError, ScanError
from pinn.io.product import Reconstruction
from pinn.networks.trained import Model
from pinn.progress import Deadline, OutOfTime, Progress, StopRequested, wanted
from pinn.quality.halves import correlate, interleaved
from pinn.reconstruction.assembly import assemble
from pinn.reconstruction.illumination import Illumination, illumination_of
from pinn.reconstruction.start import as_start
from pinn.reconstruction.trust import with_likelihood, with_verdict
from pinn.reconstruction.unrolled import STAGES, Canvas

START_STAGES = 4  # for a refinement to begin with
_FEWEST = 2  # frames of a half


def reconstruct_staged(
    scan: Scan,
    model: Model,
    config: ReconstructConfig,
    progress: Callable[[Progress], None] | None,
    watch: Callable[[Reconstruction], None] | None,
) -> Reconstruction:
    """See `pinn.reconstruct`."""
    model, began = model.of_size(scan.N), time.perf_counter()
    statistics = scan.statistics()
    factor = statistics.exposure_factor if config.exposure == "scan" else model.exposure_factor
    illumination = illumination_of(scan, model, factor)
    rows = np.setdiff1d(np.arange(len(scan)), statistics.dark_frames)
    if not len(rows):
        raise ScanError(f"all frames of scan {scan.name} are dark")
    shape = np.ceil(np.ptp(scan.positions_px, axis=0)).astype(int) + scan.N
    check_canvas(shape, scan.name, len(scan) * scan.N**2)
    notes = list(scan.notes)
    if len(statistics.dark_frames):
        notes.append(f"{len(statistics.dark_frames)} frames without counts were left out")
    canvas = _canvas(scan, rows, model, illumination, factor, config)
    plain = config.replace(calibrate=False)

    def read(indices: np.ndarray) -> np.ndarray:
        return encode(*scan.read(indices), factor)

    def result(unfinished: str | None = None, more: tuple[str, ...] = ()) -> Reconstruction:
        extra: dict[str, Any] = {
            "exposure": config.exposure,
            "exposure_ratio": statistics.exposure_factor / model.exposure_factor,
            "seconds": {**canvas.seconds, "total": time.perf_counter() - began},
            "frames": len(rows),
            "mean_counts": statistics.mean_counts,
            "stages": canvas.count,
            "long_range_corrections": canvas.corrections,
        }
        extra |= {} if unfinished is None else {"unfinished": unfinished}
        extra |= {"stopped": True} if more else {}
        extra |= {"preparation": list(scan.steps)} if scan.steps else {}
        return assemble(
            canvas,
            model,
            illumination.probe,
            illumination.probe_counts,
            read,
            scan.positions_px[rows],
            rows,
            plain,
            scan.name,
            pixel_size_m=scan.pixel_size_m,
            acquisition=scan.acquisition,
            statistics=extra,
            notes=(*notes, *more),
        )

    halves: dict[str, Any] | None = None
    most = config.stages or STAGES
    tell = _teller(progress, len(rows), most, config.consistency)
    finished = False
    try:
        for done in canvas.run(config.stages, tell):
            if watch is not None and done < most and wanted(watch):
                watch(result(f"{done} of {most} stages at most"))
        finished = True
        if config.consistency:
            halves = _halves(scan, rows, model, illumination, factor, config, tell, canvas)
    except StopRequested:
        if not finished:
            where = f"{canvas.count} of {most} stages" + ("" if config.stages else " at most")
            return with_verdict(
                result(f"stopped at {where}", (f"stopped on request after {where}",))
            )
    recon = result()
    recon.statistics["consistency"] = halves
    if config.likelihood:
        recon = with_likelihood(
            recon,
            lambda numbers: read(rows[numbers]),
            factor**-2,
            config.batch_size,
            model.network.diffract.through,
            statistics.photons_known,
        )
    return with_verdict(recon)


def staged_start(
    scan: Scan,
    model: Model,
    rows: np.ndarray,
    deadline: Deadline,
    progress: Callable[[Progress], None] | None = None,
) -> tuple[Reconstruction, type[Exception] | None]:
    """What an unrolled network makes of these frames, for a refinement to begin with.

    Arguments and result as of `pinn.reconstruction.network_start.network_start`.
    """
    model, began = model.of_size(scan.N), time.perf_counter()
    factor = scan.statistics().exposure_factor
    illumination = illumination_of(scan, model, factor)
    shape = np.ceil(np.ptp(scan.positions_px[rows], axis=0)).astype(int) + scan.N
    check_canvas(shape, scan.name, len(rows) * scan.N**2)
    canvas = _canvas(scan, rows, model, illumination, factor, ReconstructConfig())
    tell = _teller(progress, len(rows), START_STAGES, False, "start")
    cut: type[Exception] | None = None

    def before(done: int) -> None:
        tell(done)
        deadline.check()

    try:
        for _ in canvas.run(START_STAGES, before):
            pass
    except (StopRequested, OutOfTime) as reason:
        cut = type(reason)
    obj, coverage, origin = canvas.result()
    facts = {
        "stages": canvas.count,
        "of_frames": len(rows),
        "seconds": time.perf_counter() - began,
    }
    if canvas.count:
        lit = coverage > 0
    else:  # the flat object that it begins with
        coverage, lit = np.ones(obj.shape, np.float32), np.ones(obj.shape, bool)
    return as_start(scan, model, illumination, (obj, coverage, lit, origin), rows, facts), cut


def _canvas(
    scan: Scan,
    rows: np.ndarray,
    model: Model,
    illumination: Illumination,
    factor: float,
    config: ReconstructConfig,
    among: np.ndarray | None = None,
) -> Canvas:
    """The canvas of some frames, as large as that of all of them."""
    whole = scan.positions_px[rows if among is None else among]
    return Canvas(
        model,
        Frames(scan, rows, factor),
        scan.positions_px[rows],
        illumination.probe_counts * factor,
        config.batch_size,
        whole,
    )


def _halves(
    scan: Scan,
    rows: np.ndarray,
    model: Model,
    illumination: Illumination,
    factor: float,
    config: ReconstructConfig,
    tell: Callable[[int], None],
    whole: Canvas,
) -> dict[str, Any] | None:
    """How alike the objects from two halves of the frames are; None where that says nothing."""
    half = interleaved(scan.positions_px[rows])
    if min(np.sum(half == 0), np.sum(half == 1)) < _FEWEST:
        return None
    objects, covered = [], whole.result()[1] > 0
    for number in range(2):
        part = _canvas(scan, rows[half == number], model, illumination, factor, config, rows)
        for _ in part.run(whole.count, lambda done: tell(whole.done + done)):
            pass
        objects.append(part.object)
        covered &= part.result()[1] > 0
    numbers = correlate(objects[0], objects[1], covered)
    if numbers is not None:
        numbers["halves"] = "every second frame along a space-filling curve"
    return numbers


def _teller(
    progress: Callable[[Progress], None] | None,
    frames: int,
    stages: int,
    halves: bool,
    stage: str = "reconstruct",
) -> Callable[[int], None]:
    """Reports how much of the work is done, about a hundred times."""
    began, percent = time.perf_counter(), -1
    total = frames * stages * (2 if halves else 1)

    def tell(done: int) -> None:
        nonlocal percent
        share = min(done / total, 1.0)
        if progress is None or int(100 * share) <= percent:
            return
        percent = int(100 * share)
        shown = int(share * frames)
        rate = shown / max(time.perf_counter() - began, 1e-9)
        progress(Progress(stage=stage, done=shown, total=frames, rate=rate))

    return tell


def refuse_options(model: Model, config: ReconstructConfig) -> None:
    """Options that this network has no use for.

    Raises:
        ConfigError: a number of stages for a network that has none, or what concerns patches for
            one that makes none.
    """
    if not model.network.unrolled:
        if config.stages is not None:
            raise ConfigError(
                f"stages {config.stages} was asked for, but the network "
                f"{model.config.architecture!r} has none; leave it out or use a model of the "
                "unrolled network"
            )
        return
    for name, given in (("weighting", config.weighting), ("anchor", config.anchor)):
        if given in ("crop", "uniform", "mean"):
            raise ConfigError(
                f"{name} {given!r} is for networks that make patches; the unrolled network makes "
                f"the whole object at once: leave {name} out"
            )
