"""L-BFGS at the end of a refinement: all that is refined together, in its gauge and limits."""

import numpy as np
import pytest
from refining import QUICK, scan_of
from small import same

import pinn
from pinn.progress import ALL_DONE, SETTLED
from pinn.refinement import lbfgs, positions
from pinn.refinement.loop import Schedule


def test_lbfgs_lowers_the_likelihood_until_it_improves_no_more(scan, plain):
    more = pinn.refine(
        scan, update_probe=False, **{**QUICK, "lbfgs_iterations": 200, "patience": 2}
    )
    assert np.mean(more.frame_likelihood) < 0.98 * np.mean(plain.frame_likelihood)
    rows = [row for row in more.statistics["history"] if "lbfgs_iteration" in row]
    held = [row["held_deviance"] for row in rows]
    assert held == sorted(held, reverse=True)
    assert 0 < more.statistics["refinement"]["lbfgs_iterations"] < 150
    # all epochs were used before, but more of them would not help
    assert more.statistics["refinement"]["ended"] == SETTLED


@pytest.mark.one_backend
def test_lbfgs_that_used_all_its_iterations_has_not_converged(scan):
    few = pinn.refine(scan, update_probe=False, **{**QUICK, "epochs": 2, "lbfgs_iterations": 2})
    assert few.statistics["refinement"]["ended"] == ALL_DONE


def test_lbfgs_changes_all_that_is_refined_within_its_limits(arrays, monkeypatch):
    rng = np.random.default_rng(7)
    off = rng.uniform(-0.5, 0.5, arrays["positions_px"].shape)
    scan = scan_of(arrays, positions_px=arrays["positions_px"] + off)
    options = {
        **QUICK, "update_positions": True, "patience": 40, "probe_support": 6.0,
        "schedule": Schedule(positions=1, probe=1),
    }  # fmt: skip
    monkeypatch.setattr("pinn.refinement.positions.LIMIT_PX", 1.0)
    before = pinn.refine(scan, **options)
    after = pinn.refine(scan, **{**options, "lbfgs_iterations": 40})
    apart = [
        np.sqrt(np.mean((r.positions_px - arrays["positions_px"] - off.mean(0)) ** 2))
        for r in (before, after)
    ]
    assert apart[1] < 0.7 * apart[0]
    assert np.abs(after.probe - before.probe).max() > 1e-3 * np.abs(before.probe).max()
    moved = after.positions_px - after.positions_start_px
    np.testing.assert_allclose(moved.mean(0), 0.0, atol=1e-9)
    assert np.abs(moved).max() <= 1.2  # a square about the limit, before the mean is taken off
    assert not np.abs(after.probe[:, 0, 0]).any()
    # all modes together keep their photons
    energies = [np.sum(np.abs(r.probe) ** 2) for r in (before, after)]
    assert energies[1] == pytest.approx(energies[0], rel=1e-4)


@pytest.mark.one_backend
def test_lbfgs_keeps_to_a_model_of_positions(arrays):
    centred = arrays["positions_px"] - arrays["positions_px"].mean(0)
    scan = scan_of(arrays, positions_px=arrays["positions_px"] + 0.03 * centred)
    recon = pinn.refine(
        scan, update_positions=True, position_model="scale", update_probe=False,
        **{**QUICK, "epochs": 4, "lbfgs_iterations": 40},
    )  # fmt: skip
    moved = recon.positions_px - recon.positions_start_px
    kept = positions.model_of(moved, scan.positions_px, ("scale",))
    np.testing.assert_allclose(moved, kept, atol=1e-6)
    left = recon.positions_px - arrays["positions_px"]
    left -= left.mean(0)
    assert np.sqrt(np.mean(left**2)) < 0.5 * np.sqrt(np.mean((0.03 * centred) ** 2))


@pytest.mark.one_backend
def test_a_canvas_too_large_is_left_as_it_is_and_it_is_said(scan, plain, monkeypatch):
    monkeypatch.setattr(lbfgs, "_NUMBERS", 1000)
    recon = pinn.refine(scan, update_probe=False, **{**QUICK, "lbfgs_iterations": 5})
    same(recon.object, plain.object)
    assert any("not refined by L-BFGS" in note for note in recon.notes)


@pytest.mark.one_backend
def test_a_stopped_lbfgs_keeps_what_it_has(scan, plain):
    shown = []

    def stop(progress):
        if progress.stage == "lbfgs" and progress.epoch == 4:
            raise pinn.StopRequested

    recon = pinn.refine(
        scan,
        update_probe=False,
        progress=stop,
        watch=shown.append,
        **{**QUICK, "lbfgs_iterations": 30},
    )
    assert recon.statistics["stopped"]
    assert 0 < recon.statistics["refinement"]["lbfgs_iterations"] <= 3
    assert np.mean(recon.frame_likelihood) < np.mean(plain.frame_likelihood)
    assert len(shown) == len(recon.losses)


@pytest.mark.one_backend
def test_lbfgs_keeps_to_the_limit_of_a_model_of_positions(arrays, monkeypatch):
    centred = arrays["positions_px"] - arrays["positions_px"].mean(0)
    scan = scan_of(arrays, positions_px=arrays["positions_px"] + 0.1 * centred)
    monkeypatch.setattr("pinn.refinement.positions.LIMIT_PX", 0.5)
    recon = pinn.refine(
        scan, update_positions=True, position_model="scale", update_probe=False,
        schedule=Schedule(positions=2), **{**QUICK, "lbfgs_iterations": 20},
    )  # fmt: skip
    moved = np.linalg.norm(recon.positions_px - recon.positions_start_px, axis=1)
    assert 0.3 < moved.max() <= 0.5 + 1e-9


@pytest.mark.one_backend
def test_lbfgs_keeps_the_gauge_of_variations(scan):
    recon = pinn.refine(scan, opr_modes=3, **{**QUICK, "epochs": 8, "lbfgs_iterations": 8})
    assert recon.statistics["refinement"]["lbfgs_iterations"] > 0
    flat = recon.probe_variations.reshape(3, -1)
    strength = np.linalg.norm(flat, axis=1)
    np.testing.assert_allclose(strength, strength[0], rtol=1e-3)
    assert abs(np.vdot(flat[1], flat[2]).real) < 1e-3 * strength[0] ** 2
    np.testing.assert_allclose(recon.probe_weights[:, 1:].mean(0), 0.0, atol=1e-6)


@pytest.mark.one_backend
def test_what_no_frame_says_anything_of_is_left_by_lbfgs(scan, plain, arrays):
    # the weights of the variations are still zero
    late = Schedule(opr_weights=50)
    recon = pinn.refine(scan, opr_modes=3, schedule=late, **{**QUICK, "lbfgs_iterations": 8})
    assert recon.statistics["refinement"]["lbfgs_iterations"] > 0
    assert np.mean(recon.frame_likelihood) < np.mean(plain.frame_likelihood)
    assert np.isfinite(recon.probe_variations).all()
    one = pinn.refine(
        scan_of(arrays, frames=arrays["counts"][:1], positions_px=arrays["positions_px"][:1]),
        update_positions=True, position_model="scale+rotation+shear", update_probe=False,
        **{**QUICK, "lbfgs_iterations": 4},
    )  # fmt: skip
    assert np.isfinite(one.object).all() and np.isfinite(one.positions_px).all()


@pytest.mark.one_backend
def test_a_result_of_lbfgs_is_resumed_no_worse(scan, tmp_path):
    whole = pinn.refine(scan, output=tmp_path, **{**QUICK, "lbfgs_iterations": 10})
    again = pinn.refine(
        scan, output=tmp_path, resume=True, seconds=1e-6, **{**QUICK, "lbfgs_iterations": 10}
    )
    same(again.object, whole.object)
