"""Probes: complex illuminations of N x N pixels, one or several incoherent modes.

All are centred on pixel N/2, except the disc, which has the centre (N-1)/2 of the window it is
made from. Their scale is arbitrary here; the dose is set where the scan is put together.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter

from pinn.data.geometry import probe_diameter_px
from pinn.errors import ConfigError
from pinn.simulate.config import SimulateConfig
from pinn.simulate.files import read_probe
from pinn.simulate.optics import (
    HALF_WIDTH,
    MAX_RIM,
    MIN_RIM_PX,
    focal_field,
    radial_frequency,
    soft_aperture,
    zone_plate,
)
from pinn.simulate.options import (
    ABERRATION,
    MODE_RATIO,
    PROBE_DIAMETER,
    ZERNIKE_ORDER,
    ZERNIKE_RMS,
)
from pinn.simulate.zernike import parse_zernike, phase_of, random_zernike

# Phase in radians of the radius relative to the rim and the angle.
Wavefront = Callable[[np.ndarray, np.ndarray], np.ndarray]

# Threshold 1/2 on a Gaussian window of standard deviation N / (0.7 pi^2): the customary disc.
DISC_FRACTION = 2.0 * np.sqrt(2.0 * np.log(2.0)) / (0.7 * np.pi**2)


def make_probe(config: SimulateConfig, rng: np.random.Generator, error: float = 0.0) -> np.ndarray:
    """The modes of the probe, strongest first.

    Args:
        config: the recipe.
        rng: of what is random in it.
        error: relative error of the defocus: with the same aperture, aberrations and centre.

    Returns:
        `(P, N, N)` complex128, orthogonal, summed power 1.

    Raises:
        ConfigError: the probe asked for cannot be sampled on N pixels.
        ScanError: a probe file does not hold a usable probe.
    """
    if config.probe == "file":
        assert config.probe_file is not None
        modes = read_probe(config.probe_file, config.N)
        if len(modes) > 1:
            if config.probe_modes not in (1, len(modes)):
                raise ConfigError(
                    f"{config.probe_file} has {len(modes)} probe modes, but probe_modes is "
                    f"{config.probe_modes}; leave probe_modes out to take those of the file"
                )
            return modes / np.sqrt(np.sum(np.abs(modes) ** 2))
        first = modes[0]
    else:
        first = _first_mode(config, rng, error)
    ratio = MODE_RATIO if config.mode_ratio is None else config.mode_ratio
    return with_modes(first, config.probe_modes, ratio)


def _first_mode(config: SimulateConfig, rng: np.random.Generator, error: float) -> np.ndarray:
    wider = further = 1.0
    if config.probe_variation > 0:
        drawn = rng.spawn(1)[0].uniform(-1.0, 1.0, 2)
        wider, further = (1.0 + config.probe_variation * drawn).tolist()
    if config.probe == "zone_plate":
        return zone_plate(config, wider, further * (1.0 + error))
    fraction = config.probe_diameter
    if config.probe == "disc":
        return disc(config.N, wider * (DISC_FRACTION if fraction is None else fraction))
    fraction = wider * (fraction or PROBE_DIAMETER[config.probe])
    if config.probe == "gaussian":
        return gaussian(config.N, fraction)
    # unset: as much defocus as makes the image of the aperture half as wide as the detector
    defocus = np.pi * HALF_WIDTH * fraction * config.N / 2
    defocus = further * (defocus if config.defocus is None else config.defocus)
    wavefront = _wavefront(config, rng)
    fractions: tuple[float, ...] = (1.0,)
    if config.probe == "zernike" and config.defocus is None:
        # aberrations widen the probe too: where they leave no room for the defocus there is less
        fractions = (1.0, 0.5, 0.0)
    for reduced in fractions:
        try:
            return behind_aperture(
                config.N,
                fraction,
                wavefront,
                defocus=reduced * defocus,
                central_stop=config.central_stop or 0.0,
                error=error,
            )
        except ConfigError as narrow:
            failure = narrow
    raise failure


def _wavefront(config: SimulateConfig, rng: np.random.Generator) -> Wavefront:
    if config.probe == "defocused":
        strength = ABERRATION if config.aberration is None else config.aberration
        return astigmatism_and_coma(strength, rng.uniform(0.0, 2.0 * np.pi, 2))
    if config.zernike is not None:
        coefficients = parse_zernike(config.zernike)
    else:
        order, rms = config.zernike_order or ZERNIKE_ORDER, config.zernike_rms or ZERNIKE_RMS
        coefficients = random_zernike(order, rms, rng)
    return lambda u, theta: phase_of(coefficients, u, theta)


def disc(N: int, fraction: float) -> np.ndarray:
    """A real disc of diameter `fraction * N`, blurred by one pixel, `(N, N)` complex128."""
    index = np.arange(N) - (N - 1) / 2
    inside = index[:, None] ** 2 + index**2 < (fraction * N / 2) ** 2
    if not inside.any():
        raise ConfigError(
            f"a disc of {fraction:g} N is smaller than a pixel at N = {N}; enlarge probe_diameter"
        )
    return gaussian_filter(inside.astype(np.float64), 1.0) + 1e-9 + 0j


def gaussian(N: int, fraction: float) -> np.ndarray:
    """A real Gaussian whose intensity has 4 sigma = `fraction * N`, `(N, N)` complex128."""
    y, x = _grid(N)
    sigma = fraction * N / 4
    return np.exp(-(y**2 + x**2) / (4 * sigma**2)) + 0j


def astigmatism_and_coma(
    strength: float, angles: np.ndarray | tuple[float, float] = (0.0, 0.0)
) -> Wavefront:
    """`strength (u^2 cos 2(t - a) + u^3 cos(t - b))` radians at u of the rim and the angle t.

    Born and Wolf, Principles of Optics, ch. 9. The angles are (a, b) in radians.
    """

    def wavefront(u: np.ndarray, theta: np.ndarray) -> np.ndarray:
        return strength * (
            u**2 * np.cos(2 * (theta - angles[0])) + u**3 * np.cos(theta - angles[1])
        )

    return wavefront


def behind_aperture(
    N: int,
    fraction: float,
    wavefront: Wavefront,
    *,
    defocus: float,
    central_stop: float = 0.0,
    error: float = 0.0,
) -> np.ndarray:
    """The field some way out of focus behind a round, soft-edged aperture with aberrations.

    Args:
        N: side in pixels.
        fraction: 4 sigma diameter over N; the radius of the aperture is found such that the
            probe has it.
        wavefront: aberrations besides the `defocus u^2` of the relative radius u.
        defocus: phase at the rim in radians, pi times the Fresnel number.
        central_stop: radius of a stop relative to the aperture's.
        error: relative error of the defocus in what is returned, behind the aperture that the
            right one needs.

    Returns:
        `(N, N)` complex128, centred on pixel N/2 by its centre of intensity (to a pixel); with an
        error moved as the right one is.

    Raises:
        ConfigError: the aperture needed is wider than the detector, or finer than its pixels.
    """
    y, x = _grid(N)
    q, theta = radial_frequency(N), np.arctan2(y / N, x / N)

    def field(rim: float, defocus: float) -> np.ndarray:
        u = q / rim
        phase = defocus * u**2 + wavefront(u, theta)
        return focal_field(soft_aperture(q, rim, central_stop) * np.exp(1j * phase))

    target, low, high = fraction * N, MIN_RIM_PX / N, MAX_RIM
    rim = max(defocus / np.pi, 1.2) / (target / 2)  # rays: radius = Fresnel number / rim
    for _ in range(40):
        rim = float(np.clip(rim, low, high))
        probe = field(rim, defocus)
        ratio = probe_diameter_px(probe[None]) / target
        if abs(ratio - 1) < 1e-3:
            break
        if (rim == high and ratio > 1) or (rim == low and ratio < 1):
            raise _unsampled(N, fraction, defocus, rim)
        rim *= ratio**0.7  # damped: the tails make the diameter no pure power of the rim
    else:
        raise _unsampled(N, fraction, defocus, rim)
    intensity = np.abs(probe) ** 2
    centre = [int(np.rint(np.sum(g * intensity) / np.sum(intensity))) for g in (y, x)]
    if error:
        probe = field(rim, defocus * (1.0 + error))
    return np.roll(probe, (-centre[0], -centre[1]), (0, 1))


def _unsampled(N: int, fraction: float, defocus: float, rim: float) -> ConfigError:
    what, advice = "too narrow to be sampled", "lower probe_diameter or raise defocus"
    if rim > 0.2:
        what = "wider than the detector"
        advice = "enlarge probe_diameter, or lower defocus or aberrations"
    return ConfigError(
        f"a probe of diameter {fraction:g} N with defocus {defocus:g} at N = {N} needs an aperture "
        f"{what}; {advice}"
    )


def with_modes(first: np.ndarray, count: int, ratio: float) -> np.ndarray:
    """Add orthogonal modes to a probe: it times polynomials of rising degree, orthonormalised.

    Args:
        first: `(N, N)` complex.
        count: number of modes P.
        ratio: power of each mode over that of the one before.

    Returns:
        `(P, N, N)` complex128, orthogonal, the first proportional to `first`, summed power 1.
    """
    matrix = polynomials(first, count).T
    q, r = np.linalg.qr(matrix / np.linalg.norm(matrix, axis=0))
    # QR may turn a column's phase; the first keeps its own
    q = q * (np.diag(r) / np.abs(np.diag(r)))
    powers = ratio ** np.arange(count)
    q = q * np.sqrt(powers / powers.sum())
    return np.ascontiguousarray(q.T).reshape(count, *first.shape)


def polynomials(first: np.ndarray, count: int) -> np.ndarray:
    """A probe `(N, N)` times polynomials of rising degree: `(count, N * N)`.

    They are polynomials of `tanh` of the coordinates over the probe's radius: bounded, so that
    higher modes do not live in the faint tails of a diffracted probe.
    """
    radius = probe_diameter_px(first[None]) / 2
    y, x = (np.tanh(g / radius) for g in _grid(len(first)))
    columns: list[np.ndarray] = []
    degree = 0
    while len(columns) < count:
        columns += [first * y**k * x ** (degree - k) for k in range(degree + 1)]
        degree += 1
    return np.stack([c.ravel() for c in columns[:count]])


def _grid(N: int) -> tuple[np.ndarray, np.ndarray]:
    index = (np.arange(N) - N // 2).astype(np.float64)
    return index[:, None], index[None, :]
