"""Losses: digits, masks, dark pixels, and analytic gradients."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from gradients import evaluate, grad, numerical_grad, relative_error
from hypothesis import given
from hypothesis import strategies as st
from keras import ops
from oracles import deviance as oracle_deviance

from pinn.ops import likelihood

LOSSES = {
    "deviance_loss": likelihood.deviance_loss,
    "poisson_nll": likelihood.poisson_nll,
    "amplitude_mse": likelihood.amplitude_mse,
    "amplitude_mae": likelihood.amplitude_mae,
}
losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
FLOOR = likelihood.RATE_FLOOR


def _exact(counts, rate, floor=FLOOR):
    """Deviance with 50 digits, of the very float32 numbers given."""

    def one(k, r):
        k, r = mpmath.mpf(float(k)), mpmath.mpf(float(r))
        if k == 0:
            return 2 * r
        r += mpmath.mpf(floor)
        return 2 * (r - k + k * mpmath.log(k / r))

    with mpmath.workdps(50):
        return np.array(
            [float(one(k, r)) for k, r in zip(counts.ravel(), rate.ravel(), strict=True)]
        )


def _scan(seed, shape=(2, 3, 4, 5)):
    """Counts and rates of a dim frame with zeros among them, and a mask."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(0.7, 4.0, size=shape).astype("f4")
    counts = rng.poisson(rate).astype("f4")
    valid = (rng.random(shape) > 0.2).astype("f4")
    assert (counts == 0).any() and (counts > 0).any()
    return counts, rate, valid


# Distances from rate = k that cover the series, its end at 0.5 and the logarithm on both sides.
NEAR = np.concatenate([[1e-7, 1e-5, 1e-4, 1.3e-3, 0.02], np.geomspace(0.03, 0.7, 60)])
X = np.concatenate([NEAR, -NEAR, [-0.99, -0.999999, 2.0, 30.0]])


@pytest.mark.parametrize("k", [1e-3, 1.0, 7.0, 1e3, 1e5, 1e8])
def test_deviance_keeps_five_digits_from_a_thousandth_to_1e8_counts(k):
    counts = np.full(X.shape, k, "f4")
    rate = (counts.astype("f8") * (1 + X)).astype("f4")
    exact = _exact(counts, rate)
    got = evaluate(likelihood.poisson_deviance_per_pixel, counts, rate)
    assert np.all(np.abs(got - exact) <= 1e-5 * exact)


@pytest.mark.parametrize("k", [1.0, 1e3, 1e8])
def test_gradient_of_the_deviance_keeps_five_digits(k):
    counts = np.full(X.shape, k, "f4")
    rate = (counts.astype("f8") * (1 + X)).astype("f4")
    _, (_, got) = grad(
        lambda c, r: ops.sum(likelihood.poisson_deviance_per_pixel(c, r)), counts, rate
    )
    floored = rate.astype("f8") + FLOOR
    want = 2.0 * (floored - counts) / floored
    assert np.all(np.abs(got - want) <= 1e-5 * np.abs(want))


def test_textbook_difference_would_fail_where_the_deviance_does_not():
    """The reason for the series, kept as a test so that nobody simplifies it away."""
    counts, rate = np.full(1, 1e8, "f4"), np.full(1, 1e8 + 8000, "f4")
    naive = 2 * (rate - counts + counts * np.log(counts / rate))
    exact = _exact(counts, rate)[0]
    assert abs(naive[0] / exact - 1) > 0.1
    got = evaluate(likelihood.poisson_deviance_per_pixel, counts, rate)
    assert got[0] == pytest.approx(exact, rel=1e-5)


@given(st.integers(0, 2**16))
def test_deviance_loss_matches_the_textbook_in_float64(seed):
    counts, rate, valid = _scan(seed)
    weight = np.array([1.0, 0.25])
    got = evaluate(likelihood.deviance_loss, counts, rate, valid, weight)
    factor = valid * weight[:, None, None, None]
    deviance = oracle_deviance(counts.astype("f8"), rate.astype("f8"))
    assert got == pytest.approx(np.sum(factor * deviance) / np.sum(factor * counts), rel=5e-6)


@given(st.integers(0, 2**16))
def test_other_losses_match_their_definitions_in_float64(seed):
    counts, rate, valid = _scan(seed)
    weight = np.array([0.5, 1.0])
    k, r = counts.astype("f8"), rate.astype("f8")
    factor = valid * weight[:, None, None, None]
    arguments = counts, rate, valid, weight

    nll = np.sum(factor * (r - k * np.log(r + FLOOR))) / np.sum(factor)
    size = np.sum(factor * (r + np.abs(k * np.log(r + FLOOR)))) / np.sum(factor)
    assert evaluate(likelihood.poisson_nll, *arguments) == pytest.approx(nll, abs=1e-6 * size)

    gap = np.sqrt(r + FLOOR) - np.sqrt(k)
    mse = np.sum(factor * 4 * gap**2) / np.sum(factor * k)
    assert evaluate(likelihood.amplitude_mse, *arguments) == pytest.approx(mse, rel=1e-5)
    mae = np.sum(factor * np.abs(gap)) / np.sum(factor * np.sqrt(k))
    assert evaluate(likelihood.amplitude_mae, *arguments) == pytest.approx(mae, rel=1e-5)


def test_nll_equals_the_values_of_the_reference():
    counts, rate = np.array([[3.0], [0.0], [5.0]]), np.array([[2.0], [1.0], [1e-3]])
    for k, r, want in zip(counts, rate, [-0.0794415, 1.0, 34.5398], strict=True):
        got = evaluate(lambda c, r: likelihood.poisson_nll(c, r, rate_floor=1e-12), k, r)
        assert got == pytest.approx(want, rel=2e-6)


@losses
def test_gradients_match_central_differences(loss):
    counts, rate, valid = _scan(4, (2, 1, 3, 4))
    rate = rate + 0.1
    weight = np.array([0.5, 1.0])

    def numpy_fn(r):
        k, factor = counts.astype("f8"), valid * weight[:, None, None, None]
        gap = np.sqrt(r + FLOOR) - np.sqrt(k)
        per_pixel, unit = {
            "deviance_loss": (oracle_deviance(k, r + FLOOR), k),
            "poisson_nll": (r - k * np.log(r + FLOOR), np.ones_like(k)),
            "amplitude_mse": (4 * gap**2, k),
            "amplitude_mae": (np.abs(gap), np.sqrt(k)),
        }[loss.__name__]
        return float(np.sum(factor * per_pixel) / np.sum(factor * unit))

    _, (_, got, _, _) = grad(loss, counts, rate, valid, weight)
    (want,) = numerical_grad(numpy_fn, rate)
    assert relative_error(got, want) < 1e-5


@losses
@pytest.mark.parametrize("garbage", [np.nan, 4294967295.0, -1.0, np.inf])
def test_masked_pixel_changes_neither_value_nor_gradient(loss, garbage):
    counts, rate, valid = _scan(5)
    dirty = np.where(valid > 0, counts, np.float32(garbage))
    clean = np.where(valid > 0, counts, np.float32(0))
    value, (_, by_rate, _) = grad(loss, dirty, rate, valid)
    value_clean, (_, by_rate_clean, _) = grad(loss, clean, rate, valid)
    assert np.isfinite(value) and value == value_clean
    assert np.array_equal(by_rate, by_rate_clean)
    assert np.all(by_rate[valid == 0] == 0)
    assert np.any(by_rate[valid > 0] != 0)


def test_masked_pixels_are_zero_in_the_deviance_image_and_the_mask_may_be_boolean():
    counts, rate, valid = _scan(6)
    counts[valid == 0] = np.nan
    image = evaluate(likelihood.poisson_deviance_per_pixel, counts, rate, valid)
    assert np.all(image[valid == 0] == 0)
    want = oracle_deviance(counts[valid > 0].astype("f8"), rate[valid > 0].astype("f8"))
    assert relative_error(image[valid > 0], want) < 1e-5
    boolean = evaluate(
        lambda c, r: likelihood.poisson_deviance_per_pixel(c, r, ops.convert_to_tensor(valid > 0)),
        counts,
        rate,
    )
    assert np.array_equal(boolean, image)


@losses
def test_detector_mask_without_batch_axes_broadcasts(loss):
    counts, rate, valid = _scan(7)
    mask = valid[0, 0]
    full = np.broadcast_to(mask, counts.shape)
    assert evaluate(loss, counts, rate, mask) == evaluate(loss, counts, rate, full)


@losses
def test_weight_zero_removes_a_frame_whatever_it_holds(loss):
    counts, rate, valid = _scan(8)
    dirty_counts, dirty_rate = counts.copy(), rate.copy()
    dirty_counts[1], dirty_rate[1] = np.nan, np.nan
    value, (_, by_rate, _) = grad(
        lambda c, r, v: loss(c, r, v, ops.convert_to_tensor(np.float32([1, 0]))),
        dirty_counts,
        dirty_rate,
        valid,
    )
    assert value == pytest.approx(float(evaluate(loss, counts[:1], rate[:1], valid[:1])), rel=1e-6)
    assert np.all(by_rate[1] == 0) and np.all(np.isfinite(by_rate[0]))


@losses
@pytest.mark.parametrize("counts_level", [0.0, 3.0])
@pytest.mark.parametrize("rate_level", [0.0, 2.0])
def test_dark_frames_and_zero_rates_are_finite(loss, counts_level, rate_level):
    counts, rate = np.full((2, 1, 3, 4), counts_level), np.full((2, 1, 3, 4), rate_level)
    value, (_, by_rate) = grad(loss, counts, rate)
    assert np.isfinite(value)
    assert np.all(np.isfinite(by_rate))
    if counts_level > rate_level:
        # A pixel that counted pulls its rate up, from zero as well: the floor removes no gradient.
        assert np.all(by_rate < 0)


def test_zero_rate_behind_an_amplitude_is_finite_for_1e8_counts():
    """Through `rate = |psi|^2` the slope is at most 2 k / sqrt(floor)."""
    psi = np.array([0.0, np.sqrt(FLOOR), 1e-20, 1.0])
    _, (by_psi,) = grad(
        lambda x: ops.sum(
            likelihood.poisson_deviance_per_pixel(ops.full_like(x, 1e8), ops.square(x))
        ),
        psi,
    )
    assert by_psi[0] == 0
    assert np.all(np.abs(by_psi) <= 2 * 1e8 / np.sqrt(FLOOR) * 1.00001)
    assert by_psi[1] == pytest.approx(-2e8 / np.sqrt(FLOOR), rel=1e-4)


@losses
def test_nothing_valid_is_zero(loss):
    counts, rate, _ = _scan(9)
    value, (_, by_rate, _) = grad(loss, counts * np.nan, rate, np.zeros_like(counts))
    assert value == 0.0
    assert np.all(by_rate == 0)


def test_no_count_costs_twice_the_rate():
    rate = np.array([0.0, 1e-9, 0.5, 1e8])
    image = evaluate(likelihood.poisson_deviance_per_pixel, np.zeros(4), rate)
    assert image == pytest.approx(2 * rate.astype("f4"), rel=1e-7)
    # Rounding residues of a simulated noise-free frame are no counts either.
    image = evaluate(likelihood.poisson_deviance_per_pixel, np.full(4, 1e-38), rate)
    assert image == pytest.approx(2 * rate.astype("f4"), rel=1e-7)


def test_losses_are_least_at_the_measured_rate_and_scale_with_the_dose_as_stated():
    counts = np.random.default_rng(10).poisson(50.0, size=(1, 1, 6, 7)) + 1.0
    for loss in (likelihood.deviance_loss, likelihood.amplitude_mse, likelihood.amplitude_mae):
        at = evaluate(loss, counts, counts)
        assert 0 <= at < 1e-6
        for factor in (0.9, 1.1):
            assert evaluate(loss, counts, factor * counts) > 1e-3
        # A relative misfit costs the same at any dose.
        assert evaluate(loss, 1e4 * counts, 1.3e4 * counts) == pytest.approx(
            float(evaluate(loss, counts, 1.3 * counts)), rel=1e-5
        )


def test_deviance_is_one_per_pixel_at_the_noise_floor_and_amplitude_mse_agrees():
    rng = np.random.default_rng(11)
    rate = rng.uniform(500, 5000, size=(4, 1, 64, 64))
    counts = rng.poisson(rate)
    image = evaluate(likelihood.poisson_deviance_per_pixel, counts, rate)
    # Mean of 16384 chi-squared values: standard error sqrt(2 / 16384) = 0.011.
    assert image.mean() == pytest.approx(1.0, abs=0.045)
    assert evaluate(likelihood.amplitude_mse, counts, rate) == pytest.approx(
        float(evaluate(likelihood.deviance_loss, counts, rate)), rel=0.01
    )


def test_order_of_frames_does_not_matter():
    counts, rate, valid = _scan(12, (6, 2, 4, 5))
    order = [3, 0, 5, 1, 4, 2]
    for loss in LOSSES.values():
        assert evaluate(loss, counts[order], rate[order], valid[order]) == pytest.approx(
            float(evaluate(loss, counts, rate, valid)), rel=1e-6
        )


def test_amplitude_losses_keep_their_digits_at_1e8_counts():
    """One standard deviation off, the roots agree to four digits and differ by 1/2."""
    counts = np.full((1, 8), 1e8, "f4")
    rate = counts + np.linspace(-2e4, 2e4, 8).astype("f4")
    gap = np.sqrt(rate.astype("f8")) - np.sqrt(counts.astype("f8"))
    assert evaluate(likelihood.amplitude_mse, counts, rate) == pytest.approx(
        np.sum(4 * gap**2) / np.sum(counts.astype("f8")), rel=1e-6
    )
    assert evaluate(likelihood.amplitude_mae, counts, rate) == pytest.approx(
        np.sum(np.abs(gap)) / np.sum(np.sqrt(counts.astype("f8"))), rel=1e-6
    )


def test_amplitude_mae_pulls_nowhere_where_it_is_exact():
    counts = np.array([[4.0, 9.0, 1.0]])
    _, (_, by_rate) = grad(
        lambda k, r: likelihood.amplitude_mae(k, r, rate_floor=0.0), counts, counts
    )
    assert np.array_equal(by_rate, np.zeros((1, 3)))


@pytest.mark.parametrize(
    "loss", [likelihood.deviance_loss, likelihood.amplitude_mse], ids=["deviance", "amplitude"]
)
def test_normalisation_holds_below_one_count_in_all(loss):
    """Frames in arbitrary units may sum to less than one: equal relative misfit, equal loss."""
    counts, rate, _ = _scan(14, (1, 1, 4, 5))
    faint = 1e-4 * counts, 1e-4 * (rate + 0.5)
    assert faint[0].sum() < 1
    got = evaluate(lambda k, r: loss(k, r, rate_floor=1e-10), *faint)
    assert got == pytest.approx(float(evaluate(loss, counts, rate + 0.5)), rel=1e-4)
