"""Named steps that prepare frames: centre, crop or pad, flip, bin; and the turning of positions.

A step is a small frozen object that knows what it does to frames, to masks and to their size, and
how to say so in a record (JSON-ready) and in a sentence. `PreparedFrames` applies steps as frames
are read, so that a scan of any length is prepared in constant memory.

After every step but the first the zero frequency is at `[H//2, W//2]`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pinn.data import fourier
from pinn.data.frame_values import whole_numbers
from pinn.data.frames import DerivedFrames, FrameSource, as_source
from pinn.data.masks import measured, sentinel
from pinn.data.resample import window
from pinn.errors import ScanError

Shape = tuple[int, int]
FLIPS = {"none": (), "ud": (-2,), "lr": (-1,), "both": (-2, -1)}


class Step:
    """What all steps can do; `(..., H, W)` in, `(..., H', W')` out. This one moves pixels only."""

    def shape(self, image: Shape) -> Shape:
        """Size of a frame afterwards."""
        return image

    def dtype(self, dtype: np.dtype) -> np.dtype:
        """Type of the values afterwards."""
        return dtype

    def frames(self, raw: np.ndarray) -> np.ndarray:
        """Stored values, prepared. The input is not written to."""
        raise NotImplementedError

    def mask(self, valid: np.ndarray) -> np.ndarray:
        """A mask, True = use, prepared in the same way."""
        return self.frames(valid)

    def record(self, image: Shape) -> dict[str, Any]:
        """The step as it is kept beside results; `image` is the size before it."""
        raise NotImplementedError


@dataclass(frozen=True)
class Centre(Step):
    """Bring the zero frequency from the corner `[0, 0]` to `[H//2, W//2]`."""

    def frames(self, raw: np.ndarray) -> np.ndarray:
        """Shifted by half a frame."""
        return fourier.centre(raw)

    def record(self, image: Shape) -> dict[str, Any]:
        """`{"step": "centre"}`."""
        return {"step": "centre"}


@dataclass(frozen=True)
class Crop(Step):
    """Take a square around the zero frequency; what lies outside the frame is padded.

    Args:
        row, column: pixel of the zero frequency; it comes to `[side//2, side//2]`.
        side: pixels each way.
    """

    row: int
    column: int
    side: int

    def shape(self, image: Shape) -> Shape:
        """Size of a frame afterwards."""
        return (self.side, self.side)

    def frames(self, raw: np.ndarray) -> np.ndarray:
        """Cut out; padded pixels are 0, of masks False."""
        return window(raw, (self.row, self.column), self.side)

    def pads(self, image: Shape) -> bool:
        """Whether the square reaches beyond the frame."""
        lows = (self.row - self.side // 2, self.column - self.side // 2)
        return any(low < 0 or low + self.side > n for low, n in zip(lows, image, strict=True))

    def record(self, image: Shape) -> dict[str, Any]:
        """With the size of the frames before."""
        return {"step": "crop", **asdict(self), "from": list(image)}


@dataclass(frozen=True)
class Flip(Step):
    """Turn frames over about their zero frequency, which stays where it is.

    With an even number of pixels the lowest frequency has no partner and stays too: the frame is
    turned over and rolled by one pixel.

    Args:
        kind: `ud` (rows), `lr` (columns) or `both`.
    """

    kind: str

    def frames(self, raw: np.ndarray) -> np.ndarray:
        """Turned over."""
        axes = FLIPS[self.kind]
        turned = np.flip(raw, axes)
        even = [axis for axis in axes if raw.shape[axis] % 2 == 0]
        return np.roll(turned, [1] * len(even), even) if even else turned

    def record(self, image: Shape) -> dict[str, Any]:
        """With the axes."""
        return {"step": "flip_frames", "kind": self.kind}


@dataclass(frozen=True)
class Bin(Step):
    """Add up squares of pixels; a sum counts only if all its pixels do.

    Counts and intensities are added; of amplitudes the root of the summed squares is taken. A sum
    with an unusable pixel becomes a sentinel. The block of the zero frequency begins at it, so
    that its centre lies `(factor - 1)/2` stored pixels beyond: see `resample.cut_probe`.

    Args:
        factor: pixels each way.
        units: `counts`, `intensity` or `amplitude`.
        saturation: stored values from this one on do not count.
        whole: fail when a value is not whole (counts that were only assumed to be such).
        where: name of the scan, for that message.
    """

    factor: int
    units: str
    saturation: float | None = None
    whole: bool = False
    where: str = "the scan"

    def shape(self, image: Shape) -> Shape:
        """Size of a frame afterwards."""
        return (image[0] // self.factor, image[1] // self.factor)

    def dtype(self, dtype: np.dtype) -> np.dtype:
        """Wide enough for every sum: uint32 for integers of up to 16 bits, else floats."""
        small = dtype.itemsize <= (4 if dtype.kind == "f" else 2)
        if dtype.kind == "f" or self.units == "amplitude":
            return np.dtype(np.float32 if small else np.float64)
        return np.dtype(np.uint32 if small else np.float64)

    def frames(self, raw: np.ndarray) -> np.ndarray:
        """Added up in double precision; sentinels where a pixel of the block is unusable."""
        dtype = self.dtype(raw.dtype)
        values, good = measured(raw, self.saturation, self.units)
        if self.whole and not whole_numbers(values):
            raise ScanError(
                f"some frames of {self.where} hold whole numbers only and others do not, so counts "
                "and amplitudes cannot be told apart; say which with units (--frames)"
            )
        if self.units == "amplitude":
            values = values.astype(np.float64) ** 2
        sums = self._blocks(values).sum((-3, -1), dtype=np.float64)
        sums = np.sqrt(sums) if self.units == "amplitude" else sums
        out = sums.astype(dtype)
        out[~self.mask(good)] = sentinel(dtype)
        return out

    def mask(self, valid: np.ndarray) -> np.ndarray:
        """True where all pixels of a block are."""
        good: np.ndarray = np.all(self._blocks(valid), axis=(-3, -1))
        return good

    def record(self, image: Shape) -> dict[str, Any]:
        """With the units the sums were made in."""
        known = {"step": "bin", "factor": self.factor, "units": self.units}
        return known if self.saturation is None else {**known, "saturation": self.saturation}

    def _blocks(self, array: np.ndarray) -> np.ndarray:
        b, (H, W) = self.factor, array.shape[-2:]
        return array.reshape(*array.shape[:-2], H // b, b, W // b, b)


class PreparedFrames(DerivedFrames):
    """Frames of a source after some steps, prepared as they are read.

    Args:
        source: `(M, H, W)`.
        steps: in order.
        rows: numbers of the frames to show; default all.
    """

    def __init__(
        self, source: FrameSource, steps: Sequence[Step], rows: np.ndarray | None = None
    ) -> None:
        image: Shape = (int(source.shape[1]), int(source.shape[2]))
        dtype = source.dtype
        for step in steps:
            image, dtype = step.shape(image), step.dtype(dtype)
        self._steps = tuple(steps)
        super().__init__(source, self._prepare, image=image, dtype=dtype, rows=rows)

    def _prepare(self, raw: np.ndarray, rows: np.ndarray) -> np.ndarray:
        for step in self._steps:
            raw = step.frames(raw)
        return raw


def prepared_mask(
    mask: np.ndarray | FrameSource | None,
    steps: Sequence[Step],
    image: Shape,
    rows: np.ndarray | None = None,
) -> np.ndarray | FrameSource | None:
    """A mask after some steps; masks of each frame are prepared as they are read.

    Args:
        mask: bool `(H, W)`, or `(M, H, W)` as an array or a source; True = use; or None.
        steps: in order.
        image: `(H, W)`.
        rows: numbers of the frames that are kept; default all.

    Returns:
        bool array `(N, N)`, a source `(M', N, N)`, or None when every pixel may be used.
    """
    if mask is None:
        mask = np.ones(image, bool)
    if isinstance(mask, np.ndarray) and mask.ndim == 2:
        for step in steps:
            mask = step.mask(mask)
        return None if mask.all() else mask
    source = as_source(mask)
    final = image
    for step in steps:
        final = step.shape(final)

    def change(valid: np.ndarray, rows: np.ndarray) -> np.ndarray:
        for step in steps:
            valid = step.mask(valid)
        return valid

    return DerivedFrames(source, change, image=final, dtype=bool, rows=rows)


def orient(positions: np.ndarray, orientation: str, rotation_deg: float = 0.0) -> np.ndarray:
    """Positions in other axes.

    Args:
        positions: `(M, 2)` [y, x].
        orientation: two signed letters: what the new y is of the given coordinates, then the new
            x. `+x-y` swaps the two and turns the given y round.
        rotation_deg: then rotated about (0, 0), from +x towards +y.

    Returns:
        `(M, 2)` [y, x] float64.
    """
    given = {"y": positions[:, 0], "x": positions[:, 1]}
    sign = {"+": 1.0, "-": -1.0}
    y = sign[orientation[0]] * np.asarray(given[orientation[1]], np.float64)
    x = sign[orientation[2]] * np.asarray(given[orientation[3]], np.float64)
    if rotation_deg:
        turn = math.radians(rotation_deg)
        y, x = x * math.sin(turn) + y * math.cos(turn), x * math.cos(turn) - y * math.sin(turn)
    return np.stack([y, x], axis=1)


def said(record: dict[str, Any]) -> str:
    """A record of a step in words."""
    details = ", ".join(f"{key} {value}" for key, value in record.items() if key != "step")
    return f"{record['step']}{f' ({details})' if details else ''}"
