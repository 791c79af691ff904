"""`pinn.train`: output folder, resume, seeds, options, stop, refusals."""

import csv
import json

import numpy as np
import pytest
from small import small_model, small_scan

import pinn
from pinn.errors import ArchiveError, ConfigError, ScanError
from pinn.progress import StopRequested


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
    assert float(rows[1]["loss"]) < float(rows[0]["loss"]) and "val_loss" in rows[0]
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


def test_resume_equals_an_uninterrupted_run(scan, tmp_path):
    options = dict(schedule="constant")
    whole = small_model(scan, epochs=4, output=tmp_path / "whole", **options)
    small_model(scan, epochs=2, output=tmp_path / "part", **options)
    part = small_model(scan, epochs=4, output=tmp_path / "part", resume=True, **options)
    assert [row["epoch"] for row in part.history] == [1, 2, 3, 4]
    for name, array in _weights(whole).items():
        np.testing.assert_allclose(_weights(part)[name], array, atol=2e-6, err_msg=name)
    with pytest.raises(ConfigError, match="4 epochs already"):
        small_model(scan, epochs=4, output=tmp_path / "part", resume=True, **options)
    with pytest.raises(ArchiveError):
        small_model(scan, epochs=4, output=tmp_path / "nowhere", resume=True)
    with pytest.raises(ConfigError, match="output folder"):
        small_model(scan, resume=True)


def test_a_stop_request_finishes_the_step_and_saves(scan, tmp_path):
    def stop(report):
        if report.loss is not None:
            raise StopRequested

    model = small_model(scan, epochs=50, output=tmp_path, progress=stop)
    assert len(model.history) == 1
    assert (tmp_path / "wts.h5.zip").exists()


def test_same_seed_same_run_and_other_seed_another(scan):
    one, two, other = (small_model(scan, seed=s) for s in (3, 3, 4))
    for name, array in _weights(one).items():
        np.testing.assert_allclose(_weights(two)[name], array, atol=1e-6)
    first = "network/0000/first/kernel"
    assert np.abs(_weights(other)[first] - _weights(one)[first]).max() > 0.01


def test_every_training_option_has_an_effect(scan):
    def loss(**options):
        return small_model(scan, epochs=2, **options).history[-1]["loss"]

    base = loss()
    for options in (
        dict(n_groups=16),
        dict(neighbours=8),
        dict(grouping="legacy"),
        dict(learning_rate=1e-4),
        dict(schedule="constant"),
        dict(clip_norm=1e-3),
        dict(validation_fraction=0.3),
        dict(batch_size=4),
        dict(input_transform="none"),
        dict(input_transform="standard"),
    ):
        assert abs(loss(**options) - base) > 1e-7, options


def test_two_scans_train_together(scan):
    other = small_scan(1)
    model = small_model([scan, other])
    assert model.network.scans == 2
    assert len(model.provenance["scans"]) == 2


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
