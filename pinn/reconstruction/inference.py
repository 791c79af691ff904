"""Inference and stitching of a whole scan, in the memory of its canvas."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from pinn import backend
from pinn.config import ReconstructConfig
from pinn.data.grouping import groups_for_inference
from pinn.data.masks import decode, encode
from pinn.data.scan import Scan
from pinn.errors import ScanError
from pinn.io.product import Reconstruction
from pinn.networks.trained import Model
from pinn.progress import Progress, StopRequested
from pinn.quality.halves import interleaved
from pinn.quality.likeness import Comparison, chosen_groups, compare, sample_rates
from pinn.reconstruction.canvas import Canvas
from pinn.reconstruction.contrast import calibrate
from pinn.reconstruction.illumination import illumination_of
from pinn.reconstruction.stitching import ReadFrames, Stitcher
from pinn.reconstruction.trust import with_consistency, with_likelihood, with_likeness, with_verdict

_PARTS = 4


def reconstruct(
    scan: Scan,
    model: Model,
    config: ReconstructConfig | None = None,
    *,
    progress: Callable[[Progress], None] | None = None,
    watch: Callable[[Reconstruction], None] | None = None,
    **options: Any,
) -> Reconstruction:
    """Reconstruct a whole scan with a trained network.

    Every frame is predicted once by a network that sees one frame at a time; by any other one in
    the group of the frame and its C-1 nearest, all patches placed. Frames are read as they are
    needed.

    Args:
        scan: the measurement.
        model: a trained model of the same frame size.
        config: see `ReconstructConfig`; `options` override its fields.
        progress: called with a `Progress` about a hundred times; `StopRequested` from it ends the
            work, and what is on the canvas by then is returned.
        watch: called after each quarter of the frames but the last with what there is by then, its
            contrast not calibrated. `StopRequested` from it ends the work as well.

    Raises:
        ScanError: frame size or content does not fit the model.
    """
    config = (config or ReconstructConfig()).replace(**options)
    config = config.replace(batch_size=min(config.batch_size, len(scan)))
    statistics = scan.statistics()
    own = statistics.exposure_factor
    factor = own if config.exposure == "scan" else model.exposure_factor
    lit = illumination_of(scan, model, factor)
    probe, contrast, in_counts = lit.probe, lit.contrast, lit.probe_counts
    anchor = (0.0, 0.0)
    if config.anchor == "mean":
        mean = scan.positions_px.mean(0)
        anchor = (float(mean[0]), float(mean[1]))
    stitcher = Stitcher(model, probe, config, anchor, contrast)
    groups = stitcher.groups(scan.positions_px, scan.scan_index)
    stitcher.canvas.reserve(scan.positions_px)
    if config.consistency:
        stitcher.keep_half(interleaved(scan.positions_px) == 0, scan.positions_px)

    def read(indices: np.ndarray) -> np.ndarray:
        return encode(*scan.read(indices), factor)

    def locate(indices: np.ndarray) -> np.ndarray:
        return scan.positions_px[indices]

    total, started, told, shown, done = len(groups), time.perf_counter(), -1, 0, 0
    notes, stopped = list(scan.notes), False

    def result(
        canvas: Canvas, done: int, config: ReconstructConfig, notes: tuple[str, ...] = ()
    ) -> Reconstruction:
        extra: dict[str, Any] = {
            "exposure": config.exposure,
            "exposure_ratio": own / model.exposure_factor,
            "seconds": {**stitcher.seconds, "total": time.perf_counter() - started},
            "frames": int(done),
            "mean_counts": statistics.mean_counts,
        }
        if scan.steps:
            extra["preparation"] = list(scan.steps)
        return assemble(
            canvas,
            model,
            probe,
            in_counts,
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
            if progress is not None and (done * 100 // total > told or done == total):
                told = done * 100 // total
                rate = done / max(time.perf_counter() - started, 1e-9)
                progress(Progress(stage="reconstruct", done=done, total=total, rate=rate))
            if watch is not None and done < total and done * _PARTS // total > shown:
                shown = done * _PARTS // total
                watch(result(stitcher.whole, done, config.replace(calibrate=False)))
    except StopRequested:
        stopped = True
        notes.append(f"stopped on request after {done} of {total} frames")
    if stitcher.dark:
        notes.append(f"{stitcher.dark} frames without light were left out of the picture")
    if scan.scan_index is not None and len(np.unique(scan.scan_index)) > 1:
        notes.append("frames of several scan indices share this canvas, as one object")
    whole = stitcher.whole
    recon = result(whole, done, config, tuple(notes))
    if stopped:
        recon.statistics["stopped"] = True
    if stitcher.half is not None:
        shared = not stitcher.frame_by_frame
        recon = with_consistency(recon, stitcher.canvas, stitcher.half, config.synchronise, shared)
    if config.likelihood:
        recon = with_likelihood(
            recon, read, factor**-2, config.batch_size, model.network.diffract.through
        )
        clock = time.perf_counter()
        found = _likeness(stitcher, model, probe, scan, read, factor, config)
        recon = recon if found is None else with_likeness(recon, found, clock)
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
    """How the network explains single groups, against its training; None: that cannot be told."""
    if config.weighting == "crop":  # what is cropped is not known, but lit
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
    return compare(counts, rates, valid, model.history, model.exposure_factor)


def assemble(
    canvas: Canvas,
    model: Model,
    probe: np.ndarray,
    probe_counts: np.ndarray,
    read: ReadFrames,
    positions: np.ndarray,
    indices: np.ndarray,
    config: ReconstructConfig,
    name: str,
    **extra: Any,
) -> Reconstruction:
    """Canvas and context to a `Reconstruction`.

    Args:
        probe: `(P, N, N)` as the patches were lit.
        probe_counts: the same in square root of counts.
        read: numbers of frames `(n,)` to encoded frames.
        positions, indices: of the frames on the canvas.
        extra: further fields of the `Reconstruction`.
    """
    obj, coverage, origin = canvas.result(synchronise=config.synchronise)
    disagreement = canvas.disagreement()
    if config.calibrate and len(indices):
        clock = time.perf_counter()
        obj, contrast = calibrate(
            obj,
            coverage,
            origin,
            probe,
            positions,
            lambda rows: read(indices[rows]),
            model.network.diffract.through,
        )
        seconds = {**extra["statistics"].get("seconds", {})}
        seconds["calibrate"] = time.perf_counter() - clock
        if "total" in seconds:
            seconds["total"] += seconds["calibrate"]
        found = {name: value for name, value in asdict(contrast).items() if name != "note"}
        found["applied"] = contrast.note is None
        # no one knows which part of the spread lies along the mean of the object
        disagreement *= np.float32(np.hypot(contrast.real, contrast.imaginary) / np.sqrt(2))
        extra["statistics"] = {**extra["statistics"], "contrast": found, "seconds": seconds}
        if contrast.note is not None:
            extra["notes"] = (*extra.get("notes", ()), contrast.note)
    if not np.all(np.isfinite(obj)):
        raise ScanError(
            f"the reconstruction of {name} has values that are not finite; the model or the "
            "frames are damaged"
        )
    recon = Reconstruction(
        object=obj,
        origin_px=origin,
        coverage=coverage,
        disagreement=np.where(coverage > 0, disagreement, 0.0),
        valid_mask=coverage > 0,
        probe=probe_counts.astype(np.complex64),
        positions_px=positions,
        frame_indices=indices,
        config={"reconstruct": config.to_dict(), "model": model.config.to_dict()},
        versions=backend.versions(),
        archive_sha256=model.archive_sha256,
        losses=[float(row["loss"]) for row in model.history],
        scan_name=name,
        **extra,
    )
    return with_verdict(recon)
