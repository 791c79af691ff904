"""How a scan file is to be read: what its numbers are, which pixels count, how frames are prepared.

The order in which `pinn.io.load` applies it: file, frames that came late, frames dropped by number,
units, masks (`bad_pixels` is laid out as the stored frames are, before anything is moved), centring
and cropping (`frame_size`), frame flips, binning, positions (unit, orientation, rotation),
duplicates, part, probe from optics.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from pinn.config.base import Config

FormatName = Literal[
    "auto",
    "cxi",
    "electron",
    "hxn",
    "npz",
    "nxcxi",
    "plain-hdf5",
    "ptychodus",
    "ptychodus-patterns",
    "ptychodus-training",
    "ptychoshelves",
    "ptychovit",
    "ptyd",
    "ptylab",
    "tike",
]
FrameUnits = Literal["auto", "counts", "intensity", "amplitude"]
FrameCentre = Literal["auto", "centred", "corner"]
LengthUnit = Literal["auto", "px", "m", "mm", "um", "nm"]
# First what our y is made of, then what our x is made of, in terms of the file's.
Orientation = Literal["+y+x", "-y+x", "+y-x", "-y-x", "+x+y", "-x+y", "+x-y", "-x-y"]
ORIENTATIONS: tuple[Orientation, ...] = (
    *("+y+x", "-y+x", "+y-x", "-y-x"),
    *("+x+y", "-x+y", "+x-y", "-x-y"),
)
FrameFlip = Literal["none", "ud", "lr", "both"]
# Options that say something about another one.
_NEEDED = {"bad_pixels_polarity": ("bad_pixels", "mask_path")}


class ScanConfig(Config):
    """Options for reading a scan file."""

    model_config = ConfigDict(allow_inf_nan=False)

    sections: ClassVar[dict[str, str]] = {
        "format": "Scan file",
        "positions_unit": "Scan geometry",
        "bad_pixels": "Detector masks",
        "frame_size": "Frame preparation",
    }
    keys_only: ClassVar[frozenset[str]] = frozenset(("propagation", "detector_response"))

    # -- what is where in the file, and what its numbers are
    format: FormatName = Field("auto", description="File format (auto = detect from the content).")
    frames: FrameUnits = Field(
        "auto",
        description="Unit of the frames: counts, intensity (proportional to counts) or amplitude "
        "(square root of intensity). auto: as the file says, or by a rule that a note reports.",
    )
    centre: FrameCentre = Field(
        "auto",
        description="Position of the zero frequency in the stored frames: centred [N//2, N//2] or "
        "corner [0, 0]. auto detects it and reports the choice.",
    )
    photons_per_frame: float | None = Field(
        None, gt=0, description="Mean number of photons per frame, if the values are not counts."
    )
    probe: Path | None = Field(
        None,
        description="NPZ file with an array `probeGuess` or `probe`. It replaces the scan's probe.",
    )
    probe_defocus_m: float | None = Field(
        None,
        description="Distance from the focus to the sample in metres (negative: the sample lies "
        "before the focus). The probe is made from the mean frame and this defocus.",
    )
    probe_diameter_m: float | None = Field(
        None,
        gt=0,
        description="Diameter of the illumination on the sample in metres. The probe is made from "
        "the mean frame, with the defocus that gives this diameter.",
    )
    diffraction: Path | None = Field(
        None, description="File with the frames, for formats that keep them in a separate file."
    )
    scan_number: int | None = Field(
        None, ge=0, description="Number of the scan to read, if the file has several."
    )
    data_path: str | None = Field(
        None,
        description="HDF5 path of the frames (M, H, W). Stacks data_000001, "
        "data_000002, ... are joined.",
    )
    positions_path: str | None = Field(
        None,
        description="HDF5 path of the positions (M, 2) with columns y, x. Or two paths Y,X of "
        "arrays (M,). Or a CSV, NPY, NPZ or HDF5 file, alone or with what it calls them: "
        "FILE::Y,X.",
    )
    probe_path: str | None = Field(None, description="HDF5 path of the probe.")
    mask_path: str | None = Field(None, description="HDF5 path of the detector mask (H, W).")

    # -- geometry
    positions_unit: LengthUnit = Field(
        "auto", description="Unit of the positions. auto: that of the format."
    )
    orientation: Orientation = Field(
        "+y+x",
        description="Axes of the positions relative to the frames: what y is in the file, then "
        "what x is. +x-y swaps the axes and reverses the file's y.",
    )
    rotation_deg: float = Field(
        0.0,
        ge=-360,
        le=360,
        description="Rotation of the positions in degrees, from +x towards +y, after orientation.",
    )
    flip_frames: FrameFlip = Field(
        "none", description="Flip the frames about the zero frequency: up-down, left-right or both."
    )
    pixel_size_m: float | None = Field(
        None, gt=0, description="Object pixel in metres, for the frames as stored."
    )
    energy_ev: float | None = Field(
        None, gt=0, description="Energy of the photons or electrons in eV (see particle)."
    )
    particle: Literal["auto", "photon", "electron"] = Field(
        "auto", description="Particle that energy_ev refers to. auto: that of the format."
    )
    distance_m: float | None = Field(
        None, gt=0, description="Distance from sample to detector in metres."
    )
    detector_pixel_m: float | None = Field(None, gt=0, description="Detector pixel in metres.")
    step_m: float | None = Field(
        None, gt=0, description="Scan step of a raster in metres, if the file has none (4D-STEM)."
    )
    propagation: str = Field(
        "far",
        description="Propagation from the object to the detector: far (the far field), or a "
        "registered kind.",
    )
    detector_response: str = Field(
        "none",
        description="Response of the detector to the intensity: none, or a registered kind.",
    )

    # -- which values count
    bad_pixels: Path | None = Field(
        None,
        description="NPY, NPZ, HDF5 or image file with a detector mask in the layout of the stored "
        "frames. It is combined with the scan's own mask.",
    )
    bad_pixels_polarity: Literal["bad", "good"] = Field(
        "bad", description="Meaning of nonzero values in the bad_pixels file and at mask_path."
    )
    saturation: float | None = Field(
        None,
        gt=0,
        description="Smallest stored value that is saturated. Saturated pixels are not used.",
    )
    beamstop: float | None = Field(
        None,
        gt=0,
        description="Radius in pixels of a beamstop at the zero frequency. Pixels under it are "
        "not used.",
    )
    drop_frames: str | None = Field(
        None,
        description="Numbers of the frames to leave out, for instance 3,17,40-60. unpaired: frames "
        "without a position, and positions beyond the last frame.",
    )
    frames_late: int = Field(
        0,
        ge=-100,
        le=100,
        description="How many places the frames come too late in the file: position i belongs to "
        "frame i + frames_late. Frames without a partner are left out.",
    )
    duplicates: Literal["keep", "drop"] = Field(
        "keep", description="What to do with frames at the position of an earlier frame."
    )

    # -- preparation
    frame_size: int | None = Field(
        None,
        ge=16,
        le=16384,
        description="Crop or pad the frames around the zero frequency to this even side, before "
        "binning.",
    )
    beam_centre: str | None = Field(
        None,
        description="Pixel ROW,COLUMN of the zero frequency in the stored frames, counted from 0. "
        "Default: as the file says, or the middle.",
    )
    bin_frames: int = Field(
        1, ge=1, le=64, description="Sum blocks of this many pixels on a side (1 = no binning)."
    )
    part: Literal["all", "train", "test"] = Field(
        "all",
        description="Part of the scan: all frames, the region for training, or the last quarter "
        "for testing.",
    )

    @property
    def beam_pixel(self) -> tuple[float, float] | None:
        """`beam_centre` as (row, column) in pixels."""
        return None if self.beam_centre is None else _pixel(self.beam_centre)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.frame_size is not None and self.frame_size % 2:
            raise ValueError(f"frame_size must be even, but is {self.frame_size}")
        if self.beam_centre is not None:
            _pixel(self.beam_centre)
            if self.centre == "corner":
                raise ValueError(
                    "beam_centre and centre corner both say where the zero frequency is; give one "
                    "of them"
                )
        self._one_probe()
        self._no_dead_options()
        return self

    def _one_probe(self) -> None:
        """Refuse two sources of the probe."""
        names = ("probe", "probe_path", "probe_defocus_m", "probe_diameter_m")
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) > 1 and given != ["probe", "probe_path"]:
            raise ValueError(f"{' and '.join(given)} all say what the probe is; give one of them")

    def _no_dead_options(self) -> None:
        """Refuse what has an effect only beside another option."""
        for option, others in _NEEDED.items():
            default = type(self).model_fields[option].default
            if getattr(self, option) != default and not any(getattr(self, o) for o in others):
                raise ValueError(
                    f"{option} is {getattr(self, option)}, but has no effect without "
                    f"{' or '.join(others)}; give that too or leave it out"
                )


def _pixel(text: str) -> tuple[float, float]:
    """Two numbers ROW,COLUMN from 0.

    Raises:
        ValueError: no such numbers.
    """
    try:
        row, column = (float(number) for number in text.split(","))
    except ValueError:
        row = column = math.nan
    if not (0 <= row < math.inf and 0 <= column < math.inf):
        raise ValueError(f"beam_centre is {text!r}, but ROW,COLUMN is required, such as 63,64.5")
    return row, column
