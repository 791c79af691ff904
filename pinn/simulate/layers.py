"""Objects of random shapes: dead leaves hide each other, the layers of a film add up."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pinn.simulate.random_fields import gradient_noise
from pinn.simulate.shapes import ball, box, soft, triangle, window

COVER = 0.35  # fraction of the image that the shapes of one layer cover, before overlaps
_LEAVES, _OCTAVES = 700, 5  # leaves per field; octaves of the noise

# A signed distance of y, x, radius and an aspect from 0 to 1.
Shape = Callable[[np.ndarray, np.ndarray, float, float], np.ndarray]

# Shapes to choose from: each up to this number of a uniform draw.
_LEAF: tuple[tuple[float, Shape], ...] = (
    (0.4, lambda y, x, radius, _: ball(y, x, radius)),
    (0.7, lambda y, x, radius, aspect: box(y, x, radius * (0.3 + 0.7 * aspect), radius)),
    (1.0, lambda y, x, radius, _: triangle(y, x, radius)),
)
_FLAKE: tuple[tuple[float, Shape], ...] = (
    (0.25, lambda y, x, radius, _: ball(y, x, radius)),
    (0.5, lambda y, x, radius, _: np.abs(ball(y, x, 0.8 * radius)) - 0.2 * radius),
    (0.75, lambda y, x, radius, aspect: box(y, x, radius * (0.15 + 0.5 * aspect), radius)),
    (1.0, lambda y, x, radius, _: triangle(y, x, radius)),
)


def dead_leaves(size: int, field: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping discs, rectangles and triangles, each with its own transmission and phase.

    Radii follow a power law of exponent -3 between 0.03 and 0.2 of the field, which makes the
    image look alike at all scales in between (Lee, Mumford and Huang, Int. J. Comput. Vis. 41,
    35 (2001)).

    Args:
        size: side in pixels.
        field: side of the illuminated square in pixels.
        rng: source of randomness.

    Returns:
        Transmission and phase in radians, each `(size, size)` float64.
    """
    amplitude, phase = np.full((size, size), 0.5), np.zeros((size, size))
    small, large = 0.03 * field, 0.2 * field
    for _ in range(math.ceil(_LEAVES * (size / field) ** 2)):
        radius = 1.0 / math.sqrt(rng.uniform(large**-2, small**-2))
        centre = rng.uniform(0, size, 2)
        turn, kind, aspect, a, p = rng.uniform(0, 1, 5)
        where, inside = _drawn(_LEAF, size, centre, radius, kind, turn, aspect)
        # linked: what absorbs more also shifts the phase more, on top of a draw of its own
        amplitude[where] += inside * (a - amplitude[where])
        phase[where] += inside * (1.2 * (p - 0.5) + 0.8 * (0.5 - a) - phase[where])
    return amplitude, phase


def layered(
    size: int, feature: float, layers: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A film of uneven thickness under layers of shapes, each layer with its own material.

    Layers add up, unlike dead leaves. Each is uneven too: its shapes are as thick as its own
    noise says.

    Args:
        size: side in pixels.
        feature: mean radius of the shapes, and half the coarsest lattice of the noise, in pixels.
        layers: how many; 0: the film alone.
        rng: source of randomness.

    Returns:
        Transmission and phase in radians, each `(size, size)` float64.
    """
    film = gradient_noise(size, 2.0 * feature, _OCTAVES, rng)
    absorption, phase = 0.5 * film, 0.8 * film
    for _ in range(layers):
        texture = 1.0 + 0.5 * gradient_noise(size, 2.0 * feature, _OCTAVES, rng)
        thick = texture * _flakes(size, feature, rng)
        absorption += rng.uniform(0.3, 0.9) * thick
        phase += rng.choice((-1.0, 1.0)) * rng.uniform(0.4, 1.2) * thick
    return np.exp(-absorption), phase


def _flakes(size: int, feature: float, rng: np.random.Generator) -> np.ndarray:
    """The union of discs, rings, bars and triangles, `(size, size)` from 0 to 1."""
    covered = np.zeros((size, size))
    for _ in range(max(2, math.ceil(COVER * size**2 / (2.0 * feature**2)))):
        radius = feature * rng.uniform(0.5, 1.5)
        centre = rng.uniform(0, size, 2)
        kind, turn, aspect = rng.uniform(0, 1, 3)
        where, inside = _drawn(_FLAKE, size, centre, radius, kind, turn, aspect)
        np.maximum(covered[where], inside, out=covered[where])
    return covered


def _drawn(
    shapes: tuple[tuple[float, Shape], ...],
    size: int,
    centre: np.ndarray,
    radius: float,
    kind: float,
    turn: float,
    aspect: float,
) -> tuple[tuple[slice, slice], np.ndarray]:
    """One shape, turned: the slices of an image it lies in, and its coverage of their pixels."""
    where, y, x = window(size, centre, 1.5 * radius + 2)
    c, s = math.cos(math.tau * turn), math.sin(math.tau * turn)
    shape = next(shape for limit, shape in shapes if kind < limit)
    return where, soft(shape(c * y + s * x, c * x - s * y, radius, aspect))
