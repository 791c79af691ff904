"""A short reconstruction of a few neighbouring frames under several hypotheses at once.

ePIE (Maiden and Rodenburg, Ultramicroscopy 109, 1256 (2009)) with incoherent modes, frame by frame,
with the hypotheses as a batch: they differ in how the frames lie, in the probe they start from, and
in the region or the scale of its positions. Frames that are held out are predicted and not fitted:
what tells a right geometry from a wrong one is the prediction, for a wrong one can be fitted too.

The object stays on whole pixels and the probe is shifted by the fraction of a position, by a ramp
on its spectrum: the same wave, elsewhere, and no interpolation that favours smooth objects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from pinn import backend
from pinn.check.regions import Region
from pinn.data import fourier as numpy_fourier
from pinn.data.masks import encode
from pinn.ops import forward, fourier, masks, pairs
from pinn.ops.pairs import Pair, Tensor

FIRST_STEP, LAST_STEP = 1.0, 0.3
_ROUND = 16  # pixels; sides of objects are multiples, so that fewer shapes are compiled


class Fitted(NamedTuple):
    """What `fit` finds, for G regions and H hypotheses.

    Attributes:
        errors: float64 `(G, H, F)`, the sum over valid pixels of the squared difference of
            amplitudes, about a quarter of the Poisson deviance; of held-out frames after the last
            sweep.
        probes: as they were fitted, complex64 `(G, H, P, n, n)`, centre at index [0, 0].
    """

    errors: np.ndarray
    probes: np.ndarray


def fit(
    regions: Sequence[Region],
    classes: np.ndarray,
    probes: np.ndarray,
    sweeps: int,
    through: forward.Instrument,
    *,
    seeds: Sequence[int],
    fixed: bool = False,
) -> Fitted:
    """Fit object and probe of each hypothesis in each region.

    Args:
        regions: the frames; all regions have as many, and hold out as many.
        classes: `(H,)`, number of the class of each hypothesis.
        probes: complex `(H, P, n, n)`, centre at index [0, 0], in square root of counts.
        sweeps: how often each frame is visited.
        through: what lies between the exit wave and the detector.
        seeds: of the order of the frames of each region.
        fixed: keep the probe; otherwise it is updated from the second sweep on.
    """
    backend.full_precision()
    frames, first, tiny = _frames(regions, classes)
    objects, spectra = _start(regions, len(classes), probes)
    numbers, steps = _visits(regions, sweeps, seeds, fixed)
    each_region = np.arange(len(regions))
    corners = np.stack([region.corners for region in regions])[each_region, numbers]
    starts = np.pad(corners, [(0, 0), (0, 0), (2, 0)])  # of (re or im, hypothesis, y, x)
    fractions = np.stack([region.fractions for region in regions])[each_region, numbers]
    visits = {
        "starts": starts.astype(np.int32),
        "fractions": fractions.astype(np.float32),
        "frames": first + numbers[:, :, None].astype(np.int32),
        "steps": steps.astype(np.float32),
    }
    run = _compiled(through, objects[0].shape, spectra[0].shape, frames.shape, steps.shape)
    visited_errors, (real, imaginary) = run((objects, spectra), frames, tiny, visits)
    errors = np.zeros((len(regions), len(classes), len(regions[0].rows)))
    for visited, values in zip(numbers, ops.convert_to_numpy(visited_errors), strict=True):
        errors[each_region, :, visited] = values
    fitted = ops.convert_to_numpy(real) + 1j * ops.convert_to_numpy(imaginary)
    return Fitted(errors, numpy_fourier.corner(numpy_fourier.ifft2c(fitted)))


@lru_cache(maxsize=16)
def _compiled(through: forward.Instrument, *shapes: Any) -> Callable[..., Any]:
    """`_run`, compiled once for all fits alike; shapes are compiled in as well."""
    del shapes
    return backend.compile_function(partial(_run, through), reuse_first=False)


def _visits(
    regions: Sequence[Region], sweeps: int, seeds: Sequence[int], fixed: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the frames that are visited at once, `(S, G)`, and the steps of object and probe,
    `(S, 2)`: all fitted frames in every sweep, those that are held out at the end."""
    held = np.stack([np.flatnonzero(region.held) for region in regions], axis=1)
    order = [
        np.concatenate([rng.permutation(np.flatnonzero(~region.held)) for _ in range(sweeps)])
        for region, rng in zip(regions, map(np.random.default_rng, seeds), strict=True)
    ]
    # Steps grow shorter: the last sweeps average over the noise of single frames.
    steps = np.zeros((sweeps, 2)) + np.geomspace(FIRST_STEP, LAST_STEP, sweeps)[:, None]
    steps[0 if not fixed else slice(None), 1] = 0.0
    steps = np.repeat(steps, len(order[0]) // sweeps, axis=0)
    return np.concatenate([np.stack(order, 1), held]), np.pad(steps, [(0, len(held)), (0, 0)])


def _frames(regions: Sequence[Region], classes: np.ndarray) -> tuple[Tensor, np.ndarray, Tensor]:
    """Encoded frames `(K, n, n)` with their zero frequency in the middle; the number of the first
    frame of each region and hypothesis, int32 `(G, H)`; and negligible amplitudes
    `(G, 1, 1, 1)`, which keep quotients finite."""
    used, which = np.unique(classes, return_inverse=True)
    stack, tiny = [], []
    for region in regions:
        shown = encode(region.amplitude[used], region.valid[used], 1.0)
        stack.append(numpy_fourier.centre(shown).reshape(-1, *shown.shape[2:]))
        tiny.append(1e-5 * float(np.sqrt(np.mean(region.amplitude[0] ** 2))) + 1e-30)
    F = len(regions[0].rows)
    first = F * (len(used) * np.arange(len(regions))[:, None] + which)
    small = np.array(tiny, np.float32)[:, None, None, None]
    return _tensor(np.concatenate(stack)), first.astype(np.int32), _tensor(small)


def _start(
    regions: Sequence[Region], H: int, probes: np.ndarray
) -> tuple[tuple[Tensor, ...], Pair]:
    """A flat object for each region, `(2, H, h, w)` with real and imaginary part first, and the
    spectra of the probes, pair `(G, H, P, n, n)`."""
    n = regions[0].side
    largest = np.max([region.corners.max(0) for region in regions], axis=0) + n
    height, width = -(-largest // _ROUND) * _ROUND
    flat = np.zeros((2, H, height, width), np.float32)
    flat[0] = 1.0
    spectra = numpy_fourier.fft2c(numpy_fourier.centre(probes))
    spectra = np.broadcast_to(spectra, (len(regions), *spectra.shape))
    pair = _tensor(spectra.real), _tensor(spectra.imag)
    return tuple(_tensor(flat) for _ in regions), pair


def _run(
    through: forward.Instrument, state: tuple, frames: Tensor, tiny: Tensor, visits: dict
) -> tuple[Tensor, Pair]:
    """Errors `(S, G, H)` of all visits, one after the other, and the spectra after them."""
    count, (objects, spectra) = visits["steps"].shape[0], state
    errors = ops.zeros((count, *spectra[0].shape[:2]))

    def visit_frames(number: Tensor, carried: tuple) -> tuple:
        visit = {name: ops.take(values, number, axis=0) for name, values in visits.items()}
        after, before = _step(through, frames, tiny, carried[:2], visit)
        return *after, ops.slice_update(carried[2], (number, 0, 0), before[None])

    # no `ops.scan`: on TensorFlow what it collects must have the shapes of what it carries
    _, spectra, errors = ops.fori_loop(0, count, visit_frames, (objects, spectra, errors))
    return errors, spectra


def _step(
    through: forward.Instrument, frames: Tensor, tiny: Tensor, state: tuple, visit: dict
) -> tuple[tuple, Tensor]:
    """One frame of each region: the state after it, and the errors `(G, H)` before."""
    objects, spectra = state
    G, H, _, n, _ = spectra[0].shape
    ramp = _shift_ramp(visit["fractions"], n)
    probe = fourier.ifft2c(pairs.multiply(spectra, ramp))
    # a slice for each region: one gather and scatter for all of them is far slower
    covered = [ops.slice(objects[g], visit["starts"][g], (2, H, n, n)) for g in range(G)]
    both = ops.stack(covered, axis=1)
    patches = both[0], both[1]
    arrived, rate = forward.predict(through, forward.exit_waves(patches, probe))
    amplitude, valid = masks.decode(ops.take(frames, visit["frames"], axis=0))
    modulus = ops.sqrt(rate)
    missing = (amplitude - modulus) * valid
    chi = forward.missing_waves(through, arrived, missing / (modulus + tiny))

    brightest = ops.max(ops.sum(pairs.abs2(probe), axis=2), axis=(-2, -1), keepdims=True)
    change = ops.stack([ops.sum(part, axis=2) for part in pairs.multiply(pairs.conj(probe), chi)])
    change = change * (visit["steps"][0] / brightest)
    objects = tuple(
        ops.slice_update(objects[g], visit["starts"][g], covered[g] + change[:, g])
        for g in range(G)
    )

    densest = ops.max(pairs.abs2(patches), axis=(-2, -1), keepdims=True)
    conjugate = patches[0][:, :, None], -patches[1][:, :, None]
    step = (visit["steps"][1] / densest)[:, :, None]
    shifted = fourier.fft2c(pairs.scale(pairs.multiply(conjugate, chi), step))
    spectra = pairs.add(spectra, pairs.multiply(shifted, pairs.conj(ramp)))
    return (objects, spectra), ops.sum(missing * missing, axis=(-2, -1))


def _shift_ramp(fractions: Tensor, n: int) -> Pair:
    """What a spectrum is multiplied with to shift its field by `fractions` `(G, 2)` pixels, pair
    `(G, 1, 1, n, n)`."""
    cycles = (ops.arange(n, dtype="float32") - n // 2) / n
    angle = -2.0 * np.pi * fractions[:, :, None] * cycles
    phase = angle[:, 0, :, None] + angle[:, 1, None, :]
    return pairs.polar(1.0, phase[:, None, None])


def _tensor(array: np.ndarray) -> Tensor:
    return ops.convert_to_tensor(np.ascontiguousarray(array, np.float32))
