"""Lengths, wavelengths and pixels: the one place that turns metres into object pixels.

In the far field a detector of N pixels of side p at distance z samples the object in pixels of
`wavelength * z / (N p)`. Cropping the detector therefore makes object pixels larger; binning it
leaves them as they are and cuts the field of view of the probe.
"""

from __future__ import annotations

import math

import numpy as np

from pinn.errors import ScanError

# CODATA 2018; the first three are exact by definition of the SI.
PLANCK_J_S = 6.62607015e-34
LIGHT_M_S = 299792458.0
CHARGE_C = 1.602176634e-19
ELECTRON_KG = 9.1093837015e-31

LENGTH_UNITS = {"m": 1.0, "mm": 1e-3, "um": 1e-6, "nm": 1e-9}
PARTICLES = ("photon", "electron")
FAR = "far"  # the propagation that the object pixel is computed for
_REST_EV = ELECTRON_KG * LIGHT_M_S**2 / CHARGE_C  # 511 keV
_HC_EV_M = PLANCK_J_S * LIGHT_M_S / CHARGE_C  # 1.24e-6 eV m
_LARGEST_CANVAS = 1 << 30  # pixels
_LARGE_CANVAS = 1 << 26  # pixels; on one of that size
_THINLY = 100  # times the area of all frames together is nothing but a position far away


def photon_wavelength_m(energy_ev: float) -> float:
    """Wavelength of a photon, `h c / E`."""
    return _HC_EV_M / energy_ev


def photon_energy_ev(wavelength_m: float) -> float:
    """Energy of a photon; inverse of `photon_wavelength_m`, infinite for a wavelength of 0."""
    return _HC_EV_M / wavelength_m if wavelength_m else math.inf


def electron_wavelength_m(energy_ev: float) -> float:
    """De Broglie wavelength of an electron of this kinetic energy, relativistic.

    `h c / sqrt(E (E + 2 m c^2))`: 1.97 pm at 300 keV.
    """
    return _HC_EV_M / math.sqrt(energy_ev * (energy_ev + 2 * _REST_EV))


def electron_energy_ev(wavelength_m: float) -> float:
    """Kinetic energy of an electron; inverse of `electron_wavelength_m`."""
    momentum = _HC_EV_M / wavelength_m  # p c in eV
    return momentum**2 / (math.hypot(momentum, _REST_EV) + _REST_EV)


def wavelength_m(energy_ev: float, particle: str = "photon") -> float:
    """Wavelength of a photon, or of an electron of this kinetic energy."""
    known = {"photon": photon_wavelength_m, "electron": electron_wavelength_m}
    return known[particle](energy_ev)


def object_pixel_m(
    wavelength_m: float, distance_m: float, side_px: float, detector_pixel_m: float
) -> float:
    """Side of an object pixel in metres in the far field, for `side_px` detector pixels."""
    return wavelength_m * distance_m / (side_px * detector_pixel_m)


def following_pixel_m(
    energy_ev: float | None,
    particle: str,
    distance_m: float | None,
    side_px: float,
    detector_pixel_m: float | None,
    propagation: str = FAR,
) -> float | None:
    """The object pixel that follows from the instrument.

    Returns:
        Metres; None where a number is missing, or where the propagation is another than the far
        field, so that nothing follows.
    """
    if energy_ev is None or distance_m is None or detector_pixel_m is None or propagation != FAR:
        return None
    return object_pixel_m(wavelength_m(energy_ev, particle), distance_m, side_px, detector_pixel_m)


def probe_diameter_px(probe: np.ndarray) -> float:
    """Diameter of the illumination: four standard deviations of `sum_m |P_m|^2`.

    Args:
        probe: `(N, N)` or `(P, N, N)` complex.

    Returns:
        Pixels; the mean of both axes. For an even disc this is its diameter (ISO 11146).
    """
    modes = np.asarray(probe, np.complex128).reshape(-1, *np.shape(probe)[-2:])
    intensity = np.sum(np.abs(modes) ** 2, axis=0)
    intensity = intensity / intensity.sum()
    variance = 0.0
    for axis in (0, 1):
        profile = intensity.sum(1 - axis)
        index = np.arange(len(profile))
        variance += float(profile @ (index - profile @ index) ** 2)
    return 4.0 * float(np.sqrt(variance / 2.0))


def check_canvas(shape: np.ndarray, name: str, frames_px: int) -> None:
    """Refuse a scan so wide that no canvas can hold it, or that hardly any of it is covered.

    Args:
        shape: height and width in pixels.
        name: of the scan.
        frames_px: pixels of all frames together.

    Raises:
        ScanError: it is.
    """
    height, width = map(int, shape)
    area = height * width
    if area > _LARGEST_CANVAS:
        why = "more than a canvas can hold"
    elif area > _LARGE_CANVAS and area > _THINLY * frames_px:
        why = f"of which its frames can cover {100 * frames_px / area:.2g} % at most"
    else:
        return
    raise ScanError(
        f"scan {name} spans {height} x {width} pixels, {why}: some positions are far from the "
        "others; pinn check names their frames, leave them out with --drop-frames, or with pinn "
        "check --fix"
    )
