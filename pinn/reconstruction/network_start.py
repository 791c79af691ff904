"""A network's reconstruction to begin a refinement with: rough, whole and cheap."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from pinn.config import ReconstructConfig
from pinn.data.geometry import check_canvas
from pinn.data.grouping import groups_for_inference
from pinn.data.masks import encode
from pinn.data.scan import Scan
from pinn.io.product import Reconstruction
from pinn.networks.trained import Model
from pinn.progress import Deadline, OutOfTime, Progress, StopRequested
from pinn.reconstruction.cover import covering
from pinn.reconstruction.illumination import illumination_of
from pinn.reconstruction.staged import staged_start
from pinn.reconstruction.start import as_start
from pinn.reconstruction.stitching import Stitcher

LIT = 0.05  # of the largest intensity of the probe: what a frame covers
_PHASE_TOLERANCE = 1e-3  # the first epoch changes more


def network_start(
    scan: Scan,
    model: Model,
    rows: np.ndarray,
    cover: int,
    deadline: Deadline,
    progress: Callable[[Progress], None] | None = None,
) -> tuple[Reconstruction, type[Exception] | None]:
    """A network's reconstruction of as few frames as cover the scan.

    Contrast is not calibrated and nothing is judged: the first epoch of a refinement corrects
    more than that.

    Args:
        scan: the measurement.
        model: a trained model of the same frame size.
        rows: `(M,)` frames that may be looked at, none of them dark.
        cover: frames over each illuminated pixel, at least; all there are where that is fewer. An
            unrolled network sees all frames.
        deadline: of the refinement.
        progress: called after every batch; `StopRequested` from it ends the work.

    Returns:
        The reconstruction, with a probe where the scan has none or the model was trained on this
        scan; and `StopRequested` or `OutOfTime` where that cut it short, or None.

    Raises:
        ScanError: frames of another size than the model's, or too few for a group.
    """
    if model.network.unrolled:
        return staged_start(scan, model, rows, deadline, progress)
    began, positions = time.perf_counter(), scan.positions_px
    config = ReconstructConfig()
    factor = scan.statistics().exposure_factor
    illumination = illumination_of(scan, model, factor)
    stitcher = Stitcher(model, illumination.probe, config, contrast=illumination.contrast)
    if stitcher.frame_by_frame:
        groups = rows[:, None]
    else:
        index = None if scan.scan_index is None else scan.scan_index[rows]
        grouped = groups_for_inference(positions[rows], model.config.gridsize, index)
        groups = rows[grouped.indices]
    places = positions[groups]
    if not model.config.object_big:  # one patch for the group
        places = places.mean(1, keepdims=True)
    intensity = np.sum(np.abs(illumination.probe) ** 2, axis=0)
    shape = np.ceil(np.ptp(positions[rows], axis=0)).astype(int) + scan.N
    check_canvas(shape, scan.name, len(rows) * scan.N**2)
    chosen = groups[covering(places, intensity >= LIT * intensity.max(), cover)]
    stitcher.canvas.reserve(positions[chosen])
    cut: type[Exception] | None = None

    def read(numbers: np.ndarray) -> np.ndarray:
        return encode(*scan.read(numbers), factor)

    def locate(numbers: np.ndarray) -> np.ndarray:
        return positions[numbers]

    try:
        for done in stitcher.run(chosen, locate, read, stitcher.canvas):
            if progress is not None:
                rate = done / max(time.perf_counter() - began, 1e-9)
                progress(Progress("start", done, len(chosen), rate))
            deadline.check()
    except (StopRequested, OutOfTime) as reason:
        cut = type(reason)
    obj, coverage, origin = stitcher.canvas.result(synchronise=True, tolerance=_PHASE_TOLERANCE)
    facts = {"groups": len(chosen), "of_frames": len(rows), "seconds": time.perf_counter() - began}
    lit = coverage > 0
    frames = np.unique(chosen)
    return as_start(scan, model, illumination, (obj, coverage, lit, origin), frames, facts), cut
