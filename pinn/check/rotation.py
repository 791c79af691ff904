"""The rotation of the positions against the detector, from the centre of mass of the frames.

Where an object bends the beam, the centre of mass of a frame moves along the gradient of the
object's phase under the probe, and a gradient has no curl. Positions that are turned against the
detector mix the two: of its derivatives `J = d(y, x of the centre) / d(y, x of the position)` the
divergence `J_yy + J_xx` and the curl `J_yx - J_xy` are turned into each other by that angle. The
angle at which least is left of the curl follows in closed form, up to half a turn, which changes
the sign of the divergence. Positions with one axis turned round are the same with one
row of J turned round; there the two are equally large at any angle, but for the right one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from pinn.data.scan import Scan

FRAMES = 1024
_PIXELS = 32 << 20  # read at most
_CHUNK = 4 << 20
_NEIGHBOURS = 12
_APART = 1.5  # ratios of the two, of which the smaller is believed without a fit
_PARTS = 8  # of the scan, of which each is left out once
SMALLEST = 64  # frames
_CLEAR = 0.6  # of the curl that remains over the divergence, above which nothing is told
_LOOSE_DEG = 15.0  # standard error of an angle that tells nothing
_OFF_DEG, _OFF_ERRORS = 4.0, 3.0  # both, to try an angle
_SURE_DEG, _SURE_ERRORS, _SURE_RATIO = 10.0, 5.0, 0.5  # all, to believe it without a fit


@dataclass(frozen=True)
class Curl:
    """What the centres of mass say of positions as given, or with y turned round.

    Attributes:
        angle_deg: by which to turn the positions, from +x towards +y, (-90, 90]; half a turn more
            is as good.
        error_deg: its standard error.
        ratio: of what is left of the curl over the divergence, of mean squares; 1 tells nothing.
    """

    angle_deg: float
    error_deg: float
    ratio: float

    @property
    def clear(self) -> bool:
        """Whether the angle means anything."""
        return self.ratio < _CLEAR and self.error_deg < _LOOSE_DEG

    @property
    def off_deg(self) -> float:
        """What is left of the angle after quarter turns, [-45, 45): those are orientations."""
        return (self.angle_deg + 45.0) % 90.0 - 45.0


@dataclass(frozen=True)
class Centres:
    """What the centres of mass say of the positions as they are, and with y turned round first."""

    plain: Curl
    mirrored: Curl

    @property
    def suspected(self) -> float | None:
        """Degrees to turn the positions by, before axes are swapped or turned round; None if none
        but those."""
        curl = min(self.plain, self.mirrored, key=lambda c: c.ratio)
        off = curl.off_deg
        if not curl.clear or abs(off) < max(_OFF_DEG, _OFF_ERRORS * curl.error_deg):
            return None
        return off if curl is self.plain else -off

    @property
    def sure(self) -> bool:
        """Whether the positions as they are, turned by an angle, are believed without a fit."""
        curl = self.plain
        return (
            self.suspected is not None
            and curl.ratio < min(_SURE_RATIO, self.mirrored.ratio / _APART)
            and abs(curl.off_deg) >= max(_SURE_DEG, _SURE_ERRORS * curl.error_deg)
        )


def centres(scan: Scan, rows: np.ndarray, good: np.ndarray | None = None) -> np.ndarray:
    """Centres of mass `(n, 2)` [y, x] of frames in pixels from the zero frequency; NaN if dark.

    Args:
        scan: the scan.
        rows: `(n,)`.
        good: bool `(N, N)`, pixels to use of those that are valid.
    """
    index = np.arange(scan.N) - scan.N // 2
    size = max(1, _CHUNK // scan.N**2)
    found = []
    for first in range(0, len(rows), size):
        amplitude, valid = scan.read(rows[first : first + size])
        use = valid.all(0) if good is None else valid.all(0) & good
        counts = np.square(amplitude, dtype=np.float64) * use
        total = counts.sum((1, 2))
        total[total <= 0] = np.nan
        found.append(np.stack([counts.sum(2) @ index, counts.sum(1) @ index], 1) / total[:, None])
    return np.concatenate(found)


def derivatives(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """`(n, 2, 2)`, of each column of `values` `(n, 2)` along y and x, from planes through
    neighbours; 0 where those lie on a line."""
    near = cKDTree(places).query(places, k=min(_NEIGHBOURS + 1, len(places)))[1]
    steps = places[near] - places[near].mean(1, keepdims=True)
    rises = values[near] - values[near].mean(1, keepdims=True)
    square = np.einsum("nki,nkj->nij", steps, steps)
    flat = np.linalg.eigvalsh(square)
    round_ = flat[:, 0] > 1e-2 * flat[:, 1]
    out = np.zeros((len(places), 2, 2))
    mixed = np.einsum("nki,nkj->nij", steps[round_], rises[round_])
    out[round_] = np.linalg.solve(square[round_], mixed).transpose(0, 2, 1)
    return out


def curls(values: np.ndarray, places: np.ndarray) -> Centres:
    """What centres of mass `(n, 2)` at places `(n, 2)` say."""
    found = derivatives(values, places)
    middle = places - np.median(places, axis=0)
    part = (np.arctan2(middle[:, 0], middle[:, 1]) / (2 * math.pi) * _PARTS).astype(int) % _PARTS
    return Centres(_curl(found, part), _curl(found * np.array([-1.0, 1.0]), part))


def _curl(found: np.ndarray, part: np.ndarray) -> Curl:
    divergence = found[:, 0, 0] + found[:, 1, 1]
    curl = found[:, 0, 1] - found[:, 1, 0]
    squares = np.stack([divergence**2, divergence * curl, curl**2], 1)
    # A few places with a step of the object under them must not decide alone.
    size = squares[:, 0] + squares[:, 2]
    limit = 9 * np.median(size)
    terms = squares * np.minimum(1.0, limit / np.maximum(size, 1e-300))[:, None]
    sums = np.array([terms[part == k].sum(0) for k in range(_PARTS)])
    angle, ratio = _angle(sums.sum(0))
    others = [_angle(sums.sum(0) - one)[0] - angle for one in sums if one.any()]
    off = (np.array(others) + 90.0) % 180.0 - 90.0
    spread = math.sqrt(max(0, len(off) - 1) * float(np.mean(off**2))) if len(off) else 90.0
    return Curl(angle, spread, ratio)


def _angle(sums: np.ndarray) -> tuple[float, float]:
    """Angle and ratio from the sums of squares and products of divergence and curl."""
    dd, dc, cc = sums
    mean, swing = (dd + cc) / 2, math.hypot((dd - cc) / 2, dc)
    angle = math.degrees(math.atan2(dc, (dd - cc) / 2)) / 2
    return angle, float((mean - swing) / (mean + swing)) if mean + swing > 0 else 1.0


def look_for_rotation(scan: Scan, good: np.ndarray | None = None) -> Centres | None:
    """What the centres of mass of a scan's frames say; None if the scan has too few frames.

    Args:
        scan: its frames nearest to the middle are looked at.
        good: bool `(N, N)`, pixels to use of those that are valid.
    """
    rows = np.arange(len(scan))
    if scan.scan_index is not None:
        values, counts = np.unique(scan.scan_index, return_counts=True)
        rows = rows[scan.scan_index == values[np.argmax(counts)]]
    places = scan.positions_px[rows]
    distance = ((places - np.median(places, axis=0)) ** 2).sum(1)
    count = min(FRAMES, max(SMALLEST, _PIXELS // scan.N**2))
    rows = np.sort(rows[np.argsort(distance, kind="stable")[:count]])
    found = centres(scan, rows, good)
    lit = np.isfinite(found).all(1)
    if np.count_nonzero(lit) < SMALLEST:
        return None
    return curls(found[lit], scan.positions_px[rows[lit]])
