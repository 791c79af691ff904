"""Image measures by hand on small images."""

import math

import numpy as np
import pytest

from pinn.quality import image

RNG = np.random.default_rng(11)


def test_nrmse_by_hand():
    truth = np.array([[3.0, 4.0j]])
    assert image.nrmse(truth + np.array([[0.6, -0.8]]), truth) == pytest.approx(1.0 / 5.0)
    assert math.isnan(image.nrmse(truth, np.zeros((1, 2))))


def test_mae_and_masks_by_hand():
    first, second = np.array([[1.0, 5.0, 9.0]]), np.array([[2.0, 2.0, 2.0]])
    assert image.mae(first, second) == pytest.approx(11 / 3)
    assert image.mae(first, second, np.array([[True, True, False]])) == 2.0


def test_psnr_by_hand():
    # mean square 0.01, range 2: 10 log10(4 / 0.01) = 26.0206 dB
    difference = np.array([[0.1, -0.1], [0.1, -0.1]])
    assert image.psnr(difference, 2.0) == pytest.approx(26.0205999)
    assert image.psnr(np.zeros((2, 2)), 2.0) == math.inf
    assert math.isnan(image.psnr(difference, 0.0))
    only = np.array([[True, False], [False, False]])
    assert image.psnr(np.array([[0.2, 9.0], [9.0, 9.0]]), 2.0, only) == pytest.approx(20.0)


def test_the_reference_inflates_by_its_range():
    # An error of 0.00125 in mean square reads 77.16 dB at a range of 255, 29.0 at a range of 1.
    difference = np.full((4, 4), math.sqrt(0.00125))
    assert image.psnr(difference, 255.0) == pytest.approx(77.1625, abs=1e-3)
    assert image.psnr(difference, 1.0) == pytest.approx(29.0309, abs=1e-3)


def test_ssim_of_one_window_by_hand():
    first, second = RNG.normal(size=(7, 7)), RNG.normal(size=(7, 7))
    peak = 3.0
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    covariance = np.cov(first.ravel(), second.ravel())  # sample covariance, as in scikit-image
    u, v = first.mean(), second.mean()
    expected = ((2 * u * v + c1) * (2 * covariance[0, 1] + c2)) / (
        (u**2 + v**2 + c1) * (covariance[0, 0] + covariance[1, 1] + c2)
    )
    assert image.ssim(first, second, peak) == pytest.approx(expected, rel=1e-9)


def test_ssim_limits_and_mask():
    truth = RNG.normal(size=(30, 40))
    peak = float(np.ptp(truth))
    assert image.ssim(truth, truth, peak) == pytest.approx(1.0)
    spoiled, valid = truth.copy(), np.ones(truth.shape, bool)
    spoiled[10:14, 5:9], valid[10:14, 5:9] = 1e3, False
    assert image.ssim(spoiled, truth, peak) < 0.95
    assert image.ssim(spoiled, truth, peak, valid) == pytest.approx(1.0)
    assert math.isnan(image.ssim(truth[:6], truth[:6], peak))
    assert math.isnan(image.ssim(truth, truth, 0.0))


def test_phase_difference_is_wrapped_and_its_mean_taken_off():
    phase = np.linspace(-9.0, 9.0, 400).reshape(20, 20)  # wraps twice
    ripple = 0.1 * np.where(np.indices((20, 20)).sum(0) % 2, 1.0, -1.0)
    truth = np.exp(1j * phase)
    got, wanted, offset = image.phase_images(2.0 * truth * np.exp(1j * (ripple + 3.0)), truth)
    assert offset == pytest.approx(3.0)
    np.testing.assert_allclose(got - wanted, ripple, atol=1e-12)
    assert image.mae(got, wanted) == pytest.approx(0.1)


def test_phase_range_does_not_depend_on_the_common_phase():
    phase = RNG.uniform(-0.4, 0.9, (12, 15))
    for turn in (0.0, 3.0, -2.5):
        truth = np.exp(1j * (phase + turn))
        _, wanted, _ = image.phase_images(truth, truth)
        assert image.data_range(wanted) == pytest.approx(float(np.ptp(phase)))
