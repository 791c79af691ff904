"""A scan that has no probe is refined, trained on and reconstructed with one from its frames."""

import json

import numpy as np
import pytest
from refining import QUICK, arrays_of, error, scan_of

import pinn
from pinn.check.first_probe import first_probe
from pinn.check.symmetry import alike

pytestmark = pytest.mark.one_backend
LONGER = QUICK | {"epochs": 8, "lbfgs_iterations": 15}


@pytest.fixture(scope="module")
def small():
    """Few frames and a probe far out of focus."""
    arrays = arrays_of(n_frames=100, overlap=0.7, photons_per_frame=1e5)
    return scan_of(arrays), scan_of(arrays, probe=None)


@pytest.fixture(scope="module")
def found(small):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pinn.check.first_probe._FRAMES", 40)  # in a few seconds
        return first_probe(small[1])


def test_the_frames_tell_the_probe(small, found):
    assert found.probe.shape == (1, 16, 16) and found.probe.dtype == np.complex64
    assert alike(found.probe, small[0].probe) > 0.9
    assert np.sum(np.abs(found.probe) ** 2) == pytest.approx(
        small[1].statistics().mean_counts, rel=0.1
    )


def test_refinement_from_the_frames_comes_close_to_that_from_the_true_probe(
    small, found, monkeypatch
):
    given, without = small
    monkeypatch.setattr("pinn.refinement.start.first_probe", lambda scan: found)
    true, own = pinn.refine(given, **LONGER), pinn.refine(without, **LONGER)
    # Measured with two seeds: 1.02 times the deviance and 1.08 times the error, and both still
    # fall. Noise, other backends and the few frames of the fit take up the rest.
    assert own.losses[-1] < 1.1 * true.losses[-1]
    assert error(own, given) < 1.3 * error(true, given)
    assert [note for note in own.notes if note.startswith("the scan has no probe")] == [found.note]
    assert not any(note.startswith("the scan has no probe") for note in true.notes)


def test_halves_begin_with_the_same_probe(small, found, monkeypatch):
    made = []
    monkeypatch.setattr(
        "pinn.refinement.start.first_probe", lambda scan: made.append(scan) or found
    )
    recon = pinn.refine(small[1], **(QUICK | {"epochs": 2, "split_half": True}))
    assert len(made) == 1 and "resolution" in recon.statistics


def test_training_takes_it_and_its_archive_says_so(small, found, monkeypatch, tmp_path):
    monkeypatch.setattr("pinn.training.plan.first_probe", lambda scan: found)
    options = {"epochs": 1, "n_groups": 16, "gridsize": 1, "n_filters_scale": 1}
    model = pinn.train(small[1], output=tmp_path, **options)
    assert any("the scan has no probe" in note for note in model.provenance["notes"])
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["notes"] == model.provenance["notes"]
    assert alike(model.probe(), found.probe) == pytest.approx(1, abs=1e-5)
    # The scan is known by what is in its file, and the archive has its probe.
    again = pinn.reconstruct(small[1], pinn.load_model(tmp_path))
    assert alike(again.probe, found.probe) == pytest.approx(1, abs=1e-5)
    assert not any("the scan has no probe" in note for note in again.notes)
    other = pinn.reconstruct(small[1].select(np.arange(30)), model)
    assert any(note.startswith("the scan has no probe: the model's") for note in other.notes)
    assert alike(other.probe, found.probe) == pytest.approx(1, abs=1e-5)


def test_too_few_frames_give_the_pattern_in_focus(small):
    few = first_probe(small[1].select(np.arange(10)))
    assert few.r_factor is None and "in focus" in few.note
