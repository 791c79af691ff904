"""`pinn.train`: output folder, resume, seeds, options, stop, refusals."""

import csv
import json

import keras
import numpy as np
import pytest
from small import small_model, small_scan

import pinn
from pinn.errors import ArchiveError, ConfigError, ScanError
from pinn.progress import StopRequested

pytestmark = pytest.mark.each_backend


@pytest.fixture(scope="module")
def scan():
    return small_scan()


def _weights(model):
    return model.network.named_arrays()


def test_output_folder_holds_everything_and_reloads(scan, tmp_path):
    model = small_model(scan, epochs=2, output=tmp_path, sample_every=1)
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {"wts.h5.zip", "history.csv", "config.json", "loss.png", "samples.png"}
    rows = list(csv.DictReader((tmp_path / "history.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["deviance"]) < float(rows[0]["deviance"]) and "val_loss" in rows[0]
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["model"]["N"] == 16 and config["train"]["epochs"] == 2
    again = pinn.load_model(tmp_path)
    for name, array in _weights(model).items():
        np.testing.assert_array_equal(_weights(again)[name], array)
    assert again.config == model.config
    assert again.exposure_factor == pytest.approx(scan.statistics().exposure_factor)
    assert again.provenance["train"]["n_groups"] == 24
    np.testing.assert_array_equal(
        pinn.reconstruct(scan, again).object, pinn.reconstruct(scan, model).object
    )


@pytest.mark.one_backend  # on each: test_interrupted.py, and Adam's state in tests/cross
def test_resume_equals_an_uninterrupted_run(scan, tmp_path):
    options = dict(schedule="constant")
    whole = small_model(scan, epochs=4, output=tmp_path / "whole", **options)
    small_model(scan, epochs=2, output=tmp_path / "part", **options)
    part = small_model(scan, epochs=4, output=tmp_path / "part", resume=True, **options)
    assert [row["epoch"] for row in part.history] == [1, 2, 3, 4]
    for name, array in _weights(whole).items():
        np.testing.assert_allclose(_weights(part)[name], array, atol=2e-6, err_msg=name)
    with pytest.raises(ConfigError, match="4 epochs already"):
        small_model(scan, epochs=3, output=tmp_path / "part", resume=True, **options)
    with pytest.raises(ArchiveError):
        small_model(scan, epochs=4, output=tmp_path / "nowhere", resume=True)
    with pytest.raises(ConfigError, match="output folder"):
        small_model(scan, resume=True)


@pytest.mark.one_backend
def test_a_stop_request_finishes_the_step_and_saves(scan, tmp_path):
    def stop(report):
        if report.loss is not None:
            raise StopRequested

    model = small_model(scan, epochs=50, output=tmp_path, progress=stop)
    assert len(model.history) == 1
    assert (tmp_path / "wts.h5.zip").exists()


@pytest.mark.one_backend
def test_same_seed_same_run_and_other_seed_another(scan):
    one, two, other = (small_model(scan, seed=s) for s in (3, 3, 4))
    for name, array in _weights(one).items():
        np.testing.assert_allclose(_weights(two)[name], array, atol=1e-6)
    first = "network/0000/first/kernel"
    assert np.abs(_weights(other)[first] - _weights(one)[first]).max() > 0.01


@pytest.mark.one_backend
def test_every_training_option_has_an_effect(scan):
    def loss(**options):
        return small_model(scan, epochs=2, **options).history[-1]["loss"]

    base = loss()
    for options in (
        dict(n_groups=16),
        dict(neighbours=8),
        dict(grouping="legacy"),
        dict(grouping="quadrants"),
        dict(subsample=30),
        dict(sequential=True),
        dict(learning_rate=1e-4),
        dict(schedule="constant"),
        dict(clip_norm=1e-3),
        dict(validation_fraction=0.3),
        dict(batch_size=4),
        dict(input_transform="none"),
        dict(input_transform="standard"),
    ):
        assert abs(loss(**options) - base) > 1e-7, options
    assert abs(loss(subsample=30) - loss(subsample=30, subsample_seed=8)) > 1e-7


@pytest.mark.one_backend
def test_two_scans_train_together(scan):
    other = small_scan(1)
    model = small_model([scan, other])
    assert model.network.scans == 2
    assert len(model.provenance["scans"]) == 2


@pytest.mark.one_backend
def test_a_trained_model_is_trained_on(scan):
    model = small_model(scan)
    before = {k: v.copy() for k, v in _weights(model).items()}
    more = pinn.train(scan, model, epochs=1, n_groups=24, batch_size=8)
    assert len(more.history) == 2
    assert (
        np.abs(
            _weights(more)["network/0000/first/kernel"] - before["network/0000/first/kernel"]
        ).max()
        > 0
    )


@pytest.mark.one_backend
def test_bad_options_are_one_sentence(scan):
    with pytest.raises(ConfigError, match="unknown option 'epoch'"):
        pinn.train(scan, epoch=3)
    with pytest.raises(ConfigError, match="'learning_rate'"):
        pinn.train(scan, learning_rate=-1.0)
    with pytest.raises(ScanError, match="no scan"):
        pinn.train([])
    with pytest.raises(ScanError, match=r"frames of 32 x 32, but 16 x 16"):
        wide = pinn.Scan(
            np.ones((9, 32, 32), np.uint16),
            np.random.default_rng(0).uniform(20, 60, (9, 2)),
            probe=np.ones((32, 32), complex),
        )
        pinn.train([scan, wide])


@pytest.mark.one_backend
def test_training_on_with_a_new_scan_takes_its_probe_and_scale(scan):
    trained = small_model(scan)
    other = small_scan(5)
    brighter = pinn.Scan(
        4 * other.read(np.arange(len(other)))[0].astype(float) ** 2,
        other.positions_px,
        probe=other.probe * np.exp(1j * np.linspace(0, 1, 16)),
        units="counts",
    )
    on = pinn.train(brighter, trained, epochs=1, n_groups=16, batch_size=8)
    np.testing.assert_allclose(on.probe(), brighter.probe_gauge(), atol=1e-5)
    expected = -2 * np.log(brighter.statistics().exposure_factor)
    assert abs(_weights(on)["log_scale"][0] - expected) < 0.1


@pytest.mark.one_backend
def test_resume_refuses_other_scans_and_other_groups(scan, tmp_path):
    small_model(scan, epochs=1, output=tmp_path)
    with pytest.raises(ConfigError, match="trained on other scans"):
        small_model(small_scan(7), epochs=2, output=tmp_path, resume=True)
    with pytest.raises(ConfigError, match="a resumed run keeps seed"):
        small_model(scan, epochs=2, output=tmp_path, resume=True, seed=5)
    with pytest.raises(ConfigError, match="keeps its network"):
        pinn.train(scan, pinn.ModelConfig(N=16, gridsize=3), epochs=2, output=tmp_path, resume=True)


@pytest.mark.one_backend
def test_resumed_run_takes_a_new_constant_learning_rate(scan, tmp_path):
    small_model(scan, epochs=1, output=tmp_path, schedule="constant")
    on = small_model(
        scan, epochs=2, output=tmp_path, resume=True, schedule="constant", learning_rate=1e-5
    )
    assert on.history[-1]["learning_rate"] == pytest.approx(1e-5)


@pytest.mark.one_backend
def test_pixels_no_training_frame_has_are_not_shown_to_the_network(scan):
    mask = np.ones((16, 16), bool)
    mask[7:9, 7:9] = False
    stopped = pinn.Scan(
        scan.read(np.arange(len(scan)))[0].astype(float) ** 2,
        scan.positions_px,
        probe=scan.probe,
        valid_mask=mask,
        units="counts",
    )
    model = small_model(stopped)
    frames = np.random.default_rng(0).uniform(0, 2, (2, 16, 16, 4)).astype("float32")
    changed = frames.copy()
    changed[:, 7:9, 7:9] += 5
    one, two = (keras.ops.convert_to_numpy(model.network.normalise(f)) for f in (frames, changed))
    np.testing.assert_array_equal(one, two)


@pytest.mark.one_backend
def test_sample_pictures_come_as_often_as_asked(scan, tmp_path):
    times: dict[int, int] = {}

    def watch(report):
        picture = tmp_path / "samples.png"
        times[report.done] = picture.stat().st_mtime_ns if picture.exists() else 0

    small_model(scan, epochs=4, output=tmp_path, sample_every=2, progress=watch)
    seen = list(times.values())
    assert seen[0] == 0 and len({when for when in seen if when}) >= 1
    assert any(seen), "the picture of the second epoch is there before the end"
    rare = tmp_path / "rare"
    seen.clear()
    small_model(
        scan,
        epochs=4,
        output=rare,
        progress=lambda report: seen.append((rare / "samples.png").exists()),
    )
    assert not any(seen) and (rare / "samples.png").exists()


@pytest.mark.one_backend  # on each: tests/cross/test_remote_backends.py
def test_deterministic_runs_repeat_bit_for_bit(scan):
    first, second = (_weights(small_model(scan, epochs=2, deterministic=True)) for _ in range(2))
    for name, array in first.items():
        np.testing.assert_array_equal(second[name], array, err_msg=name)
