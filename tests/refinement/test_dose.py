"""The likelihood that the counts of a scan choose, and what it is good for."""

import numpy as np
import pytest
from refining import QUICK, arrays_of, scan_of
from small import same

import pinn
from pinn.refinement.dose import FEW_COUNTS, choose_likelihood, counts_per_pixel

AUTO = pinn.RefineConfig()
N, M = 16, 12

pytestmark = pytest.mark.one_backend


def flat(counts, **options):
    """A scan whose lit pixels, a sixteenth of all, have these counts; the others have none."""
    frames = np.zeros((M, N, N), np.float32)
    frames[:, 6:10, 6:10] = counts
    places = np.stack([np.arange(M) + 20.0, np.arange(M) + 20.0], axis=1)
    given = {"units": "counts", "centre": "centred", "probe": np.ones((N, N), np.complex64)}
    return pinn.Scan(frames, places, **{**given, **options})


def chosen(scan, config=AUTO):
    return choose_likelihood(scan, np.arange(len(scan)), config)


def test_few_counts_are_fitted_by_their_poisson_likelihood():
    few, many = chosen(flat(FEW_COUNTS - 1)), chosen(flat(FEW_COUNTS + 1))
    assert few.config == AUTO.replace(likelihood="poisson")
    assert many.config == AUTO.replace(likelihood="amplitude")
    assert few.note.startswith("29 counts per pixel where the light is: the Poisson likelihood")
    assert many.note.startswith("31 counts per pixel where the light is: squared differences")


def test_dark_pixels_do_not_make_counts_few_nor_masked_ones_many():
    scan = flat(100.0)
    assert scan.read([0])[0].mean() < FEW_COUNTS
    assert counts_per_pixel(scan, np.arange(M)) == pytest.approx(100.0)
    mask = np.ones((N, N), bool)
    mask[6:10, 6:8] = False
    frames = np.zeros((M, N, N), np.float32)
    frames[:, 6:10, 6:8], frames[:, 6:10, 8:10] = 1000.0, 5.0
    hot = pinn.Scan(
        frames, scan.positions_px, probe=scan.probe, units="counts", centre="centred",
        valid_mask=mask,
    )  # fmt: skip
    assert counts_per_pixel(hot, np.arange(M)) == pytest.approx(5.0)
    assert chosen(hot).config.likelihood == "poisson"


def test_only_the_frames_in_use_decide():
    frames = np.zeros((M, N, N), np.float32)
    frames[::2, 6:10, 6:10], frames[1::2, 6:10, 6:10] = 5.0, 500.0
    scan = flat(1.0)
    scan = pinn.Scan(frames, scan.positions_px, probe=scan.probe, units="counts", centre="centred")
    found = [
        choose_likelihood(scan, rows, AUTO).config.likelihood
        for rows in (np.arange(0, M, 2), np.arange(1, M, 2))
    ]
    assert found == ["poisson", "amplitude"]


@pytest.mark.parametrize("likelihood", ["poisson", "amplitude"])
def test_a_stated_likelihood_stays(likelihood):
    config = AUTO.replace(likelihood=likelihood)
    for counts in (1.0, 1000.0):
        choice = chosen(flat(counts), config)
        assert choice.config == config and choice.note == ""


def test_numbers_that_are_no_counts_are_fitted_as_amplitudes():
    choice = chosen(flat(0.3, units="intensity"))
    assert choice.config.likelihood == "amplitude"
    assert "dose is not known" in choice.note


def test_a_refinement_does_what_was_chosen_and_says_so():
    arrays = arrays_of()
    rng = np.random.default_rng(3)
    faint = scan_of(arrays, frames=rng.poisson(arrays["counts"] * 1e-3).astype(np.float32))
    options = {**QUICK, "epochs": 2, "update_probe": False}
    auto, poisson, amplitude = (
        pinn.refine(faint, **options, likelihood=name) for name in ("auto", "poisson", "amplitude")
    )
    same(auto.object, poisson.object)
    assert np.abs(auto.object - amplitude.object).max() > 1e-3
    assert any("the Poisson likelihood minimised" in note for note in auto.notes)
