"""The centred orthonormal transform against explicit sums and analytic pairs."""

from __future__ import annotations

import numpy as np
import pytest
from gradients import evaluate, grad, relative_error
from hypothesis import given
from hypothesis import strategies as st
from keras import ops
from oracles import centred_dft, dft_matrix

from pinn.ops import fourier

# Even and odd, square and not, and one with sides 2 mod 4 and 0 mod 4 (the sign of the even path).
SHAPES = [(8, 8), (6, 8), (6, 10), (5, 7), (7, 6), (4, 9), (1, 5)]


def _field(seed, shape):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def _fft2c(re, im):
    return fourier.fft2c((re, im))


def _ifft2c(re, im):
    return fourier.ifft2c((re, im))


def _forward(z):
    re, im = evaluate(_fft2c, z.real, z.imag)
    return re + 1j * im


def _inverse(z):
    re, im = evaluate(_ifft2c, z.real, z.imag)
    return re + 1j * im


@given(st.sampled_from(SHAPES), st.integers(0, 2**16))
def test_matches_explicit_sums_and_inverts_and_conserves_energy(shape, seed):
    z = _field(seed, (2, 3, *shape))
    spectrum = _forward(z)
    assert relative_error(spectrum, centred_dft(z)) < 1e-6
    assert relative_error(_inverse(spectrum), z) < 1e-6
    # Parseval: no factor anywhere.
    assert np.sum(np.abs(spectrum) ** 2) == pytest.approx(np.sum(np.abs(z) ** 2), rel=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradient_is_the_conjugate_transpose(shape):
    z, w = _field(1, shape), _field(2, shape)

    def inner(re, im, wr, wi):
        a, b = fourier.fft2c((re, im))
        return ops.sum(a * wr + b * wi)

    _, (by_re, by_im, _, _) = grad(inner, z.real, z.imag, w.real, w.imag)
    adjoint = dft_matrix(shape[0]).conj().T @ w @ dft_matrix(shape[1]).conj()
    assert relative_error(by_re + 1j * by_im, adjoint) < 1e-6
    # ... which is the inverse transform.
    assert relative_error(_inverse(w), adjoint) < 1e-6


@pytest.mark.parametrize("shape", [(8, 8), (6, 9)])
def test_plane_wave_is_a_delta_at_its_frequency(shape):
    """A wave of +2 cycles along x goes to column `W // 2 + 2`, not to its mirror image."""
    height, width = shape
    x = np.arange(width) - width // 2
    wave = np.exp(2j * np.pi * 2 * x / width) * np.ones((height, 1))
    expected = np.zeros(shape)
    expected[height // 2, width // 2 + 2] = np.sqrt(height * width)
    assert relative_error(_forward(wave), expected) < 1e-6


def test_delta_at_the_centre_is_flat_without_phase():
    z = np.zeros((8, 8), complex)
    z[4, 4] = 2 + 1j
    assert relative_error(_forward(z), np.full((8, 8), (2 + 1j) / 8)) < 1e-6


def test_shift_of_the_object_is_a_phase_ramp():
    z = _field(5, (6, 8))
    ky = (np.arange(6) - 3)[:, None]
    kx = (np.arange(8) - 4)[None, :]
    ramp = np.exp(-2j * np.pi * (ky * 1 / 6 + kx * 3 / 8))
    assert relative_error(_forward(np.roll(z, (1, 3), (0, 1))), _forward(z) * ramp) < 2e-6
