"""What a reader found in a scan file, before options and checks are applied."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pinn.data.frames import FrameSource


@dataclass(eq=False)
class Contents:
    """Parts of a scan as they lie in a file; see `pinn.data.scan.Scan` for shapes.

    Attributes:
        units, centre: what the file itself says, or None.
        bad_pixels: bool `(N, N)` or `(M, N, N)`, True = BAD.
        photons_per_frame: mean photons per frame, where the frames carry no dose of their own.
        notes: sentences about what was read or left out.
    """

    frames: FrameSource
    positions_px: np.ndarray
    positions_nominal_px: np.ndarray | None = None
    probe: np.ndarray | None = None
    bad_pixels: np.ndarray | None = None
    truth: np.ndarray | None = None
    scan_index: np.ndarray | None = None
    pixel_size_m: float | None = None
    photons_per_frame: float | None = None
    units: str | None = None
    centre: str | None = None
    notes: list[str] = field(default_factory=list)
