"""Positions as a file states them: with random and systematic errors."""

from __future__ import annotations

import math

import numpy as np

from pinn.simulate.config import SimulateConfig


def stated_positions(
    config: SimulateConfig,
    true: np.ndarray,
    normal: np.random.SeedSequence,
    uniform: np.random.SeedSequence,
) -> np.ndarray:
    """True positions `(M, 2)` distorted, then with the errors of each."""
    rng = np.random.default_rng(normal)
    placed = with_error(distorted(true, distortion(config)), config.position_error, rng)
    limit = config.position_error_limit
    return with_uniform_error(placed, limit, np.random.default_rng(uniform))


def with_error(positions: np.ndarray, rms: float, rng: np.random.Generator) -> np.ndarray:
    """Positions as a file would have them: each coordinate off by a normal error.

    Args:
        positions: `(M, 2)` float64, true.
        rms: standard deviation of the error of one coordinate in pixels, before the cut at 4
            standard deviations (which keeps every patch inside the object).
        rng: source of randomness.
    """
    if rms == 0.0:
        return positions.copy()
    return positions + rms * np.clip(rng.standard_normal(positions.shape), -4.0, 4.0)


def with_uniform_error(positions: np.ndarray, limit: float, rng: np.random.Generator) -> np.ndarray:
    """Each coordinate of `(M, 2)` positions off by up to `limit` pixels, all errors alike."""
    return positions + rng.uniform(-limit, limit, positions.shape) if limit else positions


def distortion(config: SimulateConfig) -> np.ndarray | None:
    """The matrix `(2, 2)` that true distances (y, x) from the middle are distorted by; or None.

    Sheared first, then turned, then scaled.
    """
    scale, angle = 1.0 + config.position_scale_error, math.radians(config.position_rotation_deg)
    if scale == 1.0 and angle == 0.0 and config.position_shear == 0.0:
        return None
    shear = np.array([[1.0, 0.0], [config.position_shear, 1.0]])
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    return np.asarray(scale * turn @ shear)


def distorted(positions: np.ndarray, matrix: np.ndarray | None) -> np.ndarray:
    """Positions `(M, 2)` distorted about their mean, which stays."""
    if matrix is None:
        return positions
    middle = positions.mean(0)
    return np.asarray((positions - middle) @ matrix.T + middle)


def growth(config: SimulateConfig) -> float:
    """How much room distorted positions need at most, per room of the true ones: 1 or more."""
    matrix = distortion(config)
    # the middle of the positions' mean is not that of their box: twice half the box, for safety
    return 1.0 if matrix is None else 1.0 + 2.0 * float(np.abs(matrix - np.eye(2)).sum(1).max())
