"""Small scans for tests: a bright centre, no symmetry, positions on an uneven rectangle."""

import numpy as np


def counts_stack(M=12, N=16, seed=0, mean=40.0):
    """Poisson counts (M, N, N), int64, brightest near [N/2, N/2] and different in every frame."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:N, :N] - N / 2
    spot = np.exp(-((y / 3) ** 2 + (x / 2) ** 2 + 0.15 * y * x) / 2)
    rates = mean * spot * rng.uniform(0.5, 1.5, (M, 1, 1)) + 0.3
    return rng.poisson(rates)


def positions(M=12, seed=1):
    """(M, 2) float64 [y, x], all different, longer in y."""
    return np.random.default_rng(seed).uniform((20.0, 30.0), (90.0, 60.0), (M, 2))


def probe(N=16, modes=None, seed=2):
    """Complex, asymmetric (N, N) or (modes, N, N)."""
    rng = np.random.default_rng(seed)
    shape = (N, N) if modes is None else (modes, N, N)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
