"""How many counts the numbers of a file stand for, where only the dose of the scan is known.

The mean number of photons per frame is one of the whole scan as it was stored. Were it applied to
whatever frames and pixels are left, the same frame would hold other counts in a part of the scan.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from pinn.data.frame_values import Mask, apply_mask, raw_pixels
from pinn.data.frames import FrameSource
from pinn.errors import ScanError

_CHUNK_BYTES = 8 << 20

Piece = tuple[np.ndarray, np.ndarray, np.ndarray]


class Dose:
    """Frames that have a stated mean number of counts, and the factor that brings them there.

    Args:
        frames: `(M, H, W)`, as they are stored.
        mask: `(H, W)` or `(M, H, W)`, True = use, laid out as the frames are; or None.
        saturation: stored values from this one on are not used.
        photons_per_frame: mean counts per frame.
        where: name of the scan, for messages.
    """

    def __init__(
        self,
        frames: FrameSource,
        mask: Mask,
        saturation: float | None,
        photons_per_frame: float,
        where: str,
    ) -> None:
        self.frames, self.mask, self.saturation = frames, mask, saturation
        self.photons_per_frame, self.where = photons_per_frame, where
        self._factor: float | None = None

    def factor(self, units: str) -> float:
        """Counts per stored number (or its square); one pass over the frames, then remembered.

        Args:
            units: of the stored values; `amplitude` ones are squared.

        Raises:
            ScanError: all frames are dark.
        """
        if self._factor is None:
            totals: list[float] = []
            for _, values, _ in measured_pieces(self.frames, self.mask, self.saturation, units):
                wide = values.astype(np.float64)
                wide = wide**2 if units == "amplitude" else wide
                totals += wide.sum((1, 2)).tolist()
            mean = math.fsum(totals) / self.frames.shape[0]
            if not mean > 0:
                raise ScanError(
                    f"all {self.frames.shape[0]} frames of {self.where} are dark on their valid "
                    "pixels; check the mask and which array was read"
                )
            self._factor = self.photons_per_frame / mean
        return self._factor

    @property
    def known(self) -> bool:
        """Whether the factor was found already."""
        return self._factor is not None

    def settle(self, factor: float) -> None:
        """Remember the factor that was found on another pass over the same frames."""
        self._factor = factor


def measured_pieces(
    frames: FrameSource, mask: Mask, saturation: float | None, units: str
) -> Iterator[Piece]:
    """All frames in order: stored values, values as floats (0 where masked), and valid pixels."""
    size = max(1, _CHUNK_BYTES // (8 * raw_pixels(frames)))
    for first, raw in frames.chunks(size):
        rows = np.arange(first, first + len(raw))
        yield raw, *apply_mask(raw, mask, rows, saturation, units)
