"""Refinement of what lights a frame: intensity, background, probe, its modes and variations."""

from dataclasses import replace

import numpy as np
import pytest
from refining import QUICK, arrays_of, built, rates, scan_of
from small import same

import pinn
from pinn.refinement import gauge
from pinn.simulate.forward import diffract, extract_patches


def test_intensities_come_back(arrays):
    rng = np.random.default_rng(6)
    true = rng.uniform(0.7, 1.3, len(arrays["counts"]))
    frames = np.rint(arrays["counts"] * true[:, None, None])
    scan = scan_of(arrays, frames=frames)
    on, off = (
        pinn.refine(scan, update_intensities=value, update_probe=False, **{**QUICK, "epochs": 15})
        for value in (True, False)
    )
    assert np.corrcoef(on.frame_factors, true)[0, 1] > 0.95
    assert on.frame_factors.mean() == pytest.approx(1.0, abs=1e-5)
    assert np.mean(on.frame_likelihood) < 0.5 * np.mean(off.frame_likelihood)
    assert off.frame_factors is None


@pytest.mark.parametrize("kind", ["constant", "pixel"])
def test_background_comes_back(arrays, kind):
    rng = np.random.default_rng(7)
    scan = scan_of(arrays, frames=arrays["counts"] + rng.poisson(200.0, arrays["counts"].shape))
    recon = pinn.refine(scan, background=kind, update_probe=False, **{**QUICK, "epochs": 25})
    assert np.median(recon.background) == pytest.approx(200.0, rel=0.25)
    assert (np.ptp(recon.background) == 0.0) == (kind == "constant")
    assert recon.background.min() >= 0.0


def test_a_wrong_probe_comes_back(arrays):
    axis = np.arange(16) - 8
    bent = arrays["probe"] * np.exp(0.02j * (axis[:, None] ** 2 + axis**2))
    scan = scan_of(arrays, probe=bent)
    on, off = (
        pinn.refine(scan, update_probe=value, **{**QUICK, "epochs": 20, "patience": 20})
        for value in (True, False)
    )
    assert np.mean(on.frame_likelihood) < 0.5 * np.mean(off.frame_likelihood)
    true = arrays["probe"].reshape(16, 16)

    def likeness(probe):
        return abs(np.vdot(probe, true)) / np.linalg.norm(probe) / np.linalg.norm(true)

    assert likeness(on.probe[0]) > likeness(off.probe[0])
    assert np.sum(np.abs(on.probe) ** 2) == pytest.approx(np.sum(np.abs(off.probe) ** 2), rel=1e-3)


def test_modes_are_found_orthogonal_and_ordered(arrays):
    modes = arrays_of(probe_modes=2)["probe"].astype(complex)
    # at the places of all other tests, so that one mode is compiled already
    rates = diffract(extract_patches(arrays["truth"], arrays["positions_px"], 16), modes)
    frames = np.random.default_rng(12).poisson(rates)
    scan = scan_of(arrays, frames=frames, probe=modes[:1])
    one, two = (
        pinn.refine(scan, probe_modes=modes, **{**QUICK, "epochs": 20, "patience": 20})
        for modes in (1, 2)
    )
    assert np.mean(two.frame_likelihood) < 0.6 * np.mean(one.frame_likelihood)
    flat = two.probe.reshape(2, -1)
    power = np.sum(np.abs(flat) ** 2, axis=1)
    assert power[0] > power[1] > 0.05 * power[0]
    assert abs(np.vdot(flat[0], flat[1])) < 1e-4 * power[0]


def test_orthogonal_modes_leave_every_rate(scan):
    _, state, frames = built(scan, probe_modes=3)
    rng = np.random.default_rng(8)
    state.probe = (rng.normal(size=(1, 3, 16, 16)) + 1j).astype("complex64")
    before = rates(state, frames)
    gauge.orthogonalise(state)
    np.testing.assert_allclose(rates(state, frames), before, rtol=1e-4)


def test_variations_keep_exit_waves_in_their_gauge(scan):
    _, state, _ = built(scan, opr_modes=3)
    rng = np.random.default_rng(9)
    state.opr_weights[:, 1:] = rng.normal(0.3, 0.2, state.opr_weights[:, 1:].shape)
    before = np.einsum("mv,vpij->mpij", state.opr_weights, state.probe)
    gauge.fix_variations(state)
    after = np.einsum("mv,vpij->mpij", state.opr_weights, state.probe)
    np.testing.assert_allclose(after, before, atol=1e-4 * np.abs(before).max())
    np.testing.assert_allclose(state.opr_weights[:, 1:].mean(0), 0.0, atol=1e-6)
    assert np.all(state.opr_weights[:, 0] == 1.0)


def test_a_drifting_probe_is_followed(arrays):
    positions, probe = arrays["positions_px"], arrays["probe"].reshape(16, 16).astype(complex)
    drift = np.linspace(-0.4, 0.4, len(positions))
    slope = np.gradient(probe, axis=1) * 1.5
    patches = extract_patches(arrays["truth"], positions, 16)
    rng = np.random.default_rng(10)
    frames = [
        rng.poisson(diffract(patch[None], (probe + d * slope)[None])[0])
        for patch, d in zip(patches, drift, strict=True)
    ]
    scan = scan_of(arrays, frames=np.array(frames))
    options = {**QUICK, "epochs": 25, "patience": 25}
    one, two = (pinn.refine(scan, opr_modes=v, **options) for v in (1, 2))
    # one probe explains a drift of this size in part, and better the longer it is refined
    assert np.mean(two.frame_likelihood) < 0.8 * np.mean(one.frame_likelihood)
    assert abs(np.corrcoef(two.probe_weights[:, 1], drift)[0, 1]) > 0.8
    assert two.probe_variations.shape == (2, 1, 16, 16)


def test_probe_support_is_dark_outside(scan):
    recon = pinn.refine(scan, probe_support=5.0, **QUICK)
    axis = np.arange(16) - 8
    outside = np.hypot(axis[:, None], axis) > 5.0
    assert np.all(recon.probe[:, outside] == 0) and np.any(recon.probe[:, ~outside] != 0)


@pytest.mark.one_backend
def test_an_object_that_stays_keeps_its_scale(scan, plain):
    rough = replace(plain, probe=plain.probe * (np.hypot(*np.mgrid[-8:8, -8:8]) < 5))
    recon = pinn.refine(scan, rough, update_object=False, **{**QUICK, "lbfgs_iterations": 5})
    inside = recon.valid_mask & (recon.coverage > 0.1)
    corner = np.rint(recon.origin_px - plain.origin_px).astype(int)
    rows, columns = np.nonzero(inside)
    rows, columns = rows + corner[0], columns + corner[1]
    kept = (rows >= 0) & (columns >= 0)
    kept &= (rows < plain.object.shape[0]) & (columns < plain.object.shape[1])
    same(recon.object[inside][kept], plain.object[rows[kept], columns[kept]])
