"""Positions of a scan: their form, and whether they can be object pixels by how far they reach."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from pinn.data.subset import frames_text
from pinn.data.validation import Subject
from pinn.errors import ScanError

_WIDEST_PX = 1e7  # a canvas of that side is beyond any machine
_FARTHEST_PX = 1e9  # double precision still tells a millionth of a pixel there


def check_positions(positions: np.ndarray | None, of: Subject) -> np.ndarray:
    """Positions `(M, 2)` [y, x] in pixels as a float64 copy that cannot be written.

    Raises:
        ScanError: see `check_coordinates`; or none, all equal, or metres.
    """
    found = check_coordinates(positions, of.frames, of.where)
    check_spread(found, of.where)
    found.flags.writeable = False
    return found


def check_nominal(positions: np.ndarray | None, of: Subject) -> np.ndarray | None:
    """Commanded positions, see `check_positions`, or None."""
    if positions is None:
        return None
    return check_positions(positions, replace(of, where=f"{of.where} (nominal)"))


def check_coordinates(
    positions: np.ndarray | None, M: int, where: str, rows: np.ndarray | None = None
) -> np.ndarray:
    """Positions `(M, 2)` [y, x] in any unit as a float64 copy.

    Args:
        rows: numbers of the frames whose positions must be finite; default all.

    Raises:
        ScanError: none, shape, length, or values that are not finite.
    """
    if positions is None:
        raise ScanError(f"{where} has no positions, which a scan needs")
    try:
        given = np.asarray(positions)
    except ValueError:  # rows of different length
        given = np.empty(0, object)
    if given.dtype.kind not in "iuf":
        raise ScanError(
            f"positions of {where} are {given.dtype}, but an array of real numbers (M, 2) is "
            "required"
        )
    positions = given.astype(np.float64)
    if positions.ndim != 2 or positions.shape[1] != 2:
        raise ScanError(
            f"positions of {where} have shape {positions.shape}, but (M, 2) with columns y, x in "
            "object pixels is required"
        )
    if len(positions) != M:
        raise ScanError(
            f"{where} has {M} frames but {len(positions)} positions; each frame needs one"
        )
    bad = np.flatnonzero(~np.isfinite(positions).all(1))
    bad = bad if rows is None else np.intersect1d(bad, rows)
    if len(bad):
        raise ScanError(
            f"{len(bad)} positions of {where} are not finite, the first is number {bad[0]} with "
            f"{positions[bad[0]].tolist()}; leave those frames out (--drop-frames "
            f"{frames_text(bad, 20)})"
        )
    return positions


def nearest_step(positions: np.ndarray) -> float:
    """Median distance in pixels from a position to the nearest different one; 0 for one place."""
    places = np.unique(positions, axis=0)
    if len(places) < 2:
        return 0.0
    return float(np.median(cKDTree(places).query(places, k=2)[0][:, 1]))


def _within_a_pixel(positions: np.ndarray) -> bool:
    """True for different positions that all lie in a fraction of a pixel."""
    span = np.ptp(positions, axis=0).max()
    return 0 < span < 1.0 and nearest_step(positions) < 1e-3


def check_pixel(positions: np.ndarray, pixel_m: float, unit: str, where: str) -> None:
    """Refuse positions that an object pixel of this size brings together in one.

    Args:
        positions: `(M, 2)` in object pixels.
        pixel_m: the object pixel, metres.
        unit: of the positions before.
        where: the file, for messages.

    Raises:
        ScanError: they are.
    """
    if _within_a_pixel(positions):
        span = np.ptp(positions, axis=0)
        raise ScanError(
            f"positions of {where}, read as {unit}, span only {span[0]:.3g} x {span[1]:.3g} object "
            f"pixels of {pixel_m:.3g} m; correct their unit (--positions-unit), or the object "
            "pixel (--pixel-size-m, or energy, distance and detector pixel)"
        )


def check_spread(positions: np.ndarray, where: str) -> None:
    """Refuse positions `(M, 2)` that are all equal, metres, or further than any object.

    Raises:
        ScanError: they are.
    """
    farthest = float(np.abs(positions).max())
    if farthest > _FARTHEST_PX:
        raise ScanError(
            f"positions of {where} reach {farthest:.3g} pixels from zero, further than any object; "
            "check their unit (--positions-unit) and the object pixel size"
        )
    if len(positions) < 2:
        return
    span = np.ptp(positions, axis=0)
    if not span.any():
        raise ScanError(
            f"all {len(positions)} positions of {where} are {positions[0].tolist()}; a scan moves, "
            "check which columns were read"
        )
    if _within_a_pixel(positions):
        raise ScanError(
            f"positions of {where} span {span[0]:.3g} x {span[1]:.3g} with a median step of "
            f"{nearest_step(positions):.3g}, which looks like metres; divide them by the object "
            "pixel size in metres (wavelength x distance / (N x detector pixel)), or say "
            "positions_unit m (--positions-unit m) when you load the file"
        )
    if span.max() > _WIDEST_PX:
        raise ScanError(
            f"positions of {where} span {span[0]:.3g} x {span[1]:.3g} pixels, further than any "
            "object; check their unit (--positions-unit) and the object pixel size"
        )
