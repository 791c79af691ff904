"""Orthogonal probe modes: the same frames behind any object, in a form of its own."""

import numpy as np
import pytest

from pinn.data.probe_modes import orthogonal_modes


def noise(seed, *shape):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def intensity(probe, patch):
    """Sum over modes of the far field's intensity, by a DFT written out."""
    q = np.arange(patch.shape[-1])
    kernel = np.exp(-2j * np.pi * np.outer(q, q) / len(q))
    return sum(np.abs(kernel @ (mode * patch) @ kernel.T) ** 2 for mode in probe)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_no_frame_changes_behind_any_object(count):
    probe = noise(count, count, 16, 16) * np.array([1.0, 3.0, 0.1, 2, 1, 1, 1])[:count, None, None]
    found = orthogonal_modes(probe)
    for seed in range(3):
        patch = noise(10 + seed, 16, 16)
        expected = intensity(probe, patch)
        # float64: rounding of sums of 256 terms
        np.testing.assert_allclose(intensity(found, patch), expected, rtol=1e-11)


def test_they_are_orthogonal_and_the_strongest_is_first():
    probe = noise(0, 4, 12, 12)
    probe[2] = probe[0] + 1e-3 * probe[2]  # nearly the same twice
    found = orthogonal_modes(probe)
    gram = np.einsum("pij,qij->pq", found.conj(), found)
    power = np.diag(gram).real
    assert np.all(np.diff(power) <= 0)
    off = np.abs(gram - np.diag(np.diag(gram)))
    assert off.max() < 1e-13 * power[0]
    assert off[3].max() < 1e-10 * power[3]  # the weak one to its own measure as well
    assert power.sum() == pytest.approx(np.sum(np.abs(probe) ** 2), rel=1e-13)


def test_one_mode_and_ordered_ones_stay_as_they_are():
    one = noise(1, 1, 8, 8).astype(np.complex64)
    assert orthogonal_modes(one) is one
    vectors = np.linalg.qr(noise(2, 64, 3))[0].T.reshape(3, 8, 8)
    ordered = vectors * np.array([3.0, 2.0, 1.0])[:, None, None]
    np.testing.assert_allclose(orthogonal_modes(ordered), ordered, atol=1e-13)
    np.testing.assert_allclose(orthogonal_modes(ordered[::-1]), ordered, atol=1e-13)
    again = orthogonal_modes(orthogonal_modes(noise(3, 3, 8, 8)))
    np.testing.assert_allclose(again, orthogonal_modes(noise(3, 3, 8, 8)), atol=1e-12)


def test_dark_modes_come_last_and_types_are_kept():
    probe = noise(4, 3, 8, 8).astype(np.complex64)
    probe[0] = 0
    found = orthogonal_modes(probe)
    assert found.dtype == np.complex64
    assert not found[2].any() and np.abs(found[:2]).max() > 0.1
    lone = np.stack([probe[0], probe[1]])
    np.testing.assert_array_equal(orthogonal_modes(lone), lone[::-1])
    assert np.isfinite(orthogonal_modes(np.zeros((2, 4, 4), complex))).all()
