"""Inference and stitching of a whole scan, in the memory of its canvas."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from pinn import backend
from pinn.config import ReconstructConfig
from pinn.data.geometry import check_canvas
from pinn.data.grouping import groups_for_inference
from pinn.data.masks import decode, encode
from pinn.data.scan import Scan
from pinn.errors import ScanError
from pinn.io.archive import PRETRAINED_PATH
from pinn.io.product import Reconstruction
from pinn.networks.trained import Model, load_model
from pinn.progress import Progress, StopRequested, wanted
from pinn.quality.halves import interleaved
from pinn.quality.likeness import Comparison, chosen_groups, compare, explained, sample_rates
from pinn.reconstruction.assembly import assemble
from pinn.reconstruction.canvas import Canvas
from pinn.reconstruction.illumination import counted_for, illumination_of
from pinn.reconstruction.staged import reconstruct_staged, refuse_options
from pinn.reconstruction.stitching import ReadFrames, Stitcher
from pinn.reconstruction.trust import with_consistency, with_likelihood, with_likeness, with_verdict

_PARTS = 4
NOT_COMPARED = (
    "the archive does not say how well it explained its training, so that scans are judged by "
    "their fit alone"
)


def reconstruct(
    scan: Scan,
    model: Model | None = None,
    config: ReconstructConfig | None = None,
    *,
    progress: Callable[[Progress], None] | None = None,
    watch: Callable[[Reconstruction], None] | None = None,
    **options: Any,
) -> Reconstruction:
    """Reconstruct a whole scan with a trained network.

    A network that sees one frame at a time predicts every frame once. Any other network predicts,
    for every frame, the group of the frame and its C-1 nearest, and all patches of the group are
    placed. An unrolled network corrects one canvas of the whole scan, stage by stage. Frames are
    read as they are needed.

    Args:
        scan: the measurement.
        model: a trained model of the same frame size; default: the pretrained one of the package,
            which takes frames of any even size.
        config: see `ReconstructConfig`; `options` override its fields.
        progress: called with a `Progress` about a hundred times; `StopRequested` from it ends the
            work, and what is on the canvas by then is returned.
        watch: called after each quarter of the frames but the last with what there is by then, its
            contrast not calibrated, marked unfinished. `StopRequested` from it ends the work as
            well. One with a method `due` is called where that returns True.

    Raises:
        ScanError: frame size or content does not fit the model, or a position is far away.
        OutOfMemoryError: memory ran out.
    """
    model = load_model(PRETRAINED_PATH) if model is None else model
    config = (config or ReconstructConfig()).replace(**options)
    config = config.replace(batch_size=min(config.batch_size, len(scan)))
    with backend.told_what_to_lower("reconstruction", "--batch-size"):
        return _reconstruct(scan, model, config, progress, watch)


def _reconstruct(
    scan: Scan,
    model: Model,
    config: ReconstructConfig,
    progress: Callable[[Progress], None] | None,
    watch: Callable[[Reconstruction], None] | None,
) -> Reconstruction:
    refuse_options(model, config)
    scan = counted_for(scan, model)
    if model.network.unrolled:
        return reconstruct_staged(scan, model, config, progress, watch)
    statistics = scan.statistics()
    scan_factor = statistics.exposure_factor
    factor = scan_factor if config.exposure == "scan" else model.exposure_factor
    illumination = illumination_of(scan, model, factor)
    probe, contrast = illumination.probe, illumination.contrast
    anchor = (0.0, 0.0)
    if config.anchor == "mean":
        mean = scan.positions_px.mean(0)
        anchor = (float(mean[0]), float(mean[1]))
    stitcher = Stitcher(model, probe, config, anchor, contrast)
    groups = stitcher.groups(scan.positions_px, scan.scan_index)
    shape = np.ceil(np.ptp(scan.positions_px, axis=0)).astype(int) + scan.N
    check_canvas(shape, scan.name, len(scan) * scan.N**2)
    stitcher.canvas.reserve(scan.positions_px)
    if config.consistency:
        stitcher.keep_half(interleaved(scan.positions_px) == 0, scan.positions_px)

    def read(indices: np.ndarray) -> np.ndarray:
        return encode(*scan.read(indices), factor)

    def locate(indices: np.ndarray) -> np.ndarray:
        return scan.positions_px[indices]

    total, started, percent, part, done = len(groups), time.perf_counter(), -1, 0, 0
    notes, stopped = list(scan.notes), False
    if scan.probe is None and not illumination.trained:
        notes.append("the scan has no probe: the model's, of its first training scan, was taken")

    def result(
        canvas: Canvas,
        done: int,
        config: ReconstructConfig,
        notes: tuple[str, ...] = (),
        **more: Any,
    ) -> Reconstruction:
        extra: dict[str, Any] = {
            "exposure": config.exposure,
            "exposure_ratio": scan_factor / model.exposure_factor,
            "seconds": {**stitcher.seconds, "total": time.perf_counter() - started},
            "frames": int(done),
            "mean_counts": statistics.mean_counts,
            **more,
        }
        if scan.steps:
            extra["preparation"] = list(scan.steps)
        return assemble(
            canvas,
            model,
            probe,
            illumination.probe_counts,
            read,
            scan.positions_px[:done],
            np.arange(done),
            config,
            scan.name,
            pixel_size_m=scan.pixel_size_m,
            acquisition=scan.acquisition,
            statistics=extra,
            notes=notes,
        )

    try:
        for done in stitcher.run(groups, locate, read, stitcher.canvas):
            if progress is not None and (done * 100 // total > percent or done == total):
                percent = done * 100 // total
                rate = done / max(time.perf_counter() - started, 1e-9)
                progress(Progress(stage="reconstruct", done=done, total=total, rate=rate))
            if watch is not None and done < total and done * _PARTS // total > part:
                part = done * _PARTS // total
                if wanted(watch):
                    plain, where = config.replace(calibrate=False), f"{done} of {total} frames"
                    watch(result(stitcher.whole, done, plain, unfinished=where))
    except StopRequested:
        stopped = done < total  # the last report may be answered so too, and nothing is missing
        notes += [f"stopped on request after {done} of {total} frames"] if stopped else []
    if stitcher.dark:
        notes.append(f"{stitcher.dark} frames without counts were left out")
    if scan.scan_index is not None and len(np.unique(scan.scan_index)) > 1:
        notes.append("frames of several scan indices share this canvas, as one object")
    cut = {"stopped": True, "unfinished": f"stopped at {done} of {total} frames"}
    recon = result(stitcher.whole, done, config, tuple(notes), **(cut if stopped else {}))
    if stitcher.half is not None:
        shared = not stitcher.frame_by_frame
        recon = with_consistency(recon, stitcher.canvas, stitcher.half, config.synchronise, shared)
    if config.likelihood:
        recon = with_likelihood(
            recon,
            read,
            factor**-2,
            config.batch_size,
            model.network.diffract.through,
            statistics.photons_known,
        )
        clock = time.perf_counter()
        if "likeness" not in model.statistics:
            recon = dataclasses.replace(recon, notes=(*recon.notes, NOT_COMPARED))
        likeness = _likeness(stitcher, model, probe, scan, read, factor, config)
        recon = (
            recon
            if likeness is None
            else with_likeness(recon, likeness, illumination.trained, clock)
        )
    return with_verdict(recon)


def _likeness(
    stitcher: Stitcher,
    model: Model,
    probe: np.ndarray,
    scan: Scan,
    read: ReadFrames,
    factor: float,
    config: ReconstructConfig,
) -> Comparison | None:
    """How the network explains single groups, against its training; None: unknown."""
    if config.weighting == "crop":  # what is cropped is illuminated, but not known
        return None
    intensity = np.sum(np.abs(probe) ** 2, axis=0)
    merged = model.config.merge == "probe"
    weight = intensity / intensity.max() + 0.01 if merged else np.ones(intensity.shape)
    try:
        groups = groups_for_inference(scan.positions_px, model.config.gridsize, scan.scan_index)
    except ScanError:  # frame by frame a scan may have fewer frames than a group
        return None
    places = scan.positions_px[groups.indices]
    reach = np.abs(places - places.mean(1, keepdims=True)).max((1, 2))
    usual = groups.indices[reach <= 2 * model.config.N]  # training refuses wider ones
    if not len(usual):
        return None
    sample = chosen_groups(usual, model.config.N)
    frames, rates = sample_rates(
        sample,
        scan.positions_px,
        read,
        stitcher.patches_of,
        config.batch_size,
        weight,
        probe,
        model.network.diffract.through,
    )
    amplitude, valid = decode(frames)
    counts = np.square(amplitude, dtype=np.float64) / factor**2
    here = explained(counts, rates, valid, scan.statistics().photons_known)
    return compare(here, model.statistics.get("likeness"))
