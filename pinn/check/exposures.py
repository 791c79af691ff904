"""Frames that stand out: dark, far too bright or dim, or repeated."""

from __future__ import annotations

from typing import Any

import numpy as np

from pinn.check.report import Finding
from pinn.config import ScanConfig
from pinn.data.scan import Scan
from pinn.data.subset import UNPAIRED, frames_text, parse_frames, split_unpaired

BRIGHT, DIM = 4.0, 0.1  # times the median
_SPREAD = 8.0  # robust standard deviations
_PAIRS = 2048  # frames compared at most
_SHOWN = 4


def frame_findings(scan: Scan, config: ScanConfig) -> list[Finding]:
    """Frames to leave out."""
    counts = scan.statistics().frame_counts
    found = []
    dark = np.flatnonzero(counts == 0)
    if len(dark):
        found.append(
            Finding(
                "warning",
                "dark-frames",
                f"{_frames(scan, config, dark)} without a count",
                without(scan, config, dark),
            )
        )
    lit = counts > 0
    median = float(np.median(counts[lit]))
    spread = 1.4826 * float(np.median(np.abs(counts[lit] - median)))
    bright = np.flatnonzero((counts > BRIGHT * median) & (counts > median + _SPREAD * spread))
    dim = np.flatnonzero(lit & (counts < DIM * median) & (counts < median - 3 * spread))
    for code, rows, word in (("bright-frames", bright, "more"), ("dim-frames", dim, "less")):
        if not len(rows):
            continue
        ratio = float(np.median(counts[rows])) / median
        factor = ratio if word == "more" else 1 / ratio
        found.append(
            Finding(
                "warning",
                code,
                f"{_frames(scan, config, rows)} {factor:.3g} times {word} bright than the "
                "median frame, as if the beam or the shutter was not the same",
                without(scan, config, rows),
            )
        )
    return found


def repeated(scan: Scan, config: ScanConfig) -> list[Finding]:
    """Frames that are the same, pixel by pixel, as an earlier one: a detector that hung.

    Frames of equal counts are compared, up to a number that bounds the time.
    """
    counts = scan.statistics().frame_counts
    order = np.argsort(counts, kind="stable")
    same = (np.diff(counts[order]) == 0) & (counts[order][1:] > 0)
    # Neighbours in this order; runs of equal counts give chains.
    pairs = np.stack([order[:-1][same], order[1:][same]], 1)
    pairs = pairs[np.argsort(np.abs(pairs[:, 1] - pairs[:, 0]), kind="stable")][:_PAIRS]
    copies = []
    for first in range(0, len(pairs), 32):
        part = pairs[first : first + 32]
        one, other = scan.read(part[:, 0])[0], scan.read(part[:, 1])[0]
        copies += part[np.all(one == other, axis=(1, 2))].max(1).tolist()
    if not copies:
        return []
    rows = np.unique(np.array(copies, np.int64))
    return [
        Finding(
            "warning",
            "repeated-frames",
            f"{_frames(scan, config, rows)} the same as an earlier one in every pixel, as if the "
            "detector hung",
            without(scan, config, rows),
        )
    ]


def _frames(scan: Scan, config: ScanConfig, rows: np.ndarray) -> str:
    if len(rows) == 1:
        return f"frame {named(scan, config, rows)} is"
    return f"{len(rows)} frames ({named(scan, config, rows)}) are"


def named(scan: Scan, config: ScanConfig, rows: np.ndarray) -> str:
    """Frames by the numbers they have in the file, or if those are not known as they were read."""
    original = file_numbers(scan, config)
    if original is None:
        return f"{frames_text(rows, _SHOWN)} of those read"
    return frames_text(original[rows], _SHOWN)


def without(scan: Scan, config: ScanConfig, rows: np.ndarray) -> dict[str, Any]:
    """The option that leaves these frames out, besides those that are left out already."""
    original = file_numbers(scan, config)
    if original is None:
        return {}
    text = frames_text(np.union1d(original[rows], _dropped(scan, config)))
    unpaired = split_unpaired(config.drop_frames)[1]
    return {"drop_frames": f"{text},{UNPAIRED}" if unpaired else text}


def file_numbers(scan: Scan, config: ScanConfig) -> np.ndarray | None:
    """Numbers that the frames of a scan have in its file `(M,)`, or None if that is not known."""
    if config.scan_number is not None or config.duplicates == "drop" or config.part != "all":
        return None
    M = len(scan)
    dropped = np.union1d(_dropped(scan, config), _recorded(scan, "frames_late", "left_out"))
    return np.setdiff1d(np.arange(M + len(dropped)), dropped)


def _dropped(scan: Scan, config: ScanConfig) -> np.ndarray:
    """Numbers in the file of the frames that are left out already, also beyond those left."""
    if config.drop_frames is None:
        return np.empty(0, np.int64)
    numbers, unpaired = split_unpaired(config.drop_frames)
    if unpaired:  # which those are stands in the record
        return _recorded(scan, "drop_frames", "frames")
    return _numbers(numbers)


def _recorded(scan: Scan, step: str, entry: str) -> np.ndarray:
    """Numbers of frames from the records of a step."""
    done = [str(record[entry]) for record in scan.steps if record["step"] == step]
    return _numbers(",".join(filter(None, done)))


def _numbers(numbers: str | None) -> np.ndarray:
    if not numbers:
        return np.empty(0, np.int64)
    words = [int(word) for part in numbers.split(",") for word in part.split("-")]
    return parse_frames(numbers, max(words) + 1, "the scan")
