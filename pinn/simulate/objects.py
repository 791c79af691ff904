"""Objects with known truth: drawings that become a complex transmission.

A drawing is a pair of `(size, size)` float64 arrays: transmission in arbitrary units (larger is
more transparent) and phase in radians. `make_object` brings the first to the amplitude range asked
for and the second, if a range is asked for, to that range. Edges are one pixel soft, since a
detector of finite size sees no sharper ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter

from pinn.simulate.config import SimulateConfig
from pinn.simulate.layers import dead_leaves, layered
from pinn.simulate.object_file import ObjectFile
from pinn.simulate.options import SPOKES
from pinn.simulate.polyhedra import pile_of_solids
from pinn.simulate.random_fields import gaussian_field
from pinn.simulate.shapes import glyphs, soft, star

Drawing = tuple[np.ndarray, np.ndarray]

EXPONENT = 3.0  # of the spectrum of a Gaussian random field
LAYERS = 3  # of a procedural object
REFERENCE_LINES, REFERENCE_SIZE = 400, 392
LINE_BLURS = ((1, 1.0), (2, 5.0), (5, 10.0))  # weight and sigma in pixels; 40 px = 4 sigma


def make_object(
    config: SimulateConfig,
    size: int,
    field: float,
    seed: np.random.SeedSequence,
    given: ObjectFile | None = None,
    whole: bool = False,
) -> np.ndarray:
    """The object of a recipe.

    Args:
        config: the recipe.
        size: side of the object in pixels.
        field: side in pixels of the central square that is illuminated; star, demo and resized
            images fill it.
        seed: of the drawing.
        given: what the object file holds, for objects file and reconstruction.
        whole: take all of a file, whatever its shape.

    Returns:
        `(size, size)` complex128. Without `contrast` its amplitude spans exactly
        `amplitude_min` to `amplitude_max`; that of a complex file is as it is unless they are
        stated.
    """
    first, second = (np.random.default_rng(s) for s in seed.spawn(2))
    if given is not None:
        amplitude, phase = given.drawing(size, field, whole)
    else:
        amplitude, phase = _KINDS[config.object](config, size, field, first)
    if config.phase == "flat":
        phase = np.zeros_like(phase)
    elif config.phase == "independent":
        if given is None and config.object not in ("star", "demo"):
            phase = _KINDS[config.object](config, size, field, second)[1]
        else:
            rows, columns = phase.shape
            phase = smooth_field(max(phase.shape), field, second)[:rows, :columns]
    if given is not None and given.complex and config.amplitude_min is None:
        low, high = float(amplitude.min()), float(amplitude.max())
    else:
        low, high = config.amplitude_range
        amplitude = _span(amplitude, low, high)
    if config.phase_min is not None and config.phase_max is not None:
        phase = _span(phase, config.phase_min, config.phase_max)
    middle = (low + high) / 2
    amplitude = middle + config.contrast * (amplitude - middle)
    return amplitude * np.exp(1j * config.contrast * phase)


def blurred_lines(size: int, count: int, rng: np.random.Generator) -> Drawing:
    """Random line segments, blurred at three scales and added.

    Segments with uniform ends are drawn on a canvas of twice the size; the image is
    `G1 + 2 G5 + 5 G10`, G the canvas after a Gaussian blur of that many pixels, and its centre is
    kept. The phase is `pi tanh((Y - max/2) / (3 mean))` of the image Y: the data set that the
    published tests of this method use.
    """
    # only the centre, and what the blurs reach from there, is ever drawn
    reach = min(40, size // 2)
    ends = rng.integers(0, 2 * size, (count, 4)) - (size // 2 - reach)
    canvas = line_canvas(size + 2 * reach, ends)
    image = sum(weight * gaussian_filter(canvas, sigma) for weight, sigma in LINE_BLURS)
    image = np.asarray(image)[reach:-reach, reach:-reach]
    return image, math.pi * np.tanh((image - image.max() / 2) / (3 * image.mean()))


def line_canvas(side: int, ends: np.ndarray) -> np.ndarray:
    """Pixels on line segments set to 1.

    Args:
        side: of the canvas.
        ends: `(K, 4)` integers: row, column, row, column; what lies off the canvas is cut.

    Returns:
        `(side, side)` float64.
    """
    canvas = np.zeros((side, side))
    for r0, c0, r1, c1 in ends:
        steps = max(abs(r1 - r0), abs(c1 - c0)) + 1
        rows = np.rint(np.linspace(r0, r1, steps)).astype(np.int64)
        columns = np.rint(np.linspace(c0, c1, steps)).astype(np.int64)
        inside = (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
        canvas[rows[inside], columns[inside]] = 1.0
    return canvas


def siemens_star(size: int, field: float, spokes: int) -> Drawing:
    """A Siemens star of opaque spokes with two ring gaps and an outer ring, filling the field."""
    y, x = _coordinates(size)
    figure = star(y, x, 0.47 * field, spokes)
    return 1.0 - figure, 0.9 - 1.8 * figure


def random_field(size: int, correlation: float, rng: np.random.Generator) -> Drawing:
    """A Gaussian random field of this correlation length in pixels."""
    values = gaussian_field(size, correlation, EXPONENT, rng)
    return values, 0.7 * values


def polyhedra(size: int, radius: float, rng: np.random.Generator) -> Drawing:
    """Convex solids of this mean radius in pixels: absorption and phase follow the thickness."""
    thick = pile_of_solids(size, radius, None, rng)
    return np.exp(-0.4 * thick), 0.45 * thick


def demo(size: int, field: float, spokes: int, rng: np.random.Generator) -> Drawing:
    """Something anybody recognises: a star above the letters `pinn`, on a smooth phase."""
    y, x = _coordinates(size)
    y, x = y / field, x / field
    pixel = 1.0 / field
    figure = star((y + 0.16) / pixel, x / pixel, 0.29 / pixel, spokes)
    letters = soft(glyphs("pinn", y - 0.3, x, height=0.125, width=0.028) / pixel)
    ground = smooth_field(size, field, rng)
    transmission = (1.0 + 0.12 * np.tanh(ground)) * (1.0 - 0.85 * figure) * (1.0 - 0.75 * letters)
    return transmission, 0.8 * ground - 0.9 * letters + 0.5 * figure


def smooth_field(size: int, field: float, rng: np.random.Generator) -> np.ndarray:
    """A slowly varying field `(size, size)`: mean 0, standard deviation about 0.7."""
    y, x = (c / field for c in _coordinates(size))
    total = np.zeros((size, size))
    for _ in range(6):
        angle, start = rng.uniform(0, math.tau, 2)
        cycles = rng.uniform(0.6, 1.8)
        total += np.cos(math.tau * cycles * (y * math.sin(angle) + x * math.cos(angle)) + start)
    return 0.4 * (total - total.mean())


# What draws each kind, from the recipe, the size, the illuminated field and what is random.
_KINDS: dict[str, Callable[[SimulateConfig, int, float, np.random.Generator], Drawing]] = {
    "lines": lambda c, size, field, rng: blurred_lines(
        size, c.lines or max(8, round(REFERENCE_LINES * size / REFERENCE_SIZE)), rng
    ),
    "star": lambda c, size, field, rng: siemens_star(size, field, c.spokes or SPOKES),
    "leaves": lambda c, size, field, rng: dead_leaves(size, field, rng),
    "demo": lambda c, size, field, rng: demo(size, field, c.spokes or SPOKES, rng),
    "grf": lambda c, size, field, rng: random_field(size, c.feature_px or c.N / 16, rng),
    "procedural": lambda c, size, field, rng: layered(size, c.feature_px or c.N / 4, LAYERS, rng),
    "polyhedra": lambda c, size, field, rng: polyhedra(size, c.feature_px or c.N / 4, rng),
}


def _coordinates(size: int) -> tuple[np.ndarray, np.ndarray]:
    index = np.arange(size) - size / 2
    return index[:, None], index[None, :]


def _span(values: np.ndarray, low: float, high: float) -> np.ndarray:
    # A thousandth of the pixels at each end is cut, lest one crossing of many lines leave little
    # of the range to all the others: the larger the object, the rarer its extremes.
    smallest, largest = np.quantile(values, (0.001, 0.999))
    if largest == smallest:
        return np.full_like(values, (low + high) / 2)
    return low + (high - low) * np.clip((values - smallest) / (largest - smallest), 0.0, 1.0)
