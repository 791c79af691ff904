"""Measures of one aligned complex image against another.

Each takes `(h, w)` complex images and an optional `(h, w)` bool mask of the pixels to use. Data
ranges are those of the truth, never those of an image format.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage
from skimage.metrics import structural_similarity

SSIM_WINDOW = 7  # pixels, uniform: scikit-image's default


def nrmse(recon: np.ndarray, truth: np.ndarray, valid: np.ndarray | None = None) -> float:
    """`norm(recon - truth) / norm(truth)` of the complex images; NaN for a truth of zeros."""
    recon, truth = _used(recon, valid), _used(truth, valid)
    size = float(np.linalg.norm(truth))
    return float(np.linalg.norm(recon - truth)) / size if size > 0 else math.nan


def mae(first: np.ndarray, second: np.ndarray, valid: np.ndarray | None = None) -> float:
    """Mean absolute difference of two real images."""
    return float(np.mean(np.abs(_used(first, valid) - _used(second, valid))))


def data_range(image: np.ndarray, valid: np.ndarray | None = None) -> float:
    """Maximum less minimum of a real image."""
    return float(np.ptp(_used(image, valid)))


def psnr(difference: np.ndarray, peak: float, valid: np.ndarray | None = None) -> float:
    """`10 log10(peak^2 / mean(difference^2))` in dB.

    Args:
        difference: `(h, w)` real.
        peak: the data range.
        valid: pixels to use.

    Returns:
        Infinity where the difference is zero; NaN for a range of zero.
    """
    if not peak > 0:
        return math.nan
    error = float(np.mean(_used(difference, valid) ** 2))
    return 10.0 * math.log10(peak**2 / error) if error > 0 else math.inf


def ssim(
    image: np.ndarray, truth: np.ndarray, peak: float, valid: np.ndarray | None = None
) -> float:
    """Structural similarity (Wang et al., IEEE Trans. Image Process. 13, 600, 2004).

    scikit-image's, 7 x 7 uniform window, averaged over the pixels whose whole window is inside the
    image and used.

    Args:
        image: `(h, w)` real.
        truth: `(h, w)` real.
        peak: the data range.
        valid: pixels to use.

    Returns:
        NaN where no window fits, or the range is zero.
    """
    if min(truth.shape) < SSIM_WINDOW or not peak > 0:
        return math.nan
    if valid is not None:
        image, truth = np.where(valid, image, 0.0), np.where(valid, truth, 0.0)
    _, each = structural_similarity(image, truth, win_size=SSIM_WINDOW, data_range=peak, full=True)
    inside = np.ones(truth.shape, bool) if valid is None else valid
    inside = ndimage.binary_erosion(inside, np.ones((SSIM_WINDOW, SSIM_WINDOW)), border_value=0)
    return float(each[inside].mean()) if inside.any() else math.nan


def phase_images(
    recon: np.ndarray, truth: np.ndarray, valid: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, float]:
    """Phases of both images, in radians, about the mean phase of the truth.

    The two differ by their wrapped difference, so a wrap in one of them alone is no error; the
    mean (circular) difference, which the complex factor leaves because it weighs by amplitude, is
    taken off the first. A pixel that is zero has no phase and counts as one of phase 0.

    Returns:
        phase of `recon`, phase of `truth` (in (-pi, pi]), and the difference taken off.
    """
    turned, wanted = _unit(recon), _unit(truth)
    middle = np.mean(_used(wanted, valid))
    phase = np.angle(wanted * np.conj(middle)) if abs(middle) > 0 else np.angle(truth)
    difference = np.angle(turned * np.conj(wanted))
    offset = float(np.angle(np.mean(_used(np.exp(1j * difference), valid))))
    return phase + np.angle(np.exp(1j * (difference - offset))), phase, offset


def _unit(image: np.ndarray) -> np.ndarray:
    return np.exp(1j * np.angle(image))


def _used(image: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    return image.ravel() if valid is None else image[valid]
