"""Procedural objects: layers of shapes over gradient noise."""

from __future__ import annotations

import math

import numpy as np

from pinn.simulate.noise import gradient_noise
from pinn.simulate.shapes import ball, box, soft, triangle, window

COVER = 0.35  # share of the picture that the shapes of one layer cover, before overlaps


def layered(
    size: int, feature: float, layers: int, octaves: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A film of uneven thickness under layers of shapes, each layer with its own material.

    Layers add up, unlike dead leaves, which hide each other. Each is uneven too: its shapes are
    as thick as its own noise says.

    Args:
        size: side in pixels.
        feature: mean radius of the shapes, and half the coarsest lattice of the noise, in pixels.
        layers: how many; 0: the film alone.
        octaves: of the noise.
        rng: source of randomness.

    Returns:
        Transmission and phase in radians, each `(size, size)` float64.
    """
    film = gradient_noise(size, 2.0 * feature, octaves, rng)
    absorption, phase = 0.5 * film, 0.8 * film
    for _ in range(layers):
        texture = 1.0 + 0.5 * gradient_noise(size, 2.0 * feature, octaves, rng)
        thick = texture * _shapes(size, feature, rng)
        absorption += rng.uniform(0.3, 0.9) * thick
        phase += rng.choice((-1.0, 1.0)) * rng.uniform(0.4, 1.2) * thick
    return np.exp(-absorption), phase


def _shapes(size: int, feature: float, rng: np.random.Generator) -> np.ndarray:
    """The union of discs, rings, bars and triangles, `(size, size)` from 0 to 1."""
    covered = np.zeros((size, size))
    for _ in range(max(2, math.ceil(COVER * size**2 / (2.0 * feature**2)))):
        radius = feature * rng.uniform(0.5, 1.5)
        centre = rng.uniform(0, size, 2)
        kind, turn, aspect = rng.uniform(0, 1, 3)
        place, y, x = window(size, centre, 1.5 * radius + 2)
        c, s = math.cos(math.tau * turn), math.sin(math.tau * turn)
        y, x = c * y + s * x, c * x - s * y
        if kind < 0.25:
            distance = ball(y, x, radius)
        elif kind < 0.5:
            distance = np.abs(ball(y, x, 0.8 * radius)) - 0.2 * radius
        elif kind < 0.75:
            distance = box(y, x, radius * (0.15 + 0.5 * aspect), radius)
        else:
            distance = triangle(y, x, radius)
        np.maximum(covered[place], soft(distance), out=covered[place])
    return covered
