"""Probes with the modulus of the mean pattern on the detector, in focus or out of it.

The object spreads the far field of the probe, and little where it is weak; its phase is not
measured. A defocus d adds the phase `-pi wavelength d q^2` at the frequency q (Goodman,
Introduction to Fourier Optics, ch. 4).
"""

from __future__ import annotations

import math

import numpy as np
from scipy import fft

from pinn.data.fourier import centre, corner
from pinn.data.geometry import probe_diameter_px
from pinn.data.scan import Scan
from pinn.errors import ScanError

_SEEN = 64  # frames whose mean is the pattern
_WIDEST = 0.8  # of the frame side: a wider spot wraps round
_CLOSE = 0.01  # of a diameter


def mean_pattern(scan: Scan, rows: np.ndarray | None = None) -> np.ndarray:
    """Mean counts `(N, N)`, centred, of some frames spread over the scan, or over `rows` of it."""
    rows = np.arange(len(scan)) if rows is None else rows
    amplitude, valid = scan.read(rows[:: max(1, len(rows) // _SEEN)][:_SEEN])
    counts = np.square(amplitude, dtype=np.float64)
    return np.asarray(counts.sum(0) / np.maximum(valid.sum(0), 1))


def spread(mean: np.ndarray) -> float:
    """Radius of a pattern `(n, n)`, zero frequency at index [0, 0], in cycles per pixel (rms)."""
    return math.sqrt(float((mean * _square(len(mean))).sum()) / float(mean.sum())) + 1e-9


def _width(mean: np.ndarray) -> float:
    """Four standard deviations along an axis, as `probe_diameter_px` has them."""
    return 4 * spread(mean) / math.sqrt(2)


def out_of_focus(mean: np.ndarray, curvature: float) -> np.ndarray:
    """The probe of a pattern, complex128 `(n, n)`, both with their middle at index [0, 0].

    Args:
        mean: counts `(n, n)`.
        curvature: a ray of frequency q (cycles per pixel) lands at `curvature q` pixels.
    """
    phase = np.pi * curvature * _square(len(mean))
    return np.asarray(fft.ifft2(np.sqrt(mean) * np.exp(1j * phase), norm="ortho"))


def probe_from_optics(
    scan: Scan, defocus_m: float | None, diameter_m: float | None
) -> tuple[np.ndarray, str]:
    """A probe from the mean pattern and what is known of the optics.

    Args:
        scan: as read, with its pixel size.
        defocus_m: from the focus to the sample, positive where the sample lies behind it.
        diameter_m: of the illumination on the sample (four standard deviations), if the defocus is
            not known; the sample is taken to lie behind the focus.

    Returns:
        complex64 `(1, N, N)`, centred, and a sentence.

    Raises:
        ScanError: a length that it takes is not known, or the probe does not fit its pixels.
    """
    pixel, mean = scan.pixel_size_m, corner(mean_pattern(scan))
    if pixel is None or (defocus_m is not None and scan.wavelength_m is None):
        option, needs = (
            ("probe_diameter_m", "")
            if defocus_m is None
            else ("probe_defocus_m", "the energy (--energy-ev) and ")
        )
        raise ScanError(
            f"{option} needs {needs}the size of an object pixel, which {scan.where} does not "
            "hold; give --pixel-size-m, or --energy-ev, --distance-m and --detector-pixel-m"
        )
    if not mean.sum() > 0:
        raise ScanError(f"all frames of {scan.where} are dark: no probe can be made from them")
    if defocus_m is not None:
        assert scan.wavelength_m is not None
        curvature = -scan.wavelength_m * defocus_m / pixel**2
        said = f"a defocus of {defocus_m:.4g} m"
    else:
        assert diameter_m is not None
        curvature = -_curvature_of(mean, diameter_m / pixel, scan.where, pixel)
        said = f"a diameter of {diameter_m:.4g} m"
    probe = centre(out_of_focus(mean, curvature))
    width = abs(curvature) * _width(mean)  # of the rays
    if width > _WIDEST * scan.N:
        raise ScanError(
            f"with {said} the probe of {scan.where} would be about {width * pixel:.3g} m wide, "
            f"but its frames hold {scan.N * pixel:.3g} m: lower it, or check the pixel size"
        )
    return probe.astype(np.complex64)[None], f"the probe was made from the mean pattern and {said}"


def _curvature_of(mean: np.ndarray, diameter_px: float, where: str, pixel_m: float) -> float:
    """The curvature at which a probe has this diameter."""

    def width(curvature: float) -> float:
        return probe_diameter_px(centre(out_of_focus(mean, curvature)))

    low, high = 0.0, _WIDEST * len(mean) / _width(mean)
    smallest, largest = width(low), width(high)
    if not (1 - _CLOSE) * smallest <= diameter_px <= largest:
        raise ScanError(
            f"a probe {diameter_px * pixel_m:.3g} m wide does not go with the mean pattern of "
            f"{where}: in focus it is {smallest * pixel_m:.3g} m wide, and the frames hold at "
            f"most {largest * pixel_m:.3g} m; correct --probe-diameter-m or the pixel size"
        )
    for _ in range(50):
        middle = 0.5 * (low + high)
        if width(middle) < diameter_px:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _square(n: int) -> np.ndarray:
    q = fft.fftfreq(n)
    return np.asarray(q[:, None] ** 2 + q**2)
