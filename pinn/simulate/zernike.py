"""Zernike polynomials by Noll index: aberrations of a round aperture.

R. J. Noll, J. Opt. Soc. Am. 66, 207 (1976): orthonormal over the unit disc, so that a coefficient
is the root mean square phase of its term, and even indices go with the cosine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

FIRST = 4  # piston and tilts (1 to 3) change nothing or move the probe: no aberrations
LAST = 231  # radial order 20: factorials stay exact in float64


def noll(index: int) -> tuple[int, int]:
    """Radial order n and azimuthal frequency m of a Noll index; m > 0 cosine, m < 0 sine."""
    n = math.isqrt(2 * index - 1) - 1
    if (n + 1) * (n + 2) // 2 < index:
        n += 1
    within = index - n * (n + 1) // 2  # 1 to n + 1 within the order
    m = 2 * (within // 2) if n % 2 == 0 else 2 * ((within - 1) // 2) + 1
    return n, m if index % 2 == 0 else -m


def zernike(index: int, radius: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """The polynomial of a Noll index.

    Args:
        index: 1 (piston), 2 and 3 (tilts), 4 (defocus), ...
        radius: in units of the aperture's.
        angle: radians, broadcastable with `radius`.

    Returns:
        float64, with mean square 1 over the unit disc.
    """
    n, m = noll(index)
    k = abs(m)
    radial = sum(
        (-1) ** s
        * (
            math.factorial(n - s)
            // (
                math.factorial(s)
                * math.factorial((n + k) // 2 - s)
                * math.factorial((n - k) // 2 - s)
            )
        )
        * radius ** (n - 2 * s)
        for s in range((n - k) // 2 + 1)
    )
    scale = math.sqrt(n + 1) if m == 0 else math.sqrt(2 * (n + 1))
    wave = np.cos(k * angle) if m >= 0 else np.sin(k * angle)
    return np.asarray(scale * radial * wave)


def phase_of(
    coefficients: Mapping[int, float], radius: np.ndarray, angle: np.ndarray
) -> np.ndarray:
    """Sum of polynomials: phase in radians; see `zernike`."""
    total = np.zeros(np.broadcast_shapes(radius.shape, angle.shape))
    for index, value in coefficients.items():
        total += value * zernike(index, radius, angle)
    return total


def random_zernike(order: int, rms: float, rng: np.random.Generator) -> dict[int, float]:
    """Normal coefficients from index 4 up to a radial order, scaled to a total rms phase.

    Higher orders are weaker, as those of real optics are: each has standard deviation 1/n.
    """
    indices = range(FIRST, (order + 1) * (order + 2) // 2 + 1)
    values = np.array([rng.standard_normal() / noll(j)[0] for j in indices])
    values *= rms / np.linalg.norm(values)
    return dict(zip(indices, values.tolist(), strict=True))


def parse_zernike(text: str) -> dict[int, float]:
    """Coefficients from `index:radians,index:radians`.

    Raises:
        ValueError: not of that form, piston or tilt, an or an index twice.
    """
    coefficients: dict[int, float] = {}
    for term in text.split(","):
        index, _, value = term.partition(":")
        try:
            number, radians = int(index), float(value)
        except ValueError:
            number, radians = 0, math.nan
        if not math.isfinite(radians):
            raise ValueError(
                f"zernike has {term.strip()!r}, but Noll index:radians is required, as in "
                "5:0.8,8:-0.4"
            )
        if not FIRST <= number <= LAST:
            raise ValueError(
                f"zernike has the Noll index {number}, but {FIRST} (defocus) to {LAST} are "
                "aberrations; piston and tilt (1 to 3) change no frame"
            )
        if number in coefficients:
            raise ValueError(f"zernike has the Noll index {number} twice; add the two up")
        coefficients[number] = radians
    return coefficients
