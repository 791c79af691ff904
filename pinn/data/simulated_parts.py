"""What the frames of a simulated scan were made with, besides the object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class SimulatedParts:
    """The truth behind what a simulated file states wrongly or not at all; for comparison only.

    Attributes:
        positions_px: `(M, 2)` float64 [y, x], where the probe was.
        probe: `(P, N, N)` or `(V, P, N, N)` complex64 in square root of counts, the right probe,
            where that of the file is wrong on purpose; else None.
        intensity: `(M,)` float64 of mean 1, factor on the intensity of each frame, or None.
        background: `(N, N)` float64 counts under every frame, or None.
    """

    positions_px: np.ndarray | None = None
    probe: np.ndarray | None = None
    intensity: np.ndarray | None = None
    background: np.ndarray | None = None

    def select(self, rows: Any) -> SimulatedParts:
        """Of some of the frames."""
        return SimulatedParts(
            None if self.positions_px is None else self.positions_px[rows],
            self.probe,
            None if self.intensity is None else self.intensity[rows],
            self.background,
        )
