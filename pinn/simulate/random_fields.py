"""Random fields: Gaussian with a given spectrum, and gradient noise of several octaves."""

from __future__ import annotations

import math

import numpy as np
from scipy import fft

_ROWS = 256  # of an image computed at once


def gaussian_field(
    size: int, correlation: float, exponent: float, rng: np.random.Generator
) -> np.ndarray:
    """A Gaussian random field of a stated power spectrum.

    The spectrum is `(1 + (2 pi q L)^2)^(-exponent/2)` at q cycles per pixel, L the correlation
    length: even below `1 / (2 pi L)`, a power law above (the Matern family; its smoothness is
    `exponent/2 - 1`).

    Args:
        size: side in pixels.
        correlation: L in pixels.
        exponent: 0 is white noise; larger is smoother.
        rng: source of randomness.

    Returns:
        `(size, size)` float64, of mean 0 and expected variance 1.
    """
    # the field is periodic: cut from a larger one, opposite sides have nothing in common
    side = fft.next_fast_len(size + math.ceil(min(4 * correlation, size)), real=True)
    qy, qx = fft.fftfreq(side)[:, None], fft.rfftfreq(side)
    scale = (math.tau * correlation) ** 2
    weight = (1.0 + scale * (qy**2 + qx**2)) ** (-exponent / 4.0)
    # variance: mean of the squared weight over all frequencies, those of rfft counted twice
    twice = np.full(len(qx), 2.0)
    twice[0] = 1.0
    if side % 2 == 0:
        twice[-1] = 1.0
    variance = float((weight**2 * twice).sum()) / side**2
    spectrum = fft.rfft2(rng.standard_normal((side, side)))
    spectrum *= weight
    return np.asarray(fft.irfft2(spectrum, (side, side))[:size, :size] / math.sqrt(variance))


def gradient_noise(size: int, cell: float, octaves: int, rng: np.random.Generator) -> np.ndarray:
    """Gradient noise: each octave half as wide and half as strong as the one before.

    K. Perlin, Computer Graphics 19 (3), 287 (1985), with his later quintic fade (ACM Trans.
    Graph. 21, 681 (2002)): random unit gradients on a lattice, interpolated.

    Args:
        size: side in pixels.
        cell: lattice spacing of the first octave in pixels; octaves finer than two pixels are
            left out.
        octaves: how many.
        rng: source of randomness.

    Returns:
        `(size, size)` float64 about 0; the first octave lies within 1/sqrt(2).
    """
    total = np.zeros((size, size))
    for octave in range(octaves):
        spacing = cell / 2**octave
        if octave and spacing < 2:
            break
        total += 0.5**octave * _lattice_noise(size, spacing, rng)
    return total


def _lattice_noise(size: int, spacing: float, rng: np.random.Generator) -> np.ndarray:
    count = math.ceil(size / spacing) + 2
    angle = rng.uniform(0.0, math.tau, (count, count))
    gradient = np.stack([np.sin(angle), np.cos(angle)])
    along = np.arange(size) / spacing + rng.uniform(0.0, 1.0)
    cell = along.astype(np.int64)
    fraction = along - cell
    fade = fraction**3 * (fraction * (6.0 * fraction - 15.0) + 10.0)
    total = np.zeros((size, size))
    for first in range(0, size, _ROWS):  # in strips: the four corners of all pixels are large
        rows = slice(first, first + _ROWS)
        for dy in (0, 1):
            for dx in (0, 1):
                gy, gx = gradient[:, (cell[rows] + dy)[:, None], cell + dx]
                dot = gy * (fraction[rows] - dy)[:, None] + gx * (fraction - dx)
                weight = np.abs(1 - dy - fade[rows])[:, None] * np.abs(1 - dx - fade)
                total[rows] += weight * dot
    return total
