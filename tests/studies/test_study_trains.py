"""Studies that really train: results, resumption, failures, exit codes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tiny  # noqa: F401  (registers the network `test-tiny`)

import pinn
from pinn import cli
from pinn.io.archive import read_archive
from pinn.networks.registry import names
from pinn.studies import runs
from pinn.studies.plan import read_plan

TOML = """
name = "tiny"
[recipe.lines]
object = "lines"
N = 16
n_frames = 49
overlap = 0.4
photons_per_frame = 1e5
[recipe.other]
like = "lines"
seed = 1
[data]
train = "lines"
test = "other"
[options]
epochs = 3
n_groups = 24
gridsize = 1
[sweep]
seed = [0]
architecture = ["test-tiny", "no-such-network"]
[report]
metrics = ["nrmse", "train_cpu_s"]
[evaluate]
border = 0
[quick.options]
epochs = 1
[quick.sweep]
architecture = ["test-tiny"]
"""


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """The same study with one network."""
    path = tmp_path_factory.mktemp("content") / "tiny.toml"
    path.write_text(TOML)
    found = pinn.config.from_toml(path)
    found["options"]["architecture"] = found["quick"]["sweep"].pop("architecture")[0]
    return found | {"sweep": {"seed": [0]}}


@pytest.fixture(scope="module")
def study(content):
    """Runs the study with whole tables replaced."""

    def run(output, progress=None, **changes):
        own = ("only", "keep_archives", "pictures")
        options = {"pictures": False} | {name: changes.pop(name) for name in own if name in changes}
        return pinn.study({**content, **changes}, output=output, progress=progress, **options)

    return run


@pytest.fixture(scope="module")
def finished(study, tmp_path_factory):
    """Folder and result of a study of two seeds, and the stages of its progress."""
    folder, said = tmp_path_factory.mktemp("finished"), []
    result = study(folder, lambda p: said.append(p.stage), sweep={"seed": [0, 1]})
    return folder, result, said


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the finished study, with the folder of its first training."""
    shutil.copytree(finished[0], tmp_path / "copy")
    return tmp_path / "copy", tmp_path / "copy" / "runs" / finished[1].cells["run"][0]


def stages(study, folder, **changes):
    """Result of a study, and the stages it went through."""
    said = []
    return study(folder, lambda p: said.append(p.stage), **changes), said


def test_a_study_trains_every_cell(finished):
    folder, result, said = finished
    assert [*result.cells["status"]] == ["done"] * 2
    assert "simulate" in said and "train" in said and "reconstruct" in said
    for _, row in result.cells.iterrows():
        assert 0 < row["nrmse"] < 5
        assert row["train_cpu_s"] > 0 and row["reconstruct_cpu_s"] > 0
        assert row["epochs_trained"] == 3 and row["parameters"] > 100
        assert row["versions"]["backend"] == keras.backend.backend()
        run = folder / "runs" / row["run"] / "run"
        assert len((run / "history.csv").read_text().splitlines()) == 4
        kept = read_archive(run)
        assert kept.optimizer is None and kept.weights
    values = [*result.cells["nrmse"]]
    assert [*result.groups["nrmse median"]] == [np.median(values)] and values[0] != values[1]
    assert (folder / "table.md").read_text() == result.table
    assert (folder / "nrmse.png").exists() and (folder / "table.csv").exists()


def test_tests_of_a_version_with_other_numbers_are_done_again_with_its_trainings(
    study, finished, copy, monkeypatch
):
    """As those of 0.1.0: its records are never in a row beside those of now."""
    monkeypatch.setattr("pinn.studies.runs.TESTS", runs.TESTS + 1)
    again, said = stages(study, copy[0], sweep={"seed": [0, 1]})
    assert "reconstruct" in said and "train" not in said
    assert [*again.cells["run"]] == [*finished[1].cells["run"]]
    for _, row in again.cells.iterrows():
        records = list((copy[0] / "runs" / row["run"] / "tests").glob("*.json"))
        assert len(records) == 2 and row["status"] == "done"


def test_what_is_done_is_not_repeated(study, finished, copy):
    result = finished[1]
    again, said = stages(study, copy[0], sweep={"seed": [0, 1]})
    assert said == [] and again.cells.equals(result.cells)
    messages = []
    more = study(
        copy[0],
        lambda p: messages.append(p.message),
        sweep={"learning_rate": [1e-3, 1e-2], "seed": [0, 1]},
        only=["seed=0"],
    )
    assert [*more.cells["learning_rate"]] == [1e-3, 1e-2]
    assert len([message for message in messages if message.startswith("training")]) == 1
    kept, new = more.cells["nrmse"]
    assert kept == result.cells["nrmse"][0] != new


def test_the_same_as_by_hand(finished):
    folder, result, _ = finished
    row = result.cells.iloc[0]
    train, test = (next((folder / "scans").glob(f"{name}-*.npz")) for name in ("lines", "other"))
    scan = pinn.load(test)
    model = pinn.train(
        pinn.load(train), architecture="test-tiny", epochs=3, n_groups=24, gridsize=1, seed=0
    )
    recon = pinn.reconstruct(scan, model)
    by_hand = pinn.evaluate(recon, scan.truth, truth_origin_px=scan.truth_origin_px, border=0)
    assert row["nrmse"] == pytest.approx(by_hand.metrics["nrmse"], rel=1e-4)
    assert row["final_loss"] == pytest.approx(model.history[-1]["loss"], rel=1e-5)


def test_a_stopped_study_goes_on_from_the_archive(study, finished, tmp_path):
    """The second epoch is not trained twice, and the result is that of an undisturbed run."""

    def stop(progress):
        if progress.stage == "train" and progress.loss is not None and progress.epoch == 1:
            raise pinn.StopRequested

    with pytest.raises(pinn.StopRequested):
        study(tmp_path, stop)
    assert "Not computed yet: 1 of 1" in (tmp_path / "table.md").read_text()
    folder = next((tmp_path / "runs").iterdir())
    assert len(pinn.load_model(folder / "run").history) < 3
    epochs = []
    result = study(
        tmp_path,
        lambda p: epochs.append(p.epoch) if p.stage == "train" and p.loss is not None else None,
        keep_archives=True,
        pictures=True,
    )
    assert epochs and min(epochs) > 1
    row, whole = result.cells.iloc[0], finished[1].cells.iloc[0]
    assert row["epochs_trained"] == 3
    for name in ("nrmse", "final_loss"):
        assert row[name] == pytest.approx(whole[name], rel=1e-3)
    assert json.loads((folder / "training.json").read_text())["resumed"] is True
    # asked for: everything is kept
    assert read_archive(folder / "run").optimizer
    assert next((folder / "tests").glob("*.png")).stat().st_size > 10_000
    assert np.iscomplexobj(pinn.load_reconstruction(next(folder.glob("tests/*.h5"))).object)


def test_a_test_that_was_lost_is_computed_from_the_archive(study, finished, copy):
    (path,) = copy[1].glob("tests/*.json")
    path.write_text(path.read_text()[:100])
    again, said = stages(study, copy[0])
    assert "reconstruct" in said and "train" not in said
    assert again.cells["nrmse"][0] == pytest.approx(finished[1].cells["nrmse"][0], rel=1e-5)


def test_a_new_test_or_comparison_costs_no_training(study, finished, copy):
    before = (copy[1] / "training.json").read_text()
    tests = {"train": "lines", "test": {"test": "other", "same": "lines"}}
    more, said = stages(study, copy[0], data=tests)
    assert "reconstruct" in said and "train" not in said
    assert (copy[1] / "training.json").read_text() == before
    assert len(more.cells) == 2 and more.cells["nrmse"][0] == finished[1].cells["nrmse"][0]
    other, said = stages(study, copy[0], evaluate={"border": 2})
    assert "reconstruct" in said and "train" not in said
    assert other.cells["nrmse"][0] != finished[1].cells["nrmse"][0]
    assert len([*copy[1].glob("tests/*.json")]) == 3, "the finished ones are there"


def test_cells_that_share_a_training_are_reconstructed_each_its_way(study, copy):
    result, said = stages(study, copy[0], sweep={"weighting": ["probe", "uniform"], "seed": [0]})
    assert "reconstruct" in said and "train" not in said
    one, other = result.cells["nrmse"]
    assert one != other and result.cells["run"].nunique() == 1


def test_without_its_archive_old_results_stay_until_there_are_new_ones(study, finished, copy):
    (copy[1] / "run" / "wts.h5.zip").unlink()
    changes = {"data": {"train": "lines", "test": {"test": "other", "same": "lines"}}}

    def stop(progress):
        if progress.stage == "train":
            raise pinn.StopRequested

    with pytest.raises(pinn.StopRequested):
        study(copy[0], stop, **changes)
    (record,) = copy[1].glob("tests/*.json")
    nrmse = finished[1].cells["nrmse"][0]
    assert json.loads(record.read_text())["metrics"]["nrmse"] == nrmse
    again = study(copy[0], **changes)
    assert [*again.cells["status"]] == ["done", "done"]
    stamps = {json.loads(p.read_text())["trained"] for p in copy[1].glob("tests/*.json")}
    stamp = json.loads((copy[1] / "training.json").read_text())["stamp"]
    assert stamps == {stamp}, "all of one training"


def test_the_study_of_networks_has_every_network():
    file = Path(__file__).parents[2] / "examples" / "studies" / "networks.toml"
    own = {name for name in names() if not name.startswith("test")}
    assert own == set(read_plan(file).axes["architecture"])


# -- command line -------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(TOML)
    return path


def test_a_failed_cell_is_told_and_the_others_go_on(file, finished, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["study", str(file), "--output", str(out), "--one-process", "--no-pictures"]
    assert cli.run([*arguments, "--dry-run"]) == 0
    listed = capsys.readouterr().out
    assert "2 cells, 2 trainings, 2 to do" in listed and not out.exists()
    shutil.copytree(finished[0], out)  # the same training: a network may be an axis or an option
    assert cli.run(arguments) == 1
    output = capsys.readouterr()
    assert "unknown architecture 'no-such-network'" in output.out
    assert "| test-tiny | test | 1 |" in output.out
    assert "| no-such-network | test | 0 of 1 |" in output.out
    assert "1 training failed" in output.err and "[2/2]" in output.err
    assert cli.run([*arguments, "--only", "architecture=test-tiny"]) == 0
    assert "[" not in capsys.readouterr().err.split("wrote")[0].replace("backend", "")
    assert cli.run([*arguments, "--retry-failed"]) == 1
    assert "training 2 of 2" in capsys.readouterr().err
    assert cli.run([*arguments, "--quick"]) == 0
    assert (out / "quick" / "table.md").exists()


def test_wrong_use_is_one_sentence(file, tmp_path, capsys, monkeypatch):
    out = ["--output", str(tmp_path / "out")]
    file.write_text(TOML.replace("n_groups", "groups"))
    assert cli.run(["study", str(file), *out]) == 2
    said = capsys.readouterr().err
    assert said.startswith("Error: tiny.toml: options: unknown option 'groups'")
    assert cli.run(["study", *out]) == 2
    assert cli.run(["study", str(tmp_path / "none.toml"), *out]) == 2
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr("pinn.studies.find_spec", lambda name: None)
    capsys.readouterr()
    assert cli.run(["study", str(file), *out]) == 2
    said = capsys.readouterr().err
    assert "a study needs pandas" in said and 'pip install "pinn-ptycho[study]"' in said


@pytest.mark.full
def test_a_killed_study_loses_nothing_that_was_done(file, tmp_path):
    """Trainings in processes of their own; the study dies in one, and a second study ends it."""
    text = TOML.replace('["test-tiny", "no-such-network"]', '["cnn"]').replace("[0]", "[0, 1]")
    file.write_text(text.replace('"test-tiny"', '"cnn"'))
    out = tmp_path / "out"
    line = [sys.executable, "-m", "pinn", "study", str(file), "--output", str(out), "--no-pictures"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    first = subprocess.Popen(line, env=environment, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 300
    while not list(out.glob("runs/*/training.json")) and time.monotonic() < until:
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    done = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/training.json")}
    assert done, "the first training was recorded before the kill"
    # its child sees that nobody waits, and gives the claim back
    while time.monotonic() < until:
        second = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
        if "another process" not in second.stderr:
            break
    assert "| cnn | test | 2 |" in second.stdout
    for path, when in done.items():
        assert path.stat().st_mtime_ns == when, "a finished training is not repeated"
    records = [json.loads(path.read_text()) for path in out.glob("runs/*/training.json")]
    assert [record["status"] for record in records] == ["done", "done"]
    assert all(record["values"]["peak_memory_mb"] > 50 for record in records)
