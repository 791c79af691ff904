"""A look at the frames: moments over a sample spread over the scan, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pinn.data.masks import and_mask
from pinn.data.quantum import stored_values
from pinn.data.scan import Scan

FRAMES = 512
QUICK_FRAMES = 48
_PIXELS = 64 << 20  # read at most
_CHUNK = 4 << 20  # pixels held at once


@dataclass(frozen=True, eq=False)
class Look:
    """Moments of the counts of some frames.

    Attributes:
        rows: int64 `(n,)`, numbers of the frames.
        mean, variance: float64 `(N, N)`, of counts over the frames in which a pixel is used.
        used: int64 `(N, N)`, number of those frames.
        values: float64 `(k,)`, stored values of used pixels of a few frames, as the file has them.
        largest: the largest stored value.
        ties: how often it occurs in the frames looked at.
        tied: bool `(N, N)`, pixels in which it occurs.
    """

    rows: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    used: np.ndarray
    values: np.ndarray
    largest: float
    ties: int
    tied: np.ndarray

    @property
    def valid(self) -> np.ndarray:
        """Pixels used in at least one frame, bool `(N, N)`."""
        return self.used > 0


def look(scan: Scan, frames: int | None = FRAMES) -> Look:
    """Look at frames spread evenly over a scan.

    Args:
        scan: the scan.
        frames: how many at most; None: all of them.
    """
    M, N = len(scan), scan.N
    if frames is not None:
        frames = max(8, min(frames, _PIXELS // N**2))
    count = M if frames is None else min(M, frames)
    rows = np.unique(np.linspace(0, M - 1, count).astype(np.int64))
    size = max(1, _CHUNK // N**2)
    sums, squares = np.zeros((N, N)), np.zeros((N, N))
    used = np.zeros((N, N), np.int64)
    top = _Top(N)
    for first in range(0, len(rows), size):
        part = rows[first : first + size]
        amplitude, valid = scan.read(part)
        counts = amplitude.astype(np.float64) ** 2
        sums += counts.sum(0)
        squares += (counts**2).sum(0)
        used += valid.sum(0)
        top.add(scan.frames.read(part), valid)
    number = np.maximum(used, 1)
    mean = sums / number
    return Look(
        rows=rows,
        mean=mean,
        variance=np.maximum(squares / number - mean**2, 0.0),
        used=used,
        values=stored_values(scan, rows),
        largest=top.value,
        ties=top.count,
        tied=top.where,
    )


def masked(scan: Scan, bad: np.ndarray) -> Scan:
    """The same scan without some pixels, to be looked at in its place; nothing is copied.

    Args:
        scan: left as it is.
        bad: bool `(N, N)`, centred, True = leave out.
    """
    return replace(scan, valid_mask=and_mask(scan.valid_mask, ~bad), dose=scan.dose)


class _Top:
    """The largest value so far, how often it occurred, and where."""

    def __init__(self, N: int) -> None:
        self.value, self.count = 0.0, 0
        self.where = np.zeros((N, N), bool)

    def add(self, raw: np.ndarray, valid: np.ndarray) -> None:
        values = np.where(valid, raw, 0)
        largest = float(values.max())
        if largest <= 0 or largest < self.value:
            return
        if largest > self.value:
            self.value, self.count = largest, 0
            self.where[:] = False
        hit = values == largest
        self.count += int(np.count_nonzero(hit))
        self.where |= hit.any(0)
