"""The recipe of a synthetic scan. The same recipe gives the same scan, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from pinn.config import Config

ObjectKind = Literal["lines", "star", "leaves", "demo"]
ProbeKind = Literal["disc", "gaussian", "defocused", "file"]
PatternKind = Literal["raster", "random", "fermat"]

DEFAULT_OVERLAP = 0.8
DEFAULT_FRAMES = 400

# Options that mean something for one kind only; given for another kind they are an error, not
# something to ignore. Unset they have these values.
ABERRATION = 0.5
DIAMETER_DEFAULTS = {"gaussian": 0.34, "defocused": 0.4}
SPOKES = 24
JITTER = 0.3


class SimulateConfig(Config):
    """A synthetic scan: object, probe, positions, dose and detector.

    Three quantities fix the scan geometry, any two of them the third: `n_frames`, the spacing
    (`overlap` or `step`) and the object's `size`. Lengths are object pixels, which are also
    probe pixels; angles are radians; doses are photons (counts).
    """

    N: int = Field(
        64, ge=16, le=1024, description="Side of a frame and of the probe in pixels (even)."
    )
    seed: int = Field(0, ge=0, description="Seed of everything random in the scan.")

    object: ObjectKind = Field(
        "lines",
        description="Object: lines (blurred random lines), star (Siemens star with gaps), leaves "
        "(dead leaves: overlapping opaque shapes), demo (star, letters and a smooth phase).",
    )
    object_seed: int | None = Field(
        None,
        ge=0,
        description="Seed of the object alone, for two objects under one probe and "
        "pattern; default: seed.",
    )
    size: int | None = Field(
        None,
        ge=20,
        le=16384,
        description="Side of the object in pixels; default: what the scan covers.",
    )
    amplitude_min: float = Field(0.3, ge=0, le=2, description="Smallest amplitude of the object.")
    amplitude_max: float = Field(1.0, gt=0, le=2, description="Largest amplitude of the object.")
    phase: Literal["linked", "independent", "flat"] = Field(
        "linked",
        description="Phase of the object: linked (follows the same structure), independent "
        "(another drawing, or a smooth field for star and demo), flat (zero).",
    )
    phase_min: float | None = Field(
        None,
        ge=-3.1416,
        le=3.1416,
        description="Smallest phase in radians; default: as the object kind has it.",
    )
    phase_max: float | None = Field(
        None,
        ge=-3.1416,
        le=3.1416,
        description="Largest phase in radians; default: as the object kind has it.",
    )
    contrast: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Share of the amplitude and phase variation that is kept; 1: all of it.",
    )
    lines: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Lines drawn for object lines; default: 400 per 392 pixels of size.",
    )
    spokes: int | None = Field(
        None,
        ge=2,
        le=360,
        description=f"Spokes of the star for objects star and demo; default {SPOKES}.",
    )

    probe: ProbeKind = Field(
        "disc",
        description="Probe: disc (real, blurred edge), gaussian (real), defocused (complex, of a "
        "round aperture out of focus), file.",
    )
    probe_file: Path | None = Field(
        None,
        description="NPZ with a probeGuess or probe array, (N, N) or (modes, N, N), for "
        "probe file.",
    )
    probe_diameter: float | None = Field(
        None,
        ge=0.02,
        le=0.9,
        description="Probe diameter (4 sigma of its intensity) as a fraction of N; default 0.34, "
        "defocused 0.4.",
    )
    defocus: float | None = Field(
        None,
        ge=0,
        le=2000,
        description="Defocus for probe defocused: phase in radians at the rim of the aperture, pi "
        "times the Fresnel number; default: what lights a disc half as wide as the detector.",
    )
    central_stop: float | None = Field(
        None,
        ge=0,
        le=0.9,
        description="Radius of a central stop as a fraction of the aperture's, for probe "
        "defocused; default 0.",
    )
    aberration: float | None = Field(
        None,
        ge=0,
        le=20,
        description="Astigmatism and coma for probe defocused: largest phase in radians of each; "
        f"default {ABERRATION:g}.",
    )
    probe_modes: int = Field(
        1, ge=1, le=32, description="Incoherent, mutually orthogonal probe modes."
    )
    mode_ratio: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Power of each further mode relative to the one before; default 0.5.",
    )

    pattern: PatternKind = Field(
        "raster",
        description="Scan pattern: raster (with jitter), random (uniform), fermat (spiral).",
    )
    n_frames: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description=f"Number of frames; default {DEFAULT_FRAMES} unless size and spacing fix it.",
    )
    overlap: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Linear overlap 1 - d/D (d mean distance to the nearest position, D probe "
        f"diameter, 4 sigma); default {DEFAULT_OVERLAP:g} unless step, or size and "
        "n_frames, fix it.",
    )
    step: float | None = Field(
        None,
        gt=0,
        description="Mean distance to the nearest position in pixels, instead of overlap.",
    )
    jitter: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Random displacement of raster positions, each way, as a fraction of the step; "
        f"default {JITTER:g}.",
    )
    position_error: float = Field(
        0.0,
        ge=0,
        le=50,
        description="RMS error of each coordinate in the file, in pixels (cut at 4 times it).",
    )
    interpolation: Literal["bilinear", "fourier"] = Field(
        "bilinear",
        description="How the object is sampled between its pixels: bilinear is what the model "
        "assumes too (data and model then agree exactly), fourier is what a band-limited "
        "sample does.",
    )

    photons_per_frame: float = Field(
        1e6,
        gt=0,
        le=1e12,
        description="Mean number of photons in a frame before beamstop, bad pixels and background.",
    )
    poisson: bool = Field(
        True, description="Count photons (Poisson noise); no: the expected counts."
    )
    background: float = Field(
        0.0,
        ge=0,
        le=1e6,
        description="Mean background counts per pixel, added evenly over the detector.",
    )
    bad_pixels: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="Fraction of bad detector pixels, half dead and half stuck high.",
    )
    beamstop: float = Field(
        0.0, ge=0, description="Radius in pixels of a beamstop over the frame's centre."
    )
    frames: Literal["counts", "amplitude"] = Field(
        "counts",
        description="What is written: counts, or amplitude (square root of the counts).",
    )
    frames_dtype: Literal["auto", "uint16", "uint32", "float32"] = Field(
        "auto",
        description="Number type of the written frames; counts above its range saturate. auto: the "
        "smallest integer type no frame can saturate, float32 for amplitude or without "
        "Poisson noise.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.N % 2:
            raise ValueError(f"N must be even, but is {self.N}; take {self.N + 1}")
        if self.amplitude_min >= self.amplitude_max:
            raise ValueError(
                f"amplitude_min {self.amplitude_min:g} must be below amplitude_max "
                f"{self.amplitude_max:g}"
            )
        self._check_phase()
        self._check_kinds()
        self._check_geometry()
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
        return self

    def _check_phase(self) -> None:
        if (self.phase_min is None) != (self.phase_max is None):
            raise ValueError("give both phase_min and phase_max or neither")
        if self.phase_min is not None and self.phase_max is not None:
            if self.phase == "flat":
                raise ValueError("phase flat has no range; leave out phase_min and phase_max")
            if self.phase_min >= self.phase_max:
                raise ValueError(
                    f"phase_min {self.phase_min:g} must be below phase_max {self.phase_max:g}"
                )

    def _check_kinds(self) -> None:
        if self.probe == "file" and self.probe_file is None:
            raise ValueError("probe file needs probe_file, the NPZ to read it from")
        only = {
            "probe_file": self.probe == "file",
            "probe_diameter": self.probe != "file",
            **dict.fromkeys(("defocus", "central_stop", "aberration"), self.probe == "defocused"),
            "jitter": self.pattern == "raster",
            "lines": self.object == "lines",
            "spokes": self.object in ("star", "demo"),
            "mode_ratio": self.probe_modes > 1,
        }
        for name, applies in only.items():
            if getattr(self, name) is not None and not applies:
                chosen = {"jitter": f"pattern {self.pattern}", "mode_ratio": "probe_modes 1"}.get(
                    name,
                    f"object {self.object}"
                    if name in ("lines", "spokes")
                    else f"probe {self.probe}",
                )
                raise ValueError(f"{name} has no meaning with {chosen}; leave it out")

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
