"""Two halves of a scan, each over all of its area, and how alike two reconstructions of it are."""

from __future__ import annotations

from typing import Any

import numpy as np

from pinn.errors import InputError
from pinn.quality.frc import THRESHOLDS, frc

_ORDER = 16  # bits of a coordinate along the curve
_CURVE_POINTS = 33


def interleaved(positions: np.ndarray) -> np.ndarray:
    """Half of each position, 0 or 1, in turn along a Hilbert curve through all of them.

    Neighbours on the curve are neighbours in space, so that every region has as many of either
    half; on a full grid of a power of two this is the checkerboard. The order of the positions in
    the array does not matter, but for those in one place.

    Args:
        positions: `(M, 2)`.

    Returns:
        `(M,)` int64.
    """
    positions = np.asarray(positions, np.float64)
    half = np.zeros(len(positions), np.int64)
    if not len(positions):
        return half
    low = positions.min(0)
    wide = max(float((positions.max(0) - low).max()), 1e-12)
    cells = np.minimum(((positions - low) / wide * 2**_ORDER).astype(np.int64), 2**_ORDER - 1)
    order = np.argsort(_along_curve(cells[:, 0], cells[:, 1]), kind="stable")
    half[order] = np.arange(len(positions)) % 2
    return half


def correlate(first: np.ndarray, second: np.ndarray, valid: np.ndarray) -> dict[str, Any] | None:
    """Fourier ring correlation of two images on one grid, in numbers.

    Args:
        first, second: `(H, W)` complex.
        valid: `(H, W)` bool: what both show.

    Returns:
        Where it falls below 0.5, 1/7 and the half-bit curve in cycles per pixel (None where it
        never does), its mean up to Nyquist, and the curve at a few frequencies; None where there
        is nothing to correlate.
    """
    rows, columns = np.flatnonzero(valid.any(1)), np.flatnonzero(valid.any(0))
    if not len(rows):
        return None
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    try:
        curve = frc(first[box], second[box], valid[box])
    except InputError:  # too small, or nothing to see
        return None
    names = {"0.5": "frc50", "1/7": "frc_1_7"}
    levels: dict[str, float | str] = {names[name]: value for name, value in THRESHOLDS.items()}
    found: dict[str, Any] = {}
    for name, level in (levels | {"frc_half_bit": "half-bit"}).items():
        place, crosses = curve.crossing(level)
        found[name] = place if crosses else None
    found["mean"] = float(np.average(curve.correlation[1:], weights=curve.count[1:]))
    at = np.linspace(0.0, curve.frequency[-1], min(_CURVE_POINTS, len(curve.frequency)))
    found["frequency"] = at.tolist()
    found["correlation"] = np.interp(at, curve.frequency, curve.correlation).tolist()
    return found


def _along_curve(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Distance along the Hilbert curve (the usual algorithm, bit by bit from the top)."""
    x, y = x.copy(), y.copy()
    distance = np.zeros(len(x), np.int64)
    for bit in range(_ORDER - 1, -1, -1):
        side = 1 << bit
        right, upper = (x & side) > 0, (y & side) > 0
        distance += side * side * ((3 * right) ^ upper)
        turn = ~upper & right
        x, y = (
            np.where(turn, side - 1 - (x & (side - 1)), x),
            np.where(turn, side - 1 - (y & (side - 1)), y),
        )
        x, y = np.where(~upper, y, x), np.where(~upper, x, y)
        x, y = x & (side - 1), y & (side - 1)
    return distance
