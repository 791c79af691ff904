"""A few frames that illuminate the whole area of a scan."""

from __future__ import annotations

import numpy as np


def covering(places: np.ndarray, footprint: np.ndarray, depth: int = 1) -> np.ndarray:
    """Numbers of groups that illuminate every pixel as often as asked for, or as all of them do.

    Greedy: first the groups that add many new pixels, then in each round those that add half as
    many as in the round before, so that a few do most of it and no pixel is forgotten.

    Args:
        places: `(G, K, 2)` [y, x] in pixels, of the patches of each group.
        footprint: `(N, N)` bool, the pixels that a patch illuminates.
        depth: how often each pixel is to be illuminated.

    Returns:
        int64 `(n,)`, ascending; the same arguments give the same.
    """
    rows, columns = np.flatnonzero(footprint.any(1)), np.flatnonzero(footprint.any(0))
    if not len(rows) or not len(places):
        return np.arange(len(places))
    footprint = footprint[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = footprint.shape
    corners = np.rint(places).astype(np.int64)
    corners -= corners.min((0, 1))
    depths = np.zeros(corners.max((0, 1)) + footprint.shape, np.uint16)
    most, fraction = int(footprint.sum()) * places.shape[1], 0.5
    left, chosen = np.arange(len(places)), []
    while len(left):
        useful = np.zeros(len(left), bool)
        for k, group in enumerate(left):
            windows = [depths[y : y + height, x : x + width] for y, x in corners[group]]
            new = sum(int(np.count_nonzero(footprint & (window < depth))) for window in windows)
            if new and new >= fraction * most:
                for window in windows:
                    window += footprint
                chosen.append(group)
            else:
                useful[k] = new > 0
        left, fraction = left[useful], fraction / 2
    return np.sort(np.array(chosen, np.int64))
