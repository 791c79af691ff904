"""Parts of the canvas that are on the device at a time, with the frames that belong to each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Tile:
    """Some frames, and the part of the canvas that holds their patches.

    Attributes:
        rows: `(m,)` numbers of the frames.
        corner: (y, x) of the part's first pixel on the canvas.
    """

    rows: np.ndarray
    corner: tuple[int, int]


def tile_scan(
    places: np.ndarray, N: int, canvas: tuple[int, int], margin: int, pixels: int
) -> tuple[list[Tile], tuple[int, int]]:
    """Cut a scan into tiles of one shape.

    A step changes the whole part of the canvas that it is given, so that a part far larger than
    a batch of frames costs more than the frames; and the device need not hold more than a part.

    Args:
        places: `(M, 2)` of the patches' centres on the canvas.
        N: side of a patch.
        canvas: its shape.
        margin: how far a position may move.
        pixels: of a tile, at most, as far as single patches allow.

    Returns:
        The tiles, whose frames are all frames, and their common shape.
    """
    if canvas[0] * canvas[1] <= pixels:
        return [Tile(np.arange(len(places)), (0, 0))], canvas
    reach = N // 2 + margin + 2
    parts = _halve(places, np.arange(len(places)), 2 * reach, pixels)
    corners, ends = [], []
    for rows in parts:
        low = np.floor(places[rows].min(0)).astype(int) - reach
        high = np.ceil(places[rows].max(0)).astype(int) + reach
        corners.append(np.maximum(low, 0))
        ends.append(np.minimum(high, canvas))
    shape = np.max(np.array(ends) - np.array(corners), axis=0)
    tiles = []
    for rows, corner in zip(parts, corners, strict=True):
        y, x = np.minimum(corner, np.array(canvas) - shape)  # all of one shape, inside the canvas
        tiles.append(Tile(rows, (int(y), int(x))))
    return tiles, (int(shape[0]), int(shape[1]))


def _halve(places: np.ndarray, rows: np.ndarray, around: int, pixels: int) -> list[np.ndarray]:
    """Halves along the longer side until a part is small enough or holds one frame."""
    extent = np.ptp(places[rows], axis=0) + around
    if len(rows) < 2 or extent[0] * extent[1] <= pixels:
        return [rows]
    axis = int(np.argmax(extent))
    order = rows[np.argsort(places[rows, axis], kind="stable")]
    middle = len(order) // 2
    return [
        part
        for half in (order[:middle], order[middle:])
        for part in _halve(places, np.sort(half), around, pixels)
    ]
