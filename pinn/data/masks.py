"""From stored numbers to measured ones, and the mask of a batch.

This is the only place where frame values change their type.
"""

from __future__ import annotations

import numpy as np

from pinn.data.frames import DerivedFrames, FrameSource

# 32-bit detectors write the largest integer into gaps, and DECTRIS the one before it into dead and
# hot pixels. Written as floats or as wider integers it is no longer the largest value of its type;
# single precision rounds it up.
_SENTINELS = (2**31 - 2, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1, 2**32)
# Of amplitudes they are roots, of 16 bits too: there no other number of photons is so near.
_ROOTS = np.sqrt(np.array([2**16 - 2, 2**16 - 1, *_SENTINELS], np.float64))
_ROOTS_SINGLE = np.unique(_ROOTS.astype(np.float32))
_ROOTS = np.union1d(_ROOTS, _ROOTS_SINGLE)  # doubles may have been singles once
# Beyond any detector; a square of it still fits single precision.
_LARGEST = 1e18


def measured(
    raw: np.ndarray, saturation: float | None = None, units: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Stored frames as floats, and which pixels hold a measurement.

    A pixel holds none when it is not finite, negative, saturated, or a sentinel. The largest value
    of an integer type is the sentinel of some detectors and the saturation of others; neither
    counts photons; nor does the one before it in unsigned types of 16 bits and more. The 32-bit
    sentinels are recognised in wider types as well, and the square roots of sentinels in floats
    that are amplitudes.

    Args:
        raw: stored frames of any shape and real dtype.
        saturation: values from this one on are saturated.
        units: `amplitude`, or `auto` where nobody has decided yet, so that nothing is decided on
            the ground of values that may be no measurement; all others hold no square roots.

    Returns:
        Values, 0 where unusable: float32 for types of up to 16 bits and for float32, else
        float64. And bool of the same shape, True = usable.
    """
    kind, size = raw.dtype.kind, raw.dtype.itemsize
    wide = size > (4 if kind == "f" else 2)
    with np.errstate(all="ignore"):  # what is lost here is not finite, and no measurement
        values: np.ndarray = raw.astype(np.float64 if wide else np.float32)
    good = (values >= 0) & (values < _LARGEST)  # false for NaN
    if kind in "iu":
        largest = np.iinfo(raw.dtype).max
        good &= raw != largest
        if kind == "u" and size > 1:
            good &= raw != largest - 1
    if saturation is not None:
        with np.errstate(all="ignore"):  # beyond the type of the values nothing is saturated
            good &= raw < saturation
    if size >= 4 and (suspects := values >= _SENTINELS[0]).any():
        good &= ~(suspects & np.isin(values, _SENTINELS))
    if kind == "f" and size >= 4 and units in ("amplitude", "auto"):
        roots = _ROOTS if size > 4 else _ROOTS_SINGLE
        if (suspects := values >= roots[0]).any():
            good &= ~(suspects & _among(values, roots))
    values[~good] = 0.0
    return values, good


def _among(values: np.ndarray, roots: np.ndarray) -> np.ndarray:
    """Which of the values are one of these up to the rounding of a root."""
    place = np.clip(np.searchsorted(roots, values), 1, len(roots) - 1)
    nearest = np.minimum(np.abs(values - roots[place - 1]), np.abs(values - roots[place]))
    return nearest <= np.spacing(values)


def mask_rows(mask: np.ndarray | FrameSource | None, rows: np.ndarray) -> np.ndarray | None:
    """The mask of some frames, however it is held.

    Args:
        mask: bool `(N, N)`, `(M, N, N)`, or a source of `(M, N, N)`; True = use; or None.
        rows: `(n,)` numbers of frames.

    Returns:
        bool `(N, N)` or `(n, N, N)`, not to be written to; or None.
    """
    if mask is None or (isinstance(mask, np.ndarray) and mask.ndim == 2):
        return mask
    return mask[rows] if isinstance(mask, np.ndarray) else mask.read(rows)


def and_mask(mask: np.ndarray | FrameSource | None, valid: np.ndarray) -> np.ndarray | FrameSource:
    """A mask, however it is held, and another for all frames, bool `(N, N)`, True = use."""
    if mask is None:
        return valid
    if isinstance(mask, np.ndarray):
        return np.asarray(mask & valid)
    return DerivedFrames(mask, lambda rows, numbers: rows & valid)


def sentinel(dtype: np.dtype) -> float | int:
    """The value that marks a pixel without measurement in frames of this type."""
    return np.nan if dtype.kind == "f" else int(np.iinfo(dtype).max)


def encode(amplitude: np.ndarray, valid: np.ndarray, factor: float) -> np.ndarray:
    """Normalised amplitude with -1 at masked pixels: the form a batch and the network hold.

    Args:
        amplitude: square root of counts, any shape.
        valid: bool, True = the pixel is used; same shape.
        factor: exposure factor of the scan.

    Returns:
        float32, same shape.
    """
    scaled = np.asarray(amplitude, np.float32) * np.float32(factor)
    return np.where(valid, scaled, np.float32(-1.0))


def decode(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of `encode`, but for the factor (`pinn.ops.masks` for tensors).

    Args:
        frames: any shape and float type, -1 at masked pixels.

    Returns:
        Amplitude, 0 at masked pixels, in the type of `frames`; and bool, True = the pixel is used.
    """
    return np.maximum(frames, 0), frames >= 0
