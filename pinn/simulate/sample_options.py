"""Options of a synthetic scan: its size and seed, and the object."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from pinn.config import Config

ObjectKind = Literal[
    "lines", "star", "leaves", "demo", "grf", "procedural", "polyhedra", "file", "reconstruction"
]

# Options that mean something for one kind only; given for another kind they are an error, not
# something to ignore. Unset they have these values.
AMPLITUDE = (0.3, 1.0)
SPOKES = 24


class FrameOptions(Config):
    """Side of the frames, and the seed."""

    N: int = Field(
        64, ge=16, le=1024, description="Side of a frame and of the probe in pixels (even)."
    )
    seed: int = Field(0, ge=0, description="Seed of everything random in the scan.")


class ObjectOptions(FrameOptions):
    """The object."""

    object: ObjectKind = Field(
        "lines",
        description="Object: lines (blurred random lines), star (Siemens star with gaps), leaves "
        "(dead leaves: overlapping opaque shapes), demo (star, letters and a smooth phase), grf "
        "(Gaussian random field), procedural (layers of shapes over multi-octave noise), polyhedra "
        "(projected random convex solids), file (picture or array), reconstruction (of a "
        "reconstruction.h5 or a ptychodus product).",
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
    amplitude_min: float | None = Field(
        None,
        ge=0,
        le=2,
        description=f"Smallest amplitude of the object; default {AMPLITUDE[0]:g}, or as it is for "
        "a reconstruction and a file of complex numbers.",
    )
    amplitude_max: float | None = Field(
        None,
        gt=0,
        le=2,
        description=f"Largest amplitude of the object; default {AMPLITUDE[1]:g}, or as it is for "
        "a reconstruction and a file of complex numbers.",
    )
    phase: Literal["linked", "independent", "flat"] = Field(
        "linked",
        description="Phase of the object: linked (follows the same structure), independent "
        "(another drawing, or a smooth field for star, demo, file and reconstruction), flat "
        "(zero).",
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
    feature_px: float | None = Field(
        None,
        ge=1,
        le=4096,
        description="Size of the features in pixels for objects grf (correlation length), "
        "procedural (coarsest noise, mean radius of shapes) and polyhedra (mean radius); default "
        "N/4, grf N/16.",
    )
    object_file: Path | None = Field(
        None,
        description="Object file: PNG, TIFF or other picture, or NPY or NPZ with a real or complex "
        "array; object reconstruction: reconstruction.h5, its folder, or a ptychodus product.",
    )
    phase_file: Path | None = Field(
        None,
        description="Picture or real array that the phase is taken from, beside a picture or real "
        "array in object_file; default: the same one.",
    )
    object_fit: Literal["resize", "crop"] | None = Field(
        None,
        description="How object_file fills the object: resize (to the field the scan lights) or "
        "crop (the middle, pixel for pixel); default: resize for pictures and real arrays, crop "
        "for complex ones.",
    )
    field_px: float | None = Field(
        None,
        gt=0,
        le=16384,
        description="Side of the central square that star, demo, leaves and a resized file fill; "
        "default: what the scan lights.",
    )
