"""Random convex solids, and their thickness along the beam."""

from __future__ import annotations

import math

import numpy as np
from scipy.spatial import ConvexHull

from pinn.simulate.shapes import window

COVER = 0.8  # mean number of solids over a pixel, unless their number is stated
FEWEST, MOST = 8, 20  # corners


def random_solid(radius: float, rng: np.random.Generator) -> np.ndarray:
    """Faces of a random convex polyhedron around the origin.

    The hull of points on a sphere, stretched at random along random axes.

    Args:
        radius: of the sphere in pixels; the axes are 0.6 to 1.4 of it.
        rng: source of randomness.

    Returns:
        `(F, 4)` float64: `n_y, n_x, n_z, b` of the half-spaces `n . (y, x, z) + b <= 0`.
    """
    points = rng.standard_normal((int(rng.integers(FEWEST, MOST + 1)), 3))
    points /= np.linalg.norm(points, axis=1)[:, None]
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    points = radius * (points * rng.uniform(0.6, 1.4, 3)) @ turn
    return np.unique(ConvexHull(points).equations.round(12), axis=0)


def thickness(faces: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Length of the beam inside a convex solid, by cutting each line at all faces.

    Args:
        faces: `(F, 4)`, see `random_solid`.
        y, x: coordinates, broadcastable.

    Returns:
        Pixels, 0 beside the solid.
    """
    shape = np.broadcast_shapes(np.shape(y), np.shape(x))
    top, bottom = np.full(shape, np.inf), np.full(shape, -np.inf)
    for ny, nx, nz, b in faces:
        level = ny * y + nx * x + b
        if nz > 1e-9:
            np.minimum(top, -level / nz, out=top)
        elif nz < -1e-9:
            np.maximum(bottom, -level / nz, out=bottom)
        else:  # a face along the beam: nothing beyond it
            top = np.where(level > 0, -np.inf, top)
    return np.maximum(top - bottom, 0.0)


def pile_of_solids(
    size: int, radius: float, count: int | None, rng: np.random.Generator
) -> np.ndarray:
    """Total thickness of many solids at random places, in units of `radius`.

    Args:
        size: side of the image in pixels.
        radius: mean of the solids' in pixels; they are uniform from half to one and a half of it.
        count: number of solids; None: as many as cover every pixel `COVER` times on average.
        rng: source of randomness.

    Returns:
        `(size, size)` float64.
    """
    reach = 1.5 * 1.4 * radius
    if count is None:
        count = max(3, math.ceil(COVER * size**2 / (2.5 * radius**2)))
    total = np.zeros((size, size))
    for _ in range(count):
        faces = random_solid(radius * rng.uniform(0.5, 1.5), rng)
        where, y, x = window(size, rng.uniform(0, size, 2), reach)
        total[where] += thickness(faces, y, x) / radius
    return total
