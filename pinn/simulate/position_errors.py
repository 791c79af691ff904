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
    """True positions distorted about their mean, then with the errors of each coordinate.

    Args:
        config: the recipe.
        true: `(M, 2)` float64 (y, x) in pixels.
        normal: seed of the normal errors, which are cut at 4 standard deviations, so that every
            patch stays inside the object.
        uniform: seed of the uniform errors.

    Returns:
        `(M, 2)` float64 (y, x) in pixels.
    """
    stated, matrix = true.copy(), distortion(config)
    if matrix is not None:
        middle = true.mean(0)
        stated = (true - middle) @ matrix.T + middle
    if config.position_error:
        errors = np.random.default_rng(normal).standard_normal(true.shape)
        stated = stated + config.position_error * np.clip(errors, -4.0, 4.0)
    if limit := config.position_error_limit:
        stated = stated + np.random.default_rng(uniform).uniform(-limit, limit, true.shape)
    return np.asarray(stated)


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


def growth(config: SimulateConfig) -> float:
    """How much room distorted positions need at most, per room of the true ones: 1 or more."""
    matrix = distortion(config)
    # the middle of the positions' mean is not that of their box: twice half the box, for safety
    return 1.0 if matrix is None else 1.0 + 2.0 * float(np.abs(matrix - np.eye(2)).sum(1).max())
