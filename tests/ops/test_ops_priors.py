"""Variation penalties: reference value, analytic cases, gradients."""

from __future__ import annotations

import numpy as np
import pytest
from gradients import evaluate, grad, numerical_grad, relative_error
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from pinn.ops import priors


def _variation(z, smoothing=1e-3):
    """Isotropic variation of one image in float64, pixel by pixel."""
    height, width = z.shape
    total = 0.0
    for i in range(height):
        for j in range(width):
            down = z[i + 1, j] - z[i, j] if i + 1 < height else 0.0
            right = z[i, j + 1] - z[i, j] if j + 1 < width else 0.0
            slope2 = abs(down) ** 2 + abs(right) ** 2
            total += np.sqrt(slope2 + smoothing**2) - smoothing
    return total


def _fields(seed, *shape):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def test_squared_variation_has_the_value_of_the_reference():
    ramp = np.arange(16.0).reshape(4, 4)
    assert evaluate(lambda a, b: priors.squared_variation((a, b)), ramp, ramp) == 408.0


def _both(re, im):
    return priors.total_variation((re, im)), priors.squared_variation((re, im))


@given(st.integers(0, 2**16))
def test_variations_match_float64(seed):
    z = _fields(seed, 2, 5, 7)
    tv, squared = evaluate(_both, z.real, z.imag)
    assert tv == pytest.approx([_variation(image) for image in z], rel=1e-6)
    want = [np.sum(np.abs(np.diff(im, axis=0)) ** 2) + np.sum(np.abs(np.diff(im)) ** 2) for im in z]
    assert squared == pytest.approx(want, rel=1e-6)


def test_edge_of_a_plateau_costs_its_length_times_its_height():
    """A square of 3 x 3 pixels, height 2i: 6 pixels see one step, one sees two, and so on."""
    im = np.zeros((8, 9))
    im[3:6, 2:5] = 2.0
    got = evaluate(
        lambda a, b: priors.total_variation((a, b), smoothing=1e-6), np.zeros_like(im), im
    )
    # Top and left edges: 3 + 3 single steps; bottom and right: 2 + 2 single, one corner of both.
    assert got == pytest.approx(2 * (3 + 3 + 2 + 2 + np.sqrt(2)), rel=1e-5)


def test_global_phase_does_not_matter():
    z = _fields(1, 6, 5)
    turned = z * np.exp(0.7j)
    tv = [
        evaluate(lambda a, b: priors.total_variation((a, b)), w.real, w.imag) for w in (z, turned)
    ]
    assert tv[0] == pytest.approx(float(tv[1]), rel=1e-6)


def test_gradients_match_central_differences():
    z = _fields(2, 4, 5)
    for keras_fn, numpy_fn in (
        (priors.total_variation, _variation),
        (
            priors.squared_variation,
            lambda w: np.sum(np.abs(np.diff(w, axis=0)) ** 2) + np.sum(np.abs(np.diff(w)) ** 2),
        ),
    ):
        _, got = grad(lambda a, b: ops.sum(keras_fn((a, b))), z.real, z.imag)  # noqa: B023
        want = numerical_grad(lambda a, b: float(numpy_fn(a + 1j * b)), z.real, z.imag)  # noqa: B023
        for mine, theirs in zip(got, want, strict=True):
            assert relative_error(mine, theirs) < 1e-5


def test_constant_image_has_value_and_gradient_zero():
    value, gradients = grad(
        lambda a, b: ops.sum(priors.total_variation((a, b))), np.full((4, 5), 0.3), np.ones((4, 5))
    )
    assert value == 0.0
    assert all(np.array_equal(g, np.zeros((4, 5))) for g in gradients)
