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
    """Object: lines (blurred random lines), star (Siemens star with gaps), leaves (dead leaves:
    overlapping opaque shapes), demo (star, letters and a smooth phase), grf (Gaussian random
    field), procedural (layers of shapes over multi-octave noise), polyhedra (projected random
    convex solids), file (image or array), reconstruction (of a reconstruction.h5 or a ptychodus
    product)."""

    object_seed: int | None = Field(None, ge=0)
    """Seed of the object alone, for two objects under one probe and pattern; default: seed."""

    size: int | None = Field(None, ge=20, le=16384)
    """Side of the object in pixels; default: what the scan covers."""

    amplitude_min: float | None = Field(None, ge=0, le=2)
    """Smallest amplitude of the object; default 0.3, or as it is for a reconstruction and a file
    of complex numbers."""

    amplitude_max: float | None = Field(None, gt=0, le=2)
    """Largest amplitude of the object; default 1, or as it is for a reconstruction and a file of
    complex numbers."""

    phase: Literal["linked", "independent", "flat"] = "linked"
    """Phase of the object: linked (follows the same structure), independent (another drawing, or a
    smooth field for star, demo, file and reconstruction), flat (zero)."""

    phase_min: float | None = Field(None, ge=-3.1416, le=3.1416)
    """Smallest phase in radians; default: as the object kind has it."""

    phase_max: float | None = Field(None, ge=-3.1416, le=3.1416)
    """Largest phase in radians; default: as the object kind has it."""

    contrast: float = Field(1.0, gt=0, le=1)
    """Fraction of the amplitude and phase variation that is kept; 1: all of it."""

    lines: int | None = Field(None, ge=1, le=1_000_000)
    """Lines drawn for object lines; default: 400 per 392 pixels of size."""

    spokes: int | None = Field(None, ge=2, le=360)
    """Spokes of the star for objects star and demo; default 24."""

    feature_px: float | None = Field(None, ge=1, le=4096)
    """Size of the features in pixels for objects grf (correlation length), procedural (coarsest
    noise, mean radius of shapes) and polyhedra (mean radius); default N/4, grf N/16."""

    object_file: Path | None = None
    """Object file: PNG, TIFF or other image, or NPY or NPZ with a real or complex array; object
    reconstruction: reconstruction.h5, its folder, or a ptychodus product."""

    phase_file: Path | None = None
    """Image or real array that the phase is taken from, beside an image or real array in
    object_file; default: the same one."""

    object_fit: Literal["resize", "crop"] | None = None
    """How object_file fills the object: resize (to the illuminated field) or crop (the middle,
    pixel for pixel); default: resize for images and real arrays, crop for complex ones."""

    field_px: float | None = Field(None, gt=0, le=16384)
    """Side of the central square that star, demo, leaves and a resized file fill; default: the
    illuminated field."""

    # -- probe ----------------------------------------------------------------------------

    probe: ProbeKind = "disc"
    """Probe: disc (real, blurred edge), gaussian (real), defocused (complex, of a round aperture
    out of focus), zernike (the same with Zernike aberrations), zone_plate (Fresnel zone plate near
    its focus, in metres), file."""

    probe_file: Path | None = None
    """Probe file: NPZ with a probeGuess or probe array, or NPY, (N, N) or (modes, N, N); or a
    reconstruction.h5 or ptychodus product."""

    probe_diameter: float | None = Field(None, ge=0.02, le=0.9)
    """Probe diameter (4 sigma of its intensity) as a fraction of N; default 0.34, defocused and
    zernike 0.4."""

    defocus: float | None = Field(None, ge=0, le=2000)
    """Defocus for probes defocused and zernike: phase in radians at the rim of the aperture, pi
    times the Fresnel number; default: what illuminates a disc half as wide as the detector, less
    where the aberrations of zernike need the room."""

    central_stop: float | None = Field(None, ge=0, le=0.9)
    """Radius of a central stop as a fraction of the aperture's, for probes defocused, zernike
    (default 0) and zone_plate (default 0.15)."""

    aberration: float | None = Field(None, ge=0, le=20)
    """Astigmatism and coma for probe defocused: largest phase in radians of each; default 0.5."""

    probe_modes: int = Field(1, ge=1, le=32)
    """Incoherent, mutually orthogonal probe modes."""

    mode_ratio: float | None = Field(None, gt=0, le=1)
    """Power of each further mode relative to the one before; default 0.5."""

    zernike: str | None = None
    """Aberrations of probe zernike as Noll index:radians rms, for instance 5:0.8,8:-0.4 (5 and 6
    astigmatism, 7 and 8 coma, 11 spherical); default: random ones."""

    zernike_order: int | None = Field(None, ge=2, le=20)
    """Highest radial order of the random aberrations; default 4."""

    zernike_rms: float | None = Field(None, gt=0, le=20)
    """RMS phase of all random aberrations together in radians; default 1."""

    zone_plate_diameter_m: float | None = Field(None, gt=0, lt=1)
    """Diameter of the zone plate in metres; default 0.00016."""

    outer_zone_m: float | None = Field(None, gt=0, lt=1)
    """Width of the zone plate's outermost zone in metres, which sets the spot size; default
    5e-08."""

    defocus_m: float | None = Field(None, ge=-1, le=1)
    """Distance of the sample behind the zone plate's focus in metres, before it if negative;
    default: what illuminates 0.4 N of the probe's pixels."""

    probe_variation: float = Field(0.0, ge=0, le=0.9)
    """Random change of the probe's diameter and defocus, each uniform within this fraction of its
    value."""

    probe_seed: int | None = Field(None, ge=0)
    """Seed of what is random in the probe alone; default: seed."""

    energy_ev: float | None = Field(None, gt=0, le=1e9)
    """Photon energy in eV; with distance_m and detector_pixel_m it gives the file its pixel size.
    Default: unknown, zone_plate 8800."""

    distance_m: float | None = Field(None, gt=0, le=1e6)
    """Distance from sample to detector in metres; default: unknown, zone_plate: where its cone is
    half as wide as the detector."""

    detector_pixel_m: float | None = Field(None, gt=0, lt=1)
    """Detector pixel in metres; default: unknown, zone_plate 7.5e-05."""

    # -- positions ------------------------------------------------------------------------

    pattern: Literal["raster", "random", "fermat", "spiral", "file"] = "raster"
    """Scan pattern: raster (with jitter), random (uniform), fermat (spiral of equal areas), spiral
    (Archimedean, equal steps along it), file."""

    n_frames: int | None = Field(None, ge=1, le=10_000_000)
    """Number of frames; default 400 unless size and spacing fix it."""

    overlap: float | None = Field(None, ge=0, lt=1)
    """Linear overlap 1 - d/D (d mean distance to the nearest position, D probe diameter, 4 sigma);
    default 0.8 unless step, or size and n_frames, fix it."""

    step: float | None = Field(None, gt=0)
    """Mean distance to the nearest position in pixels, instead of overlap."""

    jitter: float | None = Field(None, ge=0, le=1)
    """Random displacement of raster positions, each way, as a fraction of the step; default 0.3."""

    position_error: float = Field(0.0, ge=0, le=50)
    """RMS error of each coordinate in the file, in pixels (cut at 4 times it)."""

    interpolation: Literal["bilinear", "fourier"] = "bilinear"
    """How the object is sampled between its pixels: bilinear is what the model assumes too (data
    and model then agree exactly), fourier is what a band-limited sample does."""

    positions_file: Path | None = None
    """Pattern file: NPY (M, 2) with columns y, x; NPZ with positions_px or positions (M, 2) or
    xcoords and ycoords, a scan for instance; or CSV with columns y, x."""

    positions_unit: Literal["px", "m", "mm", "um", "nm"] | None = None
    """Unit of the positions in positions_file; default px. Others need energy_ev, distance_m and
    detector_pixel_m."""

    positions_place: Literal["centre", "absolute"] | None = None
    """Where the positions of positions_file lie: centre (the middle of the object) or absolute (its
    pixel [0, 0], or the origin of a reconstruction, has the coordinates its file says); default
    centre."""

    # -- dose and detector ----------------------------------------------------------------

    photons_per_frame: float = Field(1e6, gt=0, le=1e12)
    """Mean number of photons in a frame before beamstop, bad pixels and background."""

    poisson: bool = True
    """Count photons (Poisson noise); no: the expected counts."""

    background: float = Field(0.0, ge=0, le=1e6)
    """Mean background counts per pixel, added evenly over the detector."""

    bad_pixels: float = Field(0.0, ge=0, le=0.5)
    """Fraction of bad detector pixels, half dead and half stuck high."""

    beamstop: float = Field(0.0, ge=0)
    """Radius in pixels of a beamstop over the frame's centre."""

    saturation: float | None = Field(None, ge=1, le=1e12)
    """Counts from which a pixel saturates: higher ones read this level, and the file says so.
    Default: the largest number the frames' type holds."""

    frames: Literal["counts", "amplitude"] = "counts"
    """What is written: counts, or amplitude (square root of the counts)."""

    frames_dtype: Literal["auto", "uint16", "uint32", "float32"] = "auto"
    """Number type of the written frames; counts above its range saturate. auto: the smallest
    integer type no frame can saturate, float32 for amplitude or without Poisson noise."""

    # -- what the file states wrongly, or does not state at all ---------------------------

    position_error_limit: float = Field(0.0, ge=0, le=50)
    """Further error of each coordinate in the file, uniform up to this many pixels either way."""

    position_scale_error: float = Field(0.0, ge=-0.2, le=0.2)
    """Systematic error: the file's positions are this much too far from their middle, 0.01 for 1
    percent."""

    position_rotation_deg: float = Field(0.0, ge=-45, le=45)
    """Systematic error: the file's positions are turned by this angle in degrees about their
    middle, from +x towards +y."""

    position_shear: float = Field(0.0, ge=-0.5, le=0.5)
    """Systematic error: this times the distance in y from their middle is added to x of the file's
    positions, before they are turned and scaled."""

    probe_error: float | None = Field(None, ge=-1, le=5)
    """Relative error of the defocus of the probe in the file, 0.3 for 30 percent too much; the
    frames come from the right one (probe_true)."""

    probe_drift: float = Field(0.0, ge=0, le=1)
    """Power of the OPR probe modes, coherent variations of the strongest probe mode over the scan,
    mean over the frames, relative to that of all modes."""

    probe_drift_modes: int | None = Field(None, ge=1, le=16)
    """Number of variations (OPR probe modes besides the mean probe); default 1."""

    intensity_fluctuation: float = Field(0.0, ge=0, le=2)
    """Relative RMS of the intensity of the illumination from frame to frame (log-normal)."""

    background_uneven: float = Field(0.0, ge=0, le=1e6)
    """Mean counts per pixel of a smooth background that is not even, the same in all frames,
    besides background."""

    gap_width: int | None = Field(None, ge=1, le=512)
    """Width in pixels of the gaps between detector modules, which read 0; needs gap_row, gap_column
    or both."""

    gap_row: int | None = Field(None, ge=0)
    """First dead row of a gap between detector modules."""

    gap_column: int | None = Field(None, ge=0)
    """First dead column of a gap between detector modules."""
