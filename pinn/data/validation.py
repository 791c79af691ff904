"""The data contract of a scan, one check per part; every refusal says what to do."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pinn.data.frames import ArrayFrames, FrameSource
from pinn.data.spread import check_spread
from pinn.data.subset import frames_text
from pinn.errors import ScanError

SMALLEST, LARGEST = 16, 1024
_FAINTEST, _BRIGHTEST = 1e-15, 1e15  # of a probe or an object, which may have any scale


def check_stack(frames: FrameSource, where: str) -> None:
    """Frames are `(M, H, W)` of real numbers, at least one.

    Raises:
        ScanError: they are not.
    """
    shape, dtype = tuple(frames.shape), frames.dtype
    if len(shape) != 3 or not shape[1] or not shape[2]:
        raise ScanError(f"frames of {where} have shape {shape}, but (M, N, N) is required")
    if not shape[0]:
        raise ScanError(f"{where} has no frames")
    if dtype.kind == "c":
        raise ScanError(
            f"frames of {where} are complex ({dtype}), but a detector measures real numbers; give "
            "their absolute value as amplitude"
        )
    if dtype.kind not in "biuf":
        raise ScanError(f"frames of {where} have dtype {dtype}, but numbers are required")


def check_frames(frames: FrameSource, where: str) -> None:
    """Frames are `(M, N, N)` of real numbers, N even and from 16 to 1024.

    Raises:
        ScanError: they are not.
    """
    check_stack(frames, where)
    shape = tuple(frames.shape)
    if shape[1] != shape[2]:
        raise ScanError(
            f"frames of {where} are {shape[1]} x {shape[2]} pixels, but must be square with the "
            f"frames on the first axis; crop or pad them: {frame_size_advice(shape[1], shape[2])}"
        )
    if shape[1] % 2 or not SMALLEST <= shape[1] <= LARGEST:
        raise ScanError(
            f"frames of {where} are {shape[1]} pixels wide, but the side must be even and from "
            f"{SMALLEST} to {LARGEST}; crop, bin or pad them: "
            f"{frame_size_advice(shape[1], shape[2])}"
        )


def frame_size_advice(
    height: int, width: int, beam: tuple[int, int] | None = None, factor: int = 1
) -> str:
    """Which `frame_size` to say for frames of this size, as a clause.

    Args:
        beam: pixel of the zero frequency; default the middle.
        factor: pixels that are added up each way.
    """
    row, column = beam or (height // 2, width // 2)
    unit = math.lcm(16, 2 * factor)
    room = min(2 * min(row, height - row, column, width - column), LARGEST * factor)
    sides = (room // unit * unit, room // (2 * factor) * 2 * factor)
    crop = next((side for side in sides if side >= SMALLEST * factor), None)
    pad = -(-max(height, width) // unit) * unit
    said = [] if crop is None else [f"--frame-size {crop} (crops)"]
    if pad <= LARGEST * factor and pad != crop:
        said.append(f"--frame-size {pad} (pads; padded pixels are masked)")
    return " or ".join(said) or f"no side from {SMALLEST} to {LARGEST} fits"


def check_positions(positions: np.ndarray, M: int, where: str) -> np.ndarray:
    """Positions `(M, 2)` [y, x] in pixels as a float64 copy that cannot be written.

    Raises:
        ScanError: see `check_coordinates`; or all equal, or metres.
    """
    found = check_coordinates(positions, M, where)
    check_spread(found, where)
    found.flags.writeable = False
    return found


def check_coordinates(
    positions: np.ndarray, M: int, where: str, rows: np.ndarray | None = None
) -> np.ndarray:
    """Positions `(M, 2)` [y, x] in any unit as a float64 copy.

    Args:
        rows: numbers of the frames whose positions must be finite; default all.

    Raises:
        ScanError: shape, length, or values that are not finite.
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
    bad = bad if rows is None else np.intersect1d(bad, rows)
    if len(bad):
        raise ScanError(
            f"{len(bad)} positions of {where} are not finite, the first is number {bad[0]} with "
            f"{positions[bad[0]].tolist()}; leave those frames out (--drop-frames "
            f"{frames_text(bad, 20)})"
        )
    return positions


def check_probe(probe: np.ndarray | None, N: int, where: str) -> np.ndarray | None:
    """Modes of the probe as complex64 `(P, N, N)` in a copy, or None; see `check_variations`."""
    found = check_variations(probe, N, where)
    return None if found is None else found[0]


def check_variations(probe: np.ndarray | None, N: int, where: str) -> np.ndarray | None:
    """Probe as complex64 `(V, P, N, N)` in a copy, or None.

    Args:
        probe: `(N, N)`, `(N, N, 1)`, `(P, N, N)` or `(V, P, N, N)`, square root of counts.

    Raises:
        ScanError: another shape, not numbers, not finite, or zero.
    """
    if probe is None:
        return None
    probe = np.asarray(probe)
    if probe.dtype.kind not in "iufc":
        raise ScanError(f"probe of {where} has dtype {probe.dtype}, but complex is required")
    modes = probe[..., 0] if probe.shape[2:] == (1,) else probe
    modes = modes.reshape((1,) * max(0, 4 - modes.ndim) + modes.shape)
    if probe.ndim < 2 or modes.ndim != 4 or modes.shape[2:] != (N, N) or not modes.size:
        raise ScanError(
            f"probe of {where} has shape {probe.shape}, but ({N}, {N}), (modes, {N}, {N}) or "
            f"(variations, modes, {N}, {N}) is required to match the frames; crop or pad it in "
            "real space, or give another with --probe"
        )
    modes = _single(modes)
    if not np.isfinite(modes).all():
        raise ScanError(f"probe of {where} has values that are not finite; give another --probe")
    if not modes[0].any():
        raise ScanError(f"probe of {where} is zero everywhere; give another with --probe")
    _check_size(modes, f"probe of {where}", "give another with --probe")
    return modes.copy()


def _check_size(field: np.ndarray, what: str, remedy: str) -> None:
    """Refuse values the squares of which are too large or too small for single precision."""
    largest = float(max(np.abs(field.real).max(), np.abs(field.imag).max())) if field.size else 1.0
    if largest and not _FAINTEST < largest < _BRIGHTEST:
        raise ScanError(f"{what} has values of {largest:.3g}, which cannot be computed; {remedy}")


def _single(field: np.ndarray) -> np.ndarray:
    """The field in single precision; what is too large for that becomes infinite, silently."""
    with np.errstate(all="ignore"):
        return field.astype(np.complex64, copy=False)


def check_length(array: np.ndarray | None, M: int, what: str, where: str) -> np.ndarray | None:
    """An array with an entry for each frame, or None.

    Raises:
        ScanError: another length.
    """
    if array is None:
        return None
    array = np.asarray(array)
    if array.ndim < 1 or len(array) != M:
        raise ScanError(
            f"{what} of {where} are {array.shape}, but there are {M} frames; each frame needs one"
        )
    return array


def check_weights(
    weights: np.ndarray | None, M: int, variations: np.ndarray | None, where: str
) -> np.ndarray | None:
    """Weights of the probe's variations in each frame, float64 `(M, V)`, or None.

    Args:
        variations: `(V, P, N, N)`, or None.

    Raises:
        ScanError: another shape, not finite, or there are no variations.
    """
    if weights is None:
        return None
    found = np.asarray(weights)
    V = None if variations is None else len(variations)
    if V is None or found.shape != (M, V) or found.dtype.kind not in "biuf":
        wanted = "a probe with variations is" if V is None else f"{(M, V)} of real numbers is"
        raise ScanError(
            f"probe_weights of {where} are {found.shape} of {found.dtype}, but {wanted} required; "
            "leave them out or correct them"
        )
    if not np.isfinite(found).all():
        raise ScanError(
            f"probe_weights of {where} have values that are not finite; leave them out or correct "
            "them"
        )
    return found.astype(np.float64)


def check_patches(
    patches: np.ndarray | FrameSource | None, shape: tuple[int, ...], where: str
) -> FrameSource | None:
    """Object patch of each frame, a source of complex `(M, N, N)`, or None.

    Raises:
        ScanError: another shape or type.
    """
    if patches is None:
        return None
    source = patches if isinstance(patches, FrameSource) else ArrayFrames(np.asarray(patches))
    if tuple(source.shape) != tuple(shape) or source.dtype.kind not in "fc":
        raise ScanError(
            f"label_patches of {where} are {tuple(source.shape)} of {source.dtype}, but complex "
            f"{tuple(shape)} is required to match the frames; leave them out or correct them"
        )
    return source


def check_acquisition(values: Mapping[str, float] | None, where: str) -> dict[str, float]:
    """Named numbers of the measurement, those that are finite.

    Raises:
        ScanError: a name that is no text, or a value that is no number.
    """
    found = {}
    for name, value in (values or {}).items():
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            raise ScanError(
                f"acquisition {name!r} of {where} is {value!r}, but a number is required"
            ) from None
        if math.isfinite(number):
            found[str(name)] = number
    return found


def check_steps(steps: Sequence[Mapping[str, Any]], where: str) -> tuple[dict[str, Any], ...]:
    """Records of the preparation: plain dictionaries that JSON can hold, each with its `step`.

    Raises:
        ScanError: something else.
    """
    if _deeper(steps, 8):
        raise ScanError(f"steps of {where} are no plain records: lists in lists, more than 8 deep")
    try:
        found = json.loads(json.dumps([dict(step) for step in steps], allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ScanError(f"steps of {where} are no plain records ({error})") from None
    if not all(isinstance(step.get("step"), str) for step in found):
        raise ScanError(f"steps of {where} hold a record without the name of its 'step'")
    return tuple(found)


def _deeper(value: Any, levels: int) -> bool:
    """Whether lists and mappings in lists and mappings go on for more than some levels."""
    parts = value.values() if isinstance(value, Mapping) else value
    if not isinstance(value, Mapping | list | tuple):
        return False
    return levels < 0 or any(_deeper(part, levels - 1) for part in parts)


def check_origin(origin: Sequence[float], where: str) -> tuple[float, float]:
    """Two finite numbers (y, x).

    Raises:
        ScanError: something else.
    """
    found = np.asarray(origin)
    if found.shape != (2,) or found.dtype.kind not in "iuf" or not np.isfinite(found).all():
        raise ScanError(
            f"truth_origin_px of {where} is {origin!r}, but two numbers (y, x) are required"
        )
    return float(found[0]), float(found[1])


def check_mask(
    mask: np.ndarray | FrameSource | None, shape: tuple[int, ...], where: str
) -> np.ndarray | FrameSource | None:
    """Mask as bool `(N, N)` or `(M, N, N)`, or a source of the latter, True = use, or None.

    Raises:
        ScanError: another shape or dtype, or no pixel left (of a source this is seen later, from
            the frames: all of them are dark).
    """
    if mask is None:
        return None
    if isinstance(mask, FrameSource):
        if tuple(mask.shape) != shape or mask.dtype != np.bool_:
            raise ScanError(
                f"valid_mask of {where} is a source {tuple(mask.shape)} of {mask.dtype}, but bool "
                f"{shape} is required, True = use"
            )
        return mask
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
    truth = _single(truth)
    if not np.isfinite(truth).all():
        raise ScanError(f"truth of {where} has values that are not finite; leave it out")
    _check_size(truth, f"truth of {where}", "leave it out")
    return truth


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
