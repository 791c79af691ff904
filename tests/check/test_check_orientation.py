"""The right class on scans whose axes were mixed up, the right member where the probe tells."""

import functools
from pathlib import Path

import numpy as np
import pytest

from pinn.check import check, rank_orientations
from pinn.check.symmetry import Choice, members
from pinn.data.prepare import Flip, orient
from pinn.data.scan import Scan
from pinn.io.load import load
from pinn.simulate import SimulateConfig, simulate

STAR = Path(__file__).parents[1] / "goldens" / "siemens_star_part.npz"

# Small enough to be quick; large ones differ in nothing but the time they take.
THREE = {
    "disc over lines": (
        {"object": "lines", "probe": "disc", "pattern": "random", "n_frames": 110, "N": 48},
        Choice("-x+y", "lr"),
    ),
    "defocused over leaves": (
        {"object": "leaves", "probe": "defocused", "pattern": "fermat", "n_frames": 60, "N": 32}
        | {"aberration": 3.0},
        Choice("+y-x", "none"),
    ),
    "two modes over a star": (
        {"object": "star", "probe": "gaussian", "pattern": "raster", "n_frames": 100, "N": 32}
        | {"probe_modes": 2, "photons_per_frame": 2e4},
        Choice("-x-y", "ud"),
    ),
}


def mixed_up(recipe, choice, probe=True, seed=4):
    """A scan that is right again once `choice` is done to it."""
    made = simulate(SimulateConfig(seed=seed, **recipe))
    frames = Flip(choice.flip).frames(made.frames())
    back = np.linalg.inv(orient(np.eye(2), choice.orientation))  # rows: where y and x go
    places = made.positions_px @ back
    np.testing.assert_allclose(orient(places, choice.orientation), made.positions_px, atol=1e-9)
    return Scan(frames, places, probe=made.probe if probe else None, units="counts")


@functools.cache
def ranked(name, choice):
    return rank_orientations(mixed_up(THREE[name][0], choice))


FAST = "two modes over a star"  # the others take ten seconds each


@pytest.mark.parametrize(
    "name", [n if n == FAST else pytest.param(n, marks=pytest.mark.full) for n in THREE]
)
def test_the_right_class_is_found_on_three_different_scans(name):
    choice = THREE[name][1]
    found = ranked(name, choice)
    assert found.decided
    assert choice in found.classes[found.best].members
    assert choice in found.members  # whatever the probe tells, it does not exclude the truth
    assert found.agreement == (3, 3)
    others = [score for number, score in enumerate(found.classes) if number != found.best]
    assert min(score.margin for score in others) > 4
    assert found.classes[found.best].margin == 0
    assert found.scale.factor == 1.0


@pytest.mark.parametrize(
    "choice",
    [Choice("-x+y", "ud"), pytest.param(Choice("+y+x", "both"), marks=pytest.mark.full)],
    ids=str,
)
def test_a_known_asymmetric_probe_singles_out_the_member(choice):
    found = ranked("defocused over leaves", choice)
    assert found.decided and found.probe == "fits"
    assert found.members == (choice,)
    assert found.member_margin > 4


def test_without_a_probe_the_class_is_found_and_no_member():
    recipe, choice = THREE["defocused over leaves"]
    found = rank_orientations(mixed_up(recipe, choice, probe=False))
    assert found.decided and choice in found.classes[found.best].members
    assert found.probe == "none" and len(found.members) == 8
    assert found.member_margin is None and found.probe_r_factor is None
    assert found.choice == found.classes[found.best].members[0]


def test_a_wrong_probe_is_not_believed():
    recipe = {**THREE["disc over lines"][0], "n_frames": 48}
    scan = mixed_up(recipe, Choice("+y+x", "none"))
    y, x = np.indices((48, 48)) - 24
    wrong = np.exp(-(y**2 + x**2) / 60 + 0.02j * (y**2 + 1.5 * x**2 + x * y))
    scan = Scan(scan.frames, scan.positions_px, probe=wrong, units="counts")
    found = rank_orientations(scan)
    assert found.decided and found.best == 0
    assert found.probe == "poor" and len(found.members) == 8
    assert found.probe_r_factor > 1.5 * found.free_r_factor


@pytest.mark.full
def test_an_empty_object_tells_nothing():
    recipe = {"object": "lines", "probe": "defocused", "N": 32, "n_frames": 60}
    found = rank_orientations(mixed_up({**recipe, "contrast": 1e-4}, Choice("+y+x", "none")))
    assert not found.decided
    assert found.rivals
    assert found.scale is None
    assert len(found.members) == 8


def test_a_mask_on_one_side_does_not_mislead():
    recipe, _ = THREE["defocused over leaves"]
    scan = mixed_up(recipe, Choice("+x+y", "none"))
    valid = np.ones((32, 32), bool)
    valid[:, 18:21] = valid[20] = False
    frames = scan.frames.read(np.arange(len(scan)))
    frames[:, ~valid] = 12345  # whatever lies there
    scan = Scan(frames, scan.positions_px, probe=scan.probe, valid_mask=valid, units="counts")
    found = rank_orientations(scan)
    assert found.decided and Choice("+x+y", "none") in found.classes[found.best].members


@pytest.mark.full
def test_bad_pixels_that_were_found_are_left_out():
    choice = THREE["defocused over leaves"][1]
    scan = mixed_up(THREE["defocused over leaves"][0], choice)
    frames = scan.frames.read(np.arange(len(scan)))
    frames[:, 4, 27] = frames.max()
    report = check(Scan(frames, scan.positions_px, probe=scan.probe, units="counts"))
    assert np.argwhere(report.bad_pixels).tolist() == [[4, 27]]
    assert report.orientation.members == (choice,)
    options = {"orientation": choice.orientation, "flip_frames": choice.flip}
    assert {"orientation": "+y+x", "flip_frames": "none", **report.options} == options


@pytest.mark.parametrize("factor", [pytest.param(0.6, marks=pytest.mark.full), 1.7])
def test_positions_off_by_a_factor(factor):
    scan = mixed_up(THREE["disc over lines"][0], Choice("+y+x", "none"))
    wrong = Scan(scan.frames, scan.positions_px * factor, probe=scan.probe, units="counts")
    found = rank_orientations(wrong)
    # The factors tried lie 9 % apart, and the optimum is flat.
    assert found.scale.factor == pytest.approx(1 / factor, rel=0.15)
    assert found.scale.r_factor < found.scale.given_r_factor


def test_too_few_frames_and_several_scans():
    recipe, choice = THREE["defocused over leaves"]
    scan = mixed_up(recipe, choice)
    assert rank_orientations(scan.select(np.arange(12))) is None
    frames = scan.frames.read(np.arange(len(scan)))
    # A second, smaller scan of garbage at the same places must not be mixed in.
    both = np.concatenate([frames, frames[::-1][:40]])
    places = np.concatenate([scan.positions_px, scan.positions_px[:40]])
    index = np.repeat([7, 9], [len(frames), 40])
    found = rank_orientations(
        Scan(both, places, probe=scan.probe, scan_index=index, units="counts")
    )
    assert found.decided and choice in found.classes[found.best].members


@pytest.mark.full
def test_the_same_answer_every_time():
    recipe, choice = THREE["defocused over leaves"]
    again = rank_orientations(mixed_up(recipe, choice))
    first, second = (found.to_dict() for found in (ranked("defocused over leaves", choice), again))
    assert {**first, "seconds": 0} == {**second, "seconds": 0}


@pytest.mark.parametrize(
    ("saved", "noise", "kept"), [(0.03, 0.0, 8), (0.3, 0.0, 1), (0.03, 0.9, 1)]
)
def test_a_probe_that_is_nearly_its_own_mirror_image_decides_nothing(saved, noise, kept):
    """However sure the difference is; beside noise that no probe explains, a smaller one counts."""
    from pinn.check.ranking import _Ranking

    rng = np.random.default_rng(0)
    ranking = _Ranking.__new__(_Ranking)
    ranking.given = rng.standard_normal((1, 16, 16)) + 1j * rng.standard_normal((1, 16, 16))
    ranking.counts, ranking.noise, ranking.sweeps = 1.0, noise, 1
    ranking.means = [np.ones((16, 16))] * 4
    spread = 1e-4 * rng.standard_normal((8, 25))  # all differences are sure
    errors = np.where(np.arange(8) == 5, 1.0, 1.0 + saved)[:, None] + spread
    ranking._predicted = lambda *arguments, **options: [errors]
    ranking._r_factors = lambda pooled: np.sqrt(pooled.mean(1))
    found, _, verdict, _ = ranking._members(0, True, errors[5])
    assert len(found) == kept
    assert verdict == ("blind" if kept == 8 else "fits")


@pytest.mark.parametrize(("saved", "noise", "told"), [(0.03, 0.0, False), (0.3, 0.0, True)])
def test_a_difference_that_saves_little_of_what_is_left_tells_nothing(saved, noise, told):
    """As of the electron scan, whose positions are turned: one wrong class is surely better than
    the others, by 0.4 percent."""
    from pinn.check.ranking import _Ranking

    ranking = _Ranking.__new__(_Ranking)
    ranking.noise = noise
    best = np.ones(25)
    assert ranking._saves(best, best + saved) is told
    ranking.noise = 0.9  # beside the noise, a tenth is left: then a little is much
    assert ranking._saves(best, best + saved)


@pytest.mark.full
def test_the_real_scan_lies_as_given_and_is_found_when_turned():
    for orientation, best in (("+y+x", 0), ("+x-y", 3)):
        found = rank_orientations(load(STAR, orientation=orientation))
        assert found.decided and found.best == best
        assert found.classes[best].r_factor < 0.15
        assert min(s.r_factor for k, s in enumerate(found.classes) if k != best) > 0.2
        assert Choice("+y+x", "none") in members(0)
