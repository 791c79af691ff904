"""The centred orthonormal Fourier transform: the only place that knows the shift order."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from keras import ops

from pinn.ops.pairs import Pair, Tensor, scale


def fft2c(pair: Pair) -> Pair:
    """Centred orthonormal 2-D Fourier transform over the last two axes.

    `fftshift(fft2(ifftshift(z))) / sqrt(H W)`: the origin of both domains is at index
    `(H // 2, W // 2)`, and the sum of `|z|^2` is conserved. Any rank, square or not, even or odd.

    Args:
        pair: field `(..., H, W)`, H and W static.

    Returns:
        Spectrum `(..., H, W)`.
    """
    height, width = pair[0].shape[-2:]
    return _centred(ops.fft2, pair, 1.0 / math.sqrt(height * width))


def ifft2c(pair: Pair) -> Pair:
    """Inverse (and adjoint) of `fft2c`."""
    height, width = pair[0].shape[-2:]
    return _centred(ops.ifft2, pair, math.sqrt(height * width))


def _centred(transform: Callable[[Pair], Pair], pair: Pair, norm: float) -> Pair:
    height, width = pair[0].shape[-2:]
    if height % 2 or width % 2:
        centre = (height // 2, width // 2)
        corner = (-centre[0], -centre[1])
        re, im = transform((_roll(pair[0], corner), _roll(pair[1], corner)))
        return scale((_roll(re, centre), _roll(im, centre)), norm)
    # A shift by half of an even period is a change of sign of every second sample in the other
    # domain: two products, which compilers fuse, instead of moving four images in memory.
    before, after = (ops.convert_to_tensor(signs) for signs in _signs(height, width, norm))
    return scale(transform(scale(pair, before)), after)


@lru_cache(maxsize=32)
def _signs(height: int, width: int, norm: float) -> tuple[np.ndarray, np.ndarray]:
    """What to multiply with before and after the transform, float32 `(H, W)` each."""
    signs = (1.0 - 2.0 * (np.add.outer(np.arange(height), np.arange(width)) % 2)).astype("float32")
    return signs, np.float32(norm * (-1.0) ** ((height + width) // 2)) * signs


def _roll(x: Tensor, shift: tuple[int, int]) -> Tensor:
    return ops.roll(x, shift, axis=(-2, -1))
