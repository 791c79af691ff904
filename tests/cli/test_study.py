"""Studies that really train: results, resumption, failures, exit codes; and `pinn compare`."""

from __future__ import annotations

import json
import os
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

TINY = {
    "name": "tiny",
    "recipe": {
        "lines": {
            "object": "lines",
            "N": 16,
            "n_frames": 49,
            "overlap": 0.4,
            "photons_per_frame": 1e5,
        },
        "other": {"like": "lines", "seed": 1},
    },
    "data": {"train": "lines", "test": "other"},
    "options": {"architecture": "test-tiny", "epochs": 2, "n_groups": 24, "gridsize": 1},
    "sweep": {"seed": [0, 1]},
    "report": {"metrics": ["nrmse", "train_cpu_s"]},
    "evaluate": {"border": 0},
}

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
architecture = "test-tiny"
epochs = 2
n_groups = 24
gridsize = 1
[sweep]
seed = [0]
architecture = ["test-tiny", "no-such-network"]
[report]
metrics = ["nrmse"]
[evaluate]
border = 0
[quick.options]
epochs = 1
[quick.sweep]
architecture = ["test-tiny"]
""".replace('architecture = "test-tiny"\nepochs', "epochs")


def study(output, progress=None, **changes):
    own = ("only", "keep_archives", "pictures")
    options = {"pictures": False} | {name: changes.pop(name) for name in own if name in changes}
    return pinn.study({**TINY, **changes}, output=output, progress=progress, **options)


def test_a_study_trains_every_cell_and_does_not_repeat_what_is_done(tmp_path):
    said = []
    result = study(tmp_path, lambda p: said.append(p.stage))
    assert {row.status for row in result.rows} == {"done"} and len(result.rows) == 2
    assert said.count("simulate") > 0 and "train" in said and "reconstruct" in said
    for row in result.rows:
        assert 0 < row.values["nrmse"] < 5
        assert row.values["train_cpu_s"] > 0 and row.values["reconstruct_cpu_s"] > 0
        assert row.values["epochs_trained"] == 2 and row.values["parameters"] > 100
        assert row.versions["backend"] == keras.backend.backend()
        history = (tmp_path / "runs" / row.run / "run" / "history.csv").read_text()
        assert len(history.splitlines()) == 3
        kept = read_archive(tmp_path / "runs" / row.run / "run")
        assert kept.optimizer is None and kept.weights
    (group,) = result.groups
    values = [row.values["nrmse"] for row in result.rows]
    assert group.spreads["nrmse"].median == np.median(values) and values[0] != values[1]
    assert (tmp_path / "table.md").read_text() == result.table
    assert (tmp_path / "nrmse.png").exists() and (tmp_path / "table.csv").exists()

    said.clear()
    again = study(tmp_path, lambda p: said.append(p.stage))
    assert said == [] and [row.values for row in again.rows] == [row.values for row in result.rows]
    more = study(
        tmp_path,
        lambda p: said.append(p.message),
        sweep={"learning_rate": [1e-3, 1e-2], "seed": [0, 1]},
        only=["seed=0"],
    )
    assert [row.cell.axes["learning_rate"] for row in more.rows] == [1e-3, 1e-2]
    assert len([message for message in said if message.startswith("training")]) == 1
    kept, new = (row.values["nrmse"] for row in more.rows)
    assert kept == values[0] != new


def test_the_same_as_by_hand(tmp_path):
    result = study(tmp_path, sweep={"seed": [3]}, keep_archives=True, pictures=True)
    (row,) = result.rows
    folder = tmp_path / "runs" / row.run
    assert next((folder / "tests").glob("*.png")).stat().st_size > 10_000
    train, test = (next((tmp_path / "scans").glob(f"{name}-*.npz")) for name in ("lines", "other"))
    scan = pinn.load(test)
    model = pinn.train(
        pinn.load(train), architecture="test-tiny", epochs=2, n_groups=24, gridsize=1, seed=3
    )
    recon = pinn.reconstruct(scan, model)
    by_hand = pinn.evaluate(recon, scan.truth, truth_origin_px=scan.truth_origin_px, border=0)
    assert row.values["nrmse"] == pytest.approx(by_hand.metrics["nrmse"], rel=1e-4)
    assert row.values["final_loss"] == pytest.approx(model.history[-1]["loss"], rel=1e-5)
    kept = pinn.load_reconstruction(next((folder / "tests").glob("*.h5")))
    np.testing.assert_allclose(kept.object, recon.object, atol=1e-4)
    assert pinn.load_model(folder / "run").history[-1]["epoch"] == 2
    assert read_archive(folder / "run").optimizer


def test_a_stopped_study_goes_on_from_the_archive(tmp_path):
    """The second epoch is not trained twice, and the result is that of an undisturbed run."""

    def stop(progress):
        if progress.stage == "train" and progress.loss is not None and progress.epoch == 1:
            raise pinn.StopRequested

    changes = {"sweep": {"seed": [0]}, "options": {**TINY["options"], "epochs": 3}}
    with pytest.raises(pinn.StopRequested):
        study(tmp_path / "a", stop, **changes)
    assert "Not computed yet: 1 of 1" in (tmp_path / "a" / "table.md").read_text()
    run = next((tmp_path / "a" / "runs").iterdir())
    assert len(pinn.load_model(run / "run").history) < 3
    epochs = []
    result = study(
        tmp_path / "a",
        lambda p: epochs.append(p.epoch) if p.stage == "train" and p.loss is not None else None,
        **changes,
    )
    assert epochs and min(epochs) > 1
    whole = study(tmp_path / "b", **changes)
    assert result.rows[0].values["epochs_trained"] == 3
    for name in ("nrmse", "final_loss"):
        expected = whole.rows[0].values[name]
        assert result.rows[0].values[name] == pytest.approx(expected, rel=1e-3)
    record = json.loads((run / "training.json").read_text())
    assert record["resumed"] is True


def test_a_test_that_was_lost_is_computed_from_the_archive(tmp_path):
    changes = {"sweep": {"seed": [0]}}
    first = study(tmp_path, **changes)
    (path,) = tmp_path.glob("runs/*/tests/*.json")
    path.write_text(path.read_text()[:100])
    stages = []
    again = study(tmp_path, lambda p: stages.append(p.stage), **changes)
    assert "reconstruct" in stages and "train" not in stages
    assert again.rows[0].values["nrmse"] == pytest.approx(first.rows[0].values["nrmse"], rel=1e-5)


def test_a_new_test_or_comparison_costs_no_training(tmp_path):
    first = study(tmp_path, sweep={"seed": [0]})
    (training,) = tmp_path.glob("runs/*/training.json")
    before, stages = training.read_text(), []
    more = study(
        tmp_path,
        lambda p: stages.append(p.stage),
        sweep={"seed": [0]},
        data={"train": "lines", "test": {"test": "other", "same": "lines"}},
    )
    assert stages.count("reconstruct") and "train" not in stages
    assert training.read_text() == before
    assert len(more.rows) == 2 and more.rows[0].values == first.rows[0].values
    stages.clear()
    other = study(
        tmp_path,
        lambda p: stages.append(p.stage),
        sweep={"seed": [0]},
        evaluate={"border": 2},
    )
    assert "reconstruct" in stages and "train" not in stages
    assert other.rows[0].values["nrmse"] != first.rows[0].values["nrmse"]
    assert len(list(tmp_path.glob("runs/*/tests/*.json"))) == 3, "the finished ones are there"


def test_without_its_archive_old_results_stay_until_there_are_new_ones(tmp_path):
    first = study(tmp_path, sweep={"seed": [0]})
    (archive,) = tmp_path.glob("runs/*/run/wts.h5.zip")
    archive.unlink()
    changes = {"data": {"train": "lines", "test": {"test": "other", "same": "lines"}}}

    def stop(progress):
        if progress.stage == "train":
            raise pinn.StopRequested

    with pytest.raises(pinn.StopRequested):
        study(tmp_path, stop, sweep={"seed": [0]}, **changes)
    (record,) = tmp_path.glob("runs/*/tests/*.json")
    assert json.loads(record.read_text())["metrics"]["nrmse"] == first.rows[0].values["nrmse"]
    again = study(tmp_path, sweep={"seed": [0]}, **changes)
    assert [row.status for row in again.rows] == ["done", "done"]
    stamps = {json.loads(p.read_text())["trained"] for p in tmp_path.glob("runs/*/tests/*.json")}
    (training,) = tmp_path.glob("runs/*/training.json")
    assert stamps == {json.loads(training.read_text())["stamp"]}, "all of one training"


def test_cells_that_share_a_training_are_trained_once(tmp_path):
    said = []
    result = study(
        tmp_path,
        lambda p: said.append(p.message),
        sweep={"weighting": ["probe", "uniform"], "seed": [0]},
    )
    assert len([message for message in said if message.startswith("training")]) == 1
    one, other = (row.values["nrmse"] for row in result.rows)
    assert one != other and len({row.run for row in result.rows}) == 1


def test_the_study_of_networks_has_every_network():
    from pinn.networks.registry import names
    from pinn.studies.plan import read_plan

    file = Path(__file__).parents[2] / "examples" / "studies" / "networks.toml"
    own = {name for name in names() if not name.startswith("test")}
    assert own == set(read_plan(file).axes["architecture"])


# -- command line -------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(TOML)
    return path


def test_a_failed_cell_is_told_and_the_others_go_on(file, tmp_path, capsys):
    arguments = ["study", str(file), "--output", str(tmp_path / "out"), "--one-process"]
    arguments.append("--no-pictures")
    assert cli.run([*arguments, "--dry-run"]) == 0
    listed = capsys.readouterr().out
    assert "2 cells, 2 trainings, 2 to do" in listed and not (tmp_path / "out").exists()
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
    assert (tmp_path / "out" / "quick" / "table.md").exists()


def test_wrong_use_is_one_sentence(file, tmp_path, capsys):
    file.write_text(TOML.replace("n_groups", "groups"))
    assert cli.run(["study", str(file), "--output", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("Error: tiny.toml [options]: unknown option 'groups'")
    assert cli.run(["study", "--output", str(tmp_path / "out")]) == 2
    assert cli.run(["study", str(tmp_path / "none.toml"), "--output", str(tmp_path)]) == 2
    assert not (tmp_path / "out").exists()


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


# -- pinn compare -------------------------------------------------------------------------


@pytest.fixture
def recons(tmp_path):
    """A truth, a good and a bad reconstruction of it, in files."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:80, :90] / 20
    truth = (1 + 0.3 * np.sin(3 * y + x**2)) * np.exp(0.5j * np.cos(2 * x - y))
    paths = {}
    for name, noise in (("good", 0.01), ("bad", 0.2)):
        wrong = truth + noise * (rng.normal(size=truth.shape) + 1j * rng.normal(size=truth.shape))
        paths[name] = tmp_path / f"{name}.npy"
        np.save(paths[name], wrong.astype(np.complex64))
    np.save(tmp_path / "truth.npy", truth.astype(np.complex64))
    return tmp_path, truth, paths


def test_compare_prints_one_table_and_writes_a_picture(recons, capsys):
    folder, truth, paths = recons
    arguments = ["compare", *map(str, paths.values()), "--truth", str(folder / "truth.npy")]
    assert cli.run([*arguments, "--output", str(folder / "out"), "--border", "5"]) == 0
    shown = capsys.readouterr().out
    assert "y 5 to 75, x 5 to 85" in shown
    found = json.loads((folder / "out" / "metrics.json").read_text())["reconstructions"]
    for name, path in paths.items():
        box = (5.0, 75.0, 5.0, 85.0)
        direct = pinn.evaluate(np.load(path), truth, region=box)
        assert found[f"{name}.npy"]["metrics"]["nrmse"] == pytest.approx(direct.metrics["nrmse"])
        assert f"{direct.metrics['nrmse']:.4f}" in shown
    table = (folder / "out" / "comparison.md").read_text()
    assert "|  | good.npy | bad.npy |" in table
    assert (folder / "out" / "side_by_side.png").stat().st_size > 10_000


def test_what_compare_notes_is_in_its_file(recons):
    folder, truth, paths = recons
    np.save(folder / "dark.npy", np.zeros(truth.shape, np.complex64))
    arguments = ["compare", str(paths["good"]), str(folder / "dark.npy")]
    arguments += ["--truth", str(folder / "truth.npy"), "--output", str(folder / "out")]
    assert cli.run(arguments) == 0
    table = (folder / "out" / "comparison.md").read_text()
    assert "- dark.npy: the reconstruction is zero wherever it is compared" in table


def test_compare_labels_and_refusals(recons, capsys):
    folder, _, paths = recons
    arguments = ["compare", *map(str, paths.values()), "--truth", str(folder / "truth.npy")]
    assert cli.run([*arguments, "--label", "A", "--label", "B"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["A", "B"]
    assert cli.run([*arguments, "--label", "A"]) == 2
    assert "1 labels for 2 reconstructions" in capsys.readouterr().err
    assert cli.run([*arguments, "--label", "A", "--label", "A"]) == 2
    assert "both called A" in capsys.readouterr().err
    np.savez(folder / "far.npz", object=np.load(paths["good"]), origin_px=np.array([500.0, 0.0]))
    line = ["compare", str(paths["good"]), str(folder / "far.npz")]
    assert cli.run([*line, "--truth", str(folder / "truth.npy")]) == 2
    assert "no region in common" in capsys.readouterr().err
