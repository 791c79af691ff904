"""What is particular about ptychodus: its training data, and where it puts the middle of a result.

That is at the centre of the object it asked about, which is the middle of the scan's bounding box
only as long as ptychodus has made the object itself.
"""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path

import numpy as np

from pinn.data.zipped import read_members

_log = logging.getLogger("ptycho")
# A result that reaches from a far scan to the middle of the object would be mostly nothing.
_FAR_PX = 4096


def in_ptychodus() -> bool:
    """Whether ptychodus is what runs here."""
    return "ptychodus" in sys.modules


def middle_for_ptychodus(shape: tuple[int, ...], positions: np.ndarray) -> np.ndarray | None:
    """(y, x) that must lie in the middle of the result, in the frame of the positions.

    Args:
        shape: of the object of the product, whose array the positions refer to.
        positions: `(M, 2)` [y, x].

    Returns:
        None where there is no object, or the scan lies too far from it.
    """
    if len(shape) < 2 or not min(shape[-2:]) or not len(positions):
        return None
    # From 1.6 on positions are those of index (N - 1)/2 of a patch, before they are those of N/2.
    middle = (np.array(shape[-2:], np.float64) - (1 if _version() >= (1, 6) else 0)) / 2
    away = float(np.abs((positions.min(0) + positions.max(0)) / 2 - middle).max())
    if away <= _FAR_PX:
        return middle
    _log.warning(
        "the scan lies %.0f pixels from the centre of the object of the product; the result is put "
        "around that centre, where it does not belong; make the object anew from the positions",
        away,
    )
    return None


def _version() -> tuple[int, ...]:
    from importlib.metadata import PackageNotFoundError, version

    try:
        numbers = re.findall(r"\d+", version("ptychodus"))
    except PackageNotFoundError:
        return (1, 7)
    return tuple(int(number) for number in numbers[:2])


# Keys of the training data that ptychodus writes from 1.7 on, and nobody else. Its positions are
# those of index (N-1)/2 of a patch, so that its object begins half a pixel before ours.
_PTYCHODUS = {
    *("xcoords", "ycoords", "xcoords_start", "ycoords_start", "diff3d", "bad_pixels"),
    *("probeGuess", "objectGuess", "scan_index"),
}


def of_ptychodus(path: Path) -> bool:
    """Whether a file is training data that ptychodus wrote."""
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            return False
    return set(read_members(path)) == _PTYCHODUS
