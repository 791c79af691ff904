"""Options of a synthetic scan: the probe, and the lengths of the measurement in metres."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from pinn.config import Config

ProbeKind = Literal["disc", "gaussian", "defocused", "zernike", "zone_plate", "file"]

ABERRATION = 0.5
DIAMETER_DEFAULTS = {"gaussian": 0.34, "defocused": 0.4, "zernike": 0.4}
ZERNIKE_ORDER = 4
ZERNIKE_RMS = 1.0
# A zone plate and a detector as they are used with hard X-rays.
ENERGY_EV = 8800.0
ZONE_PLATE_DIAMETER_M = 160e-6
OUTER_ZONE_M = 50e-9
ZONE_PLATE_STOP = 0.15
DETECTOR_PIXEL_M = 75e-6


class ProbeOptions(Config):
    """The probe."""

    probe: ProbeKind = Field(
        "disc",
        description="Probe: disc (real, blurred edge), gaussian (real), defocused (complex, of a "
        "round aperture out of focus), zernike (the same with Zernike aberrations), zone_plate "
        "(Fresnel zone plate near its focus, in metres), file.",
    )
    probe_file: Path | None = Field(
        None,
        description="Probe file: NPZ with a probeGuess or probe array, or NPY, (N, N) or (modes, "
        "N, N); or a reconstruction.h5 or ptychodus product.",
    )
    probe_diameter: float | None = Field(
        None,
        ge=0.02,
        le=0.9,
        description="Probe diameter (4 sigma of its intensity) as a fraction of N; default 0.34, "
        "defocused and zernike 0.4.",
    )
    defocus: float | None = Field(
        None,
        ge=0,
        le=2000,
        description="Defocus for probes defocused and zernike: phase in radians at the rim of the "
        "aperture, pi times the Fresnel number; default: what lights a disc half as wide as the "
        "detector, less where the aberrations of zernike need the room.",
    )
    central_stop: float | None = Field(
        None,
        ge=0,
        le=0.9,
        description="Radius of a central stop as a fraction of the aperture's, for probes "
        f"defocused, zernike (default 0) and zone_plate (default {ZONE_PLATE_STOP:g}).",
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
    zernike: str | None = Field(
        None,
        description="Aberrations of probe zernike as Noll index:radians rms, for instance "
        "5:0.8,8:-0.4 (5 and 6 astigmatism, 7 and 8 coma, 11 spherical); default: random ones.",
    )
    zernike_order: int | None = Field(
        None,
        ge=2,
        le=20,
        description=f"Highest radial order of the random aberrations; default {ZERNIKE_ORDER}.",
    )
    zernike_rms: float | None = Field(
        None,
        gt=0,
        le=20,
        description="RMS phase of all random aberrations together in radians; default "
        f"{ZERNIKE_RMS:g}.",
    )
    zone_plate_diameter_m: float | None = Field(
        None,
        gt=0,
        lt=1,
        description=f"Diameter of the zone plate in metres; default {ZONE_PLATE_DIAMETER_M:g}.",
    )
    outer_zone_m: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Width of the zone plate's outermost zone in metres, which sets the spot "
        f"size; default {OUTER_ZONE_M:g}.",
    )
    defocus_m: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="Distance of the sample behind the zone plate's focus in metres, before it if "
        "negative; default: what lights 0.4 N of the probe's pixels.",
    )
    probe_variation: float = Field(
        0.0,
        ge=0,
        le=0.9,
        description="Random change of the probe's diameter and defocus, each uniform within this "
        "fraction of its value.",
    )
    probe_seed: int | None = Field(
        None, ge=0, description="Seed of what is random in the probe alone; default: seed."
    )
    energy_ev: float | None = Field(
        None,
        gt=0,
        le=1e9,
        description="Photon energy in eV; with distance_m and detector_pixel_m it gives the file "
        f"its pixel size. Default: unknown, zone_plate {ENERGY_EV:g}.",
    )
    distance_m: float | None = Field(
        None,
        gt=0,
        le=1e6,
        description="Distance from sample to detector in metres; default: unknown, zone_plate: "
        "where its cone is half as wide as the detector.",
    )
    detector_pixel_m: float | None = Field(
        None,
        gt=0,
        lt=1,
        description=f"Detector pixel in metres; default: unknown, zone_plate {DETECTOR_PIXEL_M:g}.",
    )
