"""Frames as a writer stores them: counts or intensities, centred, in their own type, in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import h5py
import numpy as np

from pinn.data.frames import pieces
from pinn.data.masks import mask_rows
from pinn.data.scan import Scan
from pinn.io.hdf5_new import check_room
from pinn.progress import Progress

# Of stored values; as floats, with masks, a piece takes some ten times as much.
_PIECE_BYTES = 2 << 20


@dataclass(frozen=True)
class Piece:
    """Some frames.

    Attributes:
        first: number of the first one.
        values: `(n, N, N)` as they are stored.
        bad: bool `(n, N, N)`, True = not used: masked, not finite, saturated, ...
    """

    first: int
    values: np.ndarray
    bad: np.ndarray


@dataclass(frozen=True)
class Written:
    """What went into a file.

    Attributes:
        always_bad: bool `(N, N)`, pixels that no frame uses.
        ever_bad: bool `(N, N)`, pixels that at least one frame does not use.
        varies: some pixel is masked or saturated in some of the frames only.
        mean: mean over the frames of the sum of used pixels.
    """

    always_bad: np.ndarray
    ever_bad: np.ndarray
    varies: bool
    mean: float

    @property
    def common_bad(self) -> np.ndarray:
        """The one mask that tells other programs most: bool `(N, N)`.

        A pixel that is masked or saturated in single frames looks like a measurement there, so
        what any frame does not use is bad, unless that leaves less than half of the pixels.
        """
        union = self.varies and 2 * self.ever_bad.sum() < self.ever_bad.size
        return self.ever_bad if union else self.always_bad


class Intensities:
    """The frames of a scan as intensities, for formats that hold nothing else.

    Counts and intensities pass as they are, in their own type. Amplitudes are squared, and frames
    with a stated dose are scaled to it, both to float32; pixels without a measurement that no
    mask names become NaN there, so that they are not taken for dark ones.

    Args:
        scan: where they come from.

    Attributes:
        shape: `(M, N, N)`.
        dtype: of the stored values.
        units: `counts` or `intensity`.
        saturation: stored values from this one on do not count, or None.
    """

    def __init__(self, scan: Scan) -> None:
        self._scan = scan
        self._raw = scan.units != "amplitude" and scan.photons_per_frame is None
        M, N = len(scan), scan.N
        self.shape = (M, N, N)
        kept = np.dtype(np.uint8) if scan.frames.dtype.kind == "b" else scan.frames.dtype
        self.dtype = kept.newbyteorder("=") if self._raw else np.dtype(np.float32)
        self.saturation = scan.saturation if self._raw else None
        dosed = scan.photons_per_frame is not None
        self.units = "counts" if scan.units == "counts" or dosed else "intensity"

    def pieces(self, progress: Callable[[Progress], None] | None = None) -> Iterator[Piece]:
        """All frames in order.

        Args:
            progress: told about a hundred times.

        Raises:
            ScanError: the scan cannot be read.
        """
        scan = self._scan
        for first, raw in pieces(scan.frames, nbytes=_PIECE_BYTES, progress=progress):
            rows = np.arange(first, first + len(raw))
            amplitude, valid = scan.read(rows)
            if self._raw:
                values = raw
            else:
                allowed = mask_rows(scan.valid_mask, rows)
                values = amplitude.astype(np.float64) ** 2
                values[~valid if allowed is None else ~valid & allowed] = np.nan
            yield Piece(first, values.astype(self.dtype, copy=False), ~valid)

    def write(
        self, data: h5py.Dataset, progress: Callable[[Progress], None] | None = None
    ) -> Written:
        """Fill a dataset of `shape` and `dtype`."""
        always, ever = np.ones(self.shape[1:], bool), np.zeros(self.shape[1:], bool)
        total = 0.0
        for piece in self.pieces(progress):
            data[piece.first : piece.first + len(piece.values)] = piece.values
            check_room()
            always &= piece.bad.all(0)
            ever |= piece.bad.any(0)
            total += float(piece.values.sum(dtype=np.float64, where=~piece.bad))
        varies = has_frame_masks(self._scan)
        if self.saturation is not None:
            varies |= bool((always != ever).any())
        return Written(always, ever, varies, total / self.shape[0])


def has_frame_masks(scan: Scan) -> bool:
    """Whether the scan has masks of single frames."""
    return scan.valid_mask is not None and len(scan.valid_mask.shape) == 3


def write_frame_masks(group: h5py.Group, name: str, scan: Scan) -> None:
    """Write a mask for each frame, as uint8 `(M, N, N)`, 1 = masked or saturated."""
    M, N = len(scan), scan.N
    rows = max(1, (4 << 20) // (N * N))
    data = group.create_dataset(
        name, (M, N, N), np.uint8, chunks=(1, N, N), compression="gzip", compression_opts=1
    )
    for first in range(0, M, rows):
        numbers = np.arange(first, min(first + rows, M))
        bad = np.zeros((len(numbers), N, N), bool)
        allowed = mask_rows(scan.valid_mask, numbers)
        if allowed is not None:
            bad |= ~allowed
        if scan.saturation is not None:
            bad |= ~(scan.frames.read(numbers) < scan.saturation)
        data[first : first + len(numbers)] = bad
        check_room()
