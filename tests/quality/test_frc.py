"""Fourier ring correlation: limits, thresholds and a direct evaluation of the definition."""

import numpy as np
import pytest

from pinn.errors import InputError
from pinn.quality.frc import FrcCurve, frc, half_bit, threshold_crossing

RNG = np.random.default_rng(3)


def noise(shape=(60, 76)):
    return RNG.normal(size=shape) + 1j * RNG.normal(size=shape)


def test_identical_images_correlate_fully():
    image = noise()
    curve = frc(image, (2 - 3j) * image + 5)  # gauge and offset do not count
    np.testing.assert_allclose(curve.correlation, 1.0, atol=1e-12)
    assert curve.crossing(0.5) == (0.5, False)
    assert curve.frequency[-1] == 0.5


def test_unrelated_images_do_not_correlate():
    curve = frc(noise((256, 256)), noise((256, 256)))
    outer = curve.correlation[20:]
    # |mean of n unit phasors| is sqrt(pi / 4n); the window makes neighbours alike: n is less.
    assert outer.mean() < 3 * np.sqrt(np.pi / (4 * curve.count[20:])).mean()
    assert curve.crossing(0.5)[0] < 0.03


def test_correlation_of_signal_and_noise_is_the_known_share():
    signal = noise((256, 256))
    curve = frc(signal, signal + noise((256, 256)))
    # E|S|^2 / sqrt(E|S|^2 E|S + N|^2) with equal powers; rings of more than 100 coefficients.
    np.testing.assert_allclose(curve.correlation[30:].mean(), np.sqrt(0.5), atol=0.01)


def test_against_the_definition_ring_by_ring():
    first, second = noise((11, 14)), noise((11, 14))
    curve = frc(first, second)
    window = np.outer(np.hanning(11), np.hanning(14))
    y, x = np.mgrid[:11, :14]
    a, b = (image - image.mean() for image in (first, second))
    sums: dict[int, list] = {}
    for u in range(-5, 6):
        for v in range(-7, 7):
            wave = np.exp(-2j * np.pi * (u * y / 11 + v * x / 14)) * window
            ring = round(11 * float(np.hypot(u / 11, v / 14)))
            sums.setdefault(ring, []).append(((a * wave).sum(), (b * wave).sum()))
    assert len(curve.correlation) == 6
    np.testing.assert_allclose(curve.frequency, np.arange(6) / 11)
    for ring in range(1, 6):
        one, two = np.array(sums[ring]).T
        power = np.sqrt((np.abs(one) ** 2).sum() * (np.abs(two) ** 2).sum())
        expected = abs((one * two.conj()).sum()) / power
        np.testing.assert_allclose(curve.correlation[ring], expected, rtol=1e-9)
        assert curve.count[ring] == len(one)


def test_a_low_pass_is_seen_where_it_cuts():
    image = noise((200, 200))
    spectrum = np.fft.fft2(image)
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(200), np.fft.fftfreq(200), indexing="ij"))
    low = np.fft.ifft2(np.where(radius < 0.2, spectrum, 0.05 * np.fft.fft2(noise((200, 200)))))
    where, crossed = frc(low, image).crossing(0.5)
    assert crossed
    assert abs(where - 0.2) < 2 / 200  # a ring, and the window's leak of another


def test_masked_pixels_do_not_count():
    image, valid = noise((64, 64)), np.ones((64, 64), bool)
    valid[20:30, 25:50] = False
    spoiled = image.copy()
    spoiled[~valid] = np.nan
    np.testing.assert_allclose(frc(spoiled, image, valid).correlation, 1.0, atol=1e-12)


@pytest.mark.parametrize(
    ("curve", "threshold", "index", "crossed"),
    [
        ([0.95, 0.72, 0.55, 0.45, 0.2], 0.5, 2.5, True),
        ([0.8, 0.4, 0.2, 0.1], 0.5, 0.75, True),
        ([0.8, 0.4, 0.2, 0.1], 1 / 7, 2.571428571, True),
        ([0.9, 0.8, 0.7], 0.5, 2.0, False),
        ([0.4, 0.9], 0.5, 0.0, True),
        ([1.0, 0.5, 0.5, 0.0], 0.5, 2.0, True),
        ([1.0, 0.2, 0.9, 0.2], 0.5, 0.625, True),  # the first crossing counts
    ],
)
def test_thresholds_are_crossed_between_rings(curve, threshold, index, crossed):
    got = threshold_crossing(np.array(curve), threshold)
    assert got[0] == pytest.approx(index, abs=1e-9)
    assert got[1] is crossed


def test_crossing_is_in_cycles_per_pixel():
    curve = FrcCurve(
        np.arange(5) / 8, np.array([0.95, 0.72, 0.55, 0.45, 0.2]), np.array([1, 8, 12, 16, 32])
    )
    assert curve.crossing(0.5) == (pytest.approx(2.5 / 8), True)


def test_half_bit_curve_has_its_known_ends():
    # (0.2071 + 1.9102) / (1.2071 + 0.9102) is 1; without end it tends to 0.2071 / 1.2071.
    np.testing.assert_allclose(half_bit(np.array([1, 10**12])), (1.0, 0.17157), atol=1e-4)
    assert half_bit(np.array([100]))[0] == pytest.approx((0.2071 + 0.19102) / (1.2071 + 0.09102))


@pytest.mark.parametrize("constant", [0.0, 1.0, 0.3 - 2j])
def test_an_image_without_variance_is_refused(constant):
    flat = np.full((32, 40), constant)
    with pytest.raises(InputError, match="the first image has no variance"):
        frc(flat, noise((32, 40)))
    with pytest.raises(InputError, match="the second image has no variance"):
        frc(noise((32, 40)), flat)


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (np.eye(20), np.eye(21), "two images of one shape"),
        (np.eye(7), np.eye(7), "at least 8 x 8"),
        (np.ones(64), np.ones(64), "two images"),
        (np.where(np.eye(20) > 0, np.nan, 1), np.eye(20), "not finite"),
    ],
)
def test_other_bad_input_is_refused(first, second, words):
    with pytest.raises(InputError, match=words):
        frc(first, second)
