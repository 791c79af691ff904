"""Whether a further probe mode would pay is found by a trial, and told."""

import pytest

import pinn
from pinn.simulate import SimulateConfig, simulate_arrays

pytestmark = pytest.mark.one_backend  # passes that are tested on each are put together


def scan_of(modes):
    made = simulate_arrays(
        SimulateConfig(
            N=32, n_frames=49, object="leaves", probe="defocused", probe_modes=modes, overlap=0.8
        )
    )
    probe = made["probe"].reshape(-1, 32, 32)[:1]
    return pinn.Scan(made["counts"], made["positions_px"], probe=probe, units="counts")


def told(scan, **options):
    notes = pinn.refine(scan, epochs=8, lbfgs_iterations=0, **options).notes
    return [note for note in notes if note.startswith("another probe mode would pay")]


def test_a_second_mode_is_asked_for_where_the_beam_has_two():
    scan = scan_of(2)
    (note,) = told(scan)
    assert "refine with --probe-modes 2 or more" in note
    before, after = (
        float(word.rstrip(";")) for word in note.split() if word[0].isdigit() and "." in word
    )
    assert after < 0.97 * before
    assert not told(scan, split_half=False)  # it takes its time: only with the other judgements


def test_no_mode_is_asked_for_where_noise_is_all_that_is_left():
    assert not told(scan_of(1))
