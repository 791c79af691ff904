"""Photons that the numbers of a scan tell are used as if the dose had been stated."""

import numpy as np
import pytest
from refining import QUICK, arrays_of

import pinn
from pinn.data.fingerprint import digest
from pinn.data.quantum import counted, found_quantum

pytestmark = pytest.mark.one_backend
ARRAYS = arrays_of(n_frames=60, photons_per_frame=2e4)
COUNTS = np.asarray(ARRAYS["counts"], np.float64)


def scan_of(frames, **options):
    return pinn.Scan(frames, ARRAYS["positions_px"], probe=ARRAYS["probe"], **options)


def stored(kind, step):
    return np.sqrt(step * COUNTS) if kind == "amplitude" else step * COUNTS


@pytest.mark.parametrize(("kind", "step"), [("amplitude", 1.0), ("intensity", 0.37)])
def test_the_scan_is_as_if_the_dose_was_stated(kind, step):
    scan = scan_of(stored(kind, step), units=kind)
    known = counted(scan)
    assert found_quantum(scan) == pytest.approx(step, rel=1e-4)
    assert known.statistics().photons_known and not scan.statistics().photons_known
    assert digest(known) == digest(scan)  # it is recognised
    assert counted(known) is known
    np.testing.assert_allclose(known.read([3])[0][0] ** 2, COUNTS[3], rtol=1e-3, atol=1e-3)
    stated = scan_of(stored(kind, step), units=kind, photons_per_frame=COUNTS.sum((1, 2)).mean())
    for one in (known, known.select(np.arange(len(known)))):
        found, wanted = one.statistics(), stated.statistics()
        assert found.mean_counts == pytest.approx(wanted.mean_counts, rel=1e-4)
        assert found.exposure_factor == pytest.approx(wanted.exposure_factor, rel=1e-4)
        np.testing.assert_allclose(found.frame_counts, wanted.frame_counts, rtol=1e-4)
        assert found.photons_known
    assert any("photons were counted" in note for note in known.notes)
    assert not any("dose is unknown" in note for note in known.notes)


def test_numbers_that_tell_nothing_change_nothing():
    noisy = COUNTS + np.random.default_rng(0).uniform(0, 0.4, COUNTS.shape)
    for scan in (scan_of(noisy, units="intensity"), scan_of(COUNTS, units="counts")):
        assert counted(scan) is scan


def test_refinement_training_and_reconstruction_use_it(tmp_path):
    scan = scan_of(stored("intensity", 0.37), units="intensity")
    recon = pinn.refine(scan, **(QUICK | {"epochs": 1}))
    assert recon.statistics["mean_counts"] == pytest.approx(COUNTS.sum((1, 2)).mean(), rel=1e-4)
    assert any("photons were counted" in note for note in recon.notes)
    assert not any("dose is" in note for note in recon.notes)
    model = pinn.train(scan, output=tmp_path, epochs=1, n_groups=16, gridsize=1)
    assert model.provenance["scans"][0]["photons_known"] is True
    made = pinn.reconstruct(scan, model)
    assert made.statistics["mean_counts"] == pytest.approx(COUNTS.sum((1, 2)).mean(), rel=1e-4)
    # A model of before is in the unit of the stored numbers, and stays so.
    del model.provenance["scans"][0]["photons_known"]
    old = pinn.reconstruct(scan, model)
    assert old.statistics["mean_counts"] == pytest.approx(
        0.37 * COUNTS.sum((1, 2)).mean(), rel=1e-4
    )
