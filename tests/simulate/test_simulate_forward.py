"""The NumPy forward model against definitions written out, and against closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from pinn.simulate.forward import (
    FOURIER_PAD,
    diffract,
    extract_patches,
    far_field,
    frame_photons,
)


def complex_noise(seed, *shape):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def test_far_field_is_the_centred_dft_written_out():
    N = 16
    x = complex_noise(0, 3, N, N)
    index = np.arange(N) - N // 2
    kernel = np.exp(-2j * np.pi * np.outer(index, index) / N) / np.sqrt(N)
    # double precision on sums of 256 terms
    np.testing.assert_allclose(far_field(x), kernel @ x @ kernel.T, atol=1e-13)


def test_a_plane_wave_goes_to_its_own_pixel():
    N = 32
    i = np.arange(N) - N // 2
    wave = np.exp(2j * np.pi * (3 * i[:, None] - 5 * i) / N)
    expected = np.zeros((N, N))
    expected[N // 2 + 3, N // 2 - 5] = N
    np.testing.assert_allclose(far_field(wave), expected, atol=1e-12)


def test_a_point_gives_a_flat_frame():
    point = np.zeros((8, 8), complex)
    point[2, 5] = 2 + 1j
    np.testing.assert_allclose(np.abs(far_field(point)), abs(2 + 1j) / 8, rtol=1e-14)


@given(
    y=st.floats(8, 21), x=st.floats(8, 31), seed=st.integers(0, 5), N=st.sampled_from([8, 12, 16])
)
def test_bilinear_extraction_interpolates_the_object(y, x, seed, N):
    obj = complex_noise(seed, 30, 40)
    patch = extract_patches(obj, np.array([[y, x]]), N)[0]
    rows, columns = y - N / 2 + np.arange(N), x - N / 2 + np.arange(N)
    grid = np.meshgrid(rows, columns, indexing="ij")
    expected = map_coordinates(obj.real, grid, order=1) + 1j * map_coordinates(
        obj.imag, grid, order=1
    )
    np.testing.assert_allclose(patch, expected, atol=1e-12)


@pytest.mark.parametrize("interpolation", ["bilinear", "fourier"])
def test_whole_pixels_are_plain_slices(interpolation):
    obj, N = complex_noise(1, 80, 90), 16
    got = extract_patches(obj, np.array([[40.0, 33.0], [43.0, 31.0]]), N, interpolation)
    np.testing.assert_array_equal(got[0], obj[32:48, 25:41])
    # 3 down and 2 left on the object: the scene moves 3 up and 2 right in the patch
    np.testing.assert_array_equal(got[1][:-3, 2:], got[0][3:, :-2])


@pytest.mark.parametrize("interpolation", ["bilinear", "fourier"])
def test_the_pixel_under_the_position_is_in_the_centre(interpolation):
    obj = np.zeros((70, 100), complex)
    obj[30, 61] = 1j
    patch = extract_patches(obj, np.array([[33.0, 56.0]]), 20, interpolation)[0]
    assert patch[10 + 30 - 33, 10 + 61 - 56] == 1j
    assert np.count_nonzero(patch) == 1


def test_a_patch_may_touch_the_border_but_not_cross_it():
    obj = complex_noise(2, 20, 24)
    last = extract_patches(obj, np.array([[12.0, 16.0]]), 16)
    np.testing.assert_array_equal(last[0], obj[4:, 8:])
    edge = extract_patches(obj, np.array([[12.0, 15.5]]), 16)
    np.testing.assert_allclose(edge[0], (obj[4:, 7:-1] + obj[4:, 8:]) / 2, atol=1e-14)
    for position in ([12.1, 12.0], [7.9, 12.0], [10.0, 16.2]):
        with pytest.raises(ValueError, match="leaves the object"):
            extract_patches(obj, np.array([position]), 16)


def smooth_scene(y, x):
    """Gaussian blobs of 3 pixels on a constant: band-limited to 1e-9, known between pixels."""
    blobs = [(47.0, 52.0, 1 + 0.5j), (55.5, 44.25, -0.7j), (50.0, 56.0, 0.6)]
    return (
        1.3 - 0.2j + sum(a * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 18) for cy, cx, a in blobs)
    )


@given(fy=st.floats(0, 1), fx=st.floats(0, 1))
def test_fourier_extraction_is_exact_for_a_band_limited_object(fy, fx):
    index = np.arange(100.0)
    obj = smooth_scene(index[:, None], index)
    N, y, x = 32, 50 + fy, 49 + fx
    got = extract_patches(obj, np.array([[y, x]]), N, "fourier")[0]
    want = smooth_scene((y - N / 2 + np.arange(N))[:, None], x - N / 2 + np.arange(N))
    # what is left of the blobs where the surroundings fade out, 20 pixels and more away
    np.testing.assert_allclose(got, want, atol=3e-6)


def test_bilinear_and_fourier_differ_between_pixels():
    index = np.arange(100.0)
    obj = smooth_scene(index[:, None], index)
    where = np.array([[50.5, 49.5]])
    difference = np.abs(
        extract_patches(obj, where, 32) - extract_patches(obj, where, 32, "fourier")
    )
    # curvature of a 3-pixel Gaussian: h^2/8 * 1/9 per axis is 0.028 at its top
    assert 0.01 < difference.max() < 0.1


def test_fourier_needs_its_border():
    obj = complex_noise(3, 60, 60)
    low = 8.0 + FOURIER_PAD
    extract_patches(obj, np.array([[low, low]]), 16, "fourier")
    with pytest.raises(ValueError, match="leaves the object"):
        extract_patches(obj, np.array([[low - 0.5, low]]), 16, "fourier")


def test_energy_and_modes():
    patches, probe = complex_noise(4, 5, 16, 16), complex_noise(5, 3, 16, 16)
    rate = diffract(patches, probe)
    exit_energy = np.sum(np.abs(probe[None] * patches[:, None]) ** 2, axis=(1, 2, 3))
    np.testing.assert_allclose(rate.sum((1, 2)), exit_energy, rtol=1e-13)
    np.testing.assert_allclose(frame_photons(patches, probe), exit_energy, rtol=1e-13)
    # modes add as intensities, not as fields
    apart = sum(diffract(patches, mode[None]) for mode in probe)
    np.testing.assert_allclose(rate, apart, rtol=1e-13)
    together = diffract(patches, probe.sum(0)[None])
    assert np.abs(rate - together).max() > 0.1 * rate.max()
