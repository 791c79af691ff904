"""The frames of a scan that short fits are made with."""

from __future__ import annotations

import numpy as np

from pinn.check.exposures import BRIGHT, DIM
from pinn.check.places import strays
from pinn.data.scan import Scan

SMALLEST_SCAN = 16  # frames, below which nothing is fitted


def usable_frames(scan: Scan) -> np.ndarray:
    """Frames with about as many counts as most, near others, of the largest scan of the file."""
    counts = scan.statistics().frame_counts
    median = float(np.median(counts[counts > 0]))
    rows = np.flatnonzero((counts > DIM * median) & (counts < BRIGHT * median))
    if scan.scan_index is not None:
        values, counts = np.unique(scan.scan_index[rows], return_counts=True)
        rows = rows[scan.scan_index[rows] == values[np.argmax(counts)]]
    # A frame that overlaps none tells nothing, and would make its region as large as it is far.
    return np.setdiff1d(rows, strays(scan, scan.N / 2))
