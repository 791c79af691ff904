"""Inference and stitching of a whole scan, in the memory of its canvas."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from pinn import backend
from pinn.config import ReconstructConfig
from pinn.data.grouping import groups_for_inference
from pinn.data.masks import encode
from pinn.data.scan import Scan
from pinn.errors import ScanError
from pinn.io.product import Reconstruction
from pinn.networks.trained import Model
from pinn.progress import Progress, StopRequested
from pinn.quality.halves import interleaved
from pinn.quality.likeness import Comparison, chosen_groups, compare, sample_rates
from pinn.reconstruction.canvas import Canvas
from pinn.reconstruction.contrast import calibrate
from pinn.reconstruction.illumination import light_of
from pinn.reconstruction.trust import with_consistency, with_likelihood, with_likeness, with_verdict

ReadFrames = Callable[[np.ndarray], np.ndarray]
Locate = Callable[[np.ndarray], np.ndarray]
_PARTS = 4


class GroupStitcher:
    """Runs groups through the compiled predictor and adds all their patches to a canvas.

    Args:
        model: trained model.
        probe: `(P, N, N)` complex, weights the patches.
        config: batch size, weighting.
        anchor: see `Canvas`.
        contrast: `(2,)` factors of the patches' deviations, see `compile_predictor`.
    """

    def __init__(
        self,
        model: Model,
        probe: np.ndarray,
        config: ReconstructConfig,
        anchor: tuple[float, float] = (0.0, 0.0),
        contrast: np.ndarray | None = None,
    ) -> None:
        self.N, self.members = model.config.N, model.config.gridsize**2
        self.batch_size = config.batch_size
        self.canvas = Canvas(self.N + 1, anchor)
        self._whole_group = not model.config.object_big and self.members > 1
        # Each distinct frame is predicted once, where its patch does not depend on its group.
        alone = getattr(model.network.network, "frame_by_frame", False)
        self._alone = alone and contrast is None and self.members > 1 and not self._whole_group
        backend.full_precision()
        self._predict = model.predictor(probe, config, contrast)
        self.half: Canvas | None = None
        self._in_half = np.zeros(0, bool)
        self.dark = 0  # groups whose own frame holds no light: their patch of it is left out
        self.seconds = {"read": 0.0, "network": 0.0, "stitch": 0.0}

    @property
    def frame_by_frame(self) -> bool:
        """Whether the patch of a frame depends on that frame only."""
        return self._alone or self.members == 1

    def keep_half(self, in_half: np.ndarray, positions: np.ndarray) -> None:
        """Add the patches of some frames to the canvas `half` besides.

        Args:
            in_half: `(M,)` bool. Patches go by the first frame of their group, or by their own
                frame where they depend on no other.
            positions: `(M, 2)`, see `Canvas.reserve`.
        """
        self.half = Canvas(self.canvas.size, (self.canvas.anchor[0], self.canvas.anchor[1]))
        self.half.reserve(positions)
        self._in_half = in_half

    def patches_of(self, frames: np.ndarray) -> np.ndarray:
        """Object patches `(b, K, N, N)` of groups of frames `(b, C, N, N)`, b at most the batch
        size; 0 where they have no weight."""
        batch = np.zeros((self.batch_size, self.N, self.N, self.members), np.float32)
        batch[: len(frames)] = np.moveaxis(frames, 1, -1)
        places = np.zeros((self.batch_size, 1 if self._whole_group else self.members, 3))
        places[..., 2] = 1.0
        found = self._predict(batch, places.astype(np.float32))[: len(frames), :, :-1, :-1]
        weight = found[..., 2]
        known = weight > 1e-6
        patches = (found[..., 0] + 1j * found[..., 1]) / np.where(known, weight, 1.0)
        return np.where(known, patches, 0.0)

    def run(
        self, groups: np.ndarray, locate: Locate, read: ReadFrames, canvas: Canvas
    ) -> Iterator[int]:
        """Add groups `(G, C)` of frame indices; yields the number of groups done so far.

        Args:
            locate: indices of any shape `(...)` to their positions `(..., 2)` float64.
            read: indices `(n,)` to encoded frames `(n, N, N)`, -1 at masked pixels.
            canvas: where to add.
        """
        if self._alone:
            yield from self._run_alone(groups, locate, read, canvas)
            return
        size = self.batch_size
        for first in range(0, len(groups), size):
            chosen = groups[first : first + size]
            place = locate(chosen)
            count = len(chosen)
            clock = time.perf_counter()
            unique, inverse = np.unique(chosen, return_inverse=True)
            frames = read(unique)[inverse.reshape(chosen.shape)]  # (b, C, N, N)
            lit = np.any(frames > 0, axis=(2, 3))
            self.dark += int(np.count_nonzero(~lit[:, 0]))
            batch = np.zeros((size, self.N, self.N, self.members), np.float32)
            batch[:count] = np.moveaxis(frames, 1, -1)
            if self._whole_group:
                place, lit = place.mean(1, keepdims=True), np.any(lit, axis=1, keepdims=True)
            corners, fractions = canvas.split(place)
            padded = np.zeros((size, place.shape[1], 3), np.float32)
            padded[:count, :, :2], padded[:count, :, 2] = fractions, lit
            clock = self._lap("read", clock)
            patches = self._predict(batch, padded)[:count]
            clock = self._lap("network", clock)
            for corner, group, seed in zip(corners, patches, chosen[:, 0], strict=True):
                canvas.add(corner, group)
                if self.half is not None and self._in_half[seed]:
                    self.half.add(corner, group)
            self._lap("stitch", clock)
            yield first + count

    def _run_alone(
        self, groups: np.ndarray, locate: Locate, read: ReadFrames, canvas: Canvas
    ) -> Iterator[int]:
        """As `run`: the batches are filled with the distinct frames of as many groups as fit."""
        size, N, first = self.batch_size * self.members, self.N, 0
        while first < len(groups):
            chosen = _fitting(groups[first : first + size], size)
            clock = time.perf_counter()
            unique, inverse = np.unique(chosen, return_inverse=True)
            members, count = inverse.reshape(chosen.shape), len(unique)
            frames = np.zeros((size, N, N), np.float32)
            frames[:count] = read(unique)
            lit = np.any(frames[:count] > 0, axis=(1, 2))
            self.dark += int(np.count_nonzero(~lit[members[:, 0]]))
            corners, fractions = canvas.split(locate(unique))
            places = np.zeros((size, 3), np.float32)
            places[:count, :2], places[:count, 2] = fractions, lit
            batch = np.moveaxis(frames.reshape(-1, self.members, N, N), 1, -1)
            clock = self._lap("read", clock)
            patches = self._predict(
                np.ascontiguousarray(batch), places.reshape(-1, self.members, 3)
            ).reshape(size, N + 1, N + 1, 3)
            clock = self._lap("network", clock)
            for rows in members:
                canvas.add(corners[rows], patches[rows])
                if self.half is not None and len(own := rows[self._in_half[unique[rows]]]):
                    self.half.add(corners[own], patches[own])
            self._lap("stitch", clock)
            first += len(chosen)
            yield first

    def _lap(self, stage: str, since: float) -> float:
        now = time.perf_counter()
        self.seconds[stage] += now - since
        return now


def _fitting(groups: np.ndarray, frames: int) -> np.ndarray:
    """As many of the first groups `(G, C)` as have no more than so many distinct frames."""
    _, firsts = np.unique(groups, return_index=True)
    new = np.zeros(groups.size, np.int64)
    new[firsts] = 1
    seen = np.cumsum(new).reshape(groups.shape)[:, -1]
    return groups[: int(np.searchsorted(seen, frames, side="right"))]


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

    One group per frame (the frame and its C-1 nearest), all patches placed; frames are read as
    they are needed.

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
    statistics = scan.statistics()
    own = statistics.exposure_factor
    factor = own if config.exposure == "scan" else model.exposure_factor
    light = light_of(scan, model, factor)
    probe, contrast, in_counts = light.probe, light.contrast, light.probe_counts
    groups = groups_for_inference(
        scan.positions_px, model.config.gridsize, scan.scan_index
    ).indices.astype(np.int32)
    anchor = (0.0, 0.0)
    if config.anchor == "mean":
        mean = scan.positions_px.mean(0)
        anchor = (float(mean[0]), float(mean[1]))
    stitcher = GroupStitcher(model, probe, config, anchor, contrast)
    stitcher.canvas.reserve(scan.positions_px)
    if config.consistency:
        stitcher.keep_half(interleaved(scan.positions_px) == 0, scan.positions_px)

    def read(indices: np.ndarray) -> np.ndarray:
        return encode(*scan.read(indices), factor)

    def locate(indices: np.ndarray) -> np.ndarray:
        return scan.positions_px[indices]

    total, started, told, shown, done = len(groups), time.perf_counter(), -1, 0, 0
    notes, stopped = list(scan.notes), False

    def result(done: int, config: ReconstructConfig, notes: tuple[str, ...] = ()) -> Reconstruction:
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
            stitcher.canvas,
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
                watch(result(done, config.replace(calibrate=False)))
    except StopRequested:
        stopped = True
        notes.append(f"stopped on request after {done} of {total} frames")
    if stitcher.dark:
        notes.append(f"{stitcher.dark} frames without light were left out of the picture")
    if scan.scan_index is not None and len(np.unique(scan.scan_index)) > 1:
        notes.append("frames of several scan indices share this canvas, as one object")
    recon = result(done, config, tuple(notes))
    if stopped:
        recon.statistics["stopped"] = True
    if stitcher.half is not None:
        shared = not stitcher.frame_by_frame
        recon = with_consistency(recon, stitcher.canvas, stitcher.half, config.synchronise, shared)
    if config.likelihood:
        recon = with_likelihood(recon, read, factor**-2, config.batch_size)
        clock = time.perf_counter()
        found = _likeness(stitcher, model, probe, groups, scan.positions_px, read, factor, config)
        recon = recon if found is None else with_likeness(recon, found, clock)
    return with_verdict(recon)


def _likeness(
    stitcher: GroupStitcher,
    model: Model,
    probe: np.ndarray,
    groups: np.ndarray,
    positions: np.ndarray,
    read: ReadFrames,
    factor: float,
    config: ReconstructConfig,
) -> Comparison | None:
    """How the network explains single groups, against its training."""
    if config.weighting == "crop":  # what is cropped is not known, but lit
        return None
    light = np.sum(np.abs(probe) ** 2, axis=0)
    merged = model.config.merge == "probe"
    weight = light / light.max() + 0.01 if merged else np.ones(light.shape)
    sample = chosen_groups(groups, model.config.N)
    frames, rates = sample_rates(
        sample, positions, read, stitcher.patches_of, config.batch_size, weight, probe
    )
    counts = np.maximum(frames.astype(np.float64), 0.0) ** 2 / factor**2
    return compare(counts, rates, frames >= 0, model.history, model.exposure_factor)


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
            obj, coverage, origin, probe, positions, lambda rows: read(indices[rows])
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
