"""Which frames of a scan are used: left out by number, one of several scans, no place twice, part.

All work on numbers of frames; what they leave is recorded as steps.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from pinn.errors import ConfigError, ScanError

SAME_PLACE_PX = 1e-3
UNPAIRED = "unpaired"  # in a list of frames: those without a position, and surplus positions
TEST_FRACTION = 0.25  # of the frames, in part test
_RANGE = re.compile(r"\s*(\d{1,15})\s*(?:-\s*(\d{1,15})\s*)?")


def split_unpaired(text: str | None) -> tuple[str | None, bool]:
    """The numbers of a list of frames, and whether it has the word `unpaired` too."""
    words = [] if text is None else [word.strip() for word in text.split(",")]
    numbers = [word for word in words if word != UNPAIRED]
    return ",".join(numbers) if numbers else None, UNPAIRED in words


def parse_frames(text: str, M: int, where: str) -> np.ndarray:
    """Numbers of frames from a list like `3,17,40-60`, ends included.

    Returns:
        `(n,)` int64, sorted, each once.

    Raises:
        ConfigError: no such list.
        ScanError: a number beyond the scan.
    """
    chosen: list[np.ndarray] = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part)
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if high < low:
            raise ConfigError(
                f"drop_frames is {text!r}, but {part.strip()!r} is no number or range; write "
                f"frames from 0, like 3,17,40-60, or {UNPAIRED} for those without a position"
            )
        if high >= M:
            raise ScanError(f"drop_frames names frame {high}, but {where} has frames 0 to {M - 1}")
        chosen.append(np.arange(low, high + 1))
    return np.unique(np.concatenate(chosen))


def frames_text(rows: np.ndarray, most: int | None = None) -> str:
    """The inverse of `parse_frames`: `3,17,40-60`.

    Args:
        rows: `(n,)` sorted numbers.
        most: ranges to write; the others become `...`.
    """
    rows = np.asarray(rows, np.int64)
    if not len(rows):
        return ""
    cuts = np.flatnonzero(np.diff(rows) != 1) + 1
    runs = [(int(run[0]), int(run[-1])) for run in np.split(rows, cuts)]
    words = [f"{low}" if low == high else f"{low}-{high}" for low, high in runs[:most]]
    return ",".join(words) + (",..." if len(words) < len(runs) else "")


def one_scan(scan_index: np.ndarray, number: int, where: str) -> np.ndarray:
    """Numbers of the frames of one of several scans.

    Raises:
        ScanError: there is no such scan.
    """
    rows = np.flatnonzero(np.asarray(scan_index) == number)
    if not len(rows):
        known = np.unique(scan_index)
        raise ScanError(
            f"scan_number is {number}, but {where} has the scans "
            f"{', '.join(str(n) for n in known[:20].tolist())}{', ...' if len(known) > 20 else ''}"
        )
    return rows


def first_of_place(positions: np.ndarray, scan_index: np.ndarray | None) -> np.ndarray:
    """Numbers of the frames whose place no earlier frame of the same scan has.

    Places are the same when they agree to a thousandth of a pixel.

    Args:
        positions: `(M, 2)` pixels.
    """
    places = np.rint(positions / SAME_PLACE_PX)
    scan = np.zeros(len(places)) if scan_index is None else scan_index
    rows = np.unique(np.column_stack([scan, places]), axis=0, return_index=True)[1]
    return np.sort(rows)


@dataclass(frozen=True)
class Part:
    """Frames of one part, and what was decided.

    Attributes:
        rows: `(m,)` numbers, sorted.
        left_out: frames in neither part.
        note: a sentence.
    """

    rows: np.ndarray
    left_out: int
    note: str


def split_by_region(
    positions: np.ndarray,
    scan_index: np.ndarray | None,
    part: str,
    fraction: float,
    guard_px: float,
    where: str,
) -> Part:
    """The training or the test part of a scan.

    Of every scan, the frames at the far end of its longer axis are for testing. Frames within
    `guard_px` of them are in neither part, so that little of the object is lit in both. That holds
    across scans as well: several scans of one place have the same object.

    Args:
        positions: `(M, 2)` pixels.
        part: `train` or `test`.
        fraction: share of the frames for testing, rounded to whole frames.
        guard_px: about the diameter of the probe.

    Raises:
        ScanError: a part would be empty.
    """
    M = len(positions)
    index = np.zeros(M, np.int64) if scan_index is None else scan_index
    test, near = np.zeros(M, bool), np.zeros(M, bool)
    edges = []
    for number in np.unique(index):
        rows = np.flatnonzero(index == number)
        axis = int(np.argmax(np.ptp(positions[rows], axis=0)))
        count = math.floor(fraction * len(rows) + 0.5)
        if not count:
            continue
        order = rows[np.lexsort((rows, positions[rows, 1 - axis], positions[rows, axis]))]
        test[order[-count:]] = True
        edge = float(positions[order[-count], axis])
        near[rows[positions[rows, axis] > edge - guard_px]] = True
        edges.append(f"{'yx'[axis]} from {edge:.1f} px on")
    several = bool(test.any()) and len(np.unique(index)) > 1
    if several:
        near |= _within(positions, positions[test], guard_px)
    train = ~near & ~test
    if not test.any() or not train.any():
        raise ScanError(
            f"part {part} of {where}: a test fraction of {fraction:g} and a band of "
            f"{guard_px:.1f} px between the parts leave {int(train.sum())} of {M} frames for "
            f"training and {int(test.sum())} for testing; use part all"
        )
    left_out = M - int(train.sum()) - int(test.sum())
    place = edges[0] if len(edges) == 1 else f"the far end of each of {len(edges)} scans"
    note = (
        f"part {part}: {int(test.sum())} of {M} frames are for testing ({place}) and "
        f"{int(train.sum())} for training; {left_out} within {guard_px:.1f} px of the edge"
        f"{', or of a test frame of any scan,' if several else ''} are in neither, so that the "
        "parts share no frame and little lit area"
    )
    return Part(np.flatnonzero(train if part == "train" else test), left_out, note)


def _within(positions: np.ndarray, others: np.ndarray, distance: float) -> np.ndarray:
    """Which positions are nearer than a distance to any of the others."""
    from scipy.spatial import cKDTree

    nearest = cKDTree(others).query(positions, distance_upper_bound=distance)[0]
    return np.isfinite(nearest)
