"""The centred Fourier transform in NumPy: the shift order of everything that is no tensor.

The twin for tensors is `pinn.ops.fourier`; the simulator has its own, since it is what these are
tested against.
"""

from __future__ import annotations

import numpy as np
from numpy import fft

_AXES = (-2, -1)


def centre(frames: np.ndarray) -> np.ndarray:
    """Zero frequency from index `[0, 0]` to `[H // 2, W // 2]`, over the last two axes."""
    return np.asarray(fft.fftshift(frames, _AXES))


def corner(frames: np.ndarray) -> np.ndarray:
    """Zero frequency from `[H // 2, W // 2]` to `[0, 0]`, over the last two axes."""
    return np.asarray(fft.ifftshift(frames, _AXES))


def fft2c(field: np.ndarray) -> np.ndarray:
    """Centred orthonormal Fourier transform `(..., H, W)`, in the precision of the field."""
    return centre(fft.fft2(corner(field), norm="ortho"))


def ifft2c(spectrum: np.ndarray) -> np.ndarray:
    """Inverse, and adjoint, of `fft2c`."""
    return centre(fft.ifft2(corner(spectrum), norm="ortho"))
