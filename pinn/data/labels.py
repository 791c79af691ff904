"""Label patches: the object under each frame, for terms of the loss that compare with it."""

from __future__ import annotations

import numpy as np

from pinn.data.grouping import Groups
from pinn.data.scan import Scan
from pinn.data.shift import sample
from pinn.errors import ScanError

_LOOKED_AT = 64  # label patches read to see whether they vary
_FLAT = 1e-5  # an object that varies less than this, relative to its size, is a placeholder


class Labels:
    """Labels of one scan, from its label patches or else from its truth.

    Args:
        scan: with `label_patches` or `truth`.
        whole_group: one patch per group, at its centre, instead of one per member.

    Raises:
        ScanError: it has neither, or what it has is a constant or lies elsewhere.
    """

    def __init__(self, scan: Scan, whole_group: bool = False) -> None:
        self._scan, self._whole_group = scan, whole_group
        source = scan.label_patches
        if source is not None:
            some = np.unique(np.linspace(0, len(scan) - 1, _LOOKED_AT).astype(np.int64))
            _check_varies(source.read(some), f"the label patches of {scan.name}")
        elif scan.truth is not None:
            _check_varies(scan.truth, f"the truth of {scan.name} (objectGuess)")
            low = scan.positions_px.min(0) + scan.N / 2 - scan.truth_origin_px
            high = scan.positions_px.max(0) - scan.N / 2 - scan.truth_origin_px
            if np.any(low < 0) or np.any(high > scan.truth.shape):
                raise ScanError(
                    f"the truth of {scan.name}, {scan.truth.shape[0]} x {scan.truth.shape[1]} px, "
                    "does not lie under its frames; correct truth_origin_px or the positions"
                )
        else:
            raise ScanError(
                f"scan {scan.name} has no labels, which label terms and mode supervised need; use "
                "a file of pinn simulate, add the object of an iterative reconstruction as "
                "objectGuess (truth) or its patches as label, or train with mode pinn"
            )

    def read(self, groups: Groups, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Labels of some groups.

        Args:
            groups: of the scan.
            rows: `(n,)` numbers of groups.

        Returns:
            complex64 `(n, K, N, N)`, 0 where not defined, and bool `(n, K, N, N)`, True = there is
            a label. K is the number of members, or 1 for whole groups.
        """
        members = groups.indices[rows]
        n, C = members.shape
        N = self._scan.N
        source = self._scan.label_patches
        if source is None:
            assert self._scan.truth is not None
            centres = groups.centres[rows][:, None]
            places = centres if self._whole_group else self._scan.positions_px[members]
            values, defined = sample_patches(
                self._scan.truth, places.reshape(-1, 2) - self._scan.truth_origin_px, N
            )
            shape = (n, places.shape[1], N, N)
            return values.reshape(shape), defined.reshape(shape)
        values = source.read(members.reshape(-1)).astype(np.complex64)
        defined = np.isfinite(values)
        values = np.where(defined, values, 0).reshape(n, C, N, N)
        defined = defined.reshape(n, C, N, N)
        if self._whole_group:
            return _at_centre(values, defined, groups.offsets[rows])
        return values, defined


def sample_patches(
    image: np.ndarray, positions: np.ndarray, N: int
) -> tuple[np.ndarray, np.ndarray]:
    """Patches of an image at fractional positions: pixel (i, j) lies over `p - N/2 + (i, j)`.

    Bilinear (`pinn.data.shift`); a pixel is defined if all the neighbours that have a
    weight lie in the image.

    Args:
        image: `(H, W)` complex.
        positions: `(n, 2)` [y, x] float64 in pixels of the image; they may lie outside.
        N: side of a patch, even.

    Returns:
        complex64 `(n, N, N)`, 0 where not defined, and bool `(n, N, N)`.
    """
    whole = np.floor(positions).astype(np.int64)
    fraction = positions - whole  # split in float64
    steps = np.arange(N + 1)
    rows, row_inside = _clipped(whole[:, :1] - N // 2 + steps, image.shape[0])
    columns, column_inside = _clipped(whole[:, 1:] - N // 2 + steps, image.shape[1])
    block = image[rows[:, :, None], columns[:, None, :]].astype(np.complex64)
    block = sample(block, fraction)
    row_used = row_inside[:, :-1] & (row_inside[:, 1:] | (fraction[:, :1] == 0))
    column_used = column_inside[:, :-1] & (column_inside[:, 1:] | (fraction[:, 1:] == 0))
    defined = row_used[:, :, None] & column_used[:, None, :]
    return np.where(defined, block, np.complex64(0)), defined


def _clipped(lines: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    return np.clip(lines, 0, size - 1), (lines >= 0) & (lines < size)


def _at_centre(
    values: np.ndarray, defined: np.ndarray, offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Patches of the members `(n, C, N, N)` to one at the centre of each group: their mean where
    several are defined."""
    n, C, N = values.shape[:3]
    out, seen = np.empty((n, 1, N, N), np.complex64), np.empty((n, 1, N, N), bool)
    for k in range(n):
        total, times = np.zeros((N, N), np.complex64), np.zeros((N, N), np.int64)
        for c in range(C):
            # pixel [N/2, N/2] of the member lies at its offset from the centre
            place = N // 2 - offsets[k, c][None]
            moved, inside = sample_patches(values[k, c], place, N)
            whole, _ = sample_patches(defined[k, c].astype(np.complex64), place, N)
            use = inside[0] & (whole[0].real > 1 - 1e-6)
            total += np.where(use, moved[0], 0)
            times += use
        out[k, 0], seen[k, 0] = total / np.maximum(times, 1), times > 0
    return out, seen


def _check_varies(values: np.ndarray, what: str) -> None:
    """Refuse a placeholder.

    Raises:
        ScanError: the values are constant.
    """
    values = values[np.isfinite(values)]
    size = float(np.abs(values).max(initial=0.0))
    if size == 0.0 or float(np.abs(values - values.reshape(-1)[0]).max()) <= _FLAT * size:
        raise ScanError(
            f"{what} is constant, a placeholder and no object; supervised training and label "
            "terms need the object itself, as pinn simulate writes it or an iterative "
            "reconstruction finds it, so put that in its place or train with mode pinn"
        )
