"""Alignment: shifts, ramps and factors put in by formula and found again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinn.quality.align import align
from pinn.quality.frames import Placed
from pinn.quality.frc import has_variance
from pinn.quality.register import (
    find_factor,
    find_ramp,
    find_shift,
    remove_ramp,
    similarity,
)

RNG = np.random.default_rng(7)
WAVES = RNG.uniform(-0.15, 0.15, (40, 2)) * 2 * np.pi
HEIGHTS = RNG.normal(size=40) + 1j * RNG.normal(size=40)


def scene(y, x):
    """Asymmetric and band-limited to 0.21 cycles/px; any origin, no period."""
    rows = np.exp(1j * np.outer(y, WAVES[:, 0]))
    columns = np.exp(1j * np.outer(WAVES[:, 1], x))
    return 3 + 0.1 * (rows * HEIGHTS) @ columns


def image(origin=(0.0, 0.0), shape=(96, 120)):
    return scene(*(o + np.arange(n) for o, n in zip(origin, shape, strict=True)))


def whole(shape):
    return 0.0, float(shape[0]), 0.0, float(shape[1])


@given(shift=st.tuples(st.floats(-3, 3), st.floats(-3, 3)))
@settings(max_examples=20, deadline=None)
def test_a_misplaced_object_is_brought_back(shift):
    # The object was cut at `shift` but says it was cut at 0: its coordinates lack `shift`.
    recon = Placed(image(shift), np.zeros(2))
    truth = Placed(image(), np.zeros(2))
    found = align(recon, truth, whole((96, 120)), 8.0)
    # The peak search steps by 0.01 px and stops within one and a half steps.
    np.testing.assert_allclose(found.steps["shift_px"], shift, atol=0.03)
    # nrmse is at most 0.03 px times the slope of the scene.
    assert np.linalg.norm(found.recon - found.truth) < 0.01 * np.linalg.norm(found.truth)


def test_the_sign_is_that_of_the_movement():
    truth = np.zeros((64, 64))
    truth[30, 20] = truth[31, 22] = 1.0
    moved = np.roll(truth, (2, -5), (0, 1))
    # Content sits 2 too low and 5 too far left, so it must go up 2 and right 5.
    assert find_shift(moved, truth) == (-2.0, 5.0)


@given(
    ramp=st.tuples(st.floats(-3.0, 3.0), st.floats(-3.0, 3.0)),
    factor=st.complex_numbers(min_magnitude=0.1, max_magnitude=10),
)
@settings(max_examples=30, deadline=None)
def test_ramp_and_factor_leave_nothing_behind(ramp, factor):
    truth = image(shape=(50, 71))
    rows, columns = np.arange(50)[:, None], np.arange(71)[None, :]
    recon = truth * factor * np.exp(1j * (ramp[0] * rows + ramp[1] * columns))
    found = find_ramp(recon, truth)
    # The objective is flat to rounding within about 1e-8 rad across the image.
    np.testing.assert_allclose(found, ramp, atol=1e-7)
    flat = remove_ramp(recon, found)
    np.testing.assert_allclose(find_factor(flat, truth) * flat, truth, atol=1e-4)


def test_ramp_is_found_under_noise_and_holes():
    truth = image()
    rows, columns = np.arange(96)[:, None], np.arange(120)[None, :]
    noise = RNG.normal(size=truth.shape) + 1j * RNG.normal(size=truth.shape)
    recon = (truth + 3 * noise) * np.exp(1j * (0.05 * rows - 0.4 * columns))
    valid = RNG.random(truth.shape) > 0.3
    recon[~valid] = 1e4
    # Cramer-Rao: sqrt(2) * noise / signal / sqrt(pixels * side^2 / 12), times 5.
    np.testing.assert_allclose(find_ramp(recon, truth, valid), (0.05, -0.4), atol=2.5e-3)


def test_factor_is_the_least_squares_one():
    recon, truth = image(shape=(20, 30)), image((3.0, 1.0), (20, 30))
    best = find_factor(recon, truth)
    error = np.linalg.norm(best * recon - truth)
    for step in (1e-3, -1e-3, 1e-3j, -1e-3j):
        assert np.linalg.norm((best + step) * recon - truth) > error
    relative = error / np.linalg.norm(truth)
    np.testing.assert_allclose(relative, np.sqrt(1 - similarity(recon, truth) ** 2), rtol=1e-9)
    assert find_factor(np.zeros((3, 3)), np.ones((3, 3))) == 0


def test_variance_is_judged_against_size_not_against_zero():
    assert not has_variance(np.full((9, 9), 1e9) + 1e-3 * np.eye(9))
    assert has_variance(1e-12 * np.eye(9))
    assert not has_variance(np.zeros((9, 9)))
    # Rounding of complex64 is no variance.
    assert not has_variance(np.full((99, 99), 0.1 + 0.2j, np.complex64) * np.complex64(1 / 3))


@pytest.mark.parametrize("which", ["recon", "truth"])
def test_a_constant_is_not_registered(which):
    images = {"recon": image(), "truth": image()}
    images[which] = np.full((96, 120), 2.0 + 1.0j)
    found = align(
        Placed(images["recon"], np.zeros(2)), Placed(images["truth"], np.zeros(2)), whole((96, 120))
    )
    assert found.steps["shift_px"] == [0.0, 0.0]
    assert not found.steps["registration"]["applied"]
    assert "no variance" in found.steps["registration"]["reason"]
    assert found.varied is (which == "truth")
    assert np.isfinite(found.recon).all()


def test_a_shift_that_makes_things_worse_is_not_applied():
    truth = image()
    # The modulus says (0, 4); the phase, which carries more, says (0, 0).
    wave = np.exp(2j * np.pi * RNG.random((96, 120)))
    recon = np.abs(image((0.0, 4.0))) * np.exp(1j * np.angle(truth * wave))
    found = align(Placed(recon, np.zeros(2)), Placed(truth * wave, np.zeros(2)), whole((96, 120)))
    record = found.steps["registration"]
    assert found.steps["shift_px"] == [0.0, 0.0] and not record["applied"]
    assert abs(record["found_px"][1] - 4) < 0.1
    assert record["correlation_after"] < record["correlation_before"]


def test_phase_objects_are_registered_on_the_complex_image():
    rows, columns = np.arange(96)[:, None], np.arange(120)[None, :]
    truth = np.exp(1j * np.angle(image()))
    recon = np.exp(1j * np.angle(image((0.7, -1.3))) + 1j * (0.3 * rows - 0.2 * columns))
    found = align(
        Placed(recon, np.zeros(2)), Placed(truth, np.zeros(2)), whole((96, 120)), 8.0, "complex"
    )
    assert found.steps["registration"]["applied"]
    np.testing.assert_allclose(found.steps["shift_px"], (0.7, -1.3), atol=0.03)
    np.testing.assert_allclose(found.steps["ramp_rad_per_px"], (0.3, -0.2), atol=1e-4)


def test_registration_and_ramp_can_be_declined():
    recon = image((0.0, 1.0)) * np.exp(0.01j * np.arange(120))
    found = align(
        Placed(recon, np.zeros(2)), Placed(image(), np.zeros(2)), whole((96, 120)), 0.0, None, False
    )
    assert found.steps["registration"]["reason"] == "not asked for"
    assert found.steps["ramp_rad_per_px"] is None
    re, im = found.steps["complex_factor"]
    np.testing.assert_allclose(found.recon, recon * complex(re, im), rtol=1e-12)
