"""Which axis of an NPZ array counts the frames, where all its axes are equally long.

The key tells: `diff3d` has the frames first, `diffraction` of the older contract has them last.
Newer writers put frames first under the older name too, so there the numbers may overrule it. The
sum of a frame hardly changes from frame to frame, while a line of detector pixels holds much in
the middle of the detector and little at its rim: the evener axis counts the frames.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pinn.data.frames import NpyInZipFrames
from pinn.data.zipped import Member

OLD_KEY = "diffraction"
# How much evener the first axis has to be. Frames in dark places and a broad pattern are uneven
# by less than that of each other.
_CLEARLY = 2.0
_BLOCK = 64


@np.errstate(all="ignore")
def frame_axis(path: Path, member: Member) -> tuple[int, str]:
    """The axis, 0 or 2, and why it is that one.

    Args:
        path: the NPZ file.
        member: array `(N, N, N)` of real numbers in it; read once if it has the older name.

    Raises:
        ScanError: it cannot be read.
    """
    if member.key != OLD_KEY:
        return 0, f"as the name {member.key!r} says"
    frames = NpyInZipFrames(path, member, 0)
    try:
        first, last = np.zeros(member.shape[0]), np.zeros(member.shape[2])
        for start, block in frames.chunks(_BLOCK):
            values = np.abs(np.nan_to_num(block.astype(np.float64), posinf=0.0, neginf=0.0))
            first[start : start + len(block)] = values.sum((1, 2))
            last += values.sum((0, 1))
    finally:
        frames.close()
    if _evenness(first) > _CLEARLY * _evenness(last):
        return 0, (
            f"for sums along it are even, as those of frames are; the name {OLD_KEY!r} alone would "
            "mean the last one"
        )
    return 2, f"as the name {OLD_KEY!r} of the older contract says"


def _evenness(sums: np.ndarray) -> float:
    """1 where all are equal, 1/n where one is everything."""
    squares = float(np.sum(sums**2))
    return float(np.sum(sums)) ** 2 / (len(sums) * squares) if squares > 0 else 1.0
