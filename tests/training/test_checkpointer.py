"""Which epochs are kept, when a run stops early, and what it ends with."""

import numpy as np
import pytest
from small import small_model, small_scan

import pinn
from pinn.config import TrainConfig
from pinn.errors import ConfigError
from pinn.io.archive import read_archive
from pinn.training.checkpointer import Checkpointer
from pinn.training.history import (
    best_epochs,
    early_stop,
    epochs_without_improvement,
    judged,
    metric_of,
)

VALUES = [5.0, 3.0, 4.0, 3.0, 2.5, 2.45, 2.6]
HISTORY = [{"epoch": n, "loss": v, "val_loss": -v} for n, v in enumerate(VALUES, 1)]


@pytest.fixture(scope="module")
def scan():
    return small_scan()


def _names(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_best_epochs_are_ranked_and_ties_go_to_the_earlier():
    assert best_epochs(HISTORY, "loss", "min", 4) == [6, 5, 7, 2]
    assert best_epochs(HISTORY, "loss", "max", 2) == [1, 3]
    assert best_epochs(HISTORY, "loss", "min", 2, among=[1, 3, 4]) == [4, 3]
    assert best_epochs([{"epoch": 1}], "loss", "min", 1) == []


def test_improvement_is_on_all_epochs_before():
    assert epochs_without_improvement(HISTORY, "loss", "min") == 1
    assert epochs_without_improvement(HISTORY, "val_loss", "max") == 1


def test_a_run_stops_after_so_many_epochs_without_improvement():
    stops = [
        early_stop(HISTORY[:n], TrainConfig(early_stop=2), "loss") is not None
        for n in range(1, len(HISTORY) + 1)
    ]
    assert stops == [False, False, False, True, False, False, False]
    assert early_stop(HISTORY[:4], TrainConfig(), "loss") is None


def test_only_the_last_stage_of_this_run_is_judged():
    weights = [1.0, 0.0, 0.5, 1.0, 1.0, 1.0, 1.0]
    rows = [{**row, "physics_weight": w} for row, w in zip(HISTORY, weights, strict=True)]
    assert [row["epoch"] for row in judged(rows, 1)] == [4, 5, 6, 7]
    assert judged(HISTORY) == HISTORY and judged(HISTORY, 7) == []
    with pytest.raises(ConfigError, match="take 6 of 6 epochs"):
        TrainConfig(epochs=6, label_epochs=4, blend_epochs=2)
    assert TrainConfig(epochs=7, label_epochs=4, blend_epochs=2).staged


def test_the_column_is_named_or_chosen_and_unknown_ones_are_listed():
    columns = ["loss", "deviance", "val_loss"]
    assert metric_of(TrainConfig(), columns) == "val_loss"
    assert metric_of(TrainConfig(), columns[:2]) == "loss"
    assert metric_of(TrainConfig(monitor="deviance"), columns) == "deviance"
    with pytest.raises(ConfigError, match=r"'val_psnr', but this run measures loss, deviance"):
        metric_of(TrainConfig(monitor="val_psnr"), columns)


def test_a_wrong_column_is_refused_before_the_first_step(scan, tmp_path):
    with pytest.raises(ConfigError, match=r"monitor is 'val_loss'.*nothing is held out"):
        small_model(scan, monitor="val_loss", validation="none", output=tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="keep_best needs an output folder"):
        small_model(scan, keep_best=1)


def test_best_epochs_last_state_and_the_weights_of_the_best(scan, tmp_path):
    # the deviance falls from epoch to epoch, so of its maximum the first epochs are the best
    options = dict(monitor="deviance", monitor_mode="max", keep_best=2)
    model = small_model(scan, epochs=3, output=tmp_path, restore_best=True, **options)
    best = best_epochs(model.history, "deviance", "max", 2)
    assert best[0] != 3, "the test needs a best epoch that is not the last"
    kept = {f"best/epoch_{epoch:04d}.h5.zip" for epoch in best}
    pictures = {"loss.png", "samples.png"}
    assert _names(tmp_path) == {
        *kept, *pictures, "wts.h5.zip", "last.h5.zip", "history.csv", "config.json",
    }  # fmt: skip
    first = read_archive(tmp_path / "best" / f"epoch_{best[0]:04d}.h5.zip")
    assert len(first.history) == best[0]
    for found in (model, pinn.load_model(tmp_path)):
        assert len(found.history) == 3 and found.provenance["restored_epoch"] == best[0]
        for name, array in first.weights.items():
            np.testing.assert_array_equal(found.network.named_arrays()[name], array)
    # going on takes the last state, not the best one
    straight = small_model(scan, epochs=4, output=tmp_path / "straight", schedule="constant")
    part = tmp_path / "part"
    small_model(scan, epochs=3, output=part, schedule="constant", restore_best=True, **options)
    assert (part / "last.h5.zip").exists()
    on = small_model(scan, epochs=4, output=part, resume=True, restore_best=False)
    assert not (part / "last.h5.zip").exists() and "restored_epoch" not in on.provenance
    for name, array in straight.network.named_arrays().items():
        np.testing.assert_allclose(on.network.named_arrays()[name], array, atol=2e-6)


def test_last_state_missing_or_of_another_run_is_one_sentence(scan, tmp_path):
    options = dict(monitor="deviance", monitor_mode="max", keep_best=1, restore_best=True)
    small_model(scan, epochs=2, output=tmp_path, **options)
    (tmp_path / "last.h5.zip").unlink()
    with pytest.raises(ConfigError, match=r"last.h5.zip\) is missing or of another run"):
        small_model(scan, epochs=3, output=tmp_path, resume=True)


def test_early_stop_ends_the_run_and_a_resumed_one_says_so(scan, tmp_path):
    # the loss falls, so that it never is larger than in the first epoch
    stopping = dict(early_stop=2, monitor="loss", monitor_mode="max", epochs=9)
    model = small_model(scan, output=tmp_path, **stopping)
    assert len(model.history) == 3
    assert "early_stop" in {event["kind"] for event in model.provenance["events"]}
    said = []
    again = small_model(
        scan, epochs=9, output=tmp_path, resume=True, progress=lambda p: said.append(p.message)
    )
    assert len(again.history) == 3 and any("stopped early after epoch 3" in line for line in said)
    on = small_model(scan, output=tmp_path, resume=True, epochs=5, early_stop=None)
    assert len(on.history) == 5
    assert "early_stop" not in {event["kind"] for event in on.provenance["events"]}


def test_archives_of_other_runs_are_cleared_after_the_first_of_this_one(scan, tmp_path):
    small_model(scan, epochs=2, output=tmp_path, keep_best=2)
    (tmp_path / "best" / "notes.txt").write_text("mine")
    (tmp_path / ".wts.h5.0123456789ab.tmp.zip").write_text("half")
    (tmp_path / "best" / ".epoch_0007.h5.0123456789ab.tmp.zip").write_text("half")
    (tmp_path / ".phase.0123456789ab.tmp.png").write_text("another program writes this")
    small_model(scan, epochs=1, output=tmp_path, seed=4)
    assert _names(tmp_path) == {
        "wts.h5.zip", "history.csv", "config.json", "loss.png", "samples.png", "best/notes.txt",
        ".phase.0123456789ab.tmp.png",
    }  # fmt: skip


def test_a_copy_that_a_kill_prevented_is_made_on_resume(scan, tmp_path):
    model = small_model(scan, epochs=2, output=tmp_path, keep_best=2)
    for path in (tmp_path / "best").iterdir():
        path.unlink()
    checkpoints = Checkpointer(tmp_path, TrainConfig(keep_best=2), "loss")
    checkpoints.take_up(model.history, whole=True)
    assert _names(tmp_path / "best") == {"epoch_0002.h5.zip"}
    # half a copy is no copy
    (tmp_path / "best" / "epoch_0001.h5.zip").write_bytes(b"PK")
    Checkpointer(tmp_path, TrainConfig(keep_best=2), "loss").take_up(model.history, whole=True)
    assert _names(tmp_path / "best") == {"epoch_0002.h5.zip"}
