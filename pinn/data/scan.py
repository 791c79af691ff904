"""A scan: a measurement that was checked, and is read in one form only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pinn.data import geometry
from pinn.data import validation as check
from pinn.data.dose import Dose, measured_pieces
from pinn.data.frame_values import CENTRES, UNITS, Sample, apply_mask, choose_centre, choose_units
from pinn.data.frames import FrameSource
from pinn.data.masks import mask_rows
from pinn.data.measurement import Measurement
from pinn.data.position_check import nearest_step
from pinn.data.prepare import Centre, PreparedFrames, prepared_mask
from pinn.data.probe_modes import in_gauge
from pinn.data.statistics import ScanStatistics, scan_statistics
from pinn.errors import ScanError

_CACHED_PIXELS = 1 << 17  # measured at a time, so that they stay in the processor's cache


class Scan(Measurement):
    """A measurement after its checks: `Scan(frames, positions_px, probe=..., ...)`.

    Arguments and attributes are those of `Measurement`. The frames stay where they are (array,
    memory map, file); `read` is the one way to their values, and the one place where units, masks
    and the dose are applied.

    Attributes:
        frames: centred, of stored values; N is even and from 16 to 1024.
        positions_px: a copy that cannot be written.
        probe: complex64 `(P, N, N)` as given, the first variation, or None; see `probe_gauge`.
        probe_variations: complex64 `(V, P, N, N)`, or None if there is one only.
        valid_mask: bool `(N, N)`, `(M, N, N)` or a source of the latter, centred, or None; read it
            with `pinn.data.masks.mask_rows`.
        units: resolved, never `auto`.
        centre: how the frames were stored; `frames` and `read` give centred ones in any case.
        notes: what was said, assumed or found; grows when `statistics` has run.
        acquisition: also holds energy, distance and detector pixel where they are known.

    Raises:
        ScanError: a part breaks the contract.
    """

    frames: FrameSource
    positions_px: np.ndarray
    units: str
    centre: str
    label_patches: FrameSource | None
    source: Path | None
    files: tuple[Path, ...]
    notes: tuple[str, ...]
    steps: tuple[dict[str, Any], ...]
    truth_origin_px: tuple[float, float]
    acquisition: Mapping[str, float]

    def __post_init__(self) -> None:
        self._statistics: ScanStatistics | None = None
        of = check.Subject(self.where, "frames")
        self.frames = check.check_frames(self.frames, of)
        M, N = self.frames.shape[:2]
        of = check.Subject(self.where, "probe", M, N, self._check_probe(M, N))
        for name, kind in self.kinds.items():
            if kind.check is not None and name != "frames":
                value = kind.check(getattr(self, name), replace(of, name=name))
                setattr(self, name, value)
        self.acquisition = {**self.acquisition, **self._known()}
        notes = self._settle_frames()
        self._dose = self.dose
        if self.dose is None and self.photons_per_frame is not None:
            self._dose = Dose(
                self.frames, self.valid_mask, self.saturation, self.photons_per_frame, self.where
            )
        self._note(*notes, *self._geometry_notes())

    def _check_probe(self, M: int, N: int) -> int | None:
        """Bring the probe and its variations to their types; how many there are."""
        given = self.probe if self.probe_variations is None else self.probe_variations
        variations = check.check_probe(given, check.Subject(self.where, "probe", M, N))
        if variations is None:
            return None
        self.probe = variations[0]
        self.probe_variations = variations if len(variations) > 1 else None
        return len(variations)

    def _settle_frames(self) -> list[str]:
        """Find out units and centre where nobody said them, and centre frames and mask."""
        frames, mask, where = self.frames, self.valid_mask, self.where
        units, centre = self.units or "auto", self.centre or "auto"
        if self.centred and units in UNITS and centre in CENTRES:
            return []  # of a scan that was checked
        sample = Sample(frames, mask, self.saturation, units)
        if units == "auto":
            self.units_given = False
        self.units, units_note = choose_units(units, frames, sample, mask, where)
        self.centre, centre_note = choose_centre(centre, self.units, sample, where)
        if self.centre == "corner" and not self.centred:
            self.frames = PreparedFrames(frames, (Centre(),))
            if mask is not None:
                self.valid_mask = prepared_mask(mask, (Centre(),), (self.N, self.N))
        self.centred = True
        return [note for note in (units_note, centre_note) if note]

    def _note(self, *notes: str) -> None:
        """Add sentences, each once."""
        self.notes = tuple(dict.fromkeys((*self.notes, *notes)))

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
    def positions_m(self) -> np.ndarray | None:
        """`(M, 2)` [y, x] float64 in metres, or None where the pixel size is not known."""
        return None if self.pixel_size_m is None else self.positions_px * self.pixel_size_m

    @property
    def wavelength_m(self) -> float | None:
        """Of the photons or electrons, or None where the energy is not known."""
        if self.energy_ev is None:
            return None
        return geometry.wavelength_m(self.energy_ev, self.particle)

    @property
    def dose_is_of_more(self) -> bool:
        """Whether `photons_per_frame` is the mean of a scan of which this is a part."""
        return self.dose is not None

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
        raw, mask = self.frames.read(rows), mask_rows(self.valid_mask, rows)
        mask_index = np.arange(len(rows))
        amplitude, valid = np.empty(raw.shape, np.float32), np.empty(raw.shape, bool)
        factor = None if self._dose is None else np.sqrt(self._rescale(self._dose))
        step = max(1, _CACHED_PIXELS // self.N**2)
        for first in range(0, len(rows), step):
            part = slice(first, first + step)
            values, valid[part] = apply_mask(
                raw[part], mask, mask_index[part], self.saturation, self.units
            )
            if self.units != "amplitude":
                np.sqrt(values, out=values)
            amplitude[part] = values if factor is None else values * factor
        return amplitude, valid

    def statistics(self) -> ScanStatistics:
        """Dose, exposure factor and bad pixels; one pass over the frames, then remembered.

        Raises:
            ScanError: all frames are dark, or `auto` units turn out to be wrong.
        """
        if self._statistics is None:
            dose = self._dose
            # One pass is enough where the dose is that of these very frames.
            other = dose is not None and (self.dose_is_of_more or dose.known)
            statistics = scan_statistics(
                measured_pieces(self.frames, self.valid_mask, self.saturation, self.units),
                saturation=self.saturation,
                shape=(len(self), self.N, self.N),
                units=self.units,
                photons_per_frame=self.photons_per_frame,
                where=self.where,
                rescale=dose.factor(self.units) if dose is not None and other else None,
            )
            if dose is not None and not other:
                dose.settle(statistics.rescale)
            assumed = not self.units_given and self.frames.dtype.kind == "f"
            if assumed and self.units == "counts" and not statistics.integer_valued:
                raise ScanError(
                    f"some frames of {self.where} hold whole numbers only and others do not, so "
                    "counts and amplitudes cannot be told apart; say which with units (--frames)"
                )
            self._statistics = statistics
            self._note(*statistics.notes)
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
                f"{self.where} has no probe; give one with --probe FILE (an NPZ with probeGuess), "
                "which pinn check SCAN --write-probe FILE can make, or as Scan(..., probe=...)"
            )
        return in_gauge(self.probe).astype(np.complex64)

    def select(self, rows: np.ndarray | Sequence[int]) -> Scan:
        """Some of the frames as a scan of their own; nothing is copied.

        Args:
            rows: `(m,)` numbers of frames, in the order wanted.
        """
        rows = np.asarray(rows, np.int64).reshape(-1)
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(self)):
            raise ScanError(
                f"frames {rows.min()} to {rows.max()} of {self.where} were asked for, but there "
                f"are 0 to {len(self) - 1}"
            )
        of_all = () if self._statistics is None else self._statistics.notes
        notes = [note for note in self.notes if note not in of_all]
        return replace(self, **self.rows_of_each(rows), dose=self._dose, notes=notes)

    def with_quantum(self, step: float, note: str) -> Scan:
        """The same scan, whose stored numbers (squared, of amplitudes) are `step` for a count.

        Args:
            step: see `pinn.data.quantum`.
            note: a sentence on it, in place of those that say the dose is unknown.
        """
        before = self.statistics()
        dose = Dose(
            self.frames, self.valid_mask, self.saturation, before.mean_counts / step, self.where
        )
        dose.settle(1.0 / step)
        kept = [text for text in self.notes if text not in before.notes]
        found = replace(self, dose=dose, notes=[*kept, note])
        found._statistics = before.with_quantum(step)
        found._note(*found._statistics.notes)
        return found

    def _known(self) -> dict[str, float]:
        """What is known of the measurement, by the names of the ptychodus product."""
        known = {
            f"{self.particle}_energy_eV": self.energy_ev,
            "detector_object_distance_m": self.distance_m,
            "detector_pixel_m": self.detector_pixel_m,
        }
        return {name: value for name, value in known.items() if value is not None}

    def _rescale(self, dose: Dose) -> float:
        """Counts per stored number."""
        more = self.dose_is_of_more and self._statistics is None
        return dose.factor(self.units) if more else self.statistics().rescale

    def _geometry_notes(self) -> list[str]:
        notes = []
        step, low, high = (
            nearest_step(self.positions_px),
            self.positions_px.min(0) - self.N / 2,
            self.positions_px.max(0) + self.N / 2,
        )
        if step > self.N:
            notes.append(
                f"neighbouring positions are {step:.4g} px apart, further than the frame is wide "
                f"({self.N} px): check that they are object pixels"
            )
        low, high = low - self.truth_origin_px, high - self.truth_origin_px
        if self.truth is not None and (low.min() < 0 or np.any(high > self.truth.shape)):
            notes.append(
                f"the truth {self.truth.shape} does not cover the scan, which reaches from "
                f"{np.floor(low).tolist()} to {np.ceil(high).tolist()} px (y, x)"
            )
        return notes
