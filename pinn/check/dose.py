"""Whether the light is enough: photons against the pixels of the object that they fall on."""

from __future__ import annotations

import math

import numpy as np

from pinn.check.report import Finding
from pinn.data.scan import Scan

_LOW = 1e4  # counts per frame
_LIT = 0.1  # of the light of one frame where it is brightest; refinement knows no darker pixels


def dose_findings(scan: Scan) -> list[Finding]:
    """Whether frames have too few photons.

    What a frame lacks its neighbours give: a pixel is as well known as all the light that falls on
    it makes it. With fewer photons than pixels there is less measured than is to be found,
    whatever the object.
    """
    stats = scan.statistics()
    if not stats.photons_known or stats.mean_counts >= _LOW:
        return []
    per_pixel = stats.mean_counts * len(scan) / lit_pixels(scan)
    noise = f"the noise of a frame is {1 / math.sqrt(stats.mean_counts):.1%} of its power"
    few = f"{stats.mean_counts:.3g} photons per frame are few: {noise}"
    if per_pixel < 1.0:
        message = f"{few}, and there are {per_pixel:.2g} in all for each pixel of the object; "
        return [Finding("warning", "dose-low", message + "expect little but noise")]
    return [Finding("remark", "dose-low", f"{few}; expect a coarser reconstruction")]


def lit_pixels(scan: Scan) -> int:
    """Pixels of the object that get light, positions rounded.

    Without a probe it is taken as half as wide as the frame: a wider one would not be sampled.
    """
    N, positions = scan.N, scan.positions_px
    light = np.zeros((N, N), np.float32)
    light[N // 4 : N // 4 + N // 2, N // 4 : N // 4 + N // 2] = 1.0
    if scan.probe is not None:
        light = np.sum(np.abs(scan.probe) ** 2, axis=0).astype(np.float32)
    corners = np.stack([_closed_up(along, N) for along in np.rint(positions).astype(int).T], axis=1)
    total = np.zeros(corners.max(0) + N, np.float32)
    for y, x in corners:
        total[y : y + N, x : x + N] += light
    return max(int(np.count_nonzero(total > _LIT * light.max())), 1)


def _closed_up(places: np.ndarray, N: int) -> np.ndarray:
    """Integers from 0 on, with gaps of N where they were wider: frames that share a pixel do so
    still, and one that lies far away makes no canvas that is too large for the memory."""
    order = np.argsort(places, kind="stable")
    closed = np.zeros_like(places)
    closed[order[1:]] = np.cumsum(np.minimum(np.diff(places[order]), N))
    return closed
