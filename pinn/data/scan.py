"""A scan: frames, positions, probe and mask, checked, and read in one form only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pinn.data import validation as check
from pinn.data.frames import ArrayFrames, FrameSource
from pinn.data.interpret import Sample, apply_mask, choose_centre, choose_units, raw_pixels
from pinn.data.statistics import ScanStatistics, scan_statistics
from pinn.errors import ScanError

_CHUNK_BYTES = 8 << 20


class Scan:
    """One measurement, or several that share a detector and a probe (see `scan_index`).

    The frames stay where they are (array, memory map, file); `read` is the one way to their
    values, and the one place where units, masks and centring are applied.

    Args:
        frames: `(M, N, N)` array or `FrameSource`, N even and from 16 to 1024.
        positions_px: `(M, 2)` [y, x] in object pixels: where pixel `[N/2, N/2]` of a patch lies.
        probe: `(N, N)`, `(N, N, 1)` or `(P, N, N)` complex, square root of counts; any scale.
        valid_mask: `(N, N)` or `(M, N, N)` bool, True = use the pixel, laid out as the frames are.
            Values that are not finite, negative, saturated or sentinels are masked besides.
        units: `counts`, `intensity`, `amplitude`, or `auto`: counts for integer types and whole
            numbers above 1, else amplitude.
        centre: zero frequency at `[N/2, N/2]` (`centred`), `[0, 0]` (`corner`), or `auto`.
        truth: `(H, W)` complex object of a simulation; its pixel `[0, 0]` is position (0, 0).
        photons_per_frame: rescale to this mean number of counts per frame.
        scan_index: `(M,)` whole numbers; groups never mix frames of different ones.
        pixel_size_m: object pixel in metres.
        name: for messages and results.
        source: file the scan came from.
        positions_nominal_px: `(M, 2)` positions as commanded, if they differ.
        notes: sentences worth showing, for instance from a reader.

    Attributes:
        probe: complex64 `(P, N, N)` as given, or None; see `probe_gauge`.
        valid_mask: bool `(N, N)` or `(M, N, N)`, centred, or None.
        units: resolved, never `auto`.
        centre: how the frames are stored; `read` gives centred frames in any case.

    Raises:
        ScanError: a part breaks the contract.
    """

    def __init__(
        self,
        frames: np.ndarray | FrameSource,
        positions_px: np.ndarray,
        *,
        probe: np.ndarray | None = None,
        valid_mask: np.ndarray | None = None,
        units: str = "auto",
        centre: str = "auto",
        truth: np.ndarray | None = None,
        photons_per_frame: float | None = None,
        scan_index: np.ndarray | None = None,
        pixel_size_m: float | None = None,
        name: str = "scan",
        source: str | Path | None = None,
        positions_nominal_px: np.ndarray | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.source = None if source is None else Path(source)
        self._where = where = str(source) if source is not None else f"scan {name!r}"
        self.frames = frames if isinstance(frames, FrameSource) else ArrayFrames(np.asarray(frames))
        check.check_frames(self.frames, where)
        M, N = self.frames.shape[:2]
        self.positions_px = check.check_positions(positions_px, M, where)
        self.positions_nominal_px = (
            None
            if positions_nominal_px is None
            else check.check_positions(positions_nominal_px, M, f"{where} (nominal)")
        )
        self.probe = check.check_probe(probe, N, where)
        mask = check.check_mask(valid_mask, tuple(self.frames.shape), where)
        self.truth = check.check_truth(truth, where)
        self.photons_per_frame = check.check_positive(photons_per_frame, "photons_per_frame", where)
        self.scan_index = check.check_index(scan_index, M, where)
        self.pixel_size_m = check.check_positive(pixel_size_m, "pixel_size_m", where)
        sample = Sample(self.frames, mask)
        self.units, units_note = choose_units(units, self.frames, sample, mask, where)
        self._assumed_whole = units == "auto" and self.frames.dtype.kind == "f"
        self.centre, centre_note = choose_centre(centre, self.units, sample, where)
        if mask is not None and self.centre == "corner":
            mask = np.fft.fftshift(mask, axes=(-2, -1))
        self.valid_mask = mask
        found = [units_note, centre_note, *self._geometry_notes()]
        self._notes = (*notes, *(note for note in found if note))
        self._statistics: ScanStatistics | None = None

    def __len__(self) -> int:
        return int(self.frames.shape[0])

    def __repr__(self) -> str:
        probe = "no probe" if self.probe is None else f"{len(self.probe)} probe modes"
        return (
            f"Scan({self.name!r}, {len(self)} frames of {self.N} x {self.N}, {self.units}, {probe})"
        )

    @property
    def N(self) -> int:
        """Side of a frame in pixels."""
        return int(self.frames.shape[1])

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed or found; grows when `statistics` has run."""
        return self._notes + (() if self._statistics is None else self._statistics.notes)

    def read(self, indices: np.ndarray | Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Frames by number, in any order, repeated or not.

        Args:
            indices: `(n,)`.

        Returns:
            Square root of counts, float32 `(n, N, N)`, centred, 0 at masked pixels; and bool
            `(n, N, N)`, True = the pixel is used.

        Raises:
            ScanError: a number outside the scan, or the frames were closed.
        """
        rows = np.asarray(indices, np.int64).reshape(-1)
        values, valid = self._measure(self.frames.read(rows), rows)
        amplitude = values if self.units == "amplitude" else np.sqrt(values)
        if self.photons_per_frame is not None:
            amplitude = amplitude * np.sqrt(self.statistics().rescale)
        return amplitude.astype(np.float32, copy=False), valid

    def statistics(self) -> ScanStatistics:
        """Dose, exposure factor and bad pixels; one pass over the frames, then remembered.

        Raises:
            ScanError: all frames are dark, or `auto` units turn out to be wrong.
        """
        if self._statistics is None:
            found = scan_statistics(
                self._pass(),
                shape=(len(self), self.N, self.N),
                units=self.units,
                photons_per_frame=self.photons_per_frame,
                where=self._where,
            )
            if self._assumed_whole and self.units == "counts" and not found.integer_valued:
                raise ScanError(
                    f"some frames of {self._where} hold whole numbers only and others do not, so "
                    "counts and amplitudes cannot be told apart; say which with units (--frames)"
                )
            self._statistics = found
        return self._statistics

    def probe_gauge(self) -> np.ndarray:
        """Probe with sum over modes and pixels of `|P|^2` equal to `(N/2)^2`.

        Returns:
            complex64 `(P, N, N)`.

        Raises:
            ScanError: the scan has no probe.
        """
        if self.probe is None:
            raise ScanError(
                f"{self._where} has no probe; give one with --probe FILE (an NPZ with probeGuess), "
                "or as Scan(..., probe=...)"
            )
        probe = self.probe.astype(np.complex128)
        energy = np.sum(probe.real**2 + probe.imag**2)
        return (probe * (self.N / 2 / np.sqrt(energy))).astype(np.complex64)

    def close(self) -> None:
        """Give back files and temporary copies; frames cannot be read afterwards."""
        self.frames.close()

    def _measure(self, raw: np.ndarray, rows: np.ndarray | slice) -> tuple[np.ndarray, np.ndarray]:
        if self.centre == "corner":
            raw = np.fft.fftshift(raw, axes=(-2, -1))
        return apply_mask(raw, self.valid_mask, rows)

    def _pass(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        size = max(1, _CHUNK_BYTES // (8 * raw_pixels(self.frames)))
        for first, raw in self.frames.chunks(size):
            yield raw, *self._measure(raw, slice(first, first + len(raw)))

    def _geometry_notes(self) -> list[str]:
        notes = []
        step, low, high = (
            check.nearest_step(self.positions_px),
            self.positions_px.min(0) - self.N / 2,
            self.positions_px.max(0) + self.N / 2,
        )
        if step > self.N:
            notes.append(
                f"neighbouring positions are {step:.4g} px apart, further than the frame is wide "
                f"({self.N} px): check that they are object pixels"
            )
        if self.truth is not None and (low.min() < 0 or np.any(high > self.truth.shape)):
            notes.append(
                f"the truth {self.truth.shape} does not cover the scan, which reaches from "
                f"{np.floor(low).tolist()} to {np.ceil(high).tolist()} px (y, x)"
            )
        return notes
