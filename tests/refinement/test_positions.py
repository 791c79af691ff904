"""Refinement of positions: slopes, search, models, limits and gauge."""

import numpy as np
import pytest
from refining import QUICK, built, rates, scan_of

import pinn
from pinn.refinement import positions
from pinn.refinement.loop import Schedule


def test_positions_come_back(arrays):
    rng = np.random.default_rng(4)
    off = rng.uniform(-1.0, 1.0, arrays["positions_px"].shape)
    scan = scan_of(arrays, positions_px=arrays["positions_px"] + off)
    recon = pinn.refine(
        scan, update_positions=True, update_probe=False, **{**QUICK, "epochs": 25, "patience": 25}
    )
    left = recon.positions_px - arrays["positions_px"]
    left -= np.median(left, axis=0)
    before = off - np.median(off, axis=0)
    assert np.median(np.abs(left)) < 0.3 * np.median(np.abs(before))
    # the gauge: the mean of all moves is zero
    moved = recon.positions_px - recon.positions_start_px
    np.testing.assert_allclose(moved.mean(0), 0.0, atol=1e-6)
    assert np.array_equal(recon.positions_start_px, scan.positions_px)


@pytest.mark.parametrize("part", ["scale", "rotation", "shear"])
def test_a_model_of_positions_keeps_to_its_kind(part):
    rng = np.random.default_rng(5)
    places = rng.uniform(0, 100, (50, 2))
    centred = places - places.mean(0)
    kinds = {
        "scale": 0.02 * centred,
        "rotation": 0.02 * centred[:, ::-1] * [1, -1],
        "shear": 0.02 * centred[:, ::-1],
    }
    for name, shift in kinds.items():
        found = positions.model_of(shift + [3.0, -2.0], places, (part,))
        wanted = shift if name == part else np.zeros_like(shift)
        # of another kind some is left, as the places are not round
        np.testing.assert_allclose(found, wanted, atol=1e-9 if name == part else 0.5)
    np.testing.assert_allclose(
        positions.model_of(sum(kinds.values()), places, ("scale", "rotation", "shear")),
        sum(kinds.values()),
        atol=1e-9,
    )


def test_a_common_shift_changes_no_rate(scan):
    _, state, frames = built(scan)
    start, before = state.positions.copy(), rates(state, frames)
    state.positions = state.positions + [0.3, -0.7]
    moved = rates(state, frames)
    positions.within_limits(state, start, 10.0)
    np.testing.assert_allclose(rates(state, frames), moved, rtol=1e-9)
    np.testing.assert_allclose(state.positions, start, atol=1e-12)
    assert np.abs(moved - before).max() > 0 or np.ptp(np.abs(state.object)) == 0


def far_off(arrays, radius, **options):
    """Distance in pixels of ten frames from where they belong, 4 px off at first."""
    positions = arrays["positions_px"].copy()
    rows = np.arange(7, 147, 14)
    positions[rows] += 4.0 * np.random.default_rng(8).permutation(
        [[1, 0], [-1, 0], [0, 1], [0, -1], [0.7, 0.7]] * 2
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pinn.refinement.positions._SEARCH_PX", radius)
        recon = pinn.refine(
            scan_of(arrays, positions_px=positions), update_probe=False, update_positions=True,
            schedule=Schedule(positions=2),
            **{**QUICK, "epochs": 25, "patience": 25, **options},
        )  # fmt: skip
    left = recon.positions_px - arrays["positions_px"]
    return np.linalg.norm(left - np.median(left, axis=0), axis=1)[rows]


@pytest.mark.one_backend
def test_frames_far_off_are_searched_for(arrays):
    slope, search = far_off(arrays, 0.0), far_off(arrays, 5.0)
    assert np.sum(search > 1.0) < np.sum(slope > 1.0)
    assert not np.array_equal(search, far_off(arrays, 5.0, seed=1))


@pytest.mark.one_backend
def test_momentum_of_positions_brings_them_back_sooner(arrays, monkeypatch):
    off = np.random.default_rng(4).uniform(-1.0, 1.0, arrays["positions_px"].shape)
    scan = scan_of(arrays, positions_px=arrays["positions_px"] + off)
    errors = []
    for momentum in (0.0, 0.6):
        monkeypatch.setattr("pinn.refinement.positions._MOMENTUM", momentum)
        recon = pinn.refine(
            scan, update_positions=True, update_probe=False, schedule=Schedule(positions=2),
            **{**QUICK, "epochs": 12, "patience": 12},
        )  # fmt: skip
        left = recon.positions_px - arrays["positions_px"]
        errors.append(np.median(np.abs(left - np.median(left, axis=0))))
    assert errors[1] < errors[0]


@pytest.mark.one_backend
def test_limits_of_positions_hold(scan, monkeypatch):
    monkeypatch.setattr("pinn.refinement.positions._STEP_PX", 0.1)
    monkeypatch.setattr("pinn.refinement.positions.LIMIT_PX", 0.15)
    recon = pinn.refine(scan, update_positions=True, schedule=Schedule(positions=1), **QUICK)
    moved = np.linalg.norm(recon.positions_px - recon.positions_start_px, axis=1)
    assert 0.0 < moved.max() <= 0.15 + 1e-9


@pytest.mark.one_backend
def test_refined_positions_outlive_a_refinement_without(arrays):
    off = np.random.default_rng(4).uniform(-1.0, 1.0, arrays["positions_px"].shape)
    scan = scan_of(arrays, positions_px=arrays["positions_px"] + off)
    options = {**QUICK, "update_probe": False}
    moved = pinn.refine(scan, update_positions=True, **{**options, "epochs": 15})
    once = pinn.refine(scan, moved, **options)
    twice = pinn.refine(scan, once, **options)
    for recon in (once, twice):
        np.testing.assert_allclose(recon.positions_px, moved.positions_px)
        assert np.array_equal(recon.positions_start_px, scan.positions_px)
    assert twice.losses[0] < 1.2 * once.losses[-1]
