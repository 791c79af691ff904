"""What a scan's frames add up to: dose, exposure factor, bad pixels; and the sums of a training.

The exposure factor brings the amplitude of a scan to a mean energy of `(N/2)^2` per frame. It
comes from all valid pixels of the whole scan, never from a subset, in double precision.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from pinn.data.masks import measured
from pinn.errors import ArchiveError, ScanError

_UNKNOWN = "the dose is unknown"
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, eq=False)
class ScanStatistics:
    """One scan, after one pass over all its frames.

    Attributes:
        frames: number of frames.
        mean_counts: mean over the frames of the sum of counts over valid pixels.
        exposure_factor: `(N/2) / sqrt(mean_counts)`.
        max_counts: largest count of a valid pixel.
        frame_counts: `(M,)` float64, counts of each frame on valid pixels.
        masked_pixels: pixels of all frames that are not used.
        dead_pixels: detector pixels that no frame uses.
        nonfinite_pixels, negative_pixels, sentinel_pixels: stored values of that kind, whether
            the caller's mask covers them or not; sentinels include saturated pixels.
        dark_frames: numbers of the frames without a count on a valid pixel.
        integer_valued: all valid values are whole numbers.
        photons_known: the dose is in the numbers, or the caller stated it.
        rescale: counts are the file's numbers (squared if amplitudes) times this.
        notes: sentences worth showing.
    """

    frames: int
    mean_counts: float
    exposure_factor: float
    max_counts: float
    frame_counts: np.ndarray
    masked_pixels: int
    dead_pixels: int
    nonfinite_pixels: int
    negative_pixels: int
    sentinel_pixels: int
    dark_frames: tuple[int, ...]
    integer_valued: bool
    photons_known: bool
    rescale: float
    notes: tuple[str, ...]

    def with_quantum(self, step: float) -> ScanStatistics:
        """The same, where `step` of the numbers is a count."""
        known = tuple(note for note in self.notes if not note.startswith(_UNKNOWN))
        return replace(
            self,
            mean_counts=self.mean_counts / step,
            exposure_factor=self.exposure_factor * math.sqrt(step),
            max_counts=self.max_counts / step,
            frame_counts=self.frame_counts / step,
            photons_known=True,
            rescale=self.rescale / step,
            notes=known,
        )


def scan_statistics(
    chunks: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]],
    *,
    shape: tuple[int, int, int],
    units: str,
    photons_per_frame: float | None,
    where: str,
    saturation: float | None = None,
    rescale: float | None = None,
) -> ScanStatistics:
    """One pass over a scan.

    Args:
        chunks: stored values, values as floats (0 where masked) and valid pixels, all
            `(n, N, N)`, for all frames in order.
        shape: `(M, N, N)`.
        units: of the values.
        photons_per_frame: mean counts per frame to rescale to, or None.
        where: name of the scan, for messages.
        saturation: stored values from this one on are saturated.
        rescale: counts per stored number, where it is that of a larger scan; default so that the
            mean of these frames is `photons_per_frame`.

    Raises:
        ScanError: no count anywhere.
    """
    M, N = shape[:2]
    counts = np.zeros(M)
    used = np.zeros((N, N), bool)
    largest, valid_pixels, first = 0.0, 0, 0
    integer = True
    bad = np.zeros(3, np.int64)
    for raw, values, valid in chunks:
        integer = integer and bool(np.all(values == np.rint(values)))
        values = values.astype(np.float64)
        values = values**2 if units == "amplitude" else values
        counts[first : first + len(raw)] = values.sum((1, 2))
        largest = max(largest, float(values.max()))
        used |= valid.any(0)
        valid_pixels += int(np.count_nonzero(valid))
        bad += _bad_values(raw[~valid], saturation, units)
        first += len(raw)
    mean = math.fsum(counts) / M
    if not mean > 0:
        raise ScanError(
            f"all {M} frames of {where} are dark on their valid pixels; check the mask and which "
            "array was read"
        )
    known = units == "counts" or photons_per_frame is not None or rescale is not None
    if rescale is None:
        rescale = 1.0 if photons_per_frame is None else photons_per_frame / mean
    dark = tuple(np.flatnonzero(counts == 0).tolist())
    return ScanStatistics(
        frames=M,
        mean_counts=mean * rescale,
        exposure_factor=(N / 2) / math.sqrt(mean * rescale),
        max_counts=largest * rescale,
        frame_counts=counts * rescale,
        masked_pixels=M * N * N - valid_pixels,
        dead_pixels=N * N - int(np.count_nonzero(used)),
        nonfinite_pixels=int(bad[0]),
        negative_pixels=int(bad[1]),
        sentinel_pixels=int(bad[2]),
        dark_frames=dark,
        integer_valued=integer,
        photons_known=known,
        rescale=rescale,
        notes=tuple(_notes(dark, M, bad, known, mean)),
    )


def _bad_values(masked: np.ndarray, saturation: float | None, units: str) -> np.ndarray:
    """How many stored values `(n,)` are not finite, negative, or a sentinel."""
    unusable = masked[~measured(masked, saturation, units)[1]]
    finite = unusable[np.isfinite(unusable)]
    negative = int(np.count_nonzero(finite < 0))
    return np.array([unusable.size - finite.size, negative, finite.size - negative])


def _notes(dark: tuple[int, ...], M: int, bad: np.ndarray, known: bool, mean: float) -> list[str]:
    notes = []
    if dark:
        notes.append(f"{len(dark)} of {M} frames are dark, the first is number {dark[0]}")
    if bad.any():
        notes.append(
            f"masked {bad[0]} values that are not finite, {bad[1]} negative and {bad[2]} "
            "saturated or sentinel ones"
        )
    if not known:
        notes.append(
            f"{_UNKNOWN}: squares used as they are, {mean:.4g} per frame; say "
            "photons_per_frame (--photons-per-frame) to set it"
        )
    return notes


@dataclass(frozen=True)
class TrainedScan:
    """What the archive keeps of one training scan."""

    name: str
    exposure_factor: Positive
    mean_counts: Positive
    frames: int


@dataclass(frozen=True)
class TrainingStatistics:
    """Exposure of the training scans, stored in the archive.

    Attributes:
        exposure_factor: that of all their frames together.
        mean_counts: mean counts per frame of all their frames together.
        scans: each scan.
    """

    exposure_factor: Positive
    mean_counts: Positive
    scans: tuple[TrainedScan, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary."""
        return {**asdict(self), "scans": [asdict(scan) for scan in self.scans]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingStatistics:
        """The inverse of `to_dict`; keys of newer versions are ignored.

        Raises:
            ArchiveError: a value is missing or is no positive number.
        """
        try:
            return TypeAdapter(cls).validate_python(values)
        except ValidationError as error:
            (first, *_) = error.errors()
            where = ".".join(map(str, first["loc"]))
            raise ArchiveError(
                f"the training statistics are damaged: {where}: {first['msg']}"
            ) from None


def training_statistics(
    names: Sequence[str], N: int, statistics: Sequence[ScanStatistics]
) -> TrainingStatistics:
    """Gather the statistics of training scans, which have one frame size.

    Args:
        names: of the scans, at least one.
        N: side of a frame.
        statistics: `scan.statistics()` of each.
    """
    total = math.fsum(s.mean_counts * s.frames for s in statistics)
    mean = total / sum(s.frames for s in statistics)
    return TrainingStatistics(
        exposure_factor=(N / 2) / math.sqrt(mean),
        mean_counts=mean,
        scans=tuple(
            TrainedScan(name, s.exposure_factor, s.mean_counts, s.frames)
            for name, s in zip(names, statistics, strict=True)
        ),
    )
