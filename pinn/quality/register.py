"""Alignment of a reconstruction with a truth by declared steps: shift, phase ramp, factor.

A ptychographic object is known up to a common shift (of object and probe), a linear phase ramp
and one complex factor. Each step is found, applied and reported; none uses phase unwrapping.

The shift is found by cross-correlation of the moduli with sub-pixel peak search (Guizar-Sicairos,
Thurman and Fienup, Opt. Lett. 33, 156, 2008, as implemented by scikit-image). Ramp and factor are
the joint least-squares fit of `c exp(-i k.r) recon` to the truth: its `k` maximises
`|sum truth conj(recon) exp(i k.r)|`, the peak of a Fourier transform, refined off the grid.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import fft, optimize

from pinn.quality.frc import hann, has_variance

RegisterOn = Literal["modulus", "complex"]
UPSAMPLE = 100


def find_shift(
    recon: np.ndarray,
    truth: np.ndarray,
    on: RegisterOn = "modulus",
    valid: np.ndarray | None = None,
) -> tuple[float, float] | None:
    """The shift (y, x) in pixels to apply to `recon` to bring it onto `truth`.

    Means are removed and a Hann window applied, so that the edges of the crop do not pin the
    peak at zero. Images that share only a part of their content bias one call; `align` repeats it.

    Args:
        recon: `(h, w)` complex.
        truth: `(h, w)` complex.
        on: `modulus`, or `complex` (for an object of phase only; remove the ramp first).
        valid: `(h, w)` bool; pixels that are False count as equal to the mean in both images.

    Returns:
        The shift, or None where an image has no variance to register on.
    """
    first, second = (np.abs(recon), np.abs(truth)) if on == "modulus" else (recon, truth)
    if not (has_variance(first, valid) and has_variance(second, valid)):
        return None
    window = hann(first.shape) if valid is None else hann(first.shape) * valid
    used = slice(None) if valid is None else valid
    first = (first - first[used].mean()) * window
    second = (second - second[used].mean()) * window
    from skimage.registration import phase_cross_correlation  # heavy, and needed here only

    shift, _, _ = phase_cross_correlation(
        second, first, upsample_factor=UPSAMPLE, normalization=None
    )
    return float(shift[0]), float(shift[1])


def phase_gradient(field: np.ndarray) -> tuple[float, float]:
    """Mean phase gradient (y, x) in radians per pixel, bright pixels counting most.

    The angle of the summed product of neighbours: no phase is unwrapped. `find_ramp` searches
    instead, where structure may hide the ramp.

    Args:
        field: `(H, W)` complex.
    """
    wide = field.astype(np.complex128)
    y = np.sum(np.conj(wide[:-1]) * wide[1:])
    x = np.sum(np.conj(wide[:, :-1]) * wide[:, 1:])
    return float(np.angle(y)), float(np.angle(x))


def phase_ramp(
    gradient: tuple[float, float], shape: tuple[int, ...], centre: tuple[float, float] | None = None
) -> np.ndarray:
    """`exp(i gradient . r)` `(H, W)` complex128.

    Args:
        gradient: (y, x) in radians per pixel.
        shape: `(H, W)`.
        centre: index (y, x) where the phase is 0; default `[H // 2, W // 2]`.
    """
    middle = (shape[0] // 2, shape[1] // 2) if centre is None else centre
    y, x = (
        np.exp(1j * g * (np.arange(n) - c)) for g, n, c in zip(gradient, shape, middle, strict=True)
    )
    return np.asarray(y[:, None] * x[None, :])


def find_ramp(
    recon: np.ndarray, truth: np.ndarray, valid: np.ndarray | None = None
) -> tuple[float, float]:
    """The linear phase ramp (y, x), rad per pixel, by which `recon` exceeds `truth`.

    Removed by `recon * exp(-1j * (k_y y + k_x x))`. Global: the peak of a zero-padded FFT of the
    product; then refined by a quasi-Newton search with exact gradient. A ramp is known modulo
    2 pi per pixel and returned in [-pi, pi).
    """
    product = truth * np.conj(recon)
    if valid is not None:
        product = np.where(valid, product, 0.0)
    size = np.abs(product).sum()
    if not size > 0:
        return 0.0, 0.0
    shape = tuple(fft.next_fast_len(2 * n) for n in product.shape)
    # sum p exp(+i k.r) at k = 2 pi m / n is the inverse transform, up to its factor.
    spectrum = np.abs(fft.ifft2(product, shape))
    peak = np.unravel_index(int(np.argmax(spectrum)), shape)
    start = [2 * np.pi * (p - n if 2 * p >= n else p) / n for p, n in zip(peak, shape, strict=True)]
    rows, cols = (np.arange(n) - (n - 1) / 2 for n in product.shape)
    scale = 1.0 / np.array(product.shape)  # one unit of the search = one radian across the image

    def negative(u: np.ndarray) -> tuple[float, np.ndarray]:
        k = u * scale
        left, right = np.exp(1j * k[0] * rows), np.exp(1j * k[1] * cols)
        middle = product @ right
        total = left @ middle
        derivatives = [(1j * rows * left) @ middle, left @ (product @ (1j * cols * right))]
        gradient = (np.conj(total) * np.array(derivatives)).real / max(abs(total), 1e-300)
        return -abs(total) / size, -gradient * scale / size

    found = optimize.minimize(
        negative,
        np.array(start) / scale,
        jac=True,
        method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-12},
    )
    ramp = found.x * scale
    ramp = (ramp + np.pi) % (2 * np.pi) - np.pi
    return float(ramp[0]), float(ramp[1])


def remove_ramp(recon: np.ndarray, ramp_rad_per_px: tuple[float, float]) -> np.ndarray:
    """`recon * exp(-i k.r)`, r in pixels from the centre of the image."""
    y, x = ramp_rad_per_px
    middle = (recon.shape[0] - 1) / 2, (recon.shape[1] - 1) / 2
    return recon * phase_ramp((-y, -x), recon.shape, middle)


def find_factor(recon: np.ndarray, truth: np.ndarray, valid: np.ndarray | None = None) -> complex:
    """The complex number `c` with the least `norm(c recon - truth)`; 0 for a recon of zeros."""
    if valid is not None:
        recon, truth = recon[valid], truth[valid]
    power = np.vdot(recon, recon).real
    return complex(np.vdot(recon, truth) / power) if power > 0 else 0j


def similarity(recon: np.ndarray, truth: np.ndarray, valid: np.ndarray | None = None) -> float:
    """Normalised complex correlation in [0, 1]; nrmse after the best factor is sqrt(1 - s^2)."""
    if valid is not None:
        recon, truth = recon[valid], truth[valid]
    size = float(np.linalg.norm(recon) * np.linalg.norm(truth))
    return min(float(abs(np.vdot(recon, truth))) / size, 1.0) if size > 0 else 0.0
