"""The options of a synthetic scan, one by one. The string below an option is its help text."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import ConfigDict, Field

from pinn.config import Config

ObjectKind = Literal[
    "lines", "star", "leaves", "demo", "grf", "procedural", "polyhedra", "file", "reconstruction"
]
ProbeKind = Literal["disc", "gaussian", "defocused", "zernike", "zone_plate", "file"]

# What an option is where it is left out. Options that mean something for some kinds only have no
# default of their own: given for another kind they are an error, not something to ignore.
AMPLITUDE = (0.3, 1.0)
SPOKES = 24
PROBE_DIAMETER = {"gaussian": 0.34, "defocused": 0.4, "zernike": 0.4}
ABERRATION = 0.5
MODE_RATIO = 0.5
ZERNIKE_ORDER = 4
ZERNIKE_RMS = 1.0
# A zone plate and a detector as they are used with hard X-rays.
ENERGY_EV = 8800.0
ZONE_PLATE_DIAMETER_M = 160e-6
OUTER_ZONE_M = 50e-9
ZONE_PLATE_STOP = 0.15
DETECTOR_PIXEL_M = 75e-6
N_FRAMES = 400
OVERLAP = 0.8
JITTER = 0.3
DRIFT_MODES = 1


class SimulateOptions(Config):
    """Names, types, ranges and help texts of all options, without what they have in common.

    Their order is that of the help and of the recipe in a file: new ones go to the end of a part.
    """

    model_config = ConfigDict(use_attribute_docstrings=True)

    sections: ClassVar[dict[str, str]] = {
        "N": "Size and seed",
        "object": "Object",
        "probe": "Probe",
        "pattern": "Positions",
        "photons_per_frame": "Detector",
        "position_error_limit": "Known errors",
    }

    # -- size and seed --------------------------------------------------------------------

    N: int = Field(64, ge=16, le=1024)
    """Side of a frame and of the probe in pixels (even)."""

    seed: int = Field(0, ge=0)
    """Seed of everything random in the scan."""

    # -- object ---------------------------------------------------------------------------

    object: ObjectKind = "lines"
    """Kind of object. lines: random lines, blurred. star: a Siemens star with gaps. leaves:
    dead leaves, overlapping opaque shapes. demo: star and letters on a smooth phase. grf: a
    Gaussian random field. procedural: layers of shapes over multi-octave noise. polyhedra:
    projected random convex solids. file: an image or array. reconstruction: the object of a
    reconstruction.h5 or a ptychodus product."""

    object_seed: int | None = Field(None, ge=0)
    """Seed of the object alone, for two objects under one probe and pattern. Default: seed."""

    size: int | None = Field(None, ge=20, le=16384)
    """Side of the object in pixels. Default: that of the area the scan covers."""

    amplitude_min: float | None = Field(None, ge=0, le=2)
    """Smallest amplitude of the object. Default: 0.3. A reconstruction and a file of complex
    numbers keep their own."""

    amplitude_max: float | None = Field(None, gt=0, le=2)
    """Largest amplitude of the object. Default: 1. A reconstruction and a file of complex numbers
    keep their own."""

    phase: Literal["linked", "independent", "flat"] = "linked"
    """Phase of the object. linked: the same structure as the amplitude. independent: a structure of
    its own (a smooth field for star, demo, file and reconstruction). flat: zero."""

    phase_min: float | None = Field(None, ge=-3.1416, le=3.1416)
    """Smallest phase in radians. Default: that of the object kind."""

    phase_max: float | None = Field(None, ge=-3.1416, le=3.1416)
    """Largest phase in radians. Default: that of the object kind."""

    contrast: float = Field(1.0, gt=0, le=1)
    """Fraction of the amplitude and phase variation that is kept (1 = all of it)."""

    lines: int | None = Field(None, ge=1, le=1_000_000)
    """lines: number of lines. Default: 400 per 392 pixels of size."""

    spokes: int | None = Field(None, ge=2, le=360)
    """star, demo: number of spokes. Default: 24."""

    feature_px: float | None = Field(None, ge=1, le=4096)
    """Size of the features in pixels: correlation length (grf), coarsest noise and mean radius of
    the shapes (procedural), mean radius (polyhedra). Default: N/4, for grf N/16."""

    object_file: Path | None = None
    """For object file: an image (PNG, TIFF or another format), or an NPY or NPZ file with a real or
    complex array. For object reconstruction: a reconstruction.h5, its folder, or a ptychodus
    product."""

    phase_file: Path | None = None
    """Image or real array for the phase, where object_file holds an image or a real array. Default:
    object_file."""

    object_fit: Literal["resize", "crop"] | None = None
    """How object_file fills the object: resize (to the illuminated field) or crop (the middle,
    pixel for pixel). Default: resize for images and real arrays, crop for complex ones."""

    field_px: float | None = Field(None, gt=0, le=16384)
    """Side of the central square that star, demo, leaves and a resized file fill. Default: the
    illuminated field."""

    # -- probe ----------------------------------------------------------------------------

    probe: ProbeKind = "disc"
    """Kind of probe. disc: real, with a blurred edge. gaussian: real. defocused: complex, a
    round aperture out of focus. zernike: the same with Zernike aberrations. zone_plate: a Fresnel
    zone plate near its focus, in metres. file: that of probe_file."""

    probe_file: Path | None = None
    """For probe file: an NPZ file with an array probeGuess or probe, or an NPY file, of shape (N,
    N) or (modes, N, N). Or a reconstruction.h5 or a ptychodus product."""

    probe_diameter: float | None = Field(None, ge=0.02, le=0.9)
    """Probe diameter (4 sigma of its intensity) as a fraction of N. Default: 0.34, for defocused
    and zernike 0.4."""

    defocus: float | None = Field(None, ge=0, le=2000)
    """defocused, zernike: phase in radians at the rim of the aperture, pi times the Fresnel number.
    Default: the image of the aperture is half as wide as the detector (less for zernike if its
    aberrations need the room)."""

    central_stop: float | None = Field(None, ge=0, le=0.9)
    """defocused, zernike, zone_plate: radius of a central stop as a fraction of the aperture's.
    Default: 0, for zone_plate 0.15."""

    aberration: float | None = Field(None, ge=0, le=20)
    """defocused: largest phase in radians of astigmatism and of coma. Default: 0.5."""

    probe_modes: int = Field(1, ge=1, le=32)
    """Number of incoherent probe modes, orthogonal to each other."""

    mode_ratio: float | None = Field(None, gt=0, le=1)
    """Power of each further mode relative to the one before. Default: 0.5."""

    zernike: str | None = None
    """zernike: aberrations as Noll index:radians RMS, for instance 5:0.8,8:-0.4. 5 and 6 are
    astigmatism, 7 and 8 coma, 11 spherical. Default: random aberrations."""

    zernike_order: int | None = Field(None, ge=2, le=20)
    """Highest radial order of the random aberrations. Default: 4."""

    zernike_rms: float | None = Field(None, gt=0, le=20)
    """RMS phase in radians of all random aberrations together. Default: 1."""

    zone_plate_diameter_m: float | None = Field(None, gt=0, lt=1)
    """Diameter of the zone plate in metres. Default: 0.00016."""

    outer_zone_m: float | None = Field(None, gt=0, lt=1)
    """Width of the outermost zone in metres. It sets the size of the focus. Default: 5e-08."""

    defocus_m: float | None = Field(None, ge=-1, le=1)
    """Distance of the sample behind the focus of the zone plate in metres (negative: before it).
    Default: the distance that illuminates 0.4 N pixels of the probe."""

    probe_variation: float = Field(0.0, ge=0, le=0.9)
    """Random change of the probe's diameter and defocus, each uniform within this fraction of its
    value."""

    probe_seed: int | None = Field(None, ge=0)
    """Seed of the random properties of the probe alone. Default: seed."""

    energy_ev: float | None = Field(None, gt=0, le=1e9)
    """Photon energy in eV. With distance_m and detector_pixel_m it sets the pixel size in the file.
    Default: none, for zone_plate 8800."""

    distance_m: float | None = Field(None, gt=0, le=1e6)
    """Distance from sample to detector in metres. Default: none; for zone_plate the distance at
    which its cone is half as wide as the detector."""

    detector_pixel_m: float | None = Field(None, gt=0, lt=1)
    """Detector pixel in metres. Default: none, for zone_plate 7.5e-05."""

    # -- positions ------------------------------------------------------------------------

    pattern: Literal["raster", "random", "fermat", "spiral", "file"] = "raster"
    """Scan pattern: raster (with jitter), random (uniform), fermat (spiral of equal areas), spiral
    (Archimedean, with equal steps along it) or file (positions_file)."""

    n_frames: int | None = Field(None, ge=1, le=10_000_000)
    """Number of frames. Default: 400, unless size and spacing fix it."""

    overlap: float | None = Field(None, ge=0, lt=1)
    """Linear overlap 1 - d/D: d is the mean distance to the nearest position, D the probe diameter
    (4 sigma). Default: 0.8, unless step, or size and n_frames, fix it."""

    step: float | None = Field(None, gt=0)
    """Mean distance to the nearest position in pixels. Replaces overlap."""

    jitter: float | None = Field(None, ge=0, le=1)
    """raster: largest random displacement of a position along y and x, as a fraction of the step.
    Default: 0.3."""

    position_error: float = Field(0.0, ge=0, le=50)
    """RMS error of each coordinate in the file, in pixels (cut off at 4 times this)."""

    interpolation: Literal["bilinear", "fourier"] = "bilinear"
    """How the object is sampled between its pixels. bilinear: as the model does, so that data and
    model agree exactly. fourier: as a band-limited object."""

    positions_file: Path | None = None
    """For pattern file: NPY (M, 2) with columns y, x; NPZ with positions_px or positions (M, 2) or
    with xcoords and ycoords, for instance a scan; or CSV with columns y, x."""

    positions_unit: Literal["px", "m", "mm", "um", "nm"] | None = None
    """Unit of the positions in positions_file. Units other than px need energy_ev, distance_m and
    detector_pixel_m. Default: px."""

    positions_place: Literal["centre", "absolute"] | None = None
    """Where the positions of positions_file lie. centre: over the middle of the object. absolute:
    as the file states them, relative to pixel [0, 0] of the object or to the origin of a
    reconstruction. Default: centre."""

    # -- dose and detector ----------------------------------------------------------------

    photons_per_frame: float = Field(1e6, gt=0, le=1e12)
    """Mean number of photons in a frame before beamstop, bad pixels and background."""

    poisson: bool = True
    """Draw counts with Poisson noise. Without it the frames hold the expected counts."""

    background: float = Field(0.0, ge=0, le=1e6)
    """Mean background in counts per pixel, even over the detector."""

    bad_pixels: float = Field(0.0, ge=0, le=0.5)
    """Fraction of bad detector pixels, half of them dead and half stuck at a high value."""

    beamstop: float = Field(0.0, ge=0)
    """Radius in pixels of a beamstop at the centre of the frame."""

    saturation: float | None = Field(None, ge=1, le=1e12)
    """Counts at which a pixel saturates. Higher counts are cut to this value, which the file
    records. Default: the largest value of the data type of the frames."""

    frames: Literal["counts", "amplitude"] = "counts"
    """What the frames hold: counts, or amplitude (square root of the counts)."""

    frames_dtype: Literal["auto", "uint16", "uint32", "float32"] = "auto"
    """Data type of the frames. Counts above its range saturate. auto: the smallest integer type
    that no frame saturates, or float32 for amplitudes and without Poisson noise."""

    # -- what the file states wrongly, or does not state at all ---------------------------

    position_error_limit: float = Field(0.0, ge=0, le=50)
    """Additional error of each coordinate in the file in pixels, uniform between minus and plus
    this value."""

    position_scale_error: float = Field(0.0, ge=-0.2, le=0.2)
    """Systematic error: positions in the file are too far from their middle by this fraction (0.01
    = 1 percent)."""

    position_rotation_deg: float = Field(0.0, ge=-45, le=45)
    """Systematic error: positions in the file are rotated about their middle by this angle in
    degrees, from +x towards +y."""

    position_shear: float = Field(0.0, ge=-0.5, le=0.5)
    """Systematic error: x in the file is increased by this fraction of the distance in y from the
    middle, before rotation and scale."""

    probe_error: float | None = Field(None, ge=-1, le=5)
    """Relative error of the defocus of the probe in the file (0.3 = 30 percent too much). The
    frames come from the true probe, which the file holds as probe_true."""

    probe_drift: float = Field(0.0, ge=0, le=1)
    """Mean power of the OPR probe modes over the frames, relative to that of all modes. OPR modes
    are coherent variations of the strongest probe mode over the scan."""

    probe_drift_modes: int | None = Field(None, ge=1, le=16)
    """Number of OPR probe modes besides the mean probe. Default: 1."""

    intensity_fluctuation: float = Field(0.0, ge=0, le=2)
    """Relative RMS of the intensity of the illumination from frame to frame (log-normal)."""

    background_uneven: float = Field(0.0, ge=0, le=1e6)
    """Mean counts per pixel of a smooth, uneven background, the same in all frames. It is added to
    background."""

    gap_width: int | None = Field(None, ge=1, le=512)
    """Width in pixels of the gaps between detector modules, which read 0. Needs gap_row or
    gap_column."""

    gap_row: int | None = Field(None, ge=0)
    """First dead row of a gap between detector modules."""

    gap_column: int | None = Field(None, ge=0)
    """First dead column of a gap between detector modules."""
