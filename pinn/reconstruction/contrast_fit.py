"""The closed-form fit of scale and contrast: three numbers from sums over pixels.

An object is split as `m (1 + r + i s)`; the intensities of `m (c0 + c1 r + i c2 s)` are quadratic
in c, so the weighted squared distance to measured ones is a polynomial of fourth degree whose
coefficients are sums of products of six features (Golub and Pereyra, Inverse Problems 19, R1,
2003). The features are the intensities of the parts in the order 00, 01, 02, 11, 12, 22, products
of two parts counted twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

LIMIT = 2.0  # beyond this factor the frames do not speak of contrast any more


def best_scale(gram: np.ndarray, right: np.ndarray, factors: tuple[float, float]) -> float:
    """The best c0 where `c1/c0` and `c2/c0` are given; gram and right as in `fit`."""
    c = np.array([1.0, *factors])
    q = np.array([c[i] * c[j] for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))])
    ratio = float(right @ q) / max(float(q @ gram @ q), 1e-300)
    return math.sqrt(max(ratio, 1e-30))


@dataclass(frozen=True)
class Fit:
    """The best three numbers.

    Attributes:
        scale: best common factor c0 = c1 = c2 if the contrast is left alone.
        base: c0 with the contrast free.
        real, imaginary: `c1/c0` and `c2/c0`.
        before, after: relative weighted squared distance with `scale`, and with all three.
        plausible: the three are finite, better than `scale` alone, and within `LIMIT`.
    """

    scale: float
    base: float
    real: float
    imaginary: float
    before: float
    after: float
    plausible: bool


def fit(gram: np.ndarray, right: np.ndarray, energy: float) -> Fit | None:
    """Minimise the distance.

    Args:
        gram: `(6, 6)` weighted sums of products of features.
        right: `(6,)` of features times measured intensity.
        energy: of the squared measured intensity.

    Returns:
        None where nothing was measured.
    """
    if not energy > 0:
        return None

    def products(c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a, b, d = c
        q = np.array([a * a, a * b, a * d, b * b, b * d, d * d])
        slope = np.array(
            [[2 * a, 0, 0], [b, a, 0], [d, 0, a], [0, 2 * b, 0], [0, d, b], [0, 0, 2 * d]]
        )
        return q, slope

    def value(c: np.ndarray) -> tuple[float, np.ndarray]:
        q, slope = products(c)
        pull = gram @ q - right
        return float(q @ (pull - right) / energy + 1.0), 2.0 * slope.T @ pull / energy

    start = best_scale(gram, right, (1.0, 1.0))
    before = value(np.full(3, start))[0]
    # in units of the start, so that the scale of the frames plays no part
    result = minimize(
        lambda c: (value(c * start)[0], value(c * start)[1] * start),
        np.ones(3),
        jac=True,
        method="BFGS",
        options={"gtol": 1e-9},
    )
    base, real, imaginary = result.x
    good = bool(np.all(np.isfinite(result.x)) and base > 0 and result.fun < before)
    if good:
        real, imaginary = float(real / base), float(imaginary / base)
        good = all(1 / LIMIT <= factor <= LIMIT for factor in (real, imaginary))
    after = float(result.fun) if good else before
    return Fit(start, float(base) * start, float(real), float(imaginary), before, after, good)
