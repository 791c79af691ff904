"""Windows of a large canvas: against the plain forward model, and against their adjoints."""

from __future__ import annotations

import numpy as np
from gradients import evaluate
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from pinn.ops import shift, windows
from pinn.simulate.forward import extract_patches

seeds = st.integers(0, 2**16)
N, SHAPE = 6, (17, 23)


def _places(seed, count=5):
    rng = np.random.default_rng(seed)
    positions = rng.uniform(N / 2, np.array(SHAPE) - N / 2 - 1, (count, 2))
    positions[0] = np.floor(positions[0])  # one on whole pixels
    whole = np.floor(positions)
    corners = (whole - N // 2).astype("int32")
    return rng, positions, corners, (positions - whole).astype("float32")


def _whole(corners):
    return ops.cast(corners, "int32")  # `evaluate` makes everything float32


def _take(re, im, corners, fractions):
    return windows.take_patches((re, im), _whole(corners), fractions, N)


def _add(patches, corners, fractions):
    return windows.add_patches(patches, _whole(corners), fractions, SHAPE)


def _slopes(plane, corners, fractions):
    return shift.sample_gradients(windows.take(plane, _whole(corners), N + 1), fractions)


@given(seeds)
def test_patches_are_those_of_the_simulation(seed):
    rng, positions, corners, fractions = _places(seed)
    canvas = (rng.normal(size=SHAPE) + 1j * rng.normal(size=SHAPE)).astype("complex64")
    re, im = evaluate(_take, canvas.real.copy(), canvas.imag.copy(), corners, fractions)
    expected = extract_patches(canvas, positions, N)
    # float32 fractions and sums of four values of order one
    np.testing.assert_allclose(re + 1j * im, expected, atol=2e-6)


@given(seeds)
def test_adding_is_the_adjoint_of_taking(seed):
    rng, _, corners, fractions = _places(seed)
    canvas = rng.normal(size=SHAPE).astype("float32")
    patches = rng.normal(size=(len(corners), N, N)).astype("float32")
    taken, _ = evaluate(_take, canvas, canvas, corners, fractions)
    added = evaluate(_add, patches, corners, fractions)
    # sums of 180 products of order one in float32
    assert abs(np.sum(taken * patches) - np.sum(canvas * added)) < 1e-4


def test_slopes_are_differences_of_samples():
    rng, positions, corners, fractions = _places(5)
    plane = rng.normal(size=SHAPE).astype("float32")
    fractions = np.clip(fractions, 0.1, 0.9)
    positions = corners + N // 2 + fractions.astype(float)
    found = evaluate(_slopes, plane, corners, fractions)
    for axis, slope in enumerate(found):
        step = np.eye(2)[axis] * 0.05
        ahead, behind = (extract_patches(plane, positions + s, N).real for s in (step, -step))
        # linear inside a pixel: the difference is exact but for rounding
        np.testing.assert_allclose(slope, (ahead - behind) / 0.1, atol=1e-4)
