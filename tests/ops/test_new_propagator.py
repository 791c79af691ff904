"""A propagator and a detector response of one's own: registered, chosen in the scan, used by all.

Nothing else changes: the frames here were made by the simulator with a probe that has the phase of
the propagator, and a detector that leaks.
"""

from __future__ import annotations

import numpy as np
import pytest
from instruments import quadratic, registered
from refining import QUICK, arrays_of
from small import small_model

import pinn
from pinn.check import rank_orientations
from pinn.errors import ConfigError, ScanError
from pinn.ops.forward import instrument
from pinn.quality.likelihood import Explanation, Judge
from pinn.simulate.forward import diffract, extract_patches

STRENGTH, PART = 0.06, 0.3
CHOICES = {"propagation": f"defocus:{STRENGTH}", "detector_response": f"leak:{PART}"}
pytestmark = pytest.mark.one_backend


@pytest.fixture(scope="module", autouse=True)
def kinds():
    with registered():
        yield


@pytest.fixture(scope="module")
def arrays():
    found = arrays_of()
    patches = extract_patches(found["truth"], found["positions_px"], 16)
    probe = found["probe"].reshape(-1, 16, 16) * quadratic(16, STRENGTH)
    rate = diffract(patches, probe)
    leaked = (1 - PART) * rate
    leaked[..., 1:] += PART * rate[..., :-1]
    return {**found, "counts": np.random.default_rng(0).poisson(leaked)}


def scan_with(arrays, **choices):
    return pinn.Scan(
        arrays["counts"], arrays["positions_px"], probe=arrays["probe"], truth=arrays["truth"],
        **choices,
    )  # fmt: skip


@pytest.fixture(scope="module")
def scan(arrays):
    return scan_with(arrays, **CHOICES)


@pytest.fixture(scope="module")
def refined(scan):
    return pinn.refine(scan, update_probe=False, **QUICK)


def test_refinement_goes_through_it(arrays, scan, refined):
    without = pinn.refine(scan_with(arrays), update_probe=False, **QUICK)
    # noise of the counts alone gives 1; the far field cannot explain the frames
    assert np.median(refined.frame_likelihood) < 6.0
    assert np.median(without.frame_likelihood) > 5 * np.median(refined.frame_likelihood)
    assert pinn.evaluate(refined, scan.truth, border=2).metrics["nrmse"] < 0.1
    assert {name: refined.config[name] for name in CHOICES} == CHOICES


def test_training_goes_through_it(arrays, scan, tmp_path):
    model, without = (
        small_model(s, architecture="test-tiny", epochs=3, n_groups=60, calibrate_start=False)
        for s in (scan, scan_with(arrays))
    )
    assert model.history[-1]["loss"] < without.history[-1]["loss"]
    archived = pinn.load_model(model.save(tmp_path / "wts.h5.zip")).config
    assert {name: getattr(archived, name) for name in CHOICES} == CHOICES


def test_likelihood_and_check_go_through_it(arrays, scan, refined):
    others = scan_with(arrays)
    frames = np.sqrt(arrays["counts"]).astype(np.float32)
    middle = arrays["positions_px"] - np.median(arrays["positions_px"], axis=0)
    near = np.sort(np.argsort((middle**2).sum(1))[:20])  # enough to tell, and quick
    medians, given = [], []
    for one in (scan, others):
        through = instrument(one.propagation, one.detector_response)
        made = Explanation(
            refined.object, refined.origin_px, refined.probe, refined.positions_px,
            instrument=through,
        )  # fmt: skip
        medians.append(np.median(Judge(made, 16).deviance(lambda rows: frames[rows])))
        given.append(rank_orientations(one.select(near)).probe_r_factor)
    assert medians[0] == pytest.approx(np.median(refined.frame_likelihood), rel=0.3)
    assert medians[1] > 5 * medians[0]
    assert given[0] < 0.7 * given[1]  # the given probe held fixed


def test_a_scan_of_another_kind_is_not_mixed_in(arrays, scan):
    with pytest.raises(ScanError, match="train on those of one kind"):
        small_model([scan, scan_with(arrays)], architecture="test-tiny")


def test_a_kind_that_nobody_registered_is_refused(arrays):
    other = scan_with(arrays, propagation="nearby")
    with pytest.raises(ConfigError, match="but the kinds are: defocus, far"):
        pinn.refine(other, **QUICK)
