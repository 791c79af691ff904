"""One stage of an unrolled network: from a canvas, and what the frames miss in it, to the next.

What is missing comes from `pinn.ops.forward`: `sum conj(P) chi` and the illumination `sum |P|^2` on
the canvas. Divided by each other they are the step that would fit the exit waves best. The network
sees that step and turns it into a better one. Both are in units of the step's own size, so that one
network serves a flat canvas and one that is nearly right.

A canvas is `(B, H, W)`: those of groups in training, one of a whole scan later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from keras import ops

from pinn.ops import pairs
from pinn.ops.pairs import Pair, Tensor

STRIDE = 4  # sides of a canvas are multiples of it
PLANES = 8  # what the network sees
_DAMPING = 0.05  # of the step, where the light is weak
_EDGE = 0.01  # of the brightest light: where it is weaker, little changes
_SMALLEST = 1e-4  # of a step


class Missing(NamedTuple):
    """What the frames say of a canvas.

    Attributes:
        waves: pair `(B, H, W)`, `sum conj(P) chi`.
        illumination: `(B, H, W)`, `sum |P|^2`.
        brightest: `(B, 1, 1)`, the illumination where it is strong.
        unit: `(B, 1, 1)`, photons per unit of the rate: how well a pixel can be known.
    """

    waves: Pair
    illumination: Tensor
    brightest: Tensor
    unit: Tensor


class Canvas(NamedTuple):
    """A canvas and how it changed last.

    Attributes:
        object: pair `(B, H, W)`.
        change: pair `(B, H, W)`.
    """

    object: Pair
    change: Pair


def flat(shape: tuple[int, ...]) -> Canvas:
    """A canvas of ones that has never changed."""
    ones, nothing = ops.ones(shape, "float32"), ops.zeros(shape, "float32")
    return Canvas((ones, nothing), (nothing, nothing))


def step(missing: Missing) -> tuple[Pair, Tensor]:
    """The damped step `(B, H, W)` that would fit the exit waves, and its size `(B, 1, 1)`.

    The size is the root of its mean square where the light is.
    """
    divisor = missing.illumination + _DAMPING * missing.brightest + 1e-12
    found = pairs.scale(missing.waves, 1.0 / divisor)
    weight = missing.illumination
    total = ops.sum(weight, axis=(1, 2), keepdims=True) + 1e-12
    square = ops.sum(weight * pairs.abs2(found), axis=(1, 2), keepdims=True) / total
    return found, ops.sqrt(square + _SMALLEST**2)


def advance(
    network: Callable[[Tensor], Tensor], canvas: Canvas, missing: Missing, sized: Tensor
) -> Canvas:
    """The next canvas.

    Args:
        network: planes `(B, H, W, PLANES)` to a change `(B, H, W, 2)`, in units of the size.
        canvas: the present one.
        missing: in it.
        sized: `(B, 1, 1)`, see `step`.
    """
    found, _ = step(missing)
    light = missing.illumination / missing.brightest
    noise = 0.5 / ops.sqrt(missing.unit * missing.illumination + 1.0)
    re, im = canvas.object
    step_re, step_im = pairs.scale(found, 1.0 / sized)
    last_re, last_im = pairs.scale(canvas.change, 1.0 / sized)
    seen = re - 1.0, im, step_re, step_im, last_re, last_im, light, noise
    told = pairs.unstack(ops.cast(network(ops.stack(seen, axis=-1)), "float32"))
    change = pairs.scale(told, sized * light / (light + _EDGE))
    return Canvas(pairs.add(canvas.object, change), change)
