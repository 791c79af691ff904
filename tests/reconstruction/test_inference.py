"""Reconstruction: whole scan, replay in any order, lost frames, options, NumPy oracle."""

import h5py
import keras
import numpy as np
import pytest
from small import same, small_model, small_scan

import pinn
from pinn.data.scan import Scan
from pinn.errors import ConfigError, ScanError
from pinn.reconstruction.canvas import Canvas, bilinear_shift


@pytest.fixture(scope="module")
def scan():
    return small_scan()


@pytest.fixture(scope="module", params=[1, 2, 3])
def model(request, scan):
    return small_model(scan, request.param)


@pytest.fixture(scope="module")
def model2(scan):
    return small_model(scan, 2)


def _counts(scan):
    amplitude, _ = scan.read(np.arange(len(scan)))
    return amplitude.astype(np.float64) ** 2


def _oracle(scan, model, contrast=None):
    """The same reconstruction in NumPy: nearest neighbours, all patches, bilinear placement."""
    C, N = model.config.gridsize**2, model.config.N
    positions = scan.positions_px
    distance = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    np.fill_diagonal(distance, -1)
    members = np.argsort(distance, axis=1, kind="stable")[:, :C]
    amplitude = np.sqrt(_counts(scan)) * scan.statistics().exposure_factor
    frames = np.moveaxis(amplitude[members], 1, -1).astype(np.float32)
    stacked = keras.ops.convert_to_numpy(model.network.object_patches(frames))
    patches = stacked[..., 0].astype(float) + 1j * stacked[..., 1]
    weight = np.sum(np.abs(scan.probe_gauge()) ** 2, 0)
    weight = weight / weight.max()
    if contrast is not None:
        light = (weight + 0.01)[None, None] + np.zeros(patches.shape)
        mean = np.sum(light * patches, axis=(1, 2, 3), keepdims=True)
        mean = mean / np.sum(light, axis=(1, 2, 3), keepdims=True)
        deviation = patches / mean - 1
        patches = mean * (1 + contrast[0] * deviation.real + 1j * contrast[1] * deviation.imag)
    canvas = Canvas(N + 1)
    corners, fractions = canvas.split(positions[members].reshape(-1, 2))
    flat = patches.reshape(-1, N, N)
    moved = bilinear_shift(flat * weight, fractions)
    moved[..., 2] = bilinear_shift(np.broadcast_to(weight + 0j, flat.shape), fractions)[..., 0]
    canvas.add(corners, moved)
    return canvas.result()


def test_reconstruction_equals_the_numpy_oracle(scan, model):
    recon = pinn.reconstruct(scan, model, batch_size=7, synchronise=False, calibrate=False)
    obj, coverage, origin = _oracle(scan, model)
    same(np.where(recon.valid_mask, recon.object, 0), obj, 1e-4)
    same(recon.coverage, coverage, 1e-4)
    np.testing.assert_array_equal(recon.origin_px, origin)
    assert recon.frame_indices.size == len(scan)


def test_the_contrast_that_training_sees_is_reconstructed(scan):
    model = small_model(scan, 2, calibrate_start=True)
    pictures = []
    for factors in ([1.0, 1.0], [1.4, 0.6]):
        model.network.contrast.assign(np.array([factors], "float32"))
        recon = pinn.reconstruct(scan, model, synchronise=False, calibrate=False)
        known = np.where(recon.valid_mask, recon.object, 0)
        same(known, _oracle(scan, model, factors)[0], 1e-4)
        pictures.append(recon.object)
    assert np.abs(pictures[1] - pictures[0]).max() > 1e-3
    # the samples show it too
    frames = np.zeros((3, 16, 16, 4), "float32")
    frames[:] = np.random.default_rng(0).random(frames.shape)
    batch = {"frames": frames, "scan": np.zeros(3, "int32")}
    plain = keras.ops.convert_to_numpy(model.network.object_patches(frames))
    shown = keras.ops.convert_to_numpy(model.network.scaled_patches(batch))
    assert np.abs(shown - plain).max() > 1e-3
    # a scan that it does not know has no factors
    other = small_scan(7)
    recon = pinn.reconstruct(other, model, synchronise=False, calibrate=False)
    known = np.where(recon.valid_mask, recon.object, 0)
    same(known, _oracle(other, model)[0], 1e-4)


def test_batch_size_does_not_matter(scan, model):
    one = pinn.reconstruct(scan, model, batch_size=1)
    many = pinn.reconstruct(scan, model, batch_size=64)
    same(one.object, many.object, 1e-5)


def test_origin_and_whole_pixel_shift(scan, model2):
    moved = pinn.Scan(_counts(scan), scan.positions_px + [7, -3], probe=scan.probe, units="counts")
    one, two = pinn.reconstruct(scan, model2), pinn.reconstruct(moved, model2)
    same(two.object, one.object, 1e-5)
    np.testing.assert_allclose(two.origin_px - one.origin_px, [7, -3])


def test_permuted_frames_give_the_same_object(scan, model2):
    order = np.random.default_rng(1).permutation(len(scan))
    permuted = pinn.Scan(
        _counts(scan)[order], scan.positions_px[order], probe=scan.probe, units="counts"
    )
    same(pinn.reconstruct(permuted, model2).object, pinn.reconstruct(scan, model2).object, 1e-5)


def _replay(scan, model, order, packet, planned, peek=()):
    live = pinn.Reconstructor(
        model,
        probe=scan.probe,
        exposure_factor=scan.statistics().exposure_factor,
        expected_positions=scan.positions_px if planned else None,
        batch_size=5,
    )
    counts = _counts(scan)
    for first in range(0, len(order), packet):
        chosen = order[first : first + packet]
        live.add(counts[chosen], scan.positions_px[chosen], chosen)
        if first in peek and live.arrived >= 9:
            live.result()
    return live


@pytest.mark.parametrize("planned", [True, False])
def test_replay_in_any_order_gives_the_whole_scan(scan, model, planned):
    whole = pinn.reconstruct(scan, model)
    orders = [np.arange(len(scan)), np.random.default_rng(0).permutation(len(scan))]
    for order, packet in zip(orders, (len(scan), 3), strict=True):
        live = _replay(scan, model, order, packet, planned, peek=(15, 27)).result()
        same(live.object, whole.object, 1e-5)
        same(live.coverage, whole.coverage, 1e-5)
        np.testing.assert_array_equal(live.origin_px, whole.origin_px)


@pytest.mark.parametrize("planned", [True, False])
def test_lost_frames_leave_the_result_of_the_others(scan, model, planned):
    rng = np.random.default_rng(2)
    kept = np.sort(rng.choice(len(scan), 29, replace=False))
    part = pinn.Scan(_counts(scan)[kept], scan.positions_px[kept], probe=scan.probe, units="counts")
    config = pinn.ReconstructConfig()
    expected = pinn.reconstruct(part, model, config)
    # the whole scan's exposure differs from the part's: compare at the same factor
    factor = part.statistics().exposure_factor
    same_factor = pinn.Reconstructor(model, probe=scan.probe, exposure_factor=factor, batch_size=5)
    same_factor.add(_counts(scan)[kept], scan.positions_px[kept], kept)
    same(same_factor.result().object, expected.object, 1e-5)
    again = pinn.Reconstructor(
        model,
        probe=scan.probe,
        exposure_factor=factor,
        expected_positions=scan.positions_px if planned else None,
    )
    for row in rng.permutation(kept):
        again.add(_counts(scan)[[row]], scan.positions_px[[row]], [row])
    same(again.result().object, expected.object, 1e-5)
    assert set(again.result().frame_indices.tolist()) == set(kept.tolist())


def test_complete_groups_appear_before_the_end(scan, model2):
    live = _replay(scan, model2, np.arange(30), 1, planned=True)
    placed = live.add(_counts(scan)[30:31], scan.positions_px[30:31], [30])
    assert 0 < placed < 31
    blind = _replay(scan, model2, np.arange(30), 1, planned=False)
    assert blind.add(_counts(scan)[30:31], scan.positions_px[30:31], [30]) == 0


def test_a_repeated_frame_is_counted_and_ignored(scan, model2):
    live = _replay(scan, model2, np.arange(len(scan)), 10, planned=True)
    before = live.result().object
    live.add(9 * _counts(scan)[:2], scan.positions_px[:2], [0, 1])
    assert live.duplicates == 2
    np.testing.assert_array_equal(live.result().object, before)


def test_masked_values_change_nothing(scan, model2):
    mask = np.ones((16, 16), bool)
    mask[3:5, 9] = False
    results = []
    for value in (0.0, np.nan, 4294967295.0):
        counts = _counts(scan)
        counts[:, ~mask] = value
        bad = pinn.Scan(
            counts, scan.positions_px, probe=scan.probe, valid_mask=mask, units="counts"
        )
        results.append(pinn.reconstruct(bad, model2).object)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
    assert np.abs(results[0] - pinn.reconstruct(scan, model2).object).max() > 0


def test_what_is_known_of_the_measurement_reaches_the_result_file(scan, model2, tmp_path):
    known = pinn.Scan(
        _counts(scan),
        scan.positions_px,
        probe=scan.probe,
        units="counts",
        pixel_size_m=2e-8,
        energy_ev=7.1e3,
        distance_m=1.9,
        acquisition={"exposure_time_s": 0.25},
        steps=[{"step": "bin", "factor": 2, "units": "counts"}],
    )
    recon = pinn.reconstruct(known, model2)
    again = pinn.load_reconstruction(recon.save(tmp_path / "recon.h5"))
    for result in (recon, again):
        assert result.acquisition["photon_energy_eV"] == 7.1e3
        assert result.acquisition["detector_object_distance_m"] == 1.9
        assert result.acquisition["exposure_time_s"] == 0.25
        assert result.statistics["preparation"] == list(known.steps)
    with h5py.File(tmp_path / "recon.h5") as h5:
        assert h5.attrs["photon_energy_eV"] == 7.1e3
        assert h5["object"].attrs["pixel_width_m"] == 2e-8


def test_every_option_has_an_effect(scan, model2):
    base = pinn.reconstruct(scan, model2)
    uniform = pinn.reconstruct(scan, model2, weighting="uniform")
    crop = pinn.reconstruct(scan, model2, weighting="crop")
    small = pinn.reconstruct(scan, model2, weighting="crop", crop=4)
    mean = pinn.reconstruct(scan, model2, anchor="mean")
    plain = pinn.reconstruct(scan, model2, synchronise=False)
    assert np.abs(base.object - plain.object).max() > 1e-3
    dull = pinn.reconstruct(scan, model2, calibrate=False)
    changed = np.abs(base.object - dull.object).max() > 1e-3
    # a model of one epoch may be told apart from no contrast at all, or not: either way it is said
    assert changed or any("not calibrated" in note for note in base.notes)
    assert "contrast" in base.statistics and "contrast" not in dull.statistics
    assert base.object.shape == uniform.object.shape
    assert np.abs(base.object - uniform.object).max() > 1e-3
    assert (crop.coverage > 0).sum() > (small.coverage > 0).sum()
    assert np.any(mean.origin_px % 1 != 0) and np.all(base.origin_px % 1 == 0)
    brighter = pinn.Scan(4 * _counts(scan), scan.positions_px, probe=scan.probe, units="counts")
    own = pinn.reconstruct(brighter, model2)
    trained = pinn.reconstruct(brighter, model2, exposure="training")
    same(own.object, base.object, 1e-5)
    assert np.abs(trained.object - own.object).max() > 1e-3
    assert trained.statistics["exposure_ratio"] == pytest.approx(0.5, rel=1e-3)


def test_wrong_size_and_too_few_frames_are_refused(scan, model2):
    other = small_scan(1)
    wrong = pinn.Scan(
        np.ones((5, 32, 32), np.uint16),
        np.random.default_rng(0).uniform(20, 60, (5, 2)),
        probe=np.ones((32, 32), complex),
    )
    with pytest.raises(ScanError, match=r"frames of 32 x 32, but the model was trained on 16 x 16"):
        pinn.reconstruct(wrong, model2)
    live = pinn.Reconstructor(model2, probe=other.probe)
    live.add(_counts(other)[:3], other.positions_px[:3], [0, 1, 2])
    with pytest.raises(ScanError, match="3 frames have arrived, but a group of this model has 4"):
        live.result()
    with pytest.raises(ScanError, match=r"frames have shape \(2, 8, 8\)"):
        live.add(np.ones((2, 8, 8)), np.zeros((2, 2)), [0, 1])
    with pytest.raises(ScanError, match="not finite"):
        live.add(np.ones((1, 16, 16)), [[np.nan, 1.0]], [9])
    with pytest.raises(ConfigError, match="anchor 'mean' needs"):
        pinn.Reconstructor(model2, anchor="mean")
    with pytest.raises(ConfigError, match="crop 4 needs weighting crop"):
        pinn.reconstruct(other, model2, crop=4)
    with pytest.raises(ConfigError, match="units"):
        pinn.Reconstructor(model2, units="photons")


def test_result_file_reopens_with_everything(scan, model2, tmp_path):
    recon = pinn.reconstruct(scan, model2)
    recon.save(tmp_path / "reconstruction.h5")
    again = pinn.load_reconstruction(tmp_path / "reconstruction.h5")
    np.testing.assert_array_equal(again.object, recon.object)
    np.testing.assert_array_equal(again.origin_px, recon.origin_px)
    np.testing.assert_array_equal(again.positions_px, scan.positions_px)
    assert again.config["model"]["gridsize"] == 2
    # probe in square root of counts: object and probe together give the measured counts
    scale = np.exp(model2.network.named_arrays()["log_scale"][0])  # as training left it
    assert np.sum(np.abs(again.probe) ** 2) == pytest.approx(8**2 * scale, rel=1e-4)
    assert 8**2 * scale == pytest.approx(scan.statistics().mean_counts, rel=0.05)
    other = small_scan(3)
    unknown = pinn.reconstruct(other, model2)
    assert np.sum(np.abs(unknown.probe) ** 2) == pytest.approx(
        other.statistics().mean_counts, rel=1e-4
    )


def test_a_probe_refined_in_training_reaches_the_result(scan):
    refined = small_model(scan, 1, epochs=2, probe_trainable=True, learning_rate=1e-2)
    given = scan.probe_gauge()
    assert np.linalg.norm(refined.probe() - given) > 1e-3 * np.linalg.norm(given)
    stored = pinn.reconstruct(scan, refined).probe
    same(stored / np.linalg.norm(stored), refined.probe() / np.linalg.norm(refined.probe()), 1e-5)


def test_frames_without_light_are_left_out_and_said(scan, model):
    counts = _counts(scan)
    counts[5] = 0
    recon = pinn.reconstruct(
        pinn.Scan(counts, scan.positions_px, probe=scan.probe, units="counts"), model
    )
    assert any("1 frames without counts" in note for note in recon.notes)
    assert recon.coverage.sum() < pinn.reconstruct(scan, model).coverage.sum()


def test_the_caller_may_reuse_its_buffers(scan, model2):
    buffer, counts = np.zeros((1, 2)), _counts(scan)
    live = pinn.Reconstructor(
        model2, probe=scan.probe, exposure_factor=scan.statistics().exposure_factor
    )
    for i in range(len(scan)):
        buffer[0] = scan.positions_px[i]
        live.add(counts[[i]], buffer, [i])
    same(live.result().object, pinn.reconstruct(scan, model2).object, 1e-5)


def test_a_failed_packet_may_come_again(scan, model2):
    live = pinn.Reconstructor(model2, probe=scan.probe)
    with pytest.raises(ScanError, match="type"):
        live.add(_counts(scan)[:4].astype(str), scan.positions_px[:4], np.arange(4))
    assert live.arrived == 0
    live.add(_counts(scan)[:4], scan.positions_px[:4], np.arange(4))
    assert live.arrived == 4 and live.duplicates == 0
    for options in (
        dict(exposure_factor=-1.0),
        dict(exposure_factor=np.nan),
        dict(probe=np.zeros((16, 16), complex)),
        dict(expected_positions=np.full((9, 2), np.nan)),
    ):
        with pytest.raises(ScanError):
            pinn.Reconstructor(model2, **options)


def test_a_stop_request_keeps_what_is_on_the_canvas(scan, model2):
    def stop(report):
        if report.done >= 16:
            raise pinn.StopRequested

    recon = pinn.reconstruct(scan, model2, batch_size=8, progress=stop)
    assert any("stopped on request after 16 of 40" in note for note in recon.notes)
    assert np.any(recon.object) and recon.frame_indices.size == 16


def test_a_stop_request_after_the_last_frame_changes_nothing(scan, model2):
    def stop(report):
        if report.done == len(scan):
            raise pinn.StopRequested

    recon = pinn.reconstruct(scan, model2, batch_size=8, progress=stop)
    assert len(recon.frame_indices) == len(scan) and not recon.verdict.startswith("unfinished")
    assert "stopped" not in recon.statistics and not any("stopped" in n for n in recon.notes)


def test_a_position_far_away_is_one_sentence_before_any_memory_is_taken(scan, model2):
    positions = scan.positions_px.copy()
    positions[3] += 20_000
    stray = Scan(scan.frames, positions, probe=scan.probe)
    words = r"spans 20\d\d\d x 20\d\d\d pixels, of which its frames can cover .* --drop-frames"
    with pytest.raises(ScanError, match=words):
        pinn.reconstruct(stray, model2)
    with pytest.raises(ScanError, match=words):
        pinn.refine(stray, epochs=1)
    with pytest.raises(ScanError, match=words):
        pinn.refine(stray, model2, epochs=1)
