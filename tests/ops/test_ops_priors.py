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


@given(st.integers(0, 2**16))
def test_variation_matches_float64(seed):
    z = _fields(seed, 2, 5, 7)
    tv = evaluate(lambda a, b: priors.total_variation((a, b)), z.real, z.imag)
    assert tv == pytest.approx([_variation(image) for image in z], rel=1e-6)


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
    _, got = grad(lambda a, b: ops.sum(priors.total_variation((a, b))), z.real, z.imag)
    want = numerical_grad(lambda a, b: float(_variation(a + 1j * b)), z.real, z.imag)
    for mine, theirs in zip(got, want, strict=True):
        assert relative_error(mine, theirs) < 1e-5


def _oracle(name, z):
    """The penalties of modulus and phase in float64, from plain angles."""
    if name.endswith("deviation"):
        if name == "amplitude_deviation":
            return np.mean(np.abs(np.abs(z) - np.abs(z).mean()))
        return np.mean(np.abs(np.angle(z * np.conj(z.mean()))))
    if name == "amplitude_variation":
        return _variation(np.abs(z)) / z.size
    total = 0.0
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            down = np.angle(z[i + 1, j] / z[i, j]) if i + 1 < z.shape[0] else 0.0
            right = np.angle(z[i, j + 1] / z[i, j]) if j + 1 < z.shape[1] else 0.0
            total += np.sqrt(down**2 + right**2 + 1e-6) - 1e-3
    return total / z.size


PENALTIES = ("amplitude_variation", "phase_variation", "amplitude_deviation", "phase_deviation")


def _bright(seed, *shape, spread=0.6):
    """Fields of modulus 0.5 to 1.5, whose phases wrap now and then."""
    rng = np.random.default_rng(seed)
    return rng.uniform(0.5, 1.5, shape) * np.exp(1j * (3.0 + spread * rng.standard_normal(shape)))


@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_of_modulus_and_phase_match_float64(name):
    z = _bright(4, 2, 6, 5)
    got = evaluate(lambda a, b: getattr(priors, name)((a, b)), z.real, z.imag)
    assert got == pytest.approx([_oracle(name, image) for image in z], rel=2e-6)


@pytest.mark.parametrize("name", PENALTIES)
def test_gradients_of_modulus_and_phase_penalties(name):
    z = _bright(5, 5, 4)
    _, got = grad(lambda a, b: ops.sum(getattr(priors, name)((a, b))), z.real, z.imag)
    want = numerical_grad(lambda a, b: _oracle(name, a + 1j * b), z.real, z.imag)
    for mine, theirs in zip(got, want, strict=True):
        # the gradient of a phase is softened by 1e-4 / |product|^2 at most 1.6e-3 (0.5 x 0.5)
        assert relative_error(mine, theirs) < 2e-3


@pytest.mark.parametrize("name", PENALTIES)
def test_dark_pixels_have_finite_gradients(name):
    z = _bright(6, 6, 6)
    z[2:4, 1:4] = 0.0
    z[0, 0] = 1e-20
    z[5, 5] = -1e-12j
    value, gradients = grad(lambda a, b: ops.sum(getattr(priors, name)((a, b))), z.real, z.imag)
    assert np.isfinite(value)
    for part in gradients:
        assert np.isfinite(part).all()
        assert np.abs(part).max() < 100.0
    if name.startswith("phase"):
        # next to none: what is left goes through the mean of the image
        assert abs(gradients[0][2, 1]) + abs(gradients[1][2, 1]) < 1e-4


def test_modulus_and_phase_are_told_apart():
    """A ramp of the phase of three turns costs no amplitude, and the other way round."""
    y, x = np.indices((8, 8))
    wave = np.exp(1j * (0.7 * y - 1.9 * x))
    level = 1.0 + 0.05 * y

    def value(name, z):
        return float(evaluate(lambda a, b: getattr(priors, name)((a, b)), z.real, z.imag))

    assert value("amplitude_variation", wave) < 1e-9
    assert value("phase_variation", level * np.exp(2.0j)) < 1e-9
    inner = np.hypot(0.7, 1.9)
    # the last row has no step down, the last column none to the right, the corner neither
    assert value("phase_variation", wave) == pytest.approx(
        (49 * inner + 7 * 1.9 + 7 * 0.7 - 63e-3) / 64, rel=1e-4
    )
    assert value("amplitude_deviation", wave) < 1e-6
    assert value("phase_deviation", level * np.exp(3.1j)) < 1e-6


def test_constant_image_has_value_and_gradient_zero():
    value, gradients = grad(
        lambda a, b: ops.sum(priors.total_variation((a, b))), np.full((4, 5), 0.3), np.ones((4, 5))
    )
    assert value == 0.0
    assert all(np.array_equal(g, np.zeros((4, 5))) for g in gradients)
