"""Where the history goes: CSV, TensorBoard's event files, MLflow, nowhere; pictures on the way."""

import csv
import struct
import sys

import pytest
from small import small_model, small_scan

from pinn.errors import ConfigError
from pinn.training import loggers, pictures


@pytest.fixture(scope="module")
def scan():
    return small_scan()


def _records(folder):
    """Scalars in event files, read by the format's own definition: length, CRC, message, CRC."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.iterdir(), key=lambda p: p.stat().st_mtime_ns):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            event = Event.FromString(data[at + 12 : at + 12 + length])
            found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
            at += 12 + length + 4
    return found


def test_tensorboard_files_of_one_second_do_not_overwrite_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1.7e9)
    rows = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}]
    for known in (0, 1):
        logger = loggers.TensorBoardLogger(tmp_path)
        logger.begin(rows[:known], {})
        logger.epoch(rows[: known + 1])
        logger.end(rows[: known + 1], finished=True)
    assert sorted(v for _, _, v in _records(tmp_path / "tensorboard")) == [0.25, 0.5]


def test_tensorboard_has_every_number_of_the_history(scan, tmp_path):
    small_model(scan, output=tmp_path, logger="csv")
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "tensorboard" / "events.out.tfevents.1.old").write_bytes(b"of the run before")
    model = small_model(scan, epochs=2, output=tmp_path, logger="tensorboard")
    assert not (tmp_path / "history.csv").exists(), "the one of the run before is not of this run"
    records = _records(tmp_path / "tensorboard")
    for row in model.history:
        for name in ("loss", "val_loss", "learning_rate"):
            values = [v for tag, step, v in records if (tag, step) == (name, row["epoch"])]
            assert values == [pytest.approx(row[name], rel=1e-6)]
    on = small_model(scan, epochs=3, output=tmp_path, logger="tensorboard", resume=True)
    losses = [value for tag, _, value in _records(tmp_path / "tensorboard") if tag == "loss"]
    assert losses == pytest.approx([row["loss"] for row in on.history], rel=1e-6)


def test_none_writes_no_history_and_csv_does(scan, tmp_path):
    model = small_model(scan, output=tmp_path, logger="none")
    assert not (tmp_path / "history.csv").exists()
    small_model(scan, output=tmp_path, logger="csv")
    rows = list(csv.DictReader((tmp_path / "history.csv").read_text().splitlines()))
    assert float(rows[0]["loss"]) == pytest.approx(model.history[0]["loss"], rel=1e-5)


@pytest.mark.parametrize(
    ("logger", "package"), [("tensorboard", "tensorboardX"), ("mlflow", "mlflow")]
)
def test_a_missing_package_is_one_sentence_before_training(
    scan, tmp_path, monkeypatch, logger, package
):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf'pip install "pinn-ptycho\[{logger}\]"'):
        small_model(scan, output=tmp_path / "out", logger=logger)
    assert not (tmp_path / "out").exists()


def test_tensorboard_needs_a_folder(scan):
    with pytest.raises(ConfigError, match="needs an output folder"):
        small_model(scan, logger="tensorboard")


@pytest.mark.full
def test_mlflow_has_options_history_and_one_run_after_a_resume(scan, tmp_path, monkeypatch):
    # needs the extra mlflow (mlflow-skinny, a local folder as its store)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    from mlflow import MlflowClient

    small_model(scan, epochs=1, output=tmp_path / "out", logger="mlflow")
    model = small_model(scan, epochs=2, output=tmp_path / "out", logger="mlflow", resume=True)
    client = MlflowClient()
    experiment = client.get_experiment_by_name("pinn")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED" and run.info.run_name == "out"
    assert run.data.params["batch_size"] == "8"
    losses = client.get_metric_history(run.info.run_id, "loss")
    assert [m.step for m in losses] == [1, 2]
    assert [m.value for m in losses] == [row["loss"] for row in model.history]
    assert {a.path for a in client.list_artifacts(run.info.run_id)} == {"loss.png", "samples.png"}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://at-all")
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_URI"):
        small_model(scan, output=tmp_path / "other", logger="mlflow")


def test_previews_come_as_often_as_asked_and_from_so_many_frames(scan, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "_PREVIEW_FRAMES", 12)
    seen = []

    def watch(progress):
        if progress.loss is not None:
            picture = tmp_path / "preview.png"
            seen.append(picture.stat().st_mtime_ns if picture.exists() else 0)

    small_model(scan, epochs=4, output=tmp_path, preview_every=2, progress=watch)
    assert seen[0] == 0 < seen[1] == seen[2] < seen[3]
    assert (tmp_path / "preview.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_fails_does_not_end_the_run(scan, tmp_path):
    (tmp_path / "preview.png").mkdir()  # no file can take its place
    lines = []
    model = small_model(
        scan, epochs=2, output=tmp_path, preview_every=1, progress=lambda p: lines.append(p.message)
    )
    assert len(model.history) == 2
    (event,) = model.provenance["events"]
    assert event["kind"] == "picture" and event["epoch"] == 1 and "preview.png" in event["text"]
    assert sum("preview.png" in line for line in lines) == 1, "said once"


def test_no_folder_no_files(scan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small_model(scan, sample_every=1, preview_every=1)
    assert list(tmp_path.iterdir()) == []
