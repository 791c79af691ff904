"""The recipe of a synthetic scan. The same recipe gives the same scan, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import ClassVar, Self

from pydantic import model_validator

from pinn.simulate.options import AMPLITUDE, SimulateOptions
from pinn.simulate.zernike import parse_zernike

OPTICS = ("energy_ev", "distance_m", "detector_pixel_m")
_FROM_FILE = ("file", "reconstruction")
_APERTURE = ("defocused", "zernike")
_LARGEST = {"uint16": 2**16 - 1, "uint32": 2**32 - 1}

# The kinds an option has a meaning for.
_ONLY_WITH: dict[str, dict[str, tuple[str, ...]]] = {
    "object": {
        "lines": ("lines",),
        "spokes": ("star", "demo"),
        "feature_px": ("grf", "procedural", "polyhedra"),
        "object_file": _FROM_FILE,
        "phase_file": ("file",),
        "object_fit": _FROM_FILE,
        "field_px": ("star", "demo", "leaves", *_FROM_FILE),
    },
    "probe": {
        "probe_file": ("file",),
        "probe_diameter": ("disc", "gaussian", *_APERTURE),
        "defocus": _APERTURE,
        "central_stop": (*_APERTURE, "zone_plate"),
        "aberration": ("defocused",),
        **dict.fromkeys(("zernike", "zernike_order", "zernike_rms"), ("zernike",)),
        **dict.fromkeys(("zone_plate_diameter_m", "outer_zone_m", "defocus_m"), ("zone_plate",)),
        "probe_error": (*_APERTURE, "zone_plate"),
    },
    "pattern": {
        "jitter": ("raster",),
        **dict.fromkeys(("positions_file", "positions_unit", "positions_place"), ("file",)),
        **dict.fromkeys(("n_frames", "overlap", "step"), ("raster", "random", "fermat", "spiral")),
    },
}


class SimulateConfig(SimulateOptions):
    """A synthetic scan: object, probe, positions, dose and detector.

    Three quantities fix the scan geometry, any two of them the third: `n_frames`, the spacing
    (`overlap` or `step`) and the object's `size`. Lengths are object pixels, which are also
    probe pixels, unless the name ends in `_m` (metres); angles are radians; doses are photons
    (counts).
    """

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

    @model_validator(mode="after")
    def _check(self) -> Self:
        rules = (_object, _probe, _kinds, _geometry, _detector, _errors)
        for contradiction in chain.from_iterable(rule(self) for rule in rules):
            raise ValueError(contradiction)
        return self


# Each yields what contradicts itself in a recipe, as a sentence with the way out.


def _object(c: SimulateConfig) -> Iterator[str]:
    if c.N % 2:
        yield f"N must be even, but is {c.N}; take {c.N + 1}"
    low, high = c.amplitude_range
    if low >= high:
        yield f"amplitude_min {low:g} must be below amplitude_max {high:g}"
    if c.object == "reconstruction" and (c.amplitude_min is None) != (c.amplitude_max is None):
        yield "give both amplitude_min and amplitude_max of a reconstruction or none"
    if (c.phase_min is None) != (c.phase_max is None):
        yield "give both phase_min and phase_max or neither"
    if c.phase_min is not None and c.phase_max is not None:
        if c.phase == "flat":
            yield "phase flat has no range; leave out phase_min and phase_max"
        if c.phase_min >= c.phase_max:
            yield f"phase_min {c.phase_min:g} must be below phase_max {c.phase_max:g}"
    if c.phase_file is not None and c.phase != "linked":
        yield f"phase_file has no meaning with phase {c.phase}; leave one of them out"
    if c.object in _FROM_FILE and c.object_file is None:
        yield f"object {c.object} needs object_file, the file to read it from"


def _probe(c: SimulateConfig) -> Iterator[str]:
    if c.probe == "file" and c.probe_file is None:
        yield "probe file needs probe_file, the NPZ to read it from"
    if c.zernike is not None:
        parse_zernike(c.zernike)
        for name in ("zernike_order", "zernike_rms"):
            if getattr(c, name) is not None:
                yield f"{name} is of random aberrations, but zernike states them; leave it out"
    given = [name for name in OPTICS if getattr(c, name) is not None]
    if c.probe != "zone_plate" and 0 < len(given) < len(OPTICS):
        missing = " and ".join(name for name in OPTICS if name not in given)
        yield f"{' and '.join(given)} has no effect without {missing}; give all three"


def _kinds(c: SimulateConfig) -> Iterator[str]:
    for group, names in _ONLY_WITH.items():
        chosen = getattr(c, group)
        for name, kinds in names.items():
            if getattr(c, name) is not None and chosen not in kinds:
                yield f"{name} has no meaning with {group} {chosen}; leave it out"
    if c.mode_ratio is not None and c.probe_modes == 1:
        yield "mode_ratio has no meaning with probe_modes 1; leave it out"
    if c.probe_variation > 0 and c.probe == "file":
        yield "probe_variation has no meaning with probe file; leave it out"
    drawn = (c.probe == "defocused" and c.aberration != 0) or (
        c.probe == "zernike" and c.zernike is None
    )
    if c.probe_seed is not None and not drawn and c.probe_variation == 0:
        yield (
            f"probe_seed has no meaning with a probe {c.probe} that has nothing random; "
            "leave it out or give probe_variation"
        )


def _geometry(c: SimulateConfig) -> Iterator[str]:
    if c.overlap is not None and c.step is not None:
        yield "overlap and step both fix the spacing; give one of them"
    if c.n_frames == 1 and (c.overlap is not None or c.step is not None):
        yield "one frame has no neighbour, hence no overlap or step; leave it out"
    if c.size is not None and c.size < c.N + 4:
        yield f"size {c.size} is too small for frames of {c.N} pixels; take {2 * c.N} or more"
    if c.pattern == "file":
        if c.positions_file is None:
            yield "pattern file needs positions_file, the file to read it from"
        in_pixels = c.positions_unit in (None, "px")
        if not in_pixels and c.probe != "zone_plate" and c.energy_ev is None:
            yield (
                f"positions in {c.positions_unit} need the pixel size; give energy_ev, "
                "distance_m and detector_pixel_m"
            )


def _detector(c: SimulateConfig) -> Iterator[str]:
    if c.beamstop >= c.N / 2:
        yield (
            f"beamstop of radius {c.beamstop:g} hides the whole frame; keep it below N/2 = "
            f"{c.N // 2}"
        )
    largest = _LARGEST.get(c.frames_dtype)
    if c.frames == "amplitude" and largest is not None:
        yield (
            f"amplitudes cannot be written as {c.frames_dtype}; use frames_dtype float32 or"
            " frames counts"
        )
    if c.saturation is not None and largest is not None and c.saturation > largest:
        yield (
            f"saturation {c.saturation:g} is above {largest}, the largest {c.frames_dtype}; "
            "leave it out or take a wider frames_dtype"
        )
    gaps = {"gap_row": c.gap_row, "gap_column": c.gap_column}
    stated = {name: first for name, first in gaps.items() if first is not None}
    if c.gap_width is None:
        if stated:
            yield f"{' and '.join(stated)} has no effect without gap_width; give it"
        return
    if not stated:
        yield "gap_width does not say where; give gap_row, gap_column or both"
    for name, first in stated.items():
        if first + c.gap_width > c.N or c.gap_width >= c.N:
            yield (
                f"{name} {first} and gap_width {c.gap_width} reach beyond the frame of "
                f"{c.N} pixels, or cover it; lower one of them"
            )


def _errors(c: SimulateConfig) -> Iterator[str]:
    if c.probe_error is not None and 0 in (c.defocus, c.defocus_m):
        yield (
            "probe_error is relative to the defocus, but that is 0; give a defocus, or leave "
            "probe_error out"
        )
    if c.probe_drift_modes is not None and c.probe_drift == 0:
        yield "probe_drift_modes has no meaning without probe_drift; leave it out"
    if c.probe_drift > 0 and c.n_frames == 1:
        yield "one frame has no probe_drift; leave it out, or take more frames"
