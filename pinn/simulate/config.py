"""The recipe of a synthetic scan. The same recipe gives the same scan, bit for bit."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import model_validator

from pinn.simulate.error_options import ErrorOptions
from pinn.simulate.probe_options import ProbeOptions
from pinn.simulate.sample_options import AMPLITUDE, ObjectOptions
from pinn.simulate.scan_options import DetectorOptions, PatternOptions
from pinn.simulate.zernike import parse_zernike

OPTICS = ("energy_ev", "distance_m", "detector_pixel_m")
DRAWN_WITH_FIELD = ("star", "demo", "leaves")
_LARGEST = {"uint16": 2**16 - 1, "uint32": 2**32 - 1}


class SimulateConfig(ErrorOptions, DetectorOptions, PatternOptions, ProbeOptions, ObjectOptions):
    """A synthetic scan: object, probe, positions, dose and detector.

    Three quantities fix the scan geometry, any two of them the third: `n_frames`, the spacing
    (`overlap` or `step`) and the object's `size`. Lengths are object pixels, which are also
    probe pixels, unless the name ends in `_m` (metres); angles are radians; doses are photons
    (counts).
    """

    sections: ClassVar[dict[str, str]] = {
        "N": "Size and seed",
        "object": "Object",
        "probe": "Probe",
        "pattern": "Positions",
        "photons_per_frame": "Detector",
        "position_error_limit": "Known errors",
    }
    keys_only: ClassVar[frozenset[str]] = frozenset(
        (
            *("object_seed", "phase_min", "phase_max", "contrast", "feature_px", "phase_file"),
            *("object_fit", "field_px", "aberration", "mode_ratio", "zernike_order"),
            *("zernike_rms", "zone_plate_diameter_m", "outer_zone_m", "defocus_m"),
            *("probe_variation", "probe_seed", "interpolation", "positions_unit"),
            *("frames_dtype", "position_shear", "position_rotation_deg"),
            *("position_scale_error", "probe_drift_modes", "background_uneven"),
            *("gap_width", "gap_row", "gap_column"),
        )
    )

    @property
    def amplitude_range(self) -> tuple[float, float]:
        """Amplitudes of an object that is drawn."""
        low, high = self.amplitude_min, self.amplitude_max
        return AMPLITUDE[0] if low is None else low, AMPLITUDE[1] if high is None else high

    @property
    def probe_is_random(self) -> bool:
        """Another seed gives another probe."""
        return (
            (self.probe == "defocused" and self.aberration != 0)
            or (self.probe == "zernike" and self.zernike is None)
            or self.probe_variation > 0
        )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.N % 2:
            raise ValueError(f"N must be even, but is {self.N}; take {self.N + 1}")
        self._check_object()
        self._check_probe()
        self._check_kinds()
        self._check_geometry()
        self._check_detector()
        self._check_errors()
        return self

    def _check_object(self) -> None:
        low, high = self.amplitude_range
        if low >= high:
            raise ValueError(f"amplitude_min {low:g} must be below amplitude_max {high:g}")
        if self.object == "reconstruction" and (self.amplitude_min is None) != (
            self.amplitude_max is None
        ):
            raise ValueError(
                "give both amplitude_min and amplitude_max of a reconstruction or none"
            )
        if (self.phase_min is None) != (self.phase_max is None):
            raise ValueError("give both phase_min and phase_max or neither")
        if self.phase_min is not None and self.phase_max is not None:
            if self.phase == "flat":
                raise ValueError("phase flat has no range; leave out phase_min and phase_max")
            if self.phase_min >= self.phase_max:
                raise ValueError(
                    f"phase_min {self.phase_min:g} must be below phase_max {self.phase_max:g}"
                )
        if self.phase_file is not None and self.phase != "linked":
            raise ValueError(
                f"phase_file has no meaning with phase {self.phase}; leave one of them out"
            )
        if self.object in ("file", "reconstruction") and self.object_file is None:
            raise ValueError(f"object {self.object} needs object_file, the file to read it from")

    def _check_probe(self) -> None:
        if self.probe == "file" and self.probe_file is None:
            raise ValueError("probe file needs probe_file, the NPZ to read it from")
        if self.zernike is not None:
            parse_zernike(self.zernike)
            for name in ("zernike_order", "zernike_rms"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f"{name} is of random aberrations, but zernike states them; leave it out"
                    )
        given = [name for name in OPTICS if getattr(self, name) is not None]
        if self.probe != "zone_plate" and given and len(given) < len(OPTICS):
            missing = " and ".join(name for name in OPTICS if name not in given)
            raise ValueError(
                f"{' and '.join(given)} tells nothing without {missing}; give all three"
            )

    def _check_kinds(self) -> None:
        """What has a meaning for some kinds only."""
        kinds = {
            "object": {
                "lines": ("lines",),
                "spokes": ("star", "demo"),
                "feature_px": ("grf", "procedural", "polyhedra"),
                "object_file": ("file", "reconstruction"),
                "phase_file": ("file",),
                "object_fit": ("file", "reconstruction"),
                "field_px": (*DRAWN_WITH_FIELD, "file", "reconstruction"),
            },
            "probe": {
                "probe_file": ("file",),
                "probe_diameter": ("disc", "gaussian", "defocused", "zernike"),
                "defocus": ("defocused", "zernike"),
                "central_stop": ("defocused", "zernike", "zone_plate"),
                "aberration": ("defocused",),
                "zernike": ("zernike",),
                "zernike_order": ("zernike",),
                "zernike_rms": ("zernike",),
                "zone_plate_diameter_m": ("zone_plate",),
                "outer_zone_m": ("zone_plate",),
                "defocus_m": ("zone_plate",),
                "probe_error": ("defocused", "zernike", "zone_plate"),
            },
            "pattern": {
                "jitter": ("raster",),
                "positions_file": ("file",),
                "positions_unit": ("file",),
                "positions_place": ("file",),
                **dict.fromkeys(
                    ("n_frames", "overlap", "step"), ("raster", "random", "fermat", "spiral")
                ),
            },
        }
        for group, names in kinds.items():
            chosen = getattr(self, group)
            for name, allowed in names.items():
                if getattr(self, name) is not None and chosen not in allowed:
                    raise ValueError(f"{name} has no meaning with {group} {chosen}; leave it out")
        if self.mode_ratio is not None and self.probe_modes == 1:
            raise ValueError("mode_ratio has no meaning with probe_modes 1; leave it out")
        if self.probe_variation > 0 and self.probe == "file":
            raise ValueError("probe_variation has no meaning with probe file; leave it out")
        if self.probe_seed is not None and not self.probe_is_random:
            raise ValueError(
                f"probe_seed has no meaning with a probe {self.probe} that has nothing random; "
                "leave it out or give probe_variation"
            )

    def _check_geometry(self) -> None:
        if self.overlap is not None and self.step is not None:
            raise ValueError("overlap and step both fix the spacing; give one of them")
        if self.n_frames == 1 and (self.overlap is not None or self.step is not None):
            raise ValueError("one frame has no neighbour, hence no overlap or step; leave it out")
        if self.size is not None and self.size < self.N + 4:
            raise ValueError(
                f"size {self.size} is too small for frames of {self.N} pixels; take {2 * self.N} "
                "or more"
            )
        if self.pattern == "file":
            if self.positions_file is None:
                raise ValueError("pattern file needs positions_file, the file to read it from")
            in_pixels = self.positions_unit in (None, "px")
            if not in_pixels and self.probe != "zone_plate" and self.energy_ev is None:
                raise ValueError(
                    f"positions in {self.positions_unit} need the pixel size; give energy_ev, "
                    "distance_m and detector_pixel_m"
                )

    def _check_detector(self) -> None:
        if self.beamstop >= self.N / 2:
            raise ValueError(
                f"beamstop of radius {self.beamstop:g} hides the whole frame; keep it below N/2 = "
                f"{self.N // 2}"
            )
        if self.frames == "amplitude" and self.frames_dtype in ("uint16", "uint32"):
            raise ValueError(
                f"amplitudes cannot be written as {self.frames_dtype}; use frames_dtype float32 or"
                " frames counts"
            )
        largest = _LARGEST.get(self.frames_dtype)
        if self.saturation is not None and largest is not None and self.saturation > largest:
            raise ValueError(
                f"saturation {self.saturation:g} is above {largest}, the largest "
                f"{self.frames_dtype}; leave it out or take a wider frames_dtype"
            )

    def _check_errors(self) -> None:
        if self.probe_error is not None and (self.defocus == 0 or self.defocus_m == 0):
            raise ValueError(
                "probe_error is relative to the defocus, but that is 0; give a defocus, or leave "
                "probe_error out"
            )
        if self.probe_drift_modes is not None and self.probe_drift == 0:
            raise ValueError("probe_drift_modes has no meaning without probe_drift; leave it out")
        if self.probe_drift > 0 and self.n_frames == 1:
            raise ValueError("one frame has no probe_drift; leave it out, or take more frames")
        places = {"gap_row": self.gap_row, "gap_column": self.gap_column}
        stated = {name: first for name, first in places.items() if first is not None}
        if self.gap_width is None:
            if stated:
                raise ValueError(f"{' and '.join(stated)} tells nothing without gap_width; give it")
            return
        if not stated:
            raise ValueError("gap_width does not say where; give gap_row, gap_column or both")
        for name, first in stated.items():
            if first + self.gap_width > self.N or self.gap_width >= self.N:
                raise ValueError(
                    f"{name} {first} and gap_width {self.gap_width} reach beyond the frame of "
                    f"{self.N} pixels, or cover it; lower one of them"
                )
