"""Shapes as signed distances in pixels: negative inside, positive outside."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

# Strokes of letters in units of their height: polylines of (x, y), y down, base line at y = 1.
# Curves are polylines of `ARC` pieces; a stroke is what lies within half the line width.
ARC = 24


def soft(distance: np.ndarray) -> np.ndarray:
    """Fraction of a pixel inside a shape: 1 inside, 0 outside, an edge one pixel wide."""
    return np.clip(0.5 - distance, 0.0, 1.0)


def window(
    size: int, centre: np.ndarray, reach: float
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
    """The pixels of a `(size, size)` image within `reach` of a centre, cut at its sides.

    Returns:
        Its slices, and its coordinates y `(h, 1)` and x `(1, w)` about the centre.
    """
    low = np.clip(np.floor(centre - reach), 0, size).astype(int)
    high = np.clip(np.ceil(centre + reach), 0, size).astype(int)
    y = np.arange(low[0], high[0])[:, None] - centre[0]
    x = np.arange(low[1], high[1])[None, :] - centre[1]
    return (slice(low[0], high[0]), slice(low[1], high[1])), y, x


def ball(y: np.ndarray, x: np.ndarray, radius: float) -> np.ndarray:
    """A disc around the origin."""
    return np.hypot(y, x) - radius


def box(y: np.ndarray, x: np.ndarray, half_height: float, half_width: float) -> np.ndarray:
    """A rectangle around the origin (distances rounded off at no corner: near enough to draw)."""
    return np.maximum(np.abs(y) - half_height, np.abs(x) - half_width)


def triangle(y: np.ndarray, x: np.ndarray, radius: float) -> np.ndarray:
    """An equilateral triangle of circumradius `radius` around the origin, one corner at -y."""
    half = math.sqrt(3.0) / 2.0
    return np.maximum(np.maximum(y, half * x - 0.5 * y), -half * x - 0.5 * y) - radius / 2.0


def star(y: np.ndarray, x: np.ndarray, radius: float, spokes: int) -> np.ndarray:
    """A Siemens star: fraction of each pixel that is covered.

    Args:
        y, x: coordinates about its centre in pixels, broadcastable.
        radius: of the star; its spokes end at 0.84 of it, a ring closes it.
        spokes: opaque sectors. Two ring gaps cut them, so that radii can be read off.
    """
    r = np.hypot(y, x)
    angle = np.arctan2(x, -y)
    # arc length to the nearest edge of a sector; tends to 0 at the centre, where half of the
    # pixel is covered, as it should be where spokes are finer than pixels
    sector = soft(-r * np.arcsin(np.cos(spokes * angle)) / spokes)
    figure = sector * soft(r - 0.84 * radius)
    for gap in (0.33, 0.6):
        figure = figure * (1.0 - soft(np.abs(r - gap * radius) - 0.025 * radius))
    return figure + soft(np.abs(r - 0.95 * radius) - 0.05 * radius)


def glyphs(text: str, y: np.ndarray, x: np.ndarray, height: float, width: float) -> np.ndarray:
    """Letters drawn with a round pen, centred on the origin: signed distance.

    Args:
        text: of letters in `STROKES`.
        y, x: coordinates, broadcastable, y down.
        height: of a letter without descender.
        width: of the pen.
    """
    gap = 0.42
    total = sum(ADVANCE[letter] for letter in text) + gap * (len(text) - 1)
    start = -total / 2
    distance = np.full(np.broadcast_shapes(y.shape, x.shape), np.inf)
    for letter in text:
        for stroke in STROKES[letter]:
            points = (np.asarray(stroke) + np.array([start, -0.5])) * height
            for a, b in pairwise(points):
                np.minimum(distance, _segment(y, x, a, b), out=distance)
        start += ADVANCE[letter] + gap
    return distance - width / 2


def _segment(y: np.ndarray, x: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    dx, dy = b - a
    length = dx * dx + dy * dy
    along = 0.0 if length == 0 else np.clip(((x - a[0]) * dx + (y - a[1]) * dy) / length, 0, 1)
    return np.hypot(x - a[0] - along * dx, y - a[1] - along * dy)


def _arc(
    cx: float, cy: float, radius: float, first: float, last: float
) -> list[tuple[float, float]]:
    angles = np.linspace(math.radians(first), math.radians(last), ARC + 1)
    return [(cx + radius * math.cos(t), cy + radius * math.sin(t)) for t in angles]


STROKES: dict[str, list[list[tuple[float, float]]]] = {
    "p": [[(0.0, 0.0), (0.0, 1.5)], _arc(0.42, 0.5, 0.42, 0, 360)],
    "i": [[(0.0, 0.0), (0.0, 1.0)], [(0.0, -0.42), (0.0, -0.42)]],
    "n": [[(0.0, 0.0), (0.0, 1.0)], [*_arc(0.38, 0.38, 0.38, 180, 360), (0.76, 1.0)]],
}
ADVANCE = {"p": 0.84, "i": 0.0, "n": 0.76}
