"""The object is smoothed at the end, as far as held-out pixels agree."""

import numpy as np
import pytest
from refining import QUICK, arrays_of, built, error, scan_of

import pinn
from pinn.refinement.smoothing import gaussian, low_pass, smooth, wiener

FEW = {**QUICK, "epochs": 12, "update_probe": False}


@pytest.mark.one_backend
@pytest.mark.parametrize("response", [wiener, gaussian])
def test_a_wave_keeps_what_the_response_says(response):
    y, x = np.mgrid[:48, :80]
    for ky, kx in ((3 / 48, 10 / 80), (-6 / 48, 0.0), (0.0, 24 / 80)):
        wave = 0.3 * np.exp(2j * np.pi * (ky * y + kx * x))
        found = low_pass(1.0 + wave, np.ones((48, 80)), 0.2, response)
        left = response(np.array(np.hypot(ky, kx) / 0.2))
        np.testing.assert_allclose(found, 1.0 + left * wave, atol=1e-6)  # complex64
    assert response(np.array(1.0)) == 0.5 and response(np.array(0.0)) == 1.0


@pytest.mark.one_backend
def test_pixels_count_by_their_weight():
    weight = np.ones((32, 40))
    weight[:, 20:] = 1e-3
    obj = np.full((32, 40), 2.0 - 1.0j)
    spoilt = obj.copy()
    spoilt[5, 30] = 100.0
    np.testing.assert_allclose(low_pass(obj, weight, 0.1, wiener), obj, atol=1e-5)
    there = low_pass(spoilt, weight, 0.1, gaussian)[:, :16]
    np.testing.assert_allclose(there, there.mean(), atol=0.02)


@pytest.mark.one_backend
def test_where_no_frame_looks_the_start_stays():
    scan = scan_of(arrays_of(photons_per_frame=300.0))
    engine, state, _ = built(scan)
    rng = np.random.default_rng(3)
    state.object = state.object * (1.0 + 0.3 * rng.normal(size=state.object.shape))
    found = smooth(engine, state, 512).state.object
    dark = state.illumination() < 1e-3 * state.brightest
    assert dark.any() and np.array_equal(found[dark], state.object[dark])
    bright = state.illumination() > state.brightest
    assert np.abs(found[bright] - 1.0).std() < 0.7 * np.abs(state.object[bright] - 1.0).std()


def test_of_few_counts_the_noise_goes():
    scan = scan_of(arrays_of(photons_per_frame=300.0))
    raw = pinn.refine(scan, smooth_object=False, **FEW)
    smoothed = pinn.refine(scan, **FEW)
    # measured: .40 and .29 of the truth
    assert error(smoothed, scan) < 0.9 * error(raw, scan)
    fits = [one.statistics["likelihood"]["fit"] for one in (raw, smoothed)]
    assert fits[1]["held_out"] < fits[0]["held_out"]
    assert fits[1]["deviance"] > fits[0]["deviance"]  # what was fitted was noise
    assert 0.02 < smoothed.statistics["refinement"]["object_low_pass"] <= 0.6
    assert sum("is smoothed" in note for note in smoothed.notes) == 1
    assert raw.statistics["refinement"]["object_low_pass"] is None


@pytest.mark.one_backend
def test_of_many_counts_nothing_goes(scan, plain):
    assert plain.statistics["refinement"]["object_low_pass"] is None
    raw = pinn.refine(scan, update_probe=False, smooth_object=False, **QUICK)
    np.testing.assert_array_equal(raw.object, plain.object)
