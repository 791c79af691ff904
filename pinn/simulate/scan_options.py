"""Options of a synthetic scan: positions, dose and detector."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from pinn.config import Config

PatternKind = Literal["raster", "random", "fermat", "spiral", "file"]

DEFAULT_OVERLAP = 0.8
DEFAULT_FRAMES = 400
JITTER = 0.3


class PatternOptions(Config):
    """Where the probe goes."""

    pattern: PatternKind = Field(
        "raster",
        description="Scan pattern: raster (with jitter), random (uniform), fermat (spiral of equal "
        "areas), spiral (Archimedean, equal steps along it), file.",
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
    positions_file: Path | None = Field(
        None,
        description="Pattern file: NPY (M, 2) with columns y, x; NPZ with positions_px or "
        "positions (M, 2) or xcoords and ycoords, a scan for instance; or CSV with columns y, x.",
    )
    positions_unit: Literal["px", "m", "mm", "um", "nm"] | None = Field(
        None,
        description="Unit of the positions in positions_file; default px. Others need energy_ev, "
        "distance_m and detector_pixel_m.",
    )
    positions_place: Literal["centre", "absolute"] | None = Field(
        None,
        description="Where the positions of positions_file lie: centre (the middle of the object) "
        "or absolute (its pixel [0, 0], or the origin of a reconstruction, has the coordinates "
        "its file says); default centre.",
    )


class DetectorOptions(Config):
    """Dose and detector."""

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
    saturation: float | None = Field(
        None,
        ge=1,
        le=1e12,
        description="Counts from which a pixel saturates: higher ones read this level, and the "
        "file says so. Default: the largest number the frames' type holds.",
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
