"""Placing: two objects with their own origins brought onto one pixel grid.

An object pixel `[i, j]` lies at the object coordinate `origin_px + (i, j)` (y, x), in pixels;
origins may be fractional. The truth (or second object) is never resampled: its grid is the grid
of the comparison, and only the first object moves, in one interpolation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from pinn.errors import InputError

SPLINE_ORDER = 5
SMALLEST_SIDE = 16  # pixels; rings and windows of a smaller comparison mean nothing
_WHOLE = 1e-6  # px; a displacement this close to whole pixels is not interpolated


@dataclass(frozen=True)
class Placed:
    """An object with its place in the object frame.

    Attributes:
        object: `(H, W)` complex.
        origin_px: `(2,)` float64 (y, x): object coordinate of pixel `[0, 0]`.
        valid: `(H, W)` bool, True = covered, or None where all of it is.
        positions_px: `(M, 2)` float64 scan positions (y, x), or None.
        pixel_size_m: side of a pixel in metres, or None.
    """

    object: np.ndarray
    origin_px: np.ndarray
    valid: np.ndarray | None = None
    positions_px: np.ndarray | None = None
    pixel_size_m: float | None = None


@dataclass(frozen=True)
class Region:
    """A rectangle of pixels in object coordinates.

    Attributes:
        start_px: object coordinate (y, x) of its first pixel.
        shape: `(h, w)` in pixels.
    """

    start_px: tuple[float, float]
    shape: tuple[int, int]

    @property
    def bounds_px(self) -> tuple[float, float, float, float]:
        """`(y0, y1, x0, x1)` in object coordinates, ends excluded."""
        (y, x), (h, w) = self.start_px, self.shape
        return y, y + h, x, x + w


def as_placed(
    item: Any, origin_px: Any = (0.0, 0.0), what: str = "reconstruction", positions_px: Any = None
) -> Placed:
    """A plain array, or anything with `object` and `origin_px`, as a checked `Placed`.

    Args:
        item: `(H, W)` array, or an object with the attributes `object`, `origin_px` and, where
            they are known, `coverage` (covered where above 0) or `valid_mask` or `valid`,
            `positions_px`, `pixel_size_m`.
        origin_px: origin of a plain array; ignored for the other kind.
        what: name of the item in error messages.
        positions_px: scan positions that stand in for those of the item.

    Raises:
        InputError: not two-dimensional, not finite where covered, or shapes that contradict.
    """
    bare = not hasattr(item, "object")
    array = np.asarray(item if bare else item.object)
    if array.ndim != 2 or array.size == 0 or array.dtype.kind not in "fciub":
        raise InputError(
            f"the {what} has shape {array.shape} and type {array.dtype}; give one complex image "
            "(H, W)"
        )
    array = array.astype(np.complex128)
    origin = np.asarray(origin_px if bare else item.origin_px, np.float64)
    if origin.shape != (2,) or not np.all(np.isfinite(origin)):
        raise InputError(f"the origin of the {what} is {origin}; give two finite numbers (y, x)")
    valid = None if bare else _valid(item, array.shape, what)
    used = array if valid is None else array[valid]
    if not np.all(np.isfinite(used)):
        raise InputError(
            f"the {what} has {np.count_nonzero(~np.isfinite(used))} pixels that are not finite; "
            "mask them or repair them"
        )
    if valid is not None:
        array = np.where(valid, array, 0.0)
    if positions_px is None and not bare:
        positions_px = getattr(item, "positions_px", None)
    return Placed(
        array,
        origin,
        valid,
        None if positions_px is None else check_positions(positions_px),
        None if bare else getattr(item, "pixel_size_m", None),
    )


def check_positions(positions_px: Any) -> np.ndarray:
    """Positions as `(M, 2)` float64.

    Raises:
        InputError: another shape, no position, or values that are not finite.
    """
    positions = np.asarray(positions_px, np.float64)
    if positions.ndim != 2 or positions.shape[1] != 2 or not len(positions):
        raise InputError(f"positions have shape {positions.shape}; give (M, 2), y then x")
    if not np.all(np.isfinite(positions)):
        raise InputError("positions have values that are not finite; drop those frames")
    return positions


def scan_area(positions_px: Any) -> tuple[float, float, float, float]:
    """`(y0, y1, x0, x1)` of the scan area in object coordinates: whole pixels around the positions.

    The centres of the patches are meant, not the rim that their outer halves illuminate.
    """
    positions = check_positions(positions_px)
    low, high = np.floor(positions.min(0)), np.ceil(positions.max(0))
    return float(low[0]), float(high[0]), float(low[1]), float(high[1])


def covered_area(placed: Placed) -> tuple[float, float, float, float]:
    """`(y0, y1, x0, x1)` of the rectangle around the covered pixels, in object coordinates.

    Raises:
        InputError: no pixel is covered.
    """
    origin, shape = placed.origin_px, placed.object.shape
    if placed.valid is None:
        y0, y1, x0, x1 = 0, shape[0], 0, shape[1]
    else:
        rows = np.flatnonzero(placed.valid.any(1))
        cols = np.flatnonzero(placed.valid.any(0))
        if not len(rows):
            raise InputError("the reconstruction covers no pixel; nothing can be compared")
        y0, y1, x0, x1 = rows[0], rows[-1] + 1, cols[0], cols[-1] + 1
    return (
        float(origin[0] + y0),
        float(origin[0] + y1),
        float(origin[1] + x0),
        float(origin[1] + x1),
    )


def common_region(
    first: Placed, second: Placed, bounds: tuple[float, float, float, float], border: float = 0.0
) -> Region:
    """The pixels of `second` inside `bounds` less a border that both objects have.

    Args:
        first: the object that will be resampled.
        second: the object whose grid is kept.
        bounds: `(y0, y1, x0, x1)` in object coordinates, ends excluded.
        border: pixels taken off every side of `bounds` first.

    Raises:
        InputError: fewer than `SMALLEST_SIDE` common pixels along an axis.
    """
    start, shape = [], []
    for axis in range(2):
        low, high = bounds[2 * axis] + border, bounds[2 * axis + 1] - border
        grid = float(second.origin_px[axis])
        # Indices on the second grid; a first-object pixel must stand on both sides of each.
        reach = float(first.origin_px[axis])
        last = reach + first.object.shape[axis] - 1
        begin = max(_up(low - grid), _up(reach - grid), 0)
        end = min(_up(high - grid), _down(last - grid) + 1, second.object.shape[axis])
        if end - begin < SMALLEST_SIDE:
            name = "yx"[axis]
            raise InputError(
                f"only {max(end - begin, 0)} pixels are common along {name} (wanted {low:g} to "
                f"{high:g}, the first object has {reach:g} to {last + 1:g}, the second {grid:g} to "
                f"{grid + second.object.shape[axis]:g}); at least {SMALLEST_SIDE} are needed: "
                "check the origins, or lower the border"
            )
        start.append(grid + begin)
        shape.append(end - begin)
    return Region((start[0], start[1]), (shape[0], shape[1]))


def cut(placed: Placed, region: Region) -> tuple[np.ndarray, np.ndarray]:
    """The region of an object whose grid it is on: `(h, w)` complex128 and its valid mask."""
    y, x = (round(s - o) for s, o in zip(region.start_px, placed.origin_px, strict=True))
    window = (slice(y, y + region.shape[0]), slice(x, x + region.shape[1]))
    valid = np.ones(region.shape, bool) if placed.valid is None else placed.valid[window].copy()
    return placed.object[window].copy(), valid


def sample(
    placed: Placed, region: Region, shift_px: tuple[float, float] = (0.0, 0.0)
) -> tuple[np.ndarray, np.ndarray]:
    """An object, moved by `shift_px`, on the pixels of a region.

    Whole displacements are copied. Fractional ones are interpolated by a quintic spline of the
    real and imaginary parts, of the whole object (so that the region's rim has neighbours);
    uncovered pixels are filled from the nearest covered one first.

    Args:
        placed: the object.
        region: where to sample, in object coordinates.
        shift_px: (y, x) added to the object's coordinates: feature at `c` moves to `c + shift`.

    Returns:
        `(h, w)` complex128 and a bool mask: False where the object is not covered there.
    """
    offset = np.asarray(region.start_px) - placed.origin_px - np.asarray(shift_px, np.float64)
    whole = np.round(offset)
    valid = np.ones(placed.object.shape, bool) if placed.valid is None else placed.valid
    if np.all(np.abs(offset - whole) < _WHOLE):
        return (
            _window(placed.object, whole.astype(int), region.shape),
            _window(valid, whole.astype(int), region.shape),
        )
    # Cut a generous frame first: the spline's memory is a few pixels, the object may be huge.
    halo = 24
    corner = np.floor(offset).astype(int) - halo
    size = (region.shape[0] + 2 * halo + 1, region.shape[1] + 2 * halo + 1)
    source, inside = _window(placed.object, corner, size), _window(valid, corner, size)
    if not inside.all() and inside.any():
        nearest = ndimage.distance_transform_edt(
            ~inside, return_distances=False, return_indices=True
        )
        source = source[tuple(nearest)]
    grid = np.meshgrid(
        *(offset[a] - corner[a] + np.arange(region.shape[a]) for a in range(2)), indexing="ij"
    )
    values = np.empty(region.shape, np.complex128)
    values.real = ndimage.map_coordinates(source.real, grid, order=SPLINE_ORDER, mode="mirror")
    values.imag = ndimage.map_coordinates(source.imag, grid, order=SPLINE_ORDER, mode="mirror")
    share = ndimage.map_coordinates(inside.astype(np.float64), grid, order=1, mode="nearest")
    return values, share > 1.0 - 1e-6


def _valid(item: Any, shape: tuple[int, ...], what: str) -> np.ndarray | None:
    valid = None
    for name in ("valid", "valid_mask", "coverage"):
        value = getattr(item, name, None)
        if value is None:
            continue
        value = np.asarray(value)
        if value.shape != shape:
            raise InputError(
                f"{name} of the {what} has shape {value.shape}, its object {shape}; they must agree"
            )
        valid = (value > 0) if valid is None else valid & (value > 0)
    return None if valid is None or valid.all() else valid


def _window(array: np.ndarray, corner: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`array[corner : corner + size]`, zero (False) beyond its edges."""
    out = np.zeros(size, array.dtype)
    low = np.maximum(corner, 0)
    high = np.minimum(corner + size, array.shape)
    if np.all(high > low):
        (y0, x0), (y1, x1) = low - corner, high - corner
        out[y0:y1, x0:x1] = array[low[0] : high[0], low[1] : high[1]]
    return out


def _up(value: float) -> int:
    return int(np.ceil(value - _WHOLE))


def _down(value: float) -> int:
    return int(np.floor(value + _WHOLE))
