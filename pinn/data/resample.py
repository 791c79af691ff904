"""What cropping and binning of frames does to the probe, the truth and label patches.

Cropping the detector from W to N pixels keeps the field of view and makes object pixels W/N times
larger: the far field of the probe is cropped likewise. Binning by b keeps the object pixel and
divides the field of view: the probe is cut in real space.
"""

from __future__ import annotations

import numpy as np

from pinn.data.fourier import fft2c, ifft2c


def energy(field: np.ndarray) -> float:
    """Sum of `|field|^2` in double precision."""
    wide = np.asarray(field, np.complex128)
    return float(np.sum(wide.real**2 + wide.imag**2))


def crop_far_field(field: np.ndarray, side: int) -> np.ndarray:
    """A field as a detector of `side` pixels of the same size samples it.

    Args:
        field: `(..., H, W)` complex, centred at `[H//2, W//2]`.
        side: pixels each way; more than before pads with zeros.

    Returns:
        complex128 `(..., side, side)`, centred at `[side//2, side//2]`. The transform is
        orthonormal: the energy is that which falls on the detector.
    """
    far = fft2c(np.asarray(field, np.complex128))
    return ifft2c(centred_window(far, side))


def cut_probe(probe: np.ndarray, factor: int) -> np.ndarray:
    """The probe for frames of which `factor` times `factor` pixels are added up.

    Args:
        probe: `(..., N, N)` complex, N a multiple of twice `factor`.

    Returns:
        complex128 `(..., N/factor, N/factor)`: its middle, times a phase ramp. The first block
        begins at the zero frequency, so that the middle of each lies (factor - 1)/2 stored pixels
        further; a ramp of the probe is the same as that shift of all frames.
    """
    N = probe.shape[-1]
    side = N // factor
    cut = centred_window(np.asarray(probe, np.complex128), side)
    place = np.arange(side) - side // 2
    ramp = np.exp(-1j * np.pi * (factor - 1) / N * place)
    return cut * ramp[:, None] * ramp


def centred_window(array: np.ndarray, side: int) -> np.ndarray:
    """The middle `(..., side, side)` of `(..., H, W)`, `[H//2, W//2]` at `[side//2, side//2]`."""
    H, W = array.shape[-2:]
    return window(array, (H // 2, W // 2), side)


def window(array: np.ndarray, middle: tuple[int, int], side: int) -> np.ndarray:
    """A square `(..., side, side)` of `(..., H, W)`, zero where it reaches beyond.

    Args:
        middle: pixel of the array that comes to `[side//2, side//2]`.
    """
    (y, to_y), (x, to_x) = (
        _overlap(place - side // 2, side, n)
        for place, n in zip(middle, array.shape[-2:], strict=True)
    )
    inside: np.ndarray = array[..., y, x]
    if inside.shape[-2:] == (side, side):
        return inside
    out = np.zeros((*array.shape[:-2], side, side), array.dtype)
    out[..., to_y, to_x] = inside
    return out


def _overlap(low: int, side: int, n: int) -> tuple[slice, slice]:
    """Where a window of `side` from `low` on lies in `n` pixels, and where that is in it."""
    inside = slice(max(low, 0), min(low + side, n))
    return inside, slice(inside.start - low, inside.stop - low)


def resample_truth(
    truth: np.ndarray, origin: tuple[float, float], scale: tuple[float, float]
) -> tuple[np.ndarray, tuple[float, float]]:
    """The truth on the grid of other object pixels.

    Pixels are interpolated by a cubic spline, real and imaginary part apart, after a Gaussian
    against aliasing where pixels become larger.

    Args:
        truth: `(H, W)` complex.
        origin: object coordinate (y, x) of its pixel `[0, 0]`, in pixels as they were.
        scale: pixels as they are now per pixel as they were (y, x).

    Returns:
        complex64 `(H', W')`, and the coordinate of its pixel `[0, 0]` in pixels as they are now:
        the origin, times the scale.
    """
    from scipy.ndimage import gaussian_filter, map_coordinates

    lines = [np.arange(int((n - 1) * s) + 1) / s for n, s in zip(truth.shape, scale, strict=True)]
    grid = np.meshgrid(*lines, indexing="ij")
    blur = [max(0.0, (1 / s - 1) / 2) for s in scale]
    wide = np.asarray(truth, np.complex128)
    real, imaginary = (
        map_coordinates(gaussian_filter(part, blur, mode="nearest"), grid, order=3, mode="nearest")
        for part in (wide.real, wide.imag)
    )
    moved = (origin[0] * scale[0], origin[1] * scale[1])
    return (real + 1j * imaginary).astype(np.complex64), moved
