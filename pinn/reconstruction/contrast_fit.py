"""Intensity scale and contrast of an object from its frames: features, sums over pixels, the fit.

An object is split as `m (1 + r + i s)`, m its mean, r and s real. The intensities of
`m (c0 + c1 r + i c2 s)` are quadratic in c, so the weighted squared distance to measured ones is a
polynomial of fourth degree in three numbers, whose coefficients are sums of products of six
features: one pass over the frames, then BFGS in three unknowns, which looks at no frame again.
This is variable projection with one more unknown than the two of Golub and Pereyra's rectangular
calibration (Inverse Problems 19, R1, 2003).

The features are the intensities of the parts 1, r and i s in the order `PAIRS`, products of two
parts counted twice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from keras import ops
from scipy.optimize import minimize

from pinn.data.masks import decode
from pinn.ops import forward
from pinn.ops.pairs import Pair, Tensor

PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
LIMIT = 2.0  # beyond this factor the frames do not speak of contrast any more


def features(instrument: forward.Instrument, parts: Sequence[Pair], probe: Pair) -> Tensor:
    """The six features of frames `(B, 6, ..., N, N)`, of any scale.

    Args:
        instrument: what lies between the exit wave and the detector.
        parts: three pairs `(B, ..., N, N)`, the object under each frame as `1`, `r` and `i s`.
        probe: pair `(..., P, N, N)`.
    """
    waves = [instrument.propagator.forward(forward.exit_waves(part, probe)) for part in parts]
    products = []
    for i, j in PAIRS:
        (re, im), (other_re, other_im) = waves[i], waves[j]
        total = instrument.response.forward(ops.sum(re * other_re + im * other_im, axis=-3))
        products.append(total if i == j else 2.0 * total)
    return ops.stack(products, axis=1)


class Sums:
    """Sums over pixels, in float64; the weights are those of photon noise with a floor.

    Attributes:
        gram: `(6, 6)` weighted sums of products of features.
        right: `(6,)` of features times measured intensity.
        energy: of the squared measured intensity.
    """

    def __init__(self) -> None:
        self.gram, self.right, self.energy = np.zeros((6, 6)), np.zeros(6), 0.0

    def add(self, found: np.ndarray, frames: np.ndarray, floor: float) -> None:
        """Add some frames.

        Args:
            found: their features `(6, ..., N, N)`.
            frames: `(..., N, N)`, amplitude, -1 at masked pixels.
            floor: intensity added to the measured one in the weights.
        """
        amplitude, valid = decode(frames)
        intensity = np.square(amplitude, dtype=np.float64).reshape(-1)
        weight = valid.reshape(-1) / (intensity + floor)
        columns = found.reshape(6, -1).astype(np.float64)
        weighted = columns * weight
        self.gram += weighted @ columns.T
        self.right += weighted @ intensity
        self.energy += float(weight @ intensity**2)


def best_scale(sums: Sums, factors: tuple[float, float]) -> float:
    """The best c0 where `c1/c0` and `c2/c0` are given."""
    c = np.array([1.0, *factors])
    q = np.array([c[i] * c[j] for i, j in PAIRS])
    ratio = float(sums.right @ q) / max(float(q @ sums.gram @ q), 1e-300)
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


def fit(sums: Sums) -> Fit | None:
    """Minimise the distance.

    Returns:
        None where nothing was measured.
    """
    gram, right, energy = sums.gram, sums.right, sums.energy
    if not energy > 0:
        return None

    def value(c: np.ndarray) -> tuple[float, np.ndarray]:
        q = np.array([c[i] * c[j] for i, j in PAIRS])
        jacobian = np.zeros((6, 3))
        for row, (i, j) in enumerate(PAIRS):
            jacobian[row, i] += c[j]
            jacobian[row, j] += c[i]
        residual = gram @ q - right
        distance = float(q @ (residual - right) / energy + 1.0)
        return distance, 2.0 * jacobian.T @ residual / energy

    start = best_scale(sums, (1.0, 1.0))
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
