"""A scan: frames, positions, probe and mask, checked, and read in one form only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pinn.data import geometry
from pinn.data import validation as check
from pinn.data.dose import Dose, measured_pieces
from pinn.data.frames import ArrayFrames, DerivedFrames, FrameSource
from pinn.data.interpret import Sample, apply_mask, choose_centre, choose_units
from pinn.data.made_with import MadeWith
from pinn.data.masks import mask_rows
from pinn.data.prepare import Centre, PreparedFrames, prepared_mask
from pinn.data.probe_modes import in_gauge
from pinn.data.spread import nearest_step
from pinn.data.statistics import ScanStatistics, scan_statistics
from pinn.errors import ScanError

_CACHED_PIXELS = 1 << 17  # measured at a time, so that they stay in the processor's cache


class Scan:
    """One measurement, or several that share a detector and a probe (see `scan_index`).

    The frames stay where they are (array, memory map, file); `read` is the one way to their
    values, and the one place where units, masks and centring are applied.

    Args:
        frames: `(M, N, N)` array or `FrameSource`, N even and from 16 to 1024.
        positions_px: `(M, 2)` [y, x] in object pixels: where pixel `[N/2, N/2]` of a patch lies.
        probe: `(N, N)`, `(N, N, 1)`, `(P, N, N)` or `(V, P, N, N)` complex, square root of counts;
            any scale. P incoherent modes, V coherent variations of them (OPR).
        valid_mask: `(N, N)` or `(M, N, N)` bool, True = use the pixel, laid out as the frames are;
            the latter also as a `FrameSource`. Values that are not finite, negative, saturated or
            sentinels are masked besides.
        units: `counts`, `intensity`, `amplitude`, or `auto`: counts for integer types and whole
            numbers above 1, else amplitude.
        centre: zero frequency at `[N/2, N/2]` (`centred`), `[0, 0]` (`corner`), or `auto`.
        truth: `(H, W)` complex object of a simulation.
        truth_origin_px: (y, x), position of its pixel `[0, 0]`.
        photons_per_frame: rescale to this mean number of counts per frame of the whole scan.
        scan_index: `(M,)` whole numbers; groups never mix frames of different ones.
        pixel_size_m: object pixel in metres.
        name: for messages and results.
        source: file the scan came from.
        positions_nominal_px: `(M, 2)` positions as commanded, if they differ.
        notes: sentences worth showing, for instance from a reader.
        probe_weights: `(M, V)`, share of each variation in each frame.
        label_patches: `(M, N, N)` complex array or source, the object under each frame.
        energy_ev: of a photon, or kinetic energy of an electron.
        distance_m: from sample to detector.
        detector_pixel_m: side of a detector pixel, of these frames.
        particle: `photon` or `electron`.
        acquisition: further numbers of the measurement by the names of the ptychodus product
            (`exposure_time_s`, ...); those that are not finite are left out.
        saturation: stored values from this one on are not used.
        steps: records of how the frames were prepared, JSON-ready, each with its `step`.
        positions_from_m: the positions were lengths, which the reader turned into pixels.
        dose: of the whole scan, where these frames or their pixels are some of it; default: these
            are all, and their mean is `photons_per_frame`.
        files: every file the scan was read from; none of them is written over.
        made_with: what a simulation's frames were made with, for comparison; not checked.
        propagation: from the object to the detector, by the names of `pinn.ops.propagate`.
        detector_response: of the detector's pixels, by the names of `pinn.ops.detector`.

    Attributes:
        frames: centred, of stored values.
        probe: complex64 `(P, N, N)` as given, the first variation, or None; see `probe_gauge`.
        probe_variations: complex64 `(V, P, N, N)`, or None if there is one only.
        valid_mask: bool `(N, N)`, `(M, N, N)` or a source of the latter, centred, or None; read it
            with `pinn.data.masks.mask_rows`.
        label_patches: a source, or None.
        units: resolved, never `auto`.
        units_given: they were said, by the file or an option, and not found out.
        centre: how the frames were stored; `frames` and `read` give centred ones in any case.
        dose_is_of_more: `photons_per_frame` is the mean of a scan of which this is a part.
        acquisition: also holds energy, distance and detector pixel where they are known.

    Raises:
        ScanError: a part breaks the contract.
    """

    def __init__(
        self,
        frames: np.ndarray | FrameSource,
        positions_px: np.ndarray,
        *,
        probe: np.ndarray | None = None,
        valid_mask: np.ndarray | FrameSource | None = None,
        units: str = "auto",
        centre: str = "auto",
        truth: np.ndarray | None = None,
        truth_origin_px: Sequence[float] = (0.0, 0.0),
        photons_per_frame: float | None = None,
        scan_index: np.ndarray | None = None,
        pixel_size_m: float | None = None,
        name: str = "scan",
        source: str | Path | None = None,
        positions_nominal_px: np.ndarray | None = None,
        notes: Sequence[str] = (),
        probe_weights: np.ndarray | None = None,
        label_patches: np.ndarray | FrameSource | None = None,
        energy_ev: float | None = None,
        distance_m: float | None = None,
        detector_pixel_m: float | None = None,
        particle: str = "photon",
        acquisition: Mapping[str, float] | None = None,
        saturation: float | None = None,
        steps: Sequence[Mapping[str, Any]] = (),
        positions_from_m: bool = False,
        dose: Dose | None = None,
        files: Sequence[str | Path] = (),
        made_with: MadeWith | None = None,
        propagation: str = "far",
        detector_response: str = "none",
    ) -> None:
        self.name = name
        self.source = None if source is None else Path(source)
        self.files = tuple(Path(file) for file in files)
        self.made_with = made_with
        self.propagation, self.detector_response = propagation, detector_response
        self._where = where = str(source) if source is not None else f"scan {name!r}"
        stored = frames if isinstance(frames, FrameSource) else ArrayFrames(np.asarray(frames))
        check.check_frames(stored, where)
        M, N = stored.shape[:2]
        self.positions_px = check.check_positions(positions_px, M, where)
        self.positions_nominal_px = (
            None
            if positions_nominal_px is None
            else check.check_positions(positions_nominal_px, M, f"{where} (nominal)")
        )
        variations = check.check_variations(probe, N, where)
        self.probe = None if variations is None else variations[0]
        several = variations is not None and len(variations) > 1
        self.probe_variations = variations if several else None
        self.probe_weights = check.check_weights(probe_weights, M, variations, where)
        mask = check.check_mask(valid_mask, tuple(stored.shape), where)
        self.truth = check.check_truth(truth, where)
        self.truth_origin_px = check.check_origin(truth_origin_px, where)
        labels = check.check_patches(label_patches, tuple(stored.shape), where)
        self.label_patches = labels
        self.photons_per_frame = check.check_positive(photons_per_frame, "photons_per_frame", where)
        self.scan_index = check.check_index(scan_index, M, where)
        self.pixel_size_m = check.check_positive(pixel_size_m, "pixel_size_m", where)
        self.energy_ev = check.check_positive(energy_ev, "energy_ev", where)
        self.distance_m = check.check_positive(distance_m, "distance_m", where)
        self.detector_pixel_m = check.check_positive(detector_pixel_m, "detector_pixel_m", where)
        self.saturation = check.check_positive(saturation, "saturation", where)
        self.particle = geometry.check_particle(particle, where)
        self.acquisition = self._known(check.check_acquisition(acquisition, where))
        self.steps = check.check_steps(steps, where)
        self.positions_from_m = positions_from_m
        sample = Sample(stored, mask, self.saturation)
        self.units, units_note = choose_units(units, stored, sample, mask, where)
        self.units_given = units != "auto"
        self._assumed_whole = units == "auto" and stored.dtype.kind == "f"
        self.centre, centre_note = choose_centre(centre, self.units, sample, where)
        if self.centre == "corner":
            stored = PreparedFrames(stored, (Centre(),))
            mask = None if mask is None else prepared_mask(mask, (Centre(),), (N, N))
        self.frames: FrameSource = stored
        self.valid_mask = mask
        self.dose_is_of_more = dose is not None
        if dose is None and self.photons_per_frame is not None:
            dose = Dose(stored, mask, self.saturation, self.photons_per_frame, where)
        self._dose = dose
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
        raw, mask = self.frames.read(rows), mask_rows(self.valid_mask, rows)
        here = np.arange(len(rows))
        amplitude, valid = np.empty(raw.shape, np.float32), np.empty(raw.shape, bool)
        factor = None if self._dose is None else np.sqrt(self._rescale(self._dose))
        step = max(1, _CACHED_PIXELS // self.N**2)
        for first in range(0, len(rows), step):
            part = slice(first, first + step)
            values, valid[part] = apply_mask(raw[part], mask, here[part], self.saturation)
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
            found = scan_statistics(
                measured_pieces(self.frames, self.valid_mask, self.saturation),
                saturation=self.saturation,
                shape=(len(self), self.N, self.N),
                units=self.units,
                photons_per_frame=self.photons_per_frame,
                where=self._where,
                rescale=dose.factor(self.units) if dose is not None and other else None,
            )
            if dose is not None and not other:
                dose.settle(found.rescale)
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
        return in_gauge(self.probe).astype(np.complex64)

    def select(self, rows: np.ndarray | Sequence[int]) -> Scan:
        """Some of the frames as a scan of their own; nothing is copied.

        Args:
            rows: `(m,)` numbers of frames, in the order wanted.
        """
        rows = np.asarray(rows, np.int64).reshape(-1)
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(self)):
            raise ScanError(
                f"frames {rows.min()} to {rows.max()} of {self._where} were asked for, but there "
                f"are 0 to {len(self) - 1}"
            )

        def some(array: np.ndarray | None) -> np.ndarray | None:
            return None if array is None else array[rows]

        def lazily(source: FrameSource | None) -> FrameSource | None:
            return None if source is None else DerivedFrames(source, rows=rows)

        mask = self.valid_mask
        if isinstance(mask, np.ndarray):
            mask = mask if mask.ndim == 2 else mask[rows]
        else:
            mask = lazily(mask)
        chosen = Scan(
            DerivedFrames(self.frames, rows=rows),
            self.positions_px[rows],
            probe=self.probe if self.probe_variations is None else self.probe_variations,
            valid_mask=mask,
            units=self.units,
            centre="centred",
            truth=self.truth,
            truth_origin_px=self.truth_origin_px,
            photons_per_frame=self.photons_per_frame,
            scan_index=some(self.scan_index),
            pixel_size_m=self.pixel_size_m,
            name=self.name,
            source=self.source,
            positions_nominal_px=some(self.positions_nominal_px),
            notes=self._notes,
            probe_weights=some(self.probe_weights),
            label_patches=lazily(self.label_patches),
            energy_ev=self.energy_ev,
            distance_m=self.distance_m,
            detector_pixel_m=self.detector_pixel_m,
            particle=self.particle,
            acquisition=self.acquisition,
            saturation=self.saturation,
            steps=self.steps,
            positions_from_m=self.positions_from_m,
            dose=self._dose,
            files=self.files,
            made_with=None if self.made_with is None else self.made_with.select(rows),
            propagation=self.propagation,
            detector_response=self.detector_response,
        )
        chosen._assumed_whole = self._assumed_whole
        return chosen

    def close(self) -> None:
        """Give back files and temporary copies; frames cannot be read afterwards."""
        self.frames.close()
        for other in (self.valid_mask, self.label_patches):
            if other is not None and not isinstance(other, np.ndarray):
                other.close()

    def _known(self, given: dict[str, float]) -> dict[str, float]:
        """What is known of the measurement, by the names of the ptychodus product."""
        energy = "photon_energy_eV" if self.particle == "photon" else "electron_energy_eV"
        known = {
            energy: self.energy_ev,
            "detector_object_distance_m": self.distance_m,
            "detector_pixel_m": self.detector_pixel_m,
        }
        return {**given, **{name: value for name, value in known.items() if value is not None}}

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
