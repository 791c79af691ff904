"""Distances from labels, and the angle they are made of, against float64."""

from __future__ import annotations

import numpy as np
import pytest
from gradients import evaluate, grad, numerical_grad, relative_error

from pinn.ops import labels, phases

SHAPE = (2, 3, 4, 5)


def _fields(seed):
    rng = np.random.default_rng(seed)
    z = rng.uniform(0.4, 1.4, SHAPE) * np.exp(1j * rng.uniform(-3.1, 3.1, SHAPE))
    truth = rng.uniform(0.4, 1.4, SHAPE) * np.exp(1j * rng.uniform(-3.1, 3.1, SHAPE))
    weight = rng.uniform(0.1, 1.0, SHAPE) * (rng.random(SHAPE) > 0.3)
    return z, truth, weight


def _oracle(name, z, truth, weight):
    error = {
        "amplitude_error": lambda: np.abs(np.abs(z) - np.abs(truth)),
        "phase_error": lambda: np.abs(np.angle(z / truth)),
        "complex_error": lambda: np.abs(z - truth),
    }[name]()
    return float(np.sum(weight * error) / np.sum(weight))


def _call(name, truth, weight):
    from keras import ops

    t = [ops.convert_to_tensor(part.astype("float32")) for part in (truth.real, truth.imag, weight)]
    return lambda a, b: getattr(labels, name)((a, b), (t[0], t[1]), t[2])


NAMES = ("amplitude_error", "phase_error", "complex_error")


@pytest.mark.parametrize("name", NAMES)
def test_value_and_gradient(name):
    z, truth, weight = _fields(1)
    value, got = grad(_call(name, truth, weight), z.real, z.imag)
    assert value == pytest.approx(_oracle(name, z, truth, weight), rel=2e-6)
    want = numerical_grad(lambda a, b: _oracle(name, a + 1j * b, truth, weight), z.real, z.imag)
    for mine, theirs in zip(got, want, strict=True):
        # the phase's gradient is softened by 1e-4 / 0.4^2, float32 does the rest
        assert relative_error(mine, theirs) < (1e-3 if name == "phase_error" else 1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_zeros_and_nothing_at_all_are_finite(name):
    z, truth, weight = _fields(2)
    z[0, 0], truth[0, 1], z[1, 2] = 0.0, 0.0, 1e-19
    truth[1, 2] = 1e-19j
    value, got = grad(_call(name, truth, weight), z.real, z.imag)
    assert np.isfinite(value)
    assert all(np.isfinite(part).all() and np.abs(part).max() < 10 for part in got)
    value, got = grad(_call(name, truth, 0 * weight), z.real, z.imag)
    assert value == 0.0
    assert not np.any(got)


def test_phases_on_both_sides_of_the_cut_are_near():
    truth, z = np.full(SHAPE, np.exp(3.13j)), np.full(SHAPE, np.exp(-3.13j))
    value = evaluate(_call("phase_error", truth, np.ones(SHAPE)), z.real, z.imag)
    assert value == pytest.approx(2 * (np.pi - 3.13), rel=1e-4)


def test_a_dark_label_has_no_phase():
    z, truth, weight = _fields(3)
    dark = truth.copy()
    dark[:, :, 1] *= 1e-5
    value = evaluate(_call("phase_error", dark, weight), z.real, z.imag)
    kept = weight.copy()
    kept[:, :, 1] = 0.0
    # dark pixels leave both sums
    assert value == pytest.approx(_oracle("phase_error", z, truth, kept), rel=1e-5)


def test_mean_phase_goes_by_group_and_weight():
    _, truth, weight = _fields(4)
    truth[0] = np.exp(0.3j * np.arange(60).reshape(SHAPE[1:]) / 20 + 2.0j)
    parts = truth.real, truth.imag, weight
    re, im = evaluate(lambda a, b, w: labels.without_mean_phase((a, b), w), *parts)
    mean = np.sum(truth * weight, axis=(1, 2, 3), keepdims=True)
    want = truth * np.conj(mean) / np.abs(mean)
    np.testing.assert_allclose(re + 1j * im, want, atol=1e-6)
    turned = np.exp(1.1j) * truth
    re2, im2 = evaluate(
        lambda a, b, w: labels.without_mean_phase((a, b), w), turned.real, turned.imag, weight
    )
    np.testing.assert_allclose(re2 + 1j * im2, want, atol=1e-6)
    # nothing to take a mean of: as it is
    re, im = evaluate(lambda a, b, w: labels.without_mean_phase((a, b), w), *parts[:2], 0 * weight)
    np.testing.assert_array_equal(re + 1j * im, truth.astype(np.complex64))


def test_bounded_angle_is_exact_and_its_gradient_bounded():
    rng = np.random.default_rng(0)
    z = np.exp(rng.uniform(-20, 3, 200)) * np.exp(1j * rng.uniform(-np.pi, np.pi, 200))
    z = np.concatenate([z, [0, -1, -1e-6, 1j, complex(-1.0, -0.0)]]).astype(np.complex64)
    value = evaluate(lambda a, b: phases.bounded_angle((a, b)), z.real, z.imag)
    np.testing.assert_allclose(value[:-1], np.angle(z[:-1]), atol=1e-6)
    assert value[-1] > 3.14  # in (-pi, pi], whatever the sign of zero
    from keras import ops

    _, (re, im) = grad(lambda a, b: ops.sum(phases.bounded_angle((a, b))), z.real, z.imag)
    size = np.hypot(re, im)
    assert size.max() <= 50.0 * (1 + 1e-6)  # 1 / (2 softness)
    expected = np.abs(z) / (np.abs(z.astype(np.complex128)) ** 2 + 1e-4)
    np.testing.assert_allclose(size, expected, rtol=1e-5)
    # across the field only: turning it
    np.testing.assert_allclose(re * z.real + im * z.imag, 0, atol=1e-5)
