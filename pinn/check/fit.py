"""A short reconstruction of a few neighbouring frames under several hypotheses at once.

ePIE (Maiden and Rodenburg, Ultramicroscopy 109, 1256 (2009)) with incoherent modes, frame by frame,
with the hypotheses as a batch: they differ in how the frames lie, in the probe they start from, and
in the region or the scale of its positions. Frames that are held out are predicted and not fitted:
what tells a right geometry from a wrong one is the prediction, for a wrong one can be fitted too.

The object stays on whole pixels and the probe is shifted by the fraction of a position, by a ramp
on its spectrum: the same wave, elsewhere, and no interpolation that favours smooth objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from keras import ops

from pinn import backend
from pinn.check.regions import Region
from pinn.data import fourier as numpy_fourier
from pinn.data.masks import encode
from pinn.ops import forward, fourier, masks, pairs
from pinn.ops.pairs import Pair, Tensor

FIRST_STEP, LAST_STEP = 1.0, 0.3


def fit(
    regions: Sequence[Region],
    classes: np.ndarray,
    probes: np.ndarray,
    sweeps: int,
    *,
    seeds: Sequence[int],
    fixed: bool = False,
    instrument: forward.Instrument | None = None,
) -> np.ndarray:
    """Fit object and probe of each hypothesis in each region.

    Args:
        regions: the frames; all regions have as many, and hold out as many.
        classes: `(H,)`, number of the class of each hypothesis.
        probes: complex `(H, P, n, n)`, centre at index [0, 0], in square root of counts.
        sweeps: how often each frame is visited.
        seeds: of the order of the frames of each region.
        fixed: keep the probe; otherwise it is updated from the second sweep on.
        instrument: what lies between the exit wave and the detector; default the far field.

    Returns:
        float64 `(G, H, F)`, for G regions the sum over valid pixels of the squared difference of
        amplitudes, about a quarter of the Poisson deviance; of held-out frames after the last
        sweep.
    """
    backend.full_precision()
    frames, first, tiny = _frames(regions, classes)
    step = backend.compile_function(partial(_step, instrument or forward.instrument()))
    state = _start(regions, len(classes), probes)
    errors = np.zeros((len(regions), len(classes), len(regions[0].rows)))
    every = np.arange(len(regions))
    # Steps grow shorter: the last sweeps average over the noise of single frames.
    for numbers, object_step, probe_step in _visits(regions, sweeps, seeds, fixed):
        visited = list(zip(regions, numbers, strict=True))
        here = {
            "corners": np.stack([region.corners[j] for region, j in visited]).astype(np.int32),
            "fractions": np.stack([region.fractions[j] for region, j in visited], dtype=np.float32),
            "frames": first + numbers[:, None].astype(np.int32),
            "steps": np.array([object_step, probe_step], np.float32),
        }
        state, found = step(state, frames, tiny, here)
        errors[every, :, numbers] = ops.convert_to_numpy(found)
    return errors


def _visits(
    regions: Sequence[Region], sweeps: int, seeds: Sequence[int], fixed: bool
) -> Iterator[tuple[np.ndarray, float, float]]:
    """Numbers of the frames `(G,)` that are visited at once, and the steps of object and probe."""
    held = np.stack([np.flatnonzero(region.held) for region in regions])
    fitted = np.stack([np.flatnonzero(~region.held) for region in regions])
    rngs = [np.random.default_rng(seed) for seed in seeds]
    for sweep, step in enumerate(np.geomspace(FIRST_STEP, LAST_STEP, sweeps)):
        order = np.stack([rng.permutation(rows) for rng, rows in zip(rngs, fitted, strict=True)])
        for numbers in order.T:
            yield numbers, step, 0.0 if fixed or not sweep else step
    for numbers in held.T:
        yield numbers, 0.0, 0.0


def _frames(regions: Sequence[Region], classes: np.ndarray) -> tuple[Tensor, np.ndarray, Tensor]:
    """Encoded frames `(K, n, n)` with their zero frequency in the middle; the number of the first
    frame of each region and hypothesis, int32 `(G, H)`; and amplitudes `(G, 1, 1, 1)` that are as
    good as none."""
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


def _start(regions: Sequence[Region], H: int, probes: np.ndarray) -> tuple[tuple[Pair, ...], Pair]:
    """Flat objects of each region, pairs `(H, rows, columns)` of one size; and the spectra of the
    probes, pair `(G, H, P, n, n)`."""
    n, G = regions[0].side, len(regions)
    rows, columns = np.max([region.corners.max(0) for region in regions], axis=0) + n
    shape = H, int(rows), int(columns)
    # one array each: what a step uses up must not be anyone else's
    objects = tuple((ops.ones(shape), ops.zeros(shape)) for _ in regions)
    spectra = numpy_fourier.fft2c(numpy_fourier.centre(probes))
    spectra = np.broadcast_to(spectra, (G, *spectra.shape))
    return objects, (_tensor(spectra.real), _tensor(spectra.imag))


def _step(
    instrument: forward.Instrument, state: tuple, frames: Tensor, tiny: Tensor, here: dict
) -> tuple[tuple, Tensor]:
    """One frame of each region: the state after it, and the errors `(G, H)` before."""
    objects, spectra = state
    n, H = spectra[0].shape[-1], spectra[0].shape[1]
    ramp = _shift_ramp(here["fractions"], n)
    probe = fourier.ifft2c(pairs.multiply(spectra, ramp))
    starts = [(0, here["corners"][g, 0], here["corners"][g, 1]) for g in range(len(objects))]
    windows = [
        [ops.slice(part, start, (H, n, n)) for part in pair]
        for pair, start in zip(objects, starts, strict=True)
    ]
    patches = ops.stack([pair[0] for pair in windows]), ops.stack([pair[1] for pair in windows])
    arrived, rate = forward.predict(instrument, forward.exit_waves(patches, probe))
    amplitude, valid = masks.decode(ops.take(frames, here["frames"], axis=0))
    modulus = ops.sqrt(rate)
    missing = (amplitude - modulus) * valid
    chi = forward.missing_waves(instrument, arrived, missing / (modulus + tiny))

    re, im = pairs.multiply(pairs.conj(probe), chi)
    brightest = ops.max(ops.sum(pairs.abs2(probe), axis=2), axis=(-2, -1), keepdims=True)
    size = here["steps"][0] / brightest
    change = ops.sum(re, axis=2) * size, ops.sum(im, axis=2) * size
    objects = tuple(
        tuple(
            ops.slice_update(part, start, window + update[g])
            for part, window, update in zip(pair, windows[g], change, strict=True)
        )
        for g, (pair, start) in enumerate(zip(objects, starts, strict=True))
    )

    densest = ops.max(pairs.abs2(patches), axis=(-2, -1), keepdims=True)
    one = patches[0][:, :, None], -patches[1][:, :, None]
    moved = pairs.scale(pairs.multiply(one, chi), (here["steps"][1] / densest)[:, :, None])
    update = pairs.multiply(fourier.fft2c(moved), pairs.conj(ramp))
    spectra = pairs.add(spectra, update)
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
