"""The data contract of a scan, one check per kind of attribute; every refusal says what to do.

A check takes a value and what it is of. It returns the value in the type that a scan holds, or
raises. `pinn.data.measurement` says which attribute has which.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pinn.data import geometry
from pinn.data.frames import FrameSource, as_source
from pinn.errors import ScanError

SMALLEST, LARGEST = 16, 1024
_FAINTEST, _BRIGHTEST = 1e-15, 1e15  # of a probe or an object, which may have any scale


@dataclass(frozen=True)
class Subject:
    """What a value belongs to.

    Attributes:
        where: name of the scan, for messages.
        name: of the value.
        frames: how many the scan has, M.
        side: of its frames, N.
        variations: of its probe, V, or None where it has no probe.
    """

    where: str
    name: str = ""
    frames: int = 0
    side: int = 0
    variations: int | None = None

    def __str__(self) -> str:
        return f"{self.name} of {self.where}"

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(M, N, N)`."""
        return (self.frames, self.side, self.side)


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


def check_frames(frames: np.ndarray | FrameSource, of: Subject) -> FrameSource:
    """Frames are `(M, N, N)` of real numbers, N even and from 16 to 1024; a source of them.

    Raises:
        ScanError: they are not.
    """
    source = as_source(frames)
    check_stack(source, of.where)
    _, height, width = source.shape
    if height == width and height % 2 == 0 and SMALLEST <= height <= LARGEST:
        return source
    if height != width:
        wrong = (
            f"{height} x {width} pixels, but must be square with the frames on the first axis; "
            "crop or pad them"
        )
    else:
        wrong = (
            f"{height} pixels wide, but the side must be even and from {SMALLEST} to {LARGEST}; "
            "crop, bin or pad them"
        )
    raise ScanError(f"frames of {of.where} are {wrong}: {frame_size_advice(height, width)}")


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


def check_probe(probe: np.ndarray | None, of: Subject) -> np.ndarray | None:
    """Probe as complex64 `(V, P, N, N)` in a copy, or None.

    Args:
        probe: `(N, N)`, `(N, N, 1)`, `(P, N, N)` or `(V, P, N, N)`, square root of counts.

    Raises:
        ScanError: another shape, not numbers, not finite, or zero.
    """
    if probe is None:
        return None
    probe = np.asarray(probe)
    N = of.side
    if probe.dtype.kind not in "iufc":
        raise ScanError(f"{of} has dtype {probe.dtype}, but complex is required")
    modes = probe[..., 0] if probe.shape[2:] == (1,) else probe
    modes = modes.reshape((1,) * max(0, 4 - modes.ndim) + modes.shape)
    if probe.ndim < 2 or modes.ndim != 4 or modes.shape[2:] != (N, N) or not modes.size:
        raise ScanError(
            f"{of} has shape {probe.shape}, but ({N}, {N}), (modes, {N}, {N}) or (variations, "
            f"modes, {N}, {N}) is required to match the frames; crop or pad it in real space, or "
            "give another with --probe"
        )
    modes = _single(modes)
    if not np.isfinite(modes).all():
        raise ScanError(f"{of} has values that are not finite; give another --probe")
    if not modes[0].any():
        raise ScanError(f"{of} is zero everywhere; give another with --probe")
    _check_size(modes, str(of), "give another with --probe")
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


def check_weights(weights: np.ndarray | None, of: Subject) -> np.ndarray | None:
    """Weights of the probe's variations in each frame, float64 `(M, V)`, or None.

    Raises:
        ScanError: another shape, not finite, or there are no variations.
    """
    if weights is None:
        return None
    found = np.asarray(weights)
    V = of.variations
    if V is None or found.shape != (of.frames, V) or found.dtype.kind not in "biuf":
        wanted = (
            "a probe with variations is" if V is None else f"{(of.frames, V)} of real numbers is"
        )
        raise ScanError(
            f"{of} are {found.shape} of {found.dtype}, but {wanted} "
            "required; leave them out or correct them"
        )
    if not np.isfinite(found).all():
        raise ScanError(f"{of} have values that are not finite; leave them out or correct them")
    return found.astype(np.float64)


def check_patches(patches: np.ndarray | FrameSource | None, of: Subject) -> FrameSource | None:
    """Object patch of each frame, a source of complex `(M, N, N)`, or None.

    Raises:
        ScanError: another shape or type.
    """
    if patches is None:
        return None
    source = as_source(patches)
    if tuple(source.shape) != of.shape or source.dtype.kind not in "fc":
        raise ScanError(
            f"{of} are {tuple(source.shape)} of {source.dtype}, but complex "
            f"{of.shape} is required to match the frames; leave them out or correct them"
        )
    return source


def check_acquisition(values: Mapping[str, float] | None, of: Subject) -> dict[str, float]:
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
                f"acquisition {name!r} of {of.where} is {value!r}, but a number is required"
            ) from None
        if math.isfinite(number):
            found[str(name)] = number
    return found


def check_steps(steps: Sequence[Mapping[str, Any]], of: Subject) -> tuple[dict[str, Any], ...]:
    """Records of the preparation: plain dictionaries that JSON can hold, each with its `step`.

    Raises:
        ScanError: something else.
    """
    if _deeper(steps, 8):
        raise ScanError(f"{of} are no plain records: lists in lists, more than 8 deep")
    try:
        found = json.loads(json.dumps([dict(step) for step in steps], allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ScanError(f"{of} are no plain records ({error})") from None
    if not all(isinstance(step.get("step"), str) for step in found):
        raise ScanError(f"{of} hold a record without the name of its 'step'")
    return tuple(found)


def _deeper(value: Any, levels: int) -> bool:
    """Whether lists and mappings in lists and mappings go on for more than some levels."""
    parts = value.values() if isinstance(value, Mapping) else value
    if not isinstance(value, Mapping | list | tuple):
        return False
    return levels < 0 or any(_deeper(part, levels - 1) for part in parts)


def check_origin(origin: Sequence[float], of: Subject) -> tuple[float, float]:
    """Two finite numbers (y, x).

    Raises:
        ScanError: something else.
    """
    found = np.asarray(origin)
    if found.shape != (2,) or found.dtype.kind not in "iuf" or not np.isfinite(found).all():
        raise ScanError(f"{of} is {origin!r}, but two numbers (y, x) are required")
    return float(found[0]), float(found[1])


def check_mask(
    mask: np.ndarray | FrameSource | None, of: Subject
) -> np.ndarray | FrameSource | None:
    """Mask as bool `(N, N)` or `(M, N, N)`, or a source of the latter, True = use, or None.

    Raises:
        ScanError: another shape or dtype, or no pixel left (of a source this is seen later, from
            the frames: all of them are dark).
    """
    shape = of.shape
    if mask is None:
        return None
    if isinstance(mask, FrameSource):
        if tuple(mask.shape) != shape or mask.dtype != np.bool_:
            raise ScanError(
                f"{of} is a source {tuple(mask.shape)} of {mask.dtype}, but bool "
                f"{shape} is required, True = use"
            )
        return mask
    mask = np.asarray(mask)
    if mask.shape not in (shape, shape[1:]):
        raise ScanError(
            f"{of} has shape {mask.shape}, but {shape[1:]} for all frames or "
            f"{shape} for each is required"
        )
    if mask.dtype.kind not in "biu":
        raise ScanError(f"{of} has dtype {mask.dtype}, but bool is required, True = use")
    mask = mask.astype(bool, copy=False)
    if not mask.any():
        raise ScanError(
            f"{of} leaves no pixel; True means use the pixel, so invert it if it marks the bad ones"
        )
    return mask


def check_truth(truth: np.ndarray | None, of: Subject) -> np.ndarray | None:
    """Truth as complex64 `(H, W)`, or None.

    Raises:
        ScanError: another shape, not numbers, or not finite.
    """
    if truth is None:
        return None
    truth = np.asarray(truth)
    if truth.ndim != 2 or truth.dtype.kind not in "iufc":
        raise ScanError(f"{of} is {truth.shape} of {truth.dtype}, but a complex (H, W) is required")
    truth = _single(truth)
    if not np.isfinite(truth).all():
        raise ScanError(f"{of} has values that are not finite; leave it out")
    _check_size(truth, str(of), "leave it out")
    return truth


def check_index(scan_index: np.ndarray | None, of: Subject) -> np.ndarray | None:
    """Number of the scan each frame belongs to, int64 `(M,)`, or None.

    Raises:
        ScanError: another length, or not whole numbers.
    """
    if scan_index is None:
        return None
    index = np.asarray(scan_index)
    if (
        index.shape != (of.frames,)
        or index.dtype.kind not in "biuf"
        or (index != np.rint(index)).any()
    ):
        raise ScanError(
            f"{of} is {index.shape} of {index.dtype}, but one whole number for "
            f"each of {of.frames} frames is required"
        )
    return index.astype(np.int64)


def check_positive(value: float | None, of: Subject) -> float | None:
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
        raise ScanError(f"{of} is {value!r}, but a number above zero is required")
    return number


def check_particle(particle: str, of: Subject) -> str:
    """`photon` or `electron`.

    Raises:
        ScanError: another word.
    """
    if particle not in geometry.PARTICLES:
        raise ScanError(f"{of} is {particle[:40]!r}, but photon or electron is required")
    return particle


def check_kind(kind: str, of: Subject) -> str:
    """The name of a kind of physics, with its numbers perhaps; which there are, `pinn.ops` knows.

    Raises:
        ScanError: no text, or an empty one.
    """
    if not isinstance(kind, str) or not kind:
        raise ScanError(
            f"{of} is {str(kind)[:40]!r}, but the name of a kind is required; correct it"
        )
    return kind


def check_path(path: str | Path | None, of: Subject) -> Path | None:
    """The path of a file, or None."""
    return None if path is None else Path(path)


def check_files(files: Sequence[str | Path], of: Subject) -> tuple[Path, ...]:
    """The paths of files."""
    return tuple(Path(file) for file in files)


def check_notes(notes: Sequence[str], of: Subject) -> tuple[str, ...]:
    """Sentences, each once."""
    return tuple(dict.fromkeys(notes))
