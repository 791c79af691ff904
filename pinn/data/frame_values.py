"""What the numbers of a scan are, and where their zero frequency lies, when nobody says so.

Rules and not guesses: each answer comes with the sentence that is shown to the user.
"""

from __future__ import annotations

import numpy as np

from pinn.data import fourier
from pinn.data.frames import FrameSource
from pinn.data.masks import mask_rows, measured
from pinn.errors import ScanError

UNITS = ("counts", "intensity", "amplitude")
CENTRES = ("centred", "corner")
SAMPLE_FRAMES = 32
SAMPLE_BYTES = 16 << 20
HOT = 4.0  # times the second brightest neighbour
_BRIGHT = 3000.0  # an amplitude of this is ten million counts in one pixel


Mask = np.ndarray | FrameSource | None


class Sample:
    """A few frames spread over the scan.

    Args:
        frames: the source, `(M, H, W)`.
        mask: `(H, W)` or `(M, H, W)` bool, True = use, or None.
        saturation: stored values from this one on do not count.
        units: of the values, `auto` where they are not known.

    Attributes:
        raw: stored values `(n, H, W)`.
        values: the same as floats, 0 where masked.
        valid: bool, pixels that count.
        allowed: bool, pixels the caller's mask allows; broadcasts to `raw`.
    """

    def __init__(
        self,
        frames: FrameSource,
        mask: Mask,
        saturation: float | None = None,
        units: str = "auto",
    ) -> None:
        M = frames.shape[0]
        count = min(M, SAMPLE_FRAMES, max(1, SAMPLE_BYTES // (8 * raw_pixels(frames))))
        rows = np.unique(np.linspace(0, M - 1, count).astype(np.int64))
        self.raw = frames.read(rows)
        self.values, self.valid = apply_mask(self.raw, mask, rows, saturation, units)
        allowed = mask_rows(mask, rows)
        self.allowed = np.True_ if allowed is None else allowed


def apply_mask(
    raw: np.ndarray,
    mask: Mask,
    rows: np.ndarray,
    saturation: float | None = None,
    units: str = "auto",
) -> tuple[np.ndarray, np.ndarray]:
    """`measured` frames with the caller's mask applied; `rows` are their numbers in the scan."""
    values, valid = measured(raw, saturation, units)
    allowed = mask_rows(mask, rows)
    if allowed is not None:
        valid &= allowed
        values[~valid] = 0.0
    return values, valid


def whole_numbers(values: np.ndarray) -> bool:
    """True if all values are whole."""
    return bool(np.all(values == np.rint(values)))


def choose_units(
    units: str, frames: FrameSource, sample: Sample, mask: Mask, where: str
) -> tuple[str, str | None]:
    """Units of the frames, and a note when they were chosen here.

    Args:
        units: `auto`, or what the caller says.

    Raises:
        ScanError: an unknown word, or amplitudes with many different negative values.
    """
    if units not in ("auto", *UNITS):
        raise ScanError(
            f"units of {where} are {units[:40]!r}, but one of {', '.join(UNITS)} is required"
        )
    note = None
    if units == "auto":
        units, note = _rule(frames, sample, mask)
    if units == "amplitude":
        _check_signs(sample, where)
    return units, note


def _rule(frames: FrameSource, sample: Sample, mask: Mask) -> tuple[str, str]:
    advice = "say units (--frames) if that is wrong"
    if frames.dtype.kind != "f":
        return "counts", f"frames are of integer type {frames.dtype}: read as counts; {advice}"
    largest = float(sample.values.max())
    whole = whole_numbers(sample.values)
    if whole and largest <= 1:
        # Dark or dim frames prove nothing: look on until something tells.
        for first, raw in frames.chunks(max(1, SAMPLE_BYTES // (8 * raw_pixels(frames)))):
            values, _ = apply_mask(raw, mask, np.arange(first, first + len(raw)))
            largest, whole = max(largest, float(values.max())), whole_numbers(values)
            if largest > 1 or not whole:
                break
    if whole and largest > 1:
        return "counts", f"frame values are whole numbers above 1: read as counts; {advice}"
    note = "read as amplitude, the square root of counts or intensity"
    if largest > _BRIGHT:
        note += f", although the largest value {largest:.3g} then means {largest**2:.1e} counts"
    return "amplitude", f"frame values are not whole numbers above 1: {note}; {advice}"


def raw_pixels(frames: FrameSource) -> int:
    """Pixels of one frame."""
    return int(frames.shape[1] * frames.shape[2])


def _check_signs(sample: Sample, where: str) -> None:
    if sample.raw.dtype.kind not in "if":
        return
    negative = sample.raw[(sample.raw < 0) & sample.allowed]
    # One value repeated marks bad pixels; many different ones are something else.
    if negative.size > 0.01 * sample.raw.size and negative.min() != negative.max():
        share = 100 * negative.size / sample.raw.size
        raise ScanError(
            f"{share:.0f} % of the frame values of {where} are negative, which an amplitude never "
            "is; if they are intensities with the background subtracted, say so with units "
            "'intensity' (--frames intensity)"
        )


def choose_centre(centre: str, units: str, sample: Sample, where: str) -> tuple[str, str | None]:
    """Where the zero frequency of the stored frames is, and a note unless it is plain.

    The mean intensity around the middle is compared with that around the corners, without pixels
    that are far brighter than all around them.

    Args:
        centre: `auto`, `centred` or `corner`.

    Raises:
        ScanError: an unknown word.
    """
    if centre not in ("auto", *CENTRES):
        raise ScanError(f"centre of {where} is {centre!r}, but centred, corner or auto is required")
    if centre != "auto":
        return centre, None
    energy = sample.values.astype(np.float64)
    energy = (energy**2 if units == "amplitude" else energy).sum(0)
    pixels = sample.valid.sum(0)
    hot = _hot(energy / np.maximum(1, pixels))
    energy[hot], pixels[hot] = 0.0, 0
    middle, corner = (
        _window_mean(e, p)
        for e, p in ((energy, pixels), (fourier.centre(energy), fourier.centre(pixels)))
    )
    if corner > 2 * middle:
        return "corner", (
            "frames have their zero frequency in the corner: moved to the centre; say centre "
            "(--centre centred) if that is wrong"
        )
    if middle > 2 * corner:
        return "centred", None
    return "centred", (
        "frames are as bright in the corners as in the middle: taken as centred; say centre "
        "(--centre corner) if the zero frequency is at [0, 0]"
    )


def _hot(mean: np.ndarray) -> np.ndarray:
    """Pixels that no pattern centred in the middle or in the corner explains, bool `(H, W)`."""
    hot = mean > HOT * second_neighbour(mean)
    H, W = mean.shape
    for row, column in ((H // 2, W // 2), (0, 0)):
        # A beam without a specimen may fall on a single pixel, or on the edge between some.
        hot[np.ix_(np.arange(row - 1, row + 2) % H, np.arange(column - 1, column + 2) % W)] = False
    return hot


def second_neighbour(image: np.ndarray) -> np.ndarray:
    """The second largest of the eight neighbours of each pixel; beyond an edge lies the other."""
    around = [
        np.roll(image, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)
    ]
    return np.asarray(np.partition(np.stack(around), -2, axis=0)[-2])


def _window_mean(energy: np.ndarray, pixels: np.ndarray) -> float:
    window = tuple(slice(n // 2 - n // 8, n // 2 + n // 8) for n in energy.shape)
    return float(energy[window].sum() / max(1, pixels[window].sum()))
