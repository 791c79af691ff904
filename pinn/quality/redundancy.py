"""How much more a scan measures than there is to be found."""

from __future__ import annotations

import numpy as np


def visits(probe: np.ndarray, positions: np.ndarray) -> float:
    """How many frames share a typical pixel of the object.

    The effective number `(sum w)^2 / sum w^2` of frames over a pixel, w the light of each there;
    of this the median over the pixels, weighted by their light. Positions are rounded.

    Args:
        probe: `(P, N, N)` complex.
        positions: `(M, 2)` [y, x] in pixels.

    Returns:
        At least 1; 1 where no two frames overlap.
    """
    N = probe.shape[-1]
    light = np.sum(np.abs(probe) ** 2, axis=0).astype(np.float64)
    light /= max(float(light.max()), 1e-30)
    squares = light**2
    corners = np.rint(positions - positions.min(0)).astype(int)
    shape = corners.max(0) + N
    total, total_squares = np.zeros(shape), np.zeros(shape)
    for y, x in corners:
        here = slice(y, y + N), slice(x, x + N)
        total[here] += light
        total_squares[here] += squares
    lit = total > 1e-3
    count = total[lit] ** 2 / np.maximum(total_squares[lit], 1e-30)
    order = np.argsort(count)
    share = np.cumsum(total[lit][order])
    return float(count[order][np.searchsorted(share, share[-1] / 2)])


def redundancy(measured: int, lit: int, probe: int = 0) -> float:
    """Measured numbers for each unknown one.

    Args:
        measured: valid pixels of all frames.
        lit: pixels of the object that have light; each has two unknowns.
        probe: complex numbers of the probe that were found as well.
    """
    return measured / max(2 * (lit + probe), 1)
