"""What a resumed run keeps, what it may change, and what it refuses; in which folder it goes on."""

import json
import random
import shutil

import numpy as np
import pytest
from interrupting import StopAt, same_run
from small import small_model, small_scan

import pinn
from pinn.config import TrainConfig
from pinn.data.fingerprint import digest
from pinn.errors import ArchiveError, ConfigError
from pinn.io.archive import read_archive, write_archive
from pinn.progress import StopRequested
from pinn.training.callback import Throughput
from pinn.training.checkpointer import Checkpointer
from pinn.training.resume import FIXED, FREE, Unfinished, begun, check_resumed
from pinn.training.run_folder import write_config


@pytest.fixture(scope="module")
def scan():
    return small_scan()


def test_every_option_is_decided():
    assert set(TrainConfig.model_fields) == FIXED | FREE
    assert not FIXED & FREE


def test_a_finished_run_is_completed_not_refused(scan, tmp_path):
    small_model(scan, epochs=1, output=tmp_path)
    for name in ("history.csv", "samples.png"):  # as if killed before these were written
        (tmp_path / name).unlink()
    before = read_archive(tmp_path)
    said = []
    small_model(
        scan, epochs=1, output=tmp_path, resume=True, progress=lambda p: said.append(p.message)
    )
    assert (tmp_path / "history.csv").exists() and (tmp_path / "samples.png").exists()
    assert any("has all of its 1 epochs" in line for line in said)
    for name, array in read_archive(tmp_path).weights.items():
        np.testing.assert_array_equal(before.weights[name], array)


@pytest.mark.parametrize(
    ("name", "value"),
    [("loss", "poisson + mae"), ("optimizer", "sgd"), ("ema_decay", 0.9), ("seed", 3)],
)
def test_what_must_stay_is_refused_with_its_name(scan, tmp_path, name, value):
    small_model(scan, epochs=1, output=tmp_path)
    with pytest.raises(ConfigError, match=f"a resumed run keeps {name} "):
        small_model(scan, epochs=2, output=tmp_path, resume=True, **{name: value})


def test_what_may_change_does(scan, tmp_path):
    small_model(scan, epochs=1, output=tmp_path)
    free = dict(clip_norm=0.5, keep_best=1, sample_every=1, monitor="deviance", logger="none")
    on = small_model(scan, epochs=2, output=tmp_path, resume=True, **free)
    assert (tmp_path / "best" / "epoch_0002.h5.zip").exists()
    assert on.provenance["train"]["clip_norm"] == 0.5
    assert not (tmp_path / "history.csv").exists()


def test_an_archive_without_optimiser_or_with_nonsense_is_refused(scan, tmp_path):
    model = small_model(scan, epochs=1, output=tmp_path)
    model.save(tmp_path, optimizer=False)
    with pytest.raises(ConfigError, match="without the optimiser's state"):
        small_model(scan, epochs=2, output=tmp_path, resume=True)
    for nonsense in ({"epoch": 9, "batch": 1, "seconds": 0.0}, {"rest": 3}):
        model.provenance["unfinished"] = nonsense
        with pytest.raises(ArchiveError, match="speaks of an unfinished one"):
            Unfinished.of(model)


def test_a_trained_model_that_is_trained_on_can_be_resumed(scan, tmp_path):
    trained = small_model(scan, epochs=1)
    straight = pinn.train(scan, trained, epochs=2, n_groups=24, output=tmp_path / "straight")
    pinn.train(scan, trained, epochs=2, n_groups=24, output=tmp_path / "part", progress=_stop_once)
    part = pinn.train(scan, output=tmp_path / "part", resume=True)
    assert [row["epoch"] for row in part.history] == [1, 2, 3]
    same_run(part, straight)


def _stop_once(report):
    if report.loss is not None:
        raise StopRequested


def test_progress_counts_what_this_call_does(scan, tmp_path, monkeypatch):
    monkeypatch.setattr("pinn.training.callback._EVERY", 0.0)
    reports = []
    options = dict(epochs=3, batch_size=4, groups_per_epoch=10, validation="none")
    small_model(scan, output=tmp_path, progress=reports.append, **options)
    inside = [r for r in reports if r.loss is None and not r.message]
    assert [r.done for r in inside] == [4, 8, 10, 14, 18, 20, 24, 28, 30]
    assert {r.total for r in reports} == {30} and all(r.rate > 0 for r in reports)
    # two batches of four of ten groups are done: twenty-two of thirty are left
    part, reports = tmp_path / "part", []
    small_model(scan, output=part, progress=StopAt(monkeypatch, 2), **options)
    small_model(scan, output=part, resume=True, progress=reports.append, **options)
    assert {r.total for r in reports} == {22} and reports[-1].done == 22
    assert reports[0].epoch == 1 and reports[-1].epochs == 3


def test_the_rate_leaves_out_the_first_step():
    times = iter([0.0, 10.0, 10.0, 12.0, 14.0])
    pace = Throughput(100, clock=lambda: next(times))
    pace.step(4)  # compiles for ten seconds
    assert pace.rate == pytest.approx(4 / 10)
    pace.step(4)
    assert pace.rate == pytest.approx(4 / 2)
    pace.step(4)
    assert pace.rate == pytest.approx(8 / 4)


def test_a_run_killed_before_its_first_archive_begins_again(scan, tmp_path):
    straight = small_model(scan, epochs=1, batch_size=4, output=tmp_path / "whole")
    part = tmp_path / "part"
    write_config(part, straight.config, TrainConfig(**straight.provenance["train"]), id="1")
    again = pinn.train(scan, output=part, resume=True)
    same_run(again, straight)
    (part / "wts.h5.zip").unlink()
    (part / "config.json").write_text("{}")
    with pytest.raises(ArchiveError, match=r"no archive, and its config.json cannot be used"):
        pinn.train(scan, output=part, resume=True)


# -- whose run it is --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def done(scan, tmp_path_factory):
    """A run of two epochs, its folder and its model; copied before anything writes there."""
    folder = tmp_path_factory.mktemp("done")
    options = dict(schedule="exponential", decay=0.25, keep_best=2)
    return folder, small_model(scan, epochs=2, output=folder, **options)


@pytest.fixture
def copied(done, tmp_path):
    return shutil.copytree(done[0], tmp_path / "copied")


def _read_otherwise(scan, **options):
    frames, units = scan.frames, scan.units
    return pinn.Scan(frames, scan.positions_px, probe=scan.probe, units=units, **options)


def test_the_same_file_at_another_dose_is_another_scan(scan, done):
    folder, model = done
    dimmer = _read_otherwise(scan, photons_per_frame=1e3)
    with pytest.raises(ConfigError, match=r"the same file with photons_per_frame 1000.0 \(was No"):
        pinn.train(dimmer, output=folder, resume=True)
    assert model.scan_number(digest(_read_otherwise(scan))) == 0
    assert model.scan_number(digest(dimmer)) is None
    with pytest.raises(ConfigError, match="2 where it had 1"):
        pinn.train([scan, scan], output=folder, resume=True)


def test_a_new_run_in_an_old_folder_is_begun_again_not_the_old_one_resumed(scan, done, copied):
    _, model = done
    config, run = model.config, TrainConfig(**model.provenance["train"])
    assert begun(copied) is None
    write_config(copied, config, run.replace(seed=9), id="another")
    assert begun(copied)[1].seed == 9
    write_config(copied, config, run, id="another", origin=0)  # from a converted model
    with pytest.raises(ArchiveError, match="which only its caller has"):
        begun(copied)
    write_config(copied, config, run)  # of a version whose runs had no id
    assert begun(copied) is None


def test_further_entries_stay_with_their_run(done, copied):
    _, model = done
    run = TrainConfig(**model.provenance["train"])
    write_config(copied, model.config, run, id="a", record={"scans": ["x.npz"], "train": "no"})
    write_config(copied, model.config, run, id="a")
    stored = json.loads((copied / "config.json").read_text())
    assert stored["scans"] == ["x.npz"] and stored["train"]["epochs"] == 2
    write_config(copied, model.config, run, id="b")
    assert "scans" not in json.loads((copied / "config.json").read_text())


def test_a_model_without_a_history_is_a_trained_one_all_the_same(scan, done, copied):
    converted = pinn.load_model(copied)
    converted.history, converted.provenance = [], {}
    for name in ("preview.png", "samples.png"):
        (copied / name).write_text("of the run before")
    on = pinn.train(scan, converted, epochs=1, n_groups=24, output=copied, logger="none")
    assert on.provenance["origin"] == 0 and on.provenance["from_model"] is True
    stored = json.loads((copied / "config.json").read_text())
    assert stored["origin"] == 0 and stored["run"] == on.provenance["run"]
    assert on.provenance["run"] != done[1].provenance["run"]
    assert not (copied / "preview.png").exists() and not (copied / "history.csv").exists()
    assert (copied / "samples.png").read_bytes().startswith(b"\x89PNG")


def test_the_history_has_the_rate_of_the_epoch_itself(done):
    rates = [row["learning_rate"] for row in done[1].history]
    assert rates == pytest.approx([1e-3, 0.25e-3])


def test_size_and_modes_of_a_given_configuration_do_not_matter(scan, done, copied):
    given = done[1].config.replace(N=64, probe_modes=3)
    assert len(pinn.train(scan, given, output=copied, resume=True).history) == 2
    with pytest.raises(ConfigError, match="keeps its network"):
        pinn.train(scan, given.replace(gridsize=3), output=copied, resume=True)


def test_an_epoch_that_was_begun_is_not_taken_back(done, copied):
    model = pinn.load_model(copied)
    run = TrainConfig(**model.provenance["train"])
    check_resumed(run, model)
    model.provenance["unfinished"] = {"epoch": 3, "batch": 1, "seconds": 1.0}
    check_resumed(run.replace(epochs=3), model)
    with pytest.raises(ConfigError, match="ask for at least 3 epochs"):
        check_resumed(run, model)


def test_what_a_plateau_is_judged_by_stays(done, copied):
    model = pinn.load_model(copied)
    run = TrainConfig(schedule="plateau", epochs=2)
    model.provenance["train"] = run.to_dict()
    for change in (dict(monitor="loss"), dict(monitor_mode="max"), dict(rate_floor=0.2)):
        with pytest.raises(ConfigError, match=f"keeps {next(iter(change))} "):
            check_resumed(run.replace(**change), model)
    model.provenance["train"] = run.replace(schedule="constant").to_dict()
    check_resumed(run.replace(schedule="constant", monitor="loss"), model)


def test_the_loss_of_an_old_archive_moves_into_its_run(copied):
    old = read_archive(copied)
    old.config["model"]["loss"] = "mae"
    del old.provenance["train"]["loss"]
    write_archive(copied, old, backend="tensorflow", versions={})
    model = pinn.load_model(copied)
    assert TrainConfig(**model.provenance["train"]).loss_terms == {"mae": 1.0}


def test_the_caller_keeps_its_random_numbers(scan, done, copied):
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    expected = np.random.RandomState(5).uniform(), random.Random(5).random()
    pinn.train(scan, output=copied, resume=True)
    assert (np.random.uniform(), random.random()) == expected  # noqa: NPY002


def test_a_remark_made_after_the_last_save_is_in_the_archive(scan, copied, monkeypatch):
    def fails(*args):
        raise OSError("no paper")

    monkeypatch.setattr("pinn.training.run_folder.write_training_pictures", fails)
    model = pinn.train(scan, output=copied, resume=True)
    (event,) = read_archive(copied).provenance["events"]
    assert event == model.provenance["events"][0] and "no paper" in event["text"]


def test_best_asked_for_later_says_what_it_is_sought_among(scan, copied):
    for path in (copied / "best").iterdir():
        path.unlink()
    said = []
    pinn.train(
        scan,
        output=copied,
        resume=True,
        keep_best=3,
        progress=lambda report: said.append(report.message),
    )
    assert any("archives are there (2 of the 2 done)" in line for line in said)


def test_archives_of_the_model_that_is_trained_on_stay_and_do_not_count(done, copied):
    history = [*done[1].history, {**done[1].history[-1], "epoch": 3}]
    run = TrainConfig(keep_best=2)
    assert Checkpointer(copied, run, "loss").kept(history) == [1, 2]
    assert Checkpointer(copied, run, "loss", origin=2).kept(history) == []
    assert len(list((copied / "best").iterdir())) == 2
    other = [{**row, "loss": 7.0} for row in history]
    assert Checkpointer(copied, run, "loss", origin=1).kept(other) == []
    assert list((copied / "best").iterdir()) == []
