"""How a scan file is to be read: what its numbers are, which pixels count, how frames are prepared.

The order in which `pinn.io.load` applies it: file, frames dropped by number, units, masks
(`bad_pixels` is laid out as the stored frames are, before anything is moved), centring and
cropping (`frame_size`), frame flips, binning, positions (unit, orientation, rotation), duplicates,
part.
"""

from __future__ import annotations

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
_NEEDED = {
    "bad_pixels_polarity": "bad_pixels",
    "mask_path_polarity": "mask_path",
    "test_fraction": "part",
}


class ScanConfig(Config):
    """How a scan file is to be read."""

    model_config = ConfigDict(allow_inf_nan=False)

    sections: ClassVar[dict[str, str]] = {
        "format": "Reading a scan: the file and its numbers",
        "positions_unit": "Reading a scan: geometry",
        "bad_pixels": "Reading a scan: which values count",
        "frame_size": "Reading a scan: preparation",
    }

    # -- what is where in the file, and what its numbers are
    format: FormatName = Field(
        "auto", description="Name of the file format; auto tells it from the content."
    )
    frames: FrameUnits = Field(
        "auto",
        description="What the frame values are: counts, intensity (proportional to counts) or "
        "amplitude (square root of intensity). auto: the file's own tag, else a stated rule.",
    )
    centre: FrameCentre = Field(
        "auto",
        description="Where the zero frequency of the stored frames lies: centred [N//2, N//2] "
        "or corner [0, 0]. auto detects and says so.",
    )
    photons_per_frame: float | None = Field(
        None, gt=0, description="Mean photons per frame, when the file's numbers carry no dose."
    )
    probe: Path | None = Field(
        None, description="NPZ with a `probeGuess` or `probe` array that replaces the file's."
    )
    diffraction: Path | None = Field(
        None, description="File with the frames, for formats that keep them apart."
    )
    scan_number: int | None = Field(
        None, ge=0, description="Read this one of the several scans in the file."
    )
    data_path: str | None = Field(None, description="HDF5: path of the frames (M, H, W).")
    positions_path: str | None = Field(
        None, description="HDF5: path of the positions (M, 2), columns y, x."
    )
    y_path: str | None = Field(None, description="HDF5: path of the y positions (M,).")
    x_path: str | None = Field(None, description="HDF5: path of the x positions (M,).")
    probe_path: str | None = Field(None, description="HDF5: path of the probe.")
    mask_path: str | None = Field(
        None, description="HDF5: path of the detector mask (H, W); see mask_path_polarity."
    )
    mask_path_polarity: Literal["bad", "good"] = Field(
        "bad", description="What a value that is not zero means in the mask at mask_path."
    )

    # -- geometry
    positions_unit: LengthUnit = Field(
        "auto", description="Unit of the positions; auto: what the format says."
    )
    orientation: Orientation = Field(
        "+y+x",
        description="How the positions lie against the frames: first what our y is of the "
        "file's coordinates, then our x; +x-y swaps the two and turns the file's y round.",
    )
    rotation_deg: float = Field(
        0.0,
        ge=-360,
        le=360,
        description="Rotate the positions by this angle, from +x towards +y, after orientation.",
    )
    flip_frames: FrameFlip = Field(
        "none", description="Flip the frames about their centre: up-down, left-right or both."
    )
    pixel_size_m: float | None = Field(
        None, gt=0, description="Object pixel in metres, for the frames as they are stored."
    )
    energy_ev: float | None = Field(
        None, gt=0, description="Energy in eV of a photon, or of an electron (see particle)."
    )
    particle: Literal["auto", "photon", "electron"] = Field(
        "auto", description="What energy_ev is the energy of; auto: what the format says."
    )
    distance_m: float | None = Field(
        None, gt=0, description="Distance from sample to detector in metres."
    )
    detector_pixel_m: float | None = Field(None, gt=0, description="Detector pixel in metres.")
    step_m: float | None = Field(
        None, gt=0, description="Raster step in metres, for data that state none (4D-STEM)."
    )
    propagation: str = Field(
        "far",
        description="How the wave gets from the object to the detector: far, the far field, is "
        "the only kind so far.",
    )
    detector_response: str = Field(
        "none",
        description="What the detector does to the intensity that falls on it: none is the only "
        "kind so far.",
    )

    # -- which values count
    bad_pixels: Path | None = Field(
        None,
        description="NPY, NPZ, HDF5 or image file with a detector mask, laid out as the stored "
        "frames are; it is added to the scan file's own.",
    )
    bad_pixels_polarity: Literal["bad", "good"] = Field(
        "bad", description="What a value that is not zero means in the bad_pixels file."
    )
    saturation: float | None = Field(
        None, gt=0, description="Stored values from this one on are saturated and not used."
    )
    beamstop: float | None = Field(
        None, gt=0, description="Leave out a disc of this radius in pixels at the zero frequency."
    )
    drop_frames: str | None = Field(None, description="Frames to leave out, by number: 3,17,40-60.")
    duplicates: Literal["keep", "drop"] = Field(
        "keep", description="Frames at a place that an earlier frame has already: keep or drop."
    )

    # -- preparation
    frame_size: int | None = Field(
        None,
        ge=16,
        le=16384,
        description="Crop or pad the frames to this even side, around the zero frequency, before "
        "they are binned.",
    )
    beam_row: float | None = Field(
        None,
        ge=0,
        description="Row of the zero frequency in the stored frames, from 0; default: what the "
        "file says, or their middle.",
    )
    beam_column: float | None = Field(
        None,
        ge=0,
        description="Column of the zero frequency in the stored frames.",
    )
    bin_frames: int = Field(
        1, ge=1, le=64, description="Add up squares of this many pixels each way."
    )
    probe_smoothing_px: float = Field(
        0.0, ge=0, description="Smooth the given probe by a Gaussian of this sigma in pixels."
    )
    part: Literal["all", "train", "test"] = Field(
        "all", description="Use all frames, or the part for training or testing (by region)."
    )
    test_fraction: float = Field(
        0.25, gt=0, lt=1, description="Share of the frames in the test part."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.frame_size is not None and self.frame_size % 2:
            raise ValueError(f"frame_size must be even, but is {self.frame_size}")
        if (self.beam_row is None) != (self.beam_column is None):
            raise ValueError("give both beam_row and beam_column or neither")
        if self.beam_row is not None and self.centre == "corner":
            raise ValueError(
                "beam_row and beam_column say where the zero frequency is, and so does centre "
                "corner; give one of them"
            )
        if (self.x_path is None) != (self.y_path is None):
            raise ValueError("give both x_path and y_path or neither")
        self._no_dead_options()
        return self

    def _no_dead_options(self) -> None:
        """Refuse what has an effect only beside another option."""
        for option, needed in _NEEDED.items():
            plain = type(self).model_fields[option].default
            if getattr(self, option) != plain and getattr(self, needed) in (None, "all"):
                words = "part train or part test" if needed == "part" else needed
                raise ValueError(
                    f"{option} is {getattr(self, option)}, but has no effect without {words}; "
                    "give that too or leave it out"
                )
