"""Contrast calibration against a forward model in NumPy float64 with known factors."""

import numpy as np
import pytest

from pinn.reconstruction.contrast import calibrate
from pinn.simulate.forward import diffract, extract_patches

N, SIDE = 16, 48


def setup(modes=1, seed=3, phase=0.4):
    rng = np.random.default_rng(seed)
    smooth = np.exp(-0.5 * (np.hypot(*np.indices((SIDE, SIDE)) - 20) / 3.0) ** 2)
    fields = np.fft.ifft2(
        np.fft.fft2(rng.normal(size=(2, SIDE, SIDE))) * np.abs(np.fft.fft2(smooth))
    ).real
    fields /= np.abs(fields).max((1, 2), keepdims=True)
    truth = (1 + 0.3 * fields[0]) * np.exp(1j * (phase * fields[1] + 0.7))
    y, x = np.indices((N, N)) - N // 2
    probe = np.exp(-(y**2 + 1.7 * x**2) / 18.0) * np.exp(0.05j * (y * x + 0.5 * y))
    probe = np.stack([probe * (1 + 0.3 * m * (x + 0.4 * y)) for m in range(modes)])
    positions = rng.uniform(N / 2 + 1, SIDE - N / 2 - 2, (60, 2))
    amplitude = np.sqrt(diffract(extract_patches(truth, positions, N), probe))
    return truth, probe, positions, amplitude


def flattened(truth, coverage, real, imaginary):
    mean = np.sum(coverage * truth) / coverage.sum()
    d = truth / mean - 1
    return (mean * (1 + d.real / real + 1j * d.imag / imaginary)).astype(np.complex64)


@pytest.mark.parametrize("modes", [1, 3])
@pytest.mark.parametrize("origin", [(0.0, 0.0), (-31.25, 12.0)])
def test_known_factors_are_found_and_applied(modes, origin):
    truth, probe, positions, amplitude = setup(modes)
    coverage = np.ones(truth.shape)
    dull = flattened(truth, coverage, 1.15, 1.4)
    origin = np.asarray(origin)
    got, found = calibrate(
        dull, coverage, origin, 5.0 * probe, positions + origin, lambda rows: 0.3 * amplitude[rows]
    )
    # the truth has a slight slope, and bilinear samples of a product are not its factors' product
    assert found.real == pytest.approx(1.15, rel=5e-3)
    assert found.imaginary == pytest.approx(1.4, rel=5e-3)
    assert found.residual_after < 1e-5 < 1e-3 < found.residual_before
    assert np.linalg.norm(got - truth) < 5e-3 * np.linalg.norm(truth)
    assert got.dtype == np.complex64 and found.note is None


def test_a_phase_ramp_is_no_contrast():
    """A detector off centre by a fraction of a pixel: the object carries a ramp of many turns."""
    truth, probe, positions, _ = setup()
    y, x = np.indices(truth.shape)
    ramp = np.exp(1j * (0.11 * y - 0.25 * x))
    amplitude = np.sqrt(diffract(extract_patches(truth * ramp, positions, N), probe))
    dull = flattened(truth, np.ones(truth.shape), 1.15, 1.4) * ramp
    got, found = calibrate(
        dull, np.ones(truth.shape), np.zeros(2), probe, positions, lambda rows: amplitude[rows]
    )
    # bilinear sampling of a product is not the product of the samples: half a percent here
    assert found.real == pytest.approx(1.15, rel=0.05)
    assert found.imaginary == pytest.approx(1.4, rel=0.05)
    assert np.linalg.norm(got - truth * ramp) < 0.15 * np.linalg.norm(dull - truth * ramp)


def test_values_behind_the_mask_play_no_part():
    truth, probe, positions, amplitude = setup()
    coverage = np.ones(truth.shape)
    dull = flattened(truth, coverage, 1.1, 0.8)
    masked = amplitude.copy()
    masked[:, 3:6, 7:11] = -1.0  # how an encoded frame marks them
    _, found = calibrate(dull, coverage, np.zeros(2), probe, positions, lambda r: masked[r])
    assert found.real == pytest.approx(1.1, rel=5e-3)
    assert found.imaginary == pytest.approx(0.8, rel=5e-3)


def test_order_of_the_frames_plays_no_part():
    truth, probe, positions, amplitude = setup()
    coverage = np.ones(truth.shape)
    dull = flattened(truth, coverage, 1.1, 1.2)
    order = np.random.default_rng(0).permutation(len(positions))
    results = [
        calibrate(dull, coverage, np.zeros(2), probe, p, lambda r, a=a: a[r])[1]
        for p, a in ((positions, amplitude), (positions[order], amplitude[order]))
    ]
    assert results[0] == results[1]


def test_an_object_that_is_right_stays():
    truth, probe, positions, amplitude = setup()
    got, found = calibrate(
        truth.astype(np.complex64),
        np.ones(truth.shape),
        np.zeros(2),
        probe,
        positions,
        lambda rows: amplitude[rows],
    )
    assert found.real == pytest.approx(1, abs=1e-3) and found.imaginary == pytest.approx(
        1, abs=1e-3
    )
    assert np.abs(got - truth).max() < 2e-3


def test_an_object_that_explains_nothing_is_left_alone_and_said():
    truth, probe, positions, amplitude = setup()
    wrong = flattened(setup(seed=8)[0][::-1], np.ones(truth.shape), 40.0, 40.0)
    got, found = calibrate(
        wrong, np.ones(truth.shape), np.zeros(2), probe, positions, lambda rows: amplitude[rows]
    )
    assert np.array_equal(got, wrong)
    assert (found.real, found.imaginary) == (1.0, 1.0) and "not calibrated" in found.note


@pytest.mark.parametrize("case", ["no mean", "no frame inside", "empty"])
def test_nothing_to_go_by_is_said(case):
    truth, probe, positions, amplitude = setup()
    obj, coverage = truth.astype(np.complex64), np.ones(truth.shape)
    if case == "no mean":
        obj = np.exp(2j * np.pi * np.random.default_rng(1).random((SIDE, SIDE)))
    elif case == "no frame inside":
        positions = positions + 1000.0
    else:
        coverage = np.zeros(truth.shape)
    got, found = calibrate(obj, coverage, np.zeros(2), probe, positions, lambda r: amplitude[r])
    assert got is obj and "not calibrated" in found.note
