"""The data contract of a scan, one check per part; every refusal says what to do."""

from __future__ import annotations

import math

import numpy as np
from scipy.spatial import cKDTree

from pinn.data.frames import FrameSource
from pinn.errors import ScanError

SMALLEST, LARGEST = 16, 1024


def check_frames(frames: FrameSource, where: str) -> None:
    """Frames are `(M, N, N)` of real numbers, N even and from 16 to 1024.

    Raises:
        ScanError: they are not.
    """
    shape, dtype = tuple(frames.shape), frames.dtype
    if len(shape) != 3:
        raise ScanError(f"frames of {where} have shape {shape}, but (M, N, N) is required")
    if shape[1] != shape[2]:
        raise ScanError(
            f"frames of {where} are {shape[1]} x {shape[2]} pixels, but must be square with the "
            "frames on the first axis; crop or pad them around the centre of the pattern"
        )
    if shape[1] % 2 or not SMALLEST <= shape[1] <= LARGEST:
        raise ScanError(
            f"frames of {where} are {shape[1]} pixels wide, but the side must be even and from "
            f"{SMALLEST} to {LARGEST}; crop, bin or pad them"
        )
    if not shape[0]:
        raise ScanError(f"{where} has no frames")
    if dtype.kind == "c":
        raise ScanError(
            f"frames of {where} are complex ({dtype}), but a detector measures real numbers; give "
            "their absolute value as amplitude"
        )
    if dtype.kind not in "biuf":
        raise ScanError(f"frames of {where} have dtype {dtype}, but numbers are required")


def check_positions(positions: np.ndarray, M: int, where: str) -> np.ndarray:
    """Positions `(M, 2)` [y, x] in pixels as a float64 copy that cannot be written.

    Raises:
        ScanError: shape, length, values that are not finite, all equal, or metres.
    """
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
    if len(bad):
        raise ScanError(
            f"{len(bad)} positions of {where} are not finite, the first is number {bad[0]} with "
            f"{positions[bad[0]].tolist()}; leave those frames out"
        )
    if M > 1:
        _check_spread(positions, where)
    positions.flags.writeable = False
    return positions


def nearest_step(positions: np.ndarray) -> float:
    """Median distance in pixels from a position to the nearest different one; 0 for one place."""
    places = np.unique(positions, axis=0)
    if len(places) < 2:
        return 0.0
    return float(np.median(cKDTree(places).query(places, k=2)[0][:, 1]))


def _check_spread(positions: np.ndarray, where: str) -> None:
    span = np.ptp(positions, axis=0)
    if not span.any():
        raise ScanError(
            f"all {len(positions)} positions of {where} are {positions[0].tolist()}; a scan moves, "
            "check which columns were read"
        )
    step = nearest_step(positions)
    if step < 1e-3 and span.max() < 1.0:
        raise ScanError(
            f"positions of {where} span {span[0]:.3g} x {span[1]:.3g} with a median step of "
            f"{step:.3g}, which looks like metres; divide them by the object pixel size in metres "
            "(wavelength x distance / (N x detector pixel))"
        )


def check_probe(probe: np.ndarray | None, N: int, where: str) -> np.ndarray | None:
    """Probe as complex64 `(P, N, N)` in a copy, or None.

    Args:
        probe: `(N, N)`, `(N, N, 1)` or `(P, N, N)`, square root of counts.

    Raises:
        ScanError: another shape, not numbers, not finite, or zero.
    """
    if probe is None:
        return None
    probe = np.asarray(probe)
    if probe.dtype.kind not in "iufc":
        raise ScanError(f"probe of {where} has dtype {probe.dtype}, but complex is required")
    modes = probe[..., 0] if probe.shape[2:] == (1,) else probe
    modes = modes[None] if modes.ndim == 2 else modes
    if modes.ndim != 3 or modes.shape[1:] != (N, N) or not len(modes):
        raise ScanError(
            f"probe of {where} has shape {probe.shape}, but ({N}, {N}) or (modes, {N}, {N}) is "
            "required to match the frames; crop or pad it in real space, or give another with "
            "--probe"
        )
    if not np.isfinite(modes).all():
        raise ScanError(f"probe of {where} has values that are not finite; give another --probe")
    if not modes.any():
        raise ScanError(f"probe of {where} is zero everywhere; give another with --probe")
    return modes.astype(np.complex64)


def check_mask(mask: np.ndarray | None, shape: tuple[int, ...], where: str) -> np.ndarray | None:
    """Mask as bool `(N, N)` or `(M, N, N)`, True = use, or None.

    Raises:
        ScanError: another shape or dtype, or no pixel left.
    """
    if mask is None:
        return None
    mask = np.asarray(mask)
    if mask.shape not in (shape, shape[1:]):
        raise ScanError(
            f"valid_mask of {where} has shape {mask.shape}, but {shape[1:]} for all frames or "
            f"{shape} for each is required"
        )
    if mask.dtype.kind not in "biu":
        raise ScanError(
            f"valid_mask of {where} has dtype {mask.dtype}, but bool is required, True = use"
        )
    mask = mask.astype(bool, copy=False)
    if not mask.any():
        raise ScanError(
            f"valid_mask of {where} leaves no pixel; True means use the pixel, so invert it if it "
            "marks the bad ones"
        )
    return mask


def check_truth(truth: np.ndarray | None, where: str) -> np.ndarray | None:
    """Truth as complex64 `(H, W)`, or None.

    Raises:
        ScanError: another shape, not numbers, or not finite.
    """
    if truth is None:
        return None
    truth = np.asarray(truth)
    if truth.ndim != 2 or truth.dtype.kind not in "iufc":
        raise ScanError(
            f"truth of {where} is {truth.shape} of {truth.dtype}, but a complex (H, W) is required"
        )
    if not np.isfinite(truth).all():
        raise ScanError(f"truth of {where} has values that are not finite; leave it out")
    return truth.astype(np.complex64, copy=False)


def check_index(scan_index: np.ndarray | None, M: int, where: str) -> np.ndarray | None:
    """Number of the scan each frame belongs to, int64 `(M,)`, or None.

    Raises:
        ScanError: another length, or not whole numbers.
    """
    if scan_index is None:
        return None
    index = np.asarray(scan_index)
    if index.shape != (M,) or index.dtype.kind not in "biuf" or not np.all(index == np.rint(index)):
        raise ScanError(
            f"scan_index of {where} is {index.shape} of {index.dtype}, but one whole number for "
            f"each of {M} frames is required"
        )
    return index.astype(np.int64)


def check_positive(value: float | None, what: str, where: str) -> float | None:
    """A finite number above zero, or None.

    Raises:
        ScanError: anything else.
    """
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number < math.inf:
        raise ScanError(f"{what} of {where} is {value!r}, but a number above zero is required")
    return number
