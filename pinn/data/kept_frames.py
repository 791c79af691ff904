"""Frames of a scan as a step takes them, kept in memory where there are few."""

from __future__ import annotations

import numpy as np

from pinn.data.masks import encode
from pinn.data.scan import Scan

KEPT_BYTES = 1 << 28  # of frames that are read once; a longer scan is read in every epoch
_GOLDEN = 0.6180339887498949


class Frames:
    """Reads normalised amplitudes, -1 at masked pixels.

    Args:
        scan: the measurement.
        rows: `(M,)` the frames that there are; theirs are the numbers 0 to M-1 here.
        factor: amplitudes are multiplied with it; default: the exposure factor of the scan.
        kept_bytes: memory for frames that are not read again.
    """

    def __init__(
        self,
        scan: Scan,
        rows: np.ndarray,
        factor: float | None = None,
        kept_bytes: int = KEPT_BYTES,
    ) -> None:
        self._scan, self._rows, self.N = scan, rows, scan.N
        self.factor = scan.statistics().exposure_factor if factor is None else factor
        self.propagation, self.detector_response = scan.propagation, scan.detector_response
        fits = 4 * len(rows) * scan.N**2 <= kept_bytes
        self._kept = np.empty((len(rows), scan.N, scan.N), np.float32) if fits else None
        self._known = np.zeros(len(rows), bool)

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, numbers: np.ndarray) -> np.ndarray:
        """Encoded frames `(n, N, N)` float32."""
        if self._kept is None:
            return encode(*self._scan.read(self._rows[numbers]), self.factor)
        new = numbers[~self._known[numbers]]
        if len(new):
            self._kept[new] = encode(*self._scan.read(self._rows[new]), self.factor)
            self._known[new] = True
        return self._kept[numbers]

    def spread(self, most: int) -> np.ndarray:
        """Numbers of so many frames at most, spread evenly over all of them."""
        return np.unique(np.linspace(0, len(self) - 1, most).astype(int))

    def phases(self, numbers: np.ndarray) -> np.ndarray:
        """Of each frame a number in [0, 1) that says which of its pixels are held out."""
        return ((self._rows[numbers] + 1) * _GOLDEN * np.sqrt(2.0)) % 1.0
