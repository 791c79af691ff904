"""From a canvas and how it was made to a `Reconstruction`."""

from __future__ import annotations

import dataclasses
import time
from typing import Any, Protocol

import numpy as np

from pinn import backend
from pinn.config import ReconstructConfig
from pinn.data.continuation import continued
from pinn.errors import ScanError
from pinn.io.product import Reconstruction
from pinn.networks.trained import Model
from pinn.reconstruction.contrast import calibrate
from pinn.reconstruction.stitching import ReadFrames
from pinn.reconstruction.trust import with_verdict


class Canvas(Protocol):
    """What patches were stitched on, or stages have corrected."""

    def result(self, *, synchronise: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Object, coverage and origin."""

    def disagreement(self) -> np.ndarray:
        """How far the patches over a pixel differ."""


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
        probe: `(P, N, N)` that illuminates the patches.
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
        record = {
            name: value for name, value in dataclasses.asdict(contrast).items() if name != "note"
        }
        record["applied"] = contrast.note is None
        # no one knows which part of the spread lies along the mean of the object
        disagreement *= np.float32(np.hypot(contrast.real, contrast.imaginary) / np.sqrt(2))
        extra["statistics"] = {**extra["statistics"], "contrast": record, "seconds": seconds}
        if contrast.note is not None:
            extra["notes"] = (*extra.get("notes", ()), contrast.note)
    if not np.all(np.isfinite(obj)):
        raise ScanError(
            f"the reconstruction of {name} has values that are not finite; the model or the "
            "frames are damaged"
        )
    recon = Reconstruction(
        object=continued(obj, coverage > 0),
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
