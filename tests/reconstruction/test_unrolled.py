"""A whole scan through an unrolled network: the pretrained one, on scans it has never seen."""

import itertools

import keras
import numpy as np
import pytest
from refining import arrays_of, error, scan_of
from small import same, small_model

import pinn
from pinn.errors import ConfigError, ScanError
from pinn.io.archive import PRETRAINED
from pinn.reconstruction import unrolled

QUICK = dict(consistency=False, stages=3)


@pytest.fixture(scope="module")
def arrays():
    return arrays_of()


@pytest.fixture(scope="module")
def scan(arrays):
    return scan_of(arrays)


@pytest.fixture(scope="module")
def model():
    return pinn.load_model(PRETRAINED)


@pytest.fixture(scope="module")
def plain(scan, model):
    return pinn.reconstruct(scan, model, **QUICK)


def lit(recon):
    return np.where(recon.coverage > 0.1, recon.object, 0)


def missed(recon):
    return float(np.median(recon.frame_likelihood))


@pytest.mark.each_backend
def test_more_stages_explain_the_frames_better_and_are_nearer_to_the_truth(scan, model):
    recons = [pinn.reconstruct(scan, model, consistency=False, stages=k) for k in (1, 4, 8)]
    assert [recon.statistics["stages"] for recon in recons] == [1, 4, 8]
    few, some, many = map(missed, recons)
    assert many < 0.5 * some < 0.25 * few
    few, some, many = (error(recon, scan) for recon in recons)
    assert many < some < few and many < 0.15
    assert recons[2].archive_sha256 == model.archive_sha256


@pytest.mark.parametrize(("side", "frames"), [(18, 150), (32, 40), (64, 30)])
def test_one_set_of_weights_serves_frames_of_any_even_side(model, side, frames):
    scan = scan_of(arrays_of(N=side, n_frames=frames))
    few, many = (pinn.reconstruct(scan, model, consistency=False, stages=k) for k in (1, 8))
    assert missed(many) < 0.3 * missed(few)
    assert error(many, scan) < 0.7 * error(few, scan)
    assert many.probe.shape == (1, side, side)


def test_batches_do_not_matter(scan, model, plain):
    # float32 sums in another order
    for size in (2, 7):
        same(pinn.reconstruct(scan, model, batch_size=size, **QUICK).object, plain.object, 1e-5)


def test_the_order_of_the_frames_and_the_origin_do_not_matter(arrays, model, plain):
    order = np.random.default_rng(1).permutation(len(arrays["counts"]))
    other = scan_of(
        arrays,
        frames=arrays["counts"][order],
        positions_px=arrays["positions_px"][order] + [7, -3],
        truth=None,
    )
    recon = pinn.reconstruct(other, model, **QUICK)
    # long-range corrections are weighed on frames of other numbers
    same(lit(recon), lit(plain), 1e-5)
    np.testing.assert_allclose(recon.origin_px - plain.origin_px, [7, -3])


def test_tiles_give_the_canvas_that_the_whole_gives(scan, model, plain, monkeypatch):
    made, tile_scan = [], unrolled.tile_scan

    def small(places, N, canvas, margin, pixels):
        made.append(tile_scan(places, N, canvas, margin, 1600))
        return made[-1]

    monkeypatch.setattr(unrolled, "tile_scan", small)
    recon = pinn.reconstruct(scan, model, **QUICK)
    assert len(made[0][0]) > 2
    # float32 sums in another order
    same(recon.object, plain.object, 1e-5)
    same(recon.coverage, plain.coverage, 1e-6)
    # a difference of two sums that are nearly alike
    same(recon.disagreement, plain.disagreement, 1e-3)


def test_blocks_that_overlap_give_what_the_network_makes_of_the_whole(scan, monkeypatch):
    model = pinn.load_model("pretrained")
    last = model.network.network.get_layer("out")
    values = np.random.default_rng(0).normal(0, 0.01, last.kernel.shape)
    last.set_weights([values.astype("float32"), last.get_weights()[1]])  # zero as it begins
    plain = pinn.reconstruct(scan, model, **QUICK)
    monkeypatch.setattr(unrolled, "_BLOCK", 8)
    # the network sees five blocks of four pixels to either side; the package takes 32 pixels
    assert unrolled._HALO >= 20
    for halo, alike in ((20, True), (4, False)):
        monkeypatch.setattr(unrolled, "_HALO", halo)
        assert len(list(unrolled._blocks(plain.object.shape))) > 4
        recon = pinn.reconstruct(scan, model, **QUICK)
        gap = np.linalg.norm(recon.object - plain.object) / np.linalg.norm(plain.object)
        assert (gap < 1e-5) == alike, gap


@pytest.mark.parametrize("shape", [(60, 60), (100, 60), (132, 200), (84, 84)])
def test_blocks_cover_a_canvas_once_on_whole_blocks_of_the_network(shape, monkeypatch):
    monkeypatch.setattr(unrolled, "_BLOCK", 32)
    monkeypatch.setattr(unrolled, "_HALO", 8)
    seen, canvas = np.zeros(shape), np.random.default_rng(0).normal(size=shape)
    for outer, inner, window in unrolled._blocks(shape):
        assert all(part.start % 4 == 0 for part in outer)
        np.testing.assert_array_equal(canvas[outer][inner], canvas[window])
        seen[window] += 1
    np.testing.assert_array_equal(seen, 1)


def test_masked_pixels_change_nothing_and_are_not_seen_as_dark(arrays, scan, model, plain):
    mask = np.ones((16, 16), bool)
    mask[9, 6:8] = False
    results = []
    for value in (0.0, np.nan, 4e9):
        counts = arrays["counts"].astype(float)
        counts[:, ~mask] = value
        bad = scan_of(arrays, frames=counts, valid_mask=mask, units="counts")
        results.append(pinn.reconstruct(bad, model, **QUICK))
    np.testing.assert_array_equal(results[0].object, results[1].object)
    np.testing.assert_array_equal(results[0].object, results[2].object)
    assert np.abs(results[0].object - plain.object).max() > 1e-3
    counts = arrays["counts"].copy()
    counts[:, ~mask] = 0
    dark = pinn.reconstruct(scan_of(arrays, frames=counts), model, **QUICK)
    assert error(results[0], scan) < error(dark, scan)


def test_counts_that_are_multiplied_give_the_same_object(arrays, model, plain):
    """Another exposure: the network learns of it by the noise it expects alone."""
    brighter = scan_of(arrays, frames=4 * arrays["counts"])
    recon = pinn.reconstruct(brighter, model, **QUICK)
    assert recon.statistics["exposure_ratio"] == pytest.approx(
        0.5 * plain.statistics["exposure_ratio"], rel=1e-6
    )
    # 1e6 counts in a frame: the noise is small in either case
    same(lit(recon), lit(plain), 1e-2)
    np.testing.assert_allclose(np.abs(recon.probe), 2 * np.abs(plain.probe), rtol=1e-5)


def test_frames_without_light_are_left_out_and_said(arrays, model):
    counts = arrays["counts"].copy()
    counts[[5, 70]] = 0
    recon = pinn.reconstruct(scan_of(arrays, frames=counts), model, **QUICK)
    assert any("2 frames without counts were left out" in note for note in recon.notes)
    kept = np.setdiff1d(np.arange(len(counts)), [5, 70])
    np.testing.assert_array_equal(recon.frame_indices, kept)
    part = scan_of(arrays, frames=counts[kept], positions_px=arrays["positions_px"][kept])
    # dark frames count for the exposure, hence the object is brighter and the probe darker; a
    # network is not linear
    brighter = np.sqrt(len(counts) / len(kept))
    same(lit(recon) / brighter, lit(pinn.reconstruct(part, model, **QUICK)), 5e-3)


def test_several_modes_of_a_probe_explain_frames_that_one_does_not(model):
    arrays = arrays_of(probe_modes=2)
    both = pinn.reconstruct(scan_of(arrays), model, stages=8, consistency=False)
    first = scan_of(arrays, probe=arrays["probe"][:1])
    alone = pinn.reconstruct(first, model, stages=8, consistency=False)
    assert both.probe.shape[0] == 2 and alone.probe.shape[0] == 1
    assert missed(both) < 0.3 * missed(alone)
    assert error(both, scan_of(arrays)) < error(alone, first)


def test_a_stop_request_keeps_the_stage_that_was_reached(scan, model):
    def stop(report):
        if report.done >= 0.6 * report.total:
            raise pinn.StopRequested

    recon = pinn.reconstruct(scan, model, stages=4, batch_size=4, consistency=False, progress=stop)
    count = recon.statistics["stages"]
    assert 1 <= count < 4 and recon.statistics["stopped"]
    assert any(f"stopped on request after {count} of 4 stages" in note for note in recon.notes)
    assert recon.verdict.startswith("unfinished")
    shorter = pinn.reconstruct(scan, model, stages=count, batch_size=4, consistency=False)
    same(recon.object, shorter.object, 1e-5)
    assert len(recon.frame_indices) == len(scan)


def test_progress_rises_to_the_end_and_what_there_is_can_be_watched(scan, model):
    told, seen = [], []
    recon = pinn.reconstruct(scan, model, stages=3, progress=told.append, watch=seen.append)
    assert all(a.done <= b.done <= b.total for a, b in itertools.pairwise(told))
    assert told[0].total == len(scan)
    assert [one.statistics["stages"] for one in seen] == list(range(1, len(seen) + 1))
    assert seen and all(one.verdict.startswith("unfinished") for one in seen)
    assert not recon.verdict.startswith("unfinished")


def test_halves_are_compared_and_the_result_says_how_it_was_made(scan, model, tmp_path):
    recon = pinn.reconstruct(scan, model, stages=2)
    numbers = recon.statistics["consistency"]
    assert "halves" in numbers and recon.statistics["frames"] == len(scan)
    assert recon.config["model"]["architecture"] == "unrolled"
    assert recon.config["reconstruct"]["stages"] == 2
    again = pinn.load_reconstruction(recon.save(tmp_path / "recon.h5"))
    np.testing.assert_array_equal(again.object, recon.object)
    assert again.statistics["stages"] == 2


def test_disagreement_is_small_where_the_object_is_right(scan, model):
    few, many = (pinn.reconstruct(scan, model, consistency=False, stages=k) for k in (1, 8))
    known = many.coverage > 0.5
    assert many.disagreement[known].mean() < 0.5 * few.disagreement[known].mean()
    assert np.all(many.disagreement[~many.valid_mask] == 0)


def test_without_a_model_the_pretrained_one_is_used(scan, model, plain):
    recon = pinn.reconstruct(scan, **QUICK)
    np.testing.assert_array_equal(recon.object, plain.object)
    assert recon.archive_sha256 == model.archive_sha256 is not None


# -- beginning of a refinement --------------------------------------------------------------


@pytest.mark.each_backend
def test_a_refinement_begins_with_all_frames_and_is_better_from_the_first_step(scan, model):
    options = dict(batch_size=16, split_half=False, epochs=2, lbfgs_iterations=0)
    recon = pinn.refine(scan, model, update_probe=False, **options)
    facts = recon.statistics["refinement"]
    begun = facts["network_start"]
    assert begun["frames"] == begun["of_frames"] == len(scan)
    assert f"{len(scan)} of {len(scan)} frames" in facts["started_from"]
    assert recon.archive_sha256 == model.archive_sha256
    flat = pinn.refine(scan, update_probe=False, **options)
    assert recon.losses[0] < 0.3 * flat.losses[0]


def test_a_stop_while_the_start_is_made_leaves_what_there_is(scan, model):
    def stop(report):
        if report.stage == "start" and report.done >= 0.6 * report.total:
            raise pinn.StopRequested

    recon = pinn.refine(
        scan, model, progress=stop, batch_size=16, split_half=False, epochs=2, lbfgs_iterations=0
    )
    begun = recon.statistics["refinement"]["network_start"]
    assert 1 <= begun["stages"] < 4
    assert np.all(np.isfinite(recon.object)) and recon.object.std() > 0.01


# -- refusals -------------------------------------------------------------------------------


def refused(kind, words, call):
    with pytest.raises(kind, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_what_an_unrolled_network_cannot_do_is_said_in_one_sentence(arrays, scan, model):
    bare = scan_of(arrays, probe=None)
    refused(
        ScanError,
        "has no probe, which the unrolled network needs: give one .*--write-probe",
        lambda: pinn.reconstruct(bare, model),
    )
    refused(ScanError, "has no probe", lambda: pinn.refine(bare, model, epochs=1))
    small = model.of_size(16)
    refused(
        ConfigError,
        "the unrolled network needs the whole scan",
        lambda: pinn.Reconstructor(small, probe=scan.probe),
    )
    frames = keras.ops.ones((1, 16, 16, 4))
    refused(
        ConfigError,
        "needs positions and probe besides the frames",
        lambda: small.network.object_patches(frames),
    )
    lean = small_model(scan, architecture="lean")
    refused(
        ConfigError,
        "stages 4 was asked for, but the network 'lean' has none",
        lambda: pinn.reconstruct(scan, lean, stages=4),
    )
    for options in ({"weighting": "crop"}, {"weighting": "uniform"}, {"anchor": "mean"}):
        refused(
            ConfigError,
            f"{next(iter(options))} .* is for networks that make patches",
            lambda options=options: pinn.reconstruct(scan, model, **options),
        )


def test_without_a_number_stages_go_on_while_they_explain_the_frames_better(scan, model):
    recon = pinn.reconstruct(scan, model, consistency=False)
    count = recon.statistics["stages"]
    assert 6 < count <= 24
    given = pinn.reconstruct(scan, model, consistency=False, stages=count)
    np.testing.assert_array_equal(recon.object, given.object)


def test_a_position_far_away_is_one_sentence_before_any_memory_is_taken(arrays, model):
    positions = arrays["positions_px"].copy()
    positions[3] += 20_000
    stray = scan_of(arrays, positions_px=positions, truth=None)
    refused(ScanError, r"spans 20\d\d\d x 20\d\d\d pixels", lambda: pinn.reconstruct(stray, model))
    refused(
        ScanError, r"spans 20\d\d\d x 20\d\d\d pixels", lambda: pinn.refine(stray, model, epochs=1)
    )
