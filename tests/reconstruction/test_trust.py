"""Trust: likelihood against NumPy, bad frames, halves, foreign scans, options, the sentence."""

import dataclasses

import numpy as np
import pytest
from small import same, small_model, small_scan

import pinn
from pinn.config import ReconstructConfig
from pinn.data.masks import encode
from pinn.plots.trust import write_trust
from pinn.quality.facts import Facts, facts_of
from pinn.quality.halves import correlate, interleaved
from pinn.quality.likelihood import Explanation, Judge
from pinn.quality.likeness import QUANTILES, explained, group_rates
from pinn.quality.noise import (
    deviance,
    deviance_of_one_pattern,
    expected_deviance,
    outliers,
)
from pinn.quality.redundancy import redundancy, visits
from pinn.quality.verdict import UNLIKE, verdict
from pinn.reconstruction.canvas import Canvas, bilinear_shift
from pinn.reconstruction.stitching import Stitcher
from pinn.simulate.forward import diffract, extract_patches

N, M = 8, 7
PAD = 30


@pytest.fixture(scope="module")
def scan():
    return small_scan()


@pytest.fixture(scope="module")
def model(scan):
    return small_model(scan, 2, epochs=4)


# --------------------------------------------------------------------------- likelihood


def problem(seed=0):
    rng = np.random.default_rng(seed)
    obj = rng.normal(1, 0.3, (24, 31)) * np.exp(1j * rng.normal(0, 0.5, (24, 31)))
    positions = rng.uniform([5, 5], [18, 25], (M, 2))
    positions[0] = [9.0, 14.0]
    positions[1], positions[2] = [1.25, 29.5], [22.75, -2.5]  # partly outside
    positions[3] = [-400.0, 900.0]  # wholly outside
    probe = rng.normal(size=(3, 2, N, N)) + 1j * rng.normal(size=(3, 2, N, N))
    frames = np.sqrt(rng.poisson(6.0, (M, N, N))).astype(np.float32) / 2
    frames[rng.random(frames.shape) < 0.1] = -1
    return rng, obj, positions, 2 * probe, frames


def oracle(obj, positions, probes, frames, scale, background=0.0, factors=None):
    """Each frame for itself in float64; beyond the object there is nothing."""
    out = []
    for j, (place, frame) in enumerate(zip(positions, frames, strict=True)):
        padded = np.pad(obj, PAD)
        inside = np.all(np.abs(place) < 100)
        at = (place + PAD)[None] if inside else np.full((1, 2), PAD / 2)
        rate = diffract(extract_patches(padded, at, N), probes[j])[0]
        rate = rate * (1 if factors is None else factors[j]) + background + 1e-6
        valid = frame >= 0
        k, r = (frame.astype(np.float64) ** 2 * scale)[valid], rate[valid]
        out.append(np.mean(2 * (r - k + np.where(k > 0, k * np.log(np.maximum(k, 1e-30) / r), 0))))
    return np.array(out)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_frame_deviance_equals_numpy(batch_size):
    """1e-4: float32 rates; where nothing is predicted the logarithm of the floor is compared."""
    _, obj, positions, probe, frames = problem()
    origin = np.array([-3.5, 11.25])
    judge = Judge(Explanation(obj, origin, probe[0], positions + origin), batch_size)
    found = judge.deviance(lambda rows: frames[rows], 4.0)
    wanted = oracle(obj, positions, [probe[0]] * M, frames, 4.0)
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_variations_background_and_factors_equal_numpy():
    rng, obj, positions, probe, frames = problem(1)
    weights = rng.normal(size=(M, 3))
    factors = rng.uniform(0.5, 1.5, M)
    background = rng.uniform(0.1, 2.0, (N, N))
    given = Explanation(obj, np.zeros(2), probe, positions, weights, background, factors)
    found = Judge(given, 4).deviance(lambda rows: frames[rows], 4.0)
    mixed = np.einsum("jv,vpyx->jpyx", weights, probe)
    wanted = oracle(obj, positions, mixed, frames, 4.0, background, factors)
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_a_frame_without_valid_pixels_is_not_known():
    _, obj, positions, probe, frames = problem()
    frames[4] = -1
    judge = Judge(Explanation(obj, np.zeros(2), probe[0], positions))
    found = judge.deviance(lambda rows: frames[rows])
    assert np.isnan(found[4]) and np.isfinite(np.delete(found, 4)).all()
    none = Judge(Explanation(obj, np.zeros(2), probe[0], positions[:0]))
    assert none.deviance(lambda rows: frames[rows]).shape == (0,)


def test_rates_equal_numpy():
    _, obj, positions, probe, _ = problem()
    rows = np.array([6, 0, 5])
    found = Judge(Explanation(obj, np.zeros(2), probe[0], positions), 2).rates(rows)
    same(found, diffract(extract_patches(obj, positions[rows], N), probe[0]), 1e-5)


def test_the_deviance_of_poisson_frames_is_the_noise_floor():
    """40 000 draws of each rate, whose mean is known to about 1 percent."""
    rng = np.random.default_rng(0)
    for rate in (0.03, 0.5, 1.2, 5.0, 40.0, 99.0, 101.0, 3000.0):
        counts = rng.poisson(rate, 40_000)
        measured = deviance(counts, np.full(counts.shape, rate)).mean()
        assert expected_deviance(np.array(rate)) == pytest.approx(measured, rel=0.05)
    assert expected_deviance(np.array([0.0]))[0] == 0.0


def test_outliers_are_far_from_the_middle_and_twice_as_bad():
    rng = np.random.default_rng(0)
    values = np.exp(rng.normal(0, 0.1, 200))
    assert not len(outliers(values))
    values[[3, 77]] = [3.0, 50.0]
    values[5] = np.nan
    assert outliers(values).tolist() == [3, 77]
    alike = np.ones(50)
    alike[7] = 1.5  # infinitely many deviations away, but not twice as bad
    assert not len(outliers(alike))


# -------------------------------------------------------------------------- disagreement


def test_disagreement_is_the_weighted_spread():
    rng = np.random.default_rng(0)
    patches = rng.normal(size=(5, 6, 6)) + 1j * rng.normal(size=(5, 6, 6))
    weight = rng.uniform(0.2, 1.0, (6, 6))
    corners = np.array([[0, 0], [0, 0], [1, 2], [2, 1], [9, 9]])
    canvas = Canvas(7)
    moved = bilinear_shift(patches * weight, np.zeros((5, 2)))
    moved[..., :6, :6, 2] = weight
    canvas.add(corners[:2], moved[:2])
    for corner, patch in zip(corners[2:], moved[2:], strict=True):
        canvas.add(corner[None], patch[None])
    w, o = np.zeros((5, 16, 16)), np.zeros((5, 16, 16), complex)
    for k, (y, x) in enumerate(corners):
        w[k, y : y + 6, x : x + 6], o[k, y : y + 6, x : x + 6] = weight, patches[k]
    total = np.maximum(w.sum(0), 1e-30)
    mean = (w * o).sum(0) / total
    spread = np.sqrt((w * np.abs(o - mean) ** 2).sum(0) / total)
    spread[total**2 < 1.5 * (w**2).sum(0)] = 0
    found = canvas.disagreement()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, spread, atol=1e-6)
    assert np.all(found[9:, 9:] == 0) and found[1:6, 1:6].min() > 0


def test_the_canvases_of_two_halves_make_the_whole():
    rng = np.random.default_rng(1)
    patches = bilinear_shift(
        rng.normal(size=(6, 6, 6)) + 1j * rng.normal(size=(6, 6, 6)), rng.random((6, 2))
    )
    corners = rng.integers(-90, 90, (6, 2))  # the canvases grow, each in its own way
    whole, part, rest = Canvas(7), Canvas(7), Canvas(7)
    for k in range(6):
        for canvas in (whole, part if k % 2 else rest):
            canvas.add(corners[k][None], patches[k][None])
    for first, second in ((part, rest), (rest, part)):
        a, b = first.plus(second).result(synchronise=True), whole.result(synchronise=True)
        np.testing.assert_array_equal(a[2], b[2])
        np.testing.assert_allclose(a[1], b[1], atol=1e-6)
        np.testing.assert_allclose(a[0], b[0], atol=1e-5)
    np.testing.assert_array_equal(Canvas(7).plus(part).result()[0], part.result()[0])
    np.testing.assert_array_equal(part.plus(Canvas(7)).result()[0], part.result()[0])


# ------------------------------------------------------------------------------- halves


def test_halves_are_the_checkerboard_of_a_grid():
    y, x = np.mgrid[:8, :8]
    half = interleaved(np.stack([y, x], -1).reshape(-1, 2) * 3.5 - 11).reshape(8, 8)
    assert np.all(half == (y + x) % 2) or np.all(half == (y + x + 1) % 2)


def test_halves_cover_the_same_area_in_any_order():
    rng = np.random.default_rng(0)
    positions = rng.uniform(0, 100, (400, 2)) * [1, 3]
    half = interleaved(positions)
    assert abs(half.sum() - 200) <= 1
    for cell in range(4):  # 100 frames each: by chance alone 50 +- 5
        inside = (positions[:, 0] > 50) == cell // 2
        inside &= (positions[:, 1] > 150) == cell % 2
        assert abs(half[inside].mean() - 0.5) < 0.03
    order = rng.permutation(400)
    np.testing.assert_array_equal(interleaved(positions[order]), half[order])
    assert interleaved(np.zeros((0, 2))).shape == (0,) and interleaved(np.ones((1, 2))).sum() == 0


def test_correlation_of_halves_in_numbers():
    rng = np.random.default_rng(0)
    image = rng.normal(size=(40, 44)) + 1j * rng.normal(size=(40, 44))
    valid = np.zeros(image.shape, bool)
    valid[3:37, 4:40] = True
    whole = correlate(image, image * np.exp(2j), valid)
    assert whole["frc50"] is None and whole["mean"] == pytest.approx(1.0)
    other = correlate(image, rng.normal(size=image.shape) + 0j, valid)
    assert other["frc50"] < 0.1 and other["mean"] < 0.3
    assert len(other["frequency"]) == len(other["correlation"])
    assert correlate(image, image, np.zeros(image.shape, bool)) is None
    assert correlate(np.ones((40, 44)), np.ones((40, 44)), valid) is None


# ------------------------------------------------------------------- of a reconstruction


def frames_of(scan):
    amplitude, _ = scan.read(np.arange(len(scan)))
    return amplitude.astype(np.float64) ** 2


def likelihood_by_hand(scan, recon):
    """With the result's object, probe and positions, brought to the light of the frames."""
    ratio = recon.statistics["likelihood"]["intensity_ratio"]
    obj = np.pad(recon.object.astype(complex), 1)
    rate = diffract(extract_patches(obj, recon.positions_px - recon.origin_px + 1, 16), recon.probe)
    return np.mean(deviance(frames_of(scan), rate * ratio + 1e-6), axis=(1, 2))


def test_a_reconstruction_carries_what_is_known_of_its_trust(scan, model, tmp_path):
    recon = pinn.reconstruct(scan, model, batch_size=7)
    np.testing.assert_allclose(recon.frame_likelihood, likelihood_by_hand(scan, recon), rtol=1e-3)
    numbers = recon.statistics["likelihood"]
    assert numbers["median_deviance"] == pytest.approx(np.median(recon.frame_likelihood))
    assert 0 < numbers["noise_floor"] < 1.2
    assert recon.disagreement.shape == recon.object.shape and recon.disagreement.max() > 0
    assert np.all(recon.disagreement[~recon.valid_mask] == 0)
    assert "reach into the other half" in recon.statistics["consistency"]["halves"]
    assert recon.statistics["unlike_training"]["ratio"] < UNLIKE
    assert recon.verdict == verdict(facts_of(recon)) and recon.verdict.endswith(".")
    again = pinn.load_reconstruction(recon.save(tmp_path / "r.h5"))
    assert again.verdict == recon.verdict and facts_of(again) == facts_of(recon)


def test_a_corrupted_frame_is_flagged(scan, model):
    counts = frames_of(scan)
    counts[17] = np.random.default_rng(0).poisson(counts[17].mean(), (16, 16))
    bad = pinn.Scan(counts, scan.positions_px, probe=scan.probe, units="counts", name="bad")
    recon = pinn.reconstruct(bad, model)
    assert recon.statistics["likelihood"]["flagged"] == [17]
    assert any(
        "1 of 40 frames are explained far worse than most: 17" in note for note in recon.notes
    )
    assert "1 of 40 frames is explained far worse" in recon.verdict
    assert not pinn.reconstruct(scan, model).statistics["likelihood"]["flagged"]


def test_a_foreign_scan_is_recognised(scan, model):
    rng = np.random.default_rng(0)
    mean = frames_of(scan).mean()
    noise = rng.poisson(mean, (40, 16, 16)).astype(float)
    foreign = pinn.Scan(noise, scan.positions_px, probe=scan.probe, units="counts", name="noise")
    recon = pinn.reconstruct(foreign, model)
    assert recon.statistics["unlike_training"]["ratio"] > UNLIKE
    assert recon.verdict.startswith("Not to be trusted") and "is unlike those" in recon.verdict
    assert any("is unlike those the model was trained on" in note for note in recon.notes)
    alike = pinn.reconstruct(small_scan(3), model)
    assert alike.statistics["unlike_training"]["ratio"] < UNLIKE
    assert "unlike" not in alike.verdict


def test_an_archive_that_does_not_say_how_training_went_says_nothing_of_likeness(scan, model):
    assert len(model.statistics["likeness"]["excess"]) == len(QUANTILES)
    known = {name: value for name, value in model.statistics.items() if name != "likeness"}
    old = pinn.Model(model.config, model.network, known, model.history, model.provenance)
    recon = pinn.reconstruct(scan, old)
    assert "unlike_training" not in recon.statistics and "unlike" not in recon.verdict
    assert any("does not say how well it explained its training" in note for note in recon.notes)


def test_what_is_unexplained_is_a_share_of_what_the_object_does():
    """Frames of ten patterns, of which a rate holds half of what differs: a quarter of the
    squares, to 3 percent, for deviances are squares to first order; at any dose and contrast."""
    rng = np.random.default_rng(0)
    pattern = rng.normal(size=(40, 1, 16, 16))
    for dose, contrast in ((1e4, 0.1), (1e5, 0.1), (1e5, 0.03)):
        rate = dose * (1 + contrast * pattern)
        half = dose * (1 + contrast * pattern / 2)
        counts = rng.poisson(rate).astype(float)
        found = explained(counts, half, np.ones(counts.shape, bool))
        assert found.unexplained == pytest.approx(0.25, rel=0.03)
        assert found.groups == 40 and found.noise == pytest.approx(1 / dose, rel=0.01)
    assert explained(counts * 0, half, np.ones(counts.shape, bool)) is None


def test_the_options_have_their_effect(scan, model):
    full = pinn.reconstruct(scan, model)
    plain = pinn.reconstruct(scan, model, likelihood=False, consistency=False)
    same(plain.object, full.object, 1e-6)  # two halves are summed in another order
    assert plain.frame_likelihood is None
    assert not {"likelihood", "consistency", "unlike_training"} & set(plain.statistics)
    assert {"likelihood", "consistency"} <= set(full.statistics["seconds"])
    assert plain.disagreement is not None and plain.verdict != full.verdict
    cropped = pinn.reconstruct(scan, model, weighting="crop")
    assert "unlike_training" not in cropped.statistics and cropped.frame_likelihood is not None


@pytest.mark.parametrize("gridsize", [1, 3])
def test_trust_of_other_groups(scan, gridsize):
    model = small_model(scan, gridsize)
    recon = pinn.reconstruct(scan, model)
    shared = "reach into" in recon.statistics["consistency"]["halves"]
    assert shared == (gridsize > 1) and np.isfinite(recon.frame_likelihood).all()
    assert recon.statistics["unlike_training"]["ratio"] < UNLIKE


def test_one_object_for_a_whole_group(scan):
    recon = pinn.reconstruct(scan, small_model(scan, 2, object_big=False))
    assert recon.statistics["unlike_training"]["ratio"] < UNLIKE
    assert np.isfinite(recon.frame_likelihood).all()


def test_halves_share_nothing_where_frames_are_predicted_alone(scan):
    model = small_model(scan, 2, architecture="lean")
    recon = pinn.reconstruct(scan, model)
    numbers = recon.statistics["consistency"]
    assert "reach into" not in numbers["halves"]
    # the half that is kept is the canvas of those frames' patches alone
    stitcher = Stitcher(model, scan.probe_gauge(), ReconstructConfig())
    in_half = interleaved(scan.positions_px) == 0
    stitcher.keep_half(in_half, scan.positions_px)
    groups = stitcher.groups(scan.positions_px)
    factor = scan.statistics().exposure_factor

    def read(indices):
        frames = encode(*scan.read(indices), factor)
        return np.where(in_half[indices][:, None, None], frames, frames * 0 + 1)  # others spoilt

    for _ in stitcher.run(groups, lambda i: scan.positions_px[i], read, stitcher.canvas):
        pass
    half, _, _ = stitcher.half.result()
    plain = Stitcher(model, scan.probe_gauge(), ReconstructConfig())
    plain.keep_half(in_half, scan.positions_px)
    for _ in plain.run(
        groups,
        lambda i: scan.positions_px[i],
        lambda i: encode(*scan.read(i), factor),
        plain.canvas,
    ):
        pass
    same(half, plain.half.result()[0], 1e-5)


def test_frame_by_frame_a_scan_may_be_smaller_than_a_group(scan):
    recon = pinn.reconstruct(scan.select(range(3)), small_model(scan, 2, architecture="lean"))
    assert recon.object.any() and "unlike_training" not in recon.statistics


def test_groups_too_wide_for_training_are_not_compared_with_it(scan, model):
    far = np.array(scan.positions_px)
    far[0] += 900.0
    lost = pinn.Scan(scan.frames, far, probe=scan.probe, units="counts")
    ratio = pinn.reconstruct(lost, model).statistics["unlike_training"]["ratio"]
    assert ratio < UNLIKE
    far[:4] = [[0, 0], [0, 90], [90, 0], [90, 90]]
    apart = pinn.Scan(scan.frames, far, probe=scan.probe, units="counts").select(range(4))
    assert "unlike_training" not in pinn.reconstruct(apart, model).statistics


def test_live_results_carry_disagreement_and_a_verdict(scan, model):
    live = pinn.Reconstructor(model, probe=scan.probe)
    order = np.random.default_rng(0).permutation(len(scan))
    live.add(frames_of(scan)[order], scan.positions_px[order], order)
    recon = live.result()
    assert recon.disagreement.max() > 0 and recon.frame_likelihood is None
    assert "patches over a pixel differ" in recon.verdict


def test_rates_of_a_group_are_those_of_the_model(scan, model):
    """The NumPy twin of merging, sampling and propagating, against the network's own forward."""
    from keras import ops

    rng = np.random.default_rng(0)
    frames = np.abs(rng.normal(1, 0.3, (1, 16, 16, 4))).astype("float32")
    places = rng.uniform(20, 25, (4, 2))
    inputs = {
        "frames": frames,
        "offsets": (places - places.mean(0))[None].astype("float32"),
        "scan": np.zeros(1, "int32"),
    }
    found = ops.convert_to_numpy(model.network(inputs)["rate"])[0]
    patches = ops.convert_to_numpy(model.network.object_patches(frames))[0].astype(float)
    probe = model.probe_counts().astype(complex)
    light = np.sum(np.abs(probe) ** 2, 0)
    # the group's canvas lies about its mean, ours on whole pixels: the same where they coincide
    shift = np.floor(places.mean(0)) - places.mean(0)
    there = (places + shift)[None]
    patches = (patches[..., 0] + 1j * patches[..., 1])[None]
    rate = group_rates(patches, light / light.max() + 0.01, there, there, probe)
    same(rate[0], found, 2e-4)


# -------------------------------------------------------------------------- the sentence

GOOD = Facts(
    frames=100, covered=1.0, deviance=1.5, noise_floor=1.0, one_pattern=20.0, pixels=10**6,
    disagreement=0.05, agreement=0.3,
)  # fmt: skip
FITTED = dataclasses.replace(
    GOOD,
    fitted=True,
    independent=True,
    deviance=0.9,
    held_out=1.1,
    held_pixels=10**5,
)


def test_a_good_result_is_not_praised_and_claims_no_resolution():
    sentence = verdict(GOOD)
    assert sentence.startswith("Nothing measured speaks against it: ")
    assert "0.05 of the object's modulus" in sentence and "1.5 times" in sentence
    assert "0.3 cycles per pixel, which is consistency of one method and no resolution" in sentence
    assert sentence.count(".") - sentence.count("0.") - sentence.count("1.") == 1
    fitted = verdict(FITTED)
    assert "half a period of 1.7 px), which an error common to both would not show" in fitted


@pytest.mark.parametrize(
    ("changes", "head", "said"),
    [
        ({"unlike": 30.0}, "Not to be trusted", "unlike those the model was trained on"),
        ({"contrast_failed": True}, "Not to be trusted", "no plausible contrast"),
        ({"covered": 0.3}, "Not to be trusted", "only 30% of the scan area"),
        ({"disagreement": 0.6}, "Not to be trusted", "differ by 0.6"),
        ({"deviance": 21.0}, "Not to be trusted", "worse than by one pattern for all"),
        ({"unlike": 4.0}, "To be looked at with care", "unlike those the model was trained on"),
        ({"covered": 0.9}, "To be looked at with care", "only 90% of the scan area"),
        ({"flagged": 2}, "To be looked at with care", "2 of 100 frames are explained far worse"),
        ({"disagreement": 0.4}, "To be looked at with care", "differ by 0.4"),
        ({"deviance": 12.0}, "To be looked at with care", "0.58 of what the object does"),
        (
            {"one_pattern": 1.001, "deviance": 1.0},
            "To be looked at with care",
            "no more than counting noise",
        ),
        ({"agreement": 0.01}, "To be looked at with care", "up to 0.01 cycles"),
        ({"stopped": True}, "To be looked at with care", "stopped before its end"),
        ({"unlike": 2.0}, "Nothing measured speaks against it", "differ"),
        ({"deviance": 0.1}, "Nothing measured speaks against it", "less than counting noise"),
        # a high dose makes the smallest error visible
        (
            {"deviance": 200.0, "one_pattern": 1e6},
            "Nothing measured speaks against it",
            "2e+02 times that of counting noise",
        ),
        # values that are no counts have no floor, and it is not spoken of
        ({"noise_floor": None}, "Nothing measured speaks against it", "modulus, two halves"),
    ],
)
def test_what_speaks_against_a_result_is_said(changes, head, said):
    sentence = verdict(dataclasses.replace(GOOD, **changes))
    assert sentence.startswith(head) and said in sentence and "\n" not in sentence


@pytest.mark.parametrize(
    ("changes", "head", "said"),
    [
        ({}, "Nothing measured speaks against it", "0.9 times"),
        ({"frames": 1}, "Not to be trusted", "one frame alone does not determine an object"),
        ({"redundancy": 1.5}, "Not to be trusted", "only 1.5 measured numbers for each unknown"),
        ({"redundancy": 3.0}, "To be looked at with care", "only 3 measured numbers"),
        ({"redundancy": 9.0, "visits": 1.1}, "To be looked at with care", "hardly overlap"),
        ({"redundancy": 9.0, "visits": 2.0}, "Nothing measured speaks against it", "times"),
        ({"deviance": 2.0, "held_out": 3.0}, "To be looked at with care", "0.079 of what"),
        ({"deviance": 11.0, "held_out": 12.0}, "Not to be trusted", "0.55 of what"),
        ({"deviance": 0.3, "held_out": 1.9}, "To be looked at with care", "noise was fitted"),
        # nothing tells detail from noise, but halves
        (
            {"one_pattern": 1.5, "agreement": None},
            "To be looked at with care",
            "fine detail may be noise",
        ),
        ({"one_pattern": 1.5}, "Nothing measured speaks against it", "halves agree"),
        ({"agreement": None}, "Nothing measured speaks against it", "times"),
        # the same misfit of five pixels may be chance
        (
            {"deviance": 2.0, "held_out": 3.0, "pixels": 5, "held_pixels": 1},
            "Nothing measured speaks against it",
            "2 times",
        ),
    ],
)
def test_a_fitted_object_is_judged_by_what_it_leaves_unexplained(changes, head, said):
    sentence = verdict(dataclasses.replace(FITTED, **changes))
    assert sentence.startswith(head) and said in sentence


def test_frames_of_one_pattern_are_told_from_frames_of_an_object():
    """With noise alone the statistic is the noise floor, to 1 percent from 400 000 pixels."""
    rng = np.random.default_rng(0)
    pattern = rng.uniform(1, 60, (64, 64))
    light = rng.uniform(0.5, 2, (100, 1, 1))
    alike = rng.poisson(light * pattern).astype(float)
    valid = np.ones(alike.shape, bool)
    floor = expected_deviance(light * pattern).mean()
    assert deviance_of_one_pattern(alike, valid) == pytest.approx(floor, rel=0.01)
    differing = rng.poisson(light * pattern * rng.uniform(0.5, 1.5, alike.shape)).astype(float)
    assert deviance_of_one_pattern(differing, valid) > 2 * floor
    valid[3, 5:20] = False  # pixels that one frame lacks are left out of all
    spoilt = np.where(valid, alike, 1e6)
    assert deviance_of_one_pattern(spoilt, valid) == pytest.approx(floor, rel=0.01)
    assert deviance_of_one_pattern(alike[:1], valid[:1]) is None


def test_visits_and_redundancy_count_what_is_measured():
    probe = np.zeros((1, 16, 16), complex)
    probe[0, 4:12, 4:12] = 1
    apart = np.stack([np.zeros(5), 20 * np.arange(5)], -1)
    assert visits(probe, apart) == 1
    assert visits(probe, np.repeat(apart, 3, axis=0)) == pytest.approx(3)
    half = np.stack([np.zeros(50), 4 * np.arange(50)], -1)  # half a probe further each time
    assert visits(probe, half) == pytest.approx(2)
    assert redundancy(1000, 100) == 5 and redundancy(1000, 100, probe=150) == 2


def test_nothing_known_is_said_as_such():
    assert verdict(Facts(frames=3)) == "Nothing is known of its quality."


def test_the_area_of_a_round_scan_counts_as_covered(scan, model):
    recon = pinn.reconstruct(scan, model, likelihood=False, consistency=False)
    assert facts_of(recon).covered > 0.98
    hole = recon.valid_mask.copy()
    y, x = (recon.positions_px.mean(0) - recon.origin_px).astype(int)
    hole[y - 6 : y + 6, x - 6 : x + 6] = False
    assert facts_of(dataclasses.replace(recon, valid_mask=hole)).covered < 0.95
    line = np.stack([np.zeros(40), np.arange(40)], -1)
    assert facts_of(dataclasses.replace(recon, positions_px=line)).covered is None


def test_a_picture_shows_what_is_known(scan, model, tmp_path):
    recon = pinn.reconstruct(scan, model)
    recon.statistics["likelihood"]["flagged"] = [3]
    bare = dataclasses.replace(recon, disagreement=None, frame_likelihood=None, verdict="")
    full, little = (write_trust(tmp_path / f"{k}.png", r) for k, r in enumerate((recon, bare)))
    assert full.read_bytes().startswith(b"\x89PNG")
    assert full.stat().st_size > 2 * little.stat().st_size > 10_000
