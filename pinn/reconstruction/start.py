"""What a network makes of a scan, as the start of a refinement."""

from __future__ import annotations

from typing import Any

import numpy as np

from pinn import backend
from pinn.data.scan import Scan
from pinn.errors import ScanError
from pinn.io.product import Reconstruction
from pinn.networks.trained import Model
from pinn.reconstruction.illumination import Illumination


def as_start(
    scan: Scan,
    model: Model,
    illumination: Illumination,
    canvas: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    frames: np.ndarray,
    facts: dict[str, Any],
) -> Reconstruction:
    """The reconstruction, with a probe where the scan has none or the model was trained on it.

    Args:
        scan: the measurement.
        model: the network.
        illumination: what it was computed with.
        canvas: object `(H, W)` complex64, coverage `(H, W)` float32, mask of known pixels `(H, W)`
            and origin `(2,)`.
        frames: `(M,)` that it was made of.
        facts: how, for `statistics["network_start"]`.

    Raises:
        ScanError: values that are not finite.
    """
    obj, coverage, known, origin = canvas
    if not np.isfinite(obj).all():
        raise ScanError(
            f"the network's reconstruction of {scan.name} has values that are not finite; the "
            "model or the frames are damaged"
        )
    has_probe = scan.probe is not None and not illumination.trained
    return Reconstruction(
        object=obj,
        origin_px=origin,
        coverage=coverage,
        valid_mask=known,
        probe=None if has_probe else illumination.probe_counts,
        positions_px=scan.positions_px[frames],
        frame_indices=frames,
        statistics={"network_start": {"frames": len(frames), **facts}},
        config={"model": model.config.to_dict()},
        versions=backend.versions(),
        archive_sha256=model.archive_sha256,
        scan_name=scan.name,
    )
