"""The forward model and its adjoint: the only composition of object, probe and detector.

    patches  = the object under each frame           `canvas_view`, `group_patches`
    probe    = variations x weights x sqrt(factor)   `frame_probe`
    waves    = probe x patches                       `exit_waves`
    rate     = response(scale x sum_modes |propagated waves|^2) + background    `predict`

and back: a multiplier of each pixel of the detector to what is missing in the exit waves
(`missing_waves`), and from there to the object (`object_sums`), the probe (`probe_sums`), the
positions (`position_sums`) and the weights of probe variations (`opr_sums`). With a loss L of the
rate and `chi` of the multiplier `-dL/drate` (at scale 1), twice `sum conj(P) chi` is minus the
gradient of L by real and imaginary part of the object, and likewise of the others.

Axes are `(frames..., mode, y, x)`, where frames are one axis of a batch, or batch and group.
Everything is a function of pairs of tensors (`pinn.ops.pairs`); nothing has a state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from keras import ops

from pinn.ops import pairs, patches, windows
from pinn.ops.detector import Response, responses
from pinn.ops.pairs import Pair, Tensor
from pinn.ops.propagate import Propagator, propagators
from pinn.ops.shift import sample, sample_gradients


@dataclass(frozen=True)
class Instrument:
    """What lies between the exit wave and the numbers of the detector.

    Attributes:
        propagator: from the exit wave to the detector.
        response: from the intensity there to the rate that is reported.
    """

    propagator: Propagator
    response: Response


def instrument(propagation: str = "far", detector_response: str = "none") -> Instrument:
    """The instrument of a scan by its two options.

    Raises:
        ConfigError: an unknown kind.
    """
    return Instrument(propagators(propagation), responses(detector_response))


class Prediction(NamedTuple):
    """What the detector should see.

    Attributes:
        waves: pair `(..., P, N, N)`, the waves at the detector.
        rate: `(..., N, N)`.
    """

    waves: Pair
    rate: Tensor


# -- the object under each frame -------------------------------------------------------------


@dataclass(frozen=True)
class View:
    """The object of a scan's canvas under each of B frames.

    Attributes:
        windows: pair `(B, N+1, N+1)`, whole pixels of the canvas.
        corners: `(B, 2)` int32, where they begin.
        fractions: `(B, 2)` in [0, 1), how far beyond the corner the patch begins.
        shape: `(H, W)` of the canvas.
        patches: pair `(B, N, N)`, the object under each frame.
    """

    windows: Pair
    corners: Tensor
    fractions: Tensor
    shape: tuple[int, int]
    patches: Pair

    def gradients(self) -> tuple[Pair, Pair]:
        """Derivatives of the patches by the position, along y and along x, pairs `(B, N, N)`."""
        re, im = (sample_gradients(part, self.fractions) for part in self.windows)
        return (re[0], im[0]), (re[1], im[1])

    def add(self, plane: Tensor) -> Tensor:
        """Sum of real patches `(B, N, N)` on an empty canvas `(H, W)`."""
        return windows.add_patches(plane, self.corners, self.fractions, self.shape)


def canvas_view(canvas: Pair, corners: Tensor, fractions: Tensor, N: int) -> View:
    """The object under each frame, from the canvas of a whole scan.

    Args:
        canvas: pair `(H, W)`.
        corners: `(B, 2)` int32; windows of N + 1 pixels lie inside (`windows.split`).
        fractions: `(B, 2)`.
        N: side of a frame.
    """
    re, im = (windows.take(plane, corners, N + 1) for plane in canvas)
    seen = sample(re, fractions), sample(im, fractions)
    return View((re, im), corners, fractions, canvas[0].shape, seen)


def group_patches(canvas: Pair, offsets: Tensor, N: int) -> Pair:
    """The object under each frame of a group, from the canvas of the group.

    Args:
        canvas: pair `(B, M, M)`, index M/2 at the centre of the group.
        offsets: `(B, C, 2)` positions relative to it, in pixels.
        N: side of a frame.

    Returns:
        Pair `(B, C, N, N)`.
    """
    matrices = patches.group_matrices(offsets, N, canvas[0].shape[-1])
    return patches.extract(canvas[0], *matrices), patches.extract(canvas[1], *matrices)


# -- probe and exit waves --------------------------------------------------------------------


def frame_weights(opr_weights: Tensor, factors: Tensor | None = None) -> Tensor:
    """What each variation of the probe is multiplied with in each frame `(B, V)`.

    Args:
        opr_weights: `(B, V)`.
        factors: `(B,)`, relative intensities; default 1.
    """
    return opr_weights if factors is None else opr_weights * ops.sqrt(factors)[:, None]


def frame_probe(variations: Pair, weights: Tensor) -> Pair:
    """The probe of each frame, `sum_v weights_v P_v` for all modes alike.

    Args:
        variations: pair `(V, P, N, N)`.
        weights: `(B, V)`, see `frame_weights`.

    Returns:
        Pair `(B, P, N, N)`.
    """
    V, P, N = variations[0].shape[:3]
    re, im = (
        ops.reshape(ops.matmul(weights, ops.reshape(part, (V, -1))), (-1, P, N, N))
        for part in variations
    )
    return re, im


def exit_waves(patches: Pair, probe: Pair) -> Pair:
    """`P_m O`, in the approximation of a thin object.

    Args:
        patches: pair `(..., N, N)`.
        probe: pair `(..., P, N, N)`, its leading axes broadcast with those of the patches.

    Returns:
        Pair `(..., P, N, N)`.
    """
    return pairs.multiply((patches[0][..., None, :, :], patches[1][..., None, :, :]), probe)


# -- the detector ----------------------------------------------------------------------------


def predict(
    through: Instrument,
    waves: Pair,
    scale: Tensor | None = None,
    background: Tensor | None = None,
) -> Prediction:
    """The rate of every pixel: `response(scale sum_m |psi_m|^2) + background`.

    Args:
        through: the instrument.
        waves: exit waves, pair `(..., P, N, N)`.
        scale: counts per unit of intensity, broadcasts with `(..., N, N)`; default 1. An intensity
            factor of a frame may be in it, or in the probe.
        background: counts, broadcasts with `(..., N, N)`.
    """
    arrived = through.propagator.forward(waves)
    intensity = ops.sum(pairs.abs2(arrived), axis=-3)
    rate = through.response.forward(intensity if scale is None else scale * intensity)
    return Prediction(arrived, rate if background is None else rate + background)


def missing_waves(through: Instrument, arrived: Pair, multiplier: Tensor) -> Pair:
    """What is missing in the exit waves, `chi = F^H[psi R^T multiplier]`.

    Args:
        through: the instrument, with propagator F and response R.
        arrived: `Prediction.waves`, pair `(..., P, N, N)`.
        multiplier: `(..., N, N)`: `sqrt(measured / rate) - 1` for amplitudes, half of
            `measured / rate - 1` for the Poisson likelihood, 0 at unused pixels.

    Returns:
        Pair `(..., P, N, N)`.
    """
    factor = through.response.adjoint(multiplier)[..., None, :, :]
    return through.propagator.adjoint(pairs.scale(arrived, factor))


# -- back from the exit waves, for frames of one canvas --------------------------------------


def object_sums(view: View, probe: Pair, chi: Pair, used: Tensor) -> tuple[Pair, Tensor]:
    """On the canvas `(H, W)`: `sum conj(P) chi` and the illumination `sum |P|^2`.

    Args:
        view: of B frames.
        probe: pair `(B, P, N, N)`.
        chi: pair `(B, P, N, N)`.
        used: `(B,)`, 0 for frames that only fill a batch (where `chi` is 0 as well).
    """
    re, im = pairs.multiply(pairs.conj(probe), chi)
    illumination = ops.sum(pairs.abs2(probe), axis=1) * used[:, None, None]
    planes = ops.sum(re, axis=1), ops.sum(im, axis=1), illumination
    re, im, illumination = (view.add(plane) for plane in planes)
    return (re, im), illumination


def group_sums(matrices: tuple[Tensor, Tensor], probe: Pair, chi: Pair) -> Pair:
    """`sum conj(P) chi` on the canvases of groups, pair `(B, M, M)`.

    Args:
        matrices: of the patches (`pinn.ops.patches.group_matrices`).
        probe: pair `(B or 1, 1 or C, P, N, N)`.
        chi: pair `(B, C, P, N, N)`.
    """
    re, im = (ops.sum(part, axis=2) for part in pairs.multiply(pairs.conj(probe), chi))
    return patches.place(re, *matrices), patches.place(im, *matrices)


def probe_sums(patches: Pair, weights: Tensor, chi: Pair) -> tuple[Pair, Tensor]:
    """For each variation: `sum conj(O) chi` `(V, P, N, N)`, and `sum |O|^2` `(V, 1, N, N)`.

    Args:
        patches: pair `(B, N, N)`.
        weights: `(B, V)` of the variations, 0 for frames that only fill a batch.
        chi: pair `(B, P, N, N)`.
    """
    _, P, N = chi[0].shape[:3]
    back = ops.transpose(weights)
    products = pairs.multiply(pairs.conj((patches[0][:, None], patches[1][:, None])), chi)
    re, im = (
        ops.reshape(ops.matmul(back, ops.reshape(part, (-1, P * N * N))), (-1, P, N, N))
        for part in products
    )
    seen = ops.reshape(pairs.abs2(patches), (-1, N * N))
    return (re, im), ops.reshape(ops.matmul(back * back, seen), (-1, 1, N, N))


def position_sums(view: View, probe: Pair, chi: Pair) -> tuple[Tensor, Tensor]:
    """How the exit waves change with the position of each frame.

    With `D_y`, `D_x` the derivatives of the exit waves by the position:

    Returns:
        `(B, 2)`: `Re sum conj(D) chi` along y and x; and `(B, 3)`: `sum |D_y|^2`, `sum |D_x|^2`
        and `Re sum conj(D_y) D_x`.
    """
    y, x = (exit_waves(part, probe) for part in view.gradients())
    return (
        ops.stack([inner(y, chi), inner(x, chi)], axis=1),
        ops.stack([inner(y, y), inner(x, x), inner(y, x)], axis=1),
    )


def opr_sums(
    patches: Pair, variations: Pair, chi: Pair, factors: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """How the exit waves change with the weight of each variation.

    Args:
        patches: pair `(B, N, N)`.
        variations: pair `(V, P, N, N)`.
        chi: pair `(B, P, N, N)`.
        factors: `(B,)`, relative intensities; default 1.

    Returns:
        `(B, V)`: `Re sum conj(D_v) chi` and `sum |D_v|^2`, with `D_v` the derivative of the exit
        waves by the weight.
    """
    products, squares = [], []
    for v in range(variations[0].shape[0]):
        wave = exit_waves(patches, (variations[0][v][None], variations[1][v][None]))
        products.append(inner(wave, chi))
        squares.append(inner(wave, wave))
    product, square = ops.stack(products, axis=1), ops.stack(squares, axis=1)
    if factors is None:
        return product, square
    return product * ops.sqrt(factors)[:, None], square * factors[:, None]


def inner(a: Pair, b: Pair) -> Tensor:
    """`Re sum conj(a) b` over modes and pixels, `(B, P, N, N)` to `(B,)`."""
    return ops.sum(a[0] * b[0] + a[1] * b[1], axis=(1, 2, 3))
