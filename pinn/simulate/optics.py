"""Lengths in metres, apertures, and the field behind a Fresnel zone plate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pinn.data.geometry import object_pixel_m, photon_wavelength_m
from pinn.errors import ConfigError
from pinn.simulate.config import SimulateConfig
from pinn.simulate.options import (
    DETECTOR_PIXEL_M,
    ENERGY_EV,
    OUTER_ZONE_M,
    ZONE_PLATE_DIAMETER_M,
    ZONE_PLATE_STOP,
)

HALF_WIDTH = 0.25  # cycles per object pixel: rim of the pupil where nothing else is asked for
ILLUMINATED = 0.4  # of N: diameter of the default defocus
MAX_RIM, MIN_RIM_PX = 0.45, 1.5  # cycles per pixel; detector pixels
MAX_WIDTH = 0.9  # of N: a wider geometric shadow wraps round


@dataclass(frozen=True)
class Optics:
    """Lengths of a far-field measurement.

    Attributes:
        energy_ev: photon energy.
        distance_m: from sample to detector.
        detector_pixel_m: side of a detector pixel.
        pixel_size_m: side of an object pixel for frames of N pixels.
    """

    energy_ev: float
    distance_m: float
    detector_pixel_m: float
    pixel_size_m: float

    @property
    def wavelength_m(self) -> float:
        """Of the photons."""
        return photon_wavelength_m(self.energy_ev)


def optics_of(config: SimulateConfig) -> Optics | None:
    """The lengths a recipe states or, for a zone plate, has by default; None: unknown."""
    energy, distance, pixel = config.energy_ev, config.distance_m, config.detector_pixel_m
    if config.probe == "zone_plate":
        energy = ENERGY_EV if energy is None else energy
        pixel = DETECTOR_PIXEL_M if pixel is None else pixel
        if distance is None:
            wanted = HALF_WIDTH * 2.0 * (config.outer_zone_m or OUTER_ZONE_M)
            distance = wanted * config.N * pixel / photon_wavelength_m(energy)
    if energy is None or distance is None or pixel is None:
        return None
    side = object_pixel_m(photon_wavelength_m(energy), distance, config.N, pixel)
    return Optics(energy, distance, pixel, side)


def zone_plate(config: SimulateConfig, wider: float = 1.0, further: float = 1.0) -> np.ndarray:
    """The first diffraction order of a zone plate, some way off its focus.

    The plate is a thin lens of focal length `f = D dr / wavelength` (D diameter, dr outermost
    zone) with a round central stop, all other orders held back. At the distance d behind the
    focus the paraxial field is the inverse transform of the plate's aperture, whose rim lies at
    the frequency `f / (2 dr (f + d))`, with the phase `-pi wavelength d q^2 (f + d) / f`, times
    `exp(i pi x^2 / (wavelength (f + d)))` (Goodman, Introduction to Fourier Optics, ch. 5).

    Args:
        config: the recipe; what it leaves open has the defaults of `options`.
        wider: factor on the diameter.
        further: factor on the defocus.

    Returns:
        `(N, N)` complex128, on the pixels that the detector gives the object.

    Raises:
        ConfigError: the field does not fit the probe's pixels, or its cone the detector.
    """
    lengths = optics_of(config)
    assert lengths is not None
    N, pixel, wavelength = config.N, lengths.pixel_size_m, lengths.wavelength_m
    zone = config.outer_zone_m or OUTER_ZONE_M
    focal = wider * (config.zone_plate_diameter_m or ZONE_PLATE_DIAMETER_M) * zone / wavelength
    stop = ZONE_PLATE_STOP if config.central_stop is None else config.central_stop
    # rays: the shadow of the plate at distance d from the focus is D d / f wide
    defocus = (
        ILLUMINATED * N * pixel * zone / wavelength
        if config.defocus_m is None
        else config.defocus_m
    )
    defocus *= further
    if defocus <= -0.9 * focal:
        raise ConfigError(
            f"defocus_m {defocus:g} puts the sample at or before the zone plate, whose focal "
            f"length is {focal:.3g} m; lower it"
        )
    rim = focal / (2.0 * zone * (focal + defocus)) * pixel
    if not MIN_RIM_PX / N <= rim <= MAX_RIM:
        wide = rim > MAX_RIM
        raise ConfigError(
            f"the cone of the zone plate is {2 * rim * N:.3g} detector pixels wide, "
            + (f"too wide for frames of {N}" if wide else "too narrow to sample")
            + f"; {'shorten' if wide else 'lengthen'} distance_m or leave it out"
        )
    shadow = wavelength * abs(defocus) / (zone * pixel)
    if shadow > MAX_WIDTH * N:
        raise ConfigError(
            f"at defocus_m {defocus:g} the zone plate illuminates {shadow:.0f} pixels of "
            f"{pixel:.3g} m, more than the {N} of a frame; lower defocus_m or enlarge N"
        )
    q = radial_frequency(N)
    bend = np.pi * wavelength * defocus * (focal + defocus) / focal / pixel**2
    field = focal_field(soft_aperture(q, rim, stop) * np.exp(-1j * bend * q**2))
    radius = q * N * pixel
    return np.asarray(field * np.exp(1j * np.pi * radius**2 / (wavelength * (focal + defocus))))


def radial_frequency(N: int) -> np.ndarray:
    """Distance `(N, N)` float64 from the zero frequency [N/2, N/2], in cycles per pixel."""
    index = (np.arange(N) - N // 2) / N
    return np.hypot(index[:, None], index)


def soft_aperture(q: np.ndarray, rim: float, stop: float) -> np.ndarray:
    """Transmission of a round aperture `(N, N)`, its edges soft over one detector pixel.

    Args:
        q: `(N, N)`, see `radial_frequency`.
        rim: radius in cycles per pixel.
        stop: radius of a central stop relative to the rim.
    """
    u, soft = q / rim, 1.0 / (len(q) * rim)
    transmission = np.clip((1.0 - u) / soft + 0.5, 0.0, 1.0)
    if stop > 0:
        transmission *= np.clip((u - stop) / soft + 0.5, 0.0, 1.0)
    return transmission


def focal_field(pupil: np.ndarray) -> np.ndarray:
    """Field in the focal plane of a lens with this pupil: `(N, N)` complex128, centred."""
    return np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(pupil)))
