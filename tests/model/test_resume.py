"""A resumed run is the uninterrupted one: at any batch, with every state that training has."""

import numpy as np
import pytest
from small import small_model, small_scan

import pinn
from pinn.config import TrainConfig
from pinn.errors import ArchiveError, ConfigError
from pinn.io.archive import read_archive
from pinn.progress import StopRequested
from pinn.training.pace import Pace
from pinn.training.report import write_config
from pinn.training.resume import FIXED, FREE, Unfinished


@pytest.fixture(scope="module")
def scan():
    return small_scan()


class StopAt:
    """Asks for a stop with the n-th report; reports inside an epoch come at every batch here."""

    def __init__(self, monkeypatch, count):
        monkeypatch.setattr("pinn.training.watcher._EVERY", 0.0)
        self.left = count

    def __call__(self, report):
        self.left -= 1
        if self.left == 0:
            raise StopRequested


def _same_run(part, whole):
    assert len(part.history) == len(whole.history)
    for ours, theirs in zip(part.history, whole.history, strict=True):
        for name in set(theirs) - {"seconds", "groups_per_second"}:
            if name == "backend":
                assert ours[name] == theirs[name]
            else:
                assert ours[name] == pytest.approx(theirs[name], rel=1e-6), name
    for ours, theirs in (
        (part.network.named_arrays(), whole.network.named_arrays()),
        (part.optimizer_arrays, whole.optimizer_arrays),
    ):
        values = list(zip(ours.values(), theirs.values(), strict=True))
        assert [a.shape for a, _ in values] == [b.shape for _, b in values]
        for a, b in values:  # Keras numbers the names of unnamed layers anew
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


def test_every_option_is_decided():
    assert set(TrainConfig.model_fields) == FIXED | FREE
    assert not FIXED & FREE


@pytest.mark.parametrize(
    "options",
    [
        dict(schedule="cosine"),
        dict(
            schedule="plateau",
            plateau_patience=1,
            plateau_threshold=1e6,
            ema_decay=0.9,
            accumulate=2,
            optimizer="sgd",
            groups_per_epoch=13,
        ),
    ],
    ids=["cosine", "every kind of state"],
)
def test_a_run_cut_in_the_middle_of_epochs_goes_on_exactly(scan, tmp_path, monkeypatch, options):
    options = dict(options, deterministic=True, batch_size=4, epochs=3, keep_best=1)
    whole = small_model(scan, output=tmp_path / "whole", **options)
    part = tmp_path / "part"
    cut = small_model(scan, output=part, progress=StopAt(monkeypatch, 3), **options)
    assert cut.history == [] and cut.provenance["unfinished"]["batch"] == 3
    assert {p.name for p in part.iterdir()} >= {"wts.h5.zip", "config.json"}
    assert read_archive(part).provenance["unfinished"]["epoch"] == 1
    stop = StopAt(monkeypatch, 2 + len(_batches(cut)) - 3)
    cut = small_model(scan, output=part, resume=True, progress=stop, **options)
    assert len(cut.history) == 1 and cut.provenance["unfinished"]["epoch"] == 2
    last = small_model(scan, output=part, resume=True, **options)
    _same_run(last, whole)
    assert last.provenance["unfinished"] is None
    assert {p.name for p in (part / "best").iterdir()} == {
        p.name for p in (tmp_path / "whole" / "best").iterdir()
    }


def _batches(model):
    """Batches of an epoch of four groups each."""
    run = model.provenance["train"]
    groups = run["groups_per_epoch"] or sum(model.provenance["groups"])
    return range(0, groups, 4)


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
    [("loss", "poisson + mae"), ("optimizer", "sgd"), ("ema_decay", 0.9), ("shuffle_seed", 3)],
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
    _same_run(part, straight)


def _stop_once(report):
    if report.loss is not None:
        raise StopRequested


def test_progress_counts_what_this_call_does(scan, tmp_path, monkeypatch):
    monkeypatch.setattr("pinn.training.watcher._EVERY", 0.0)
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
    pace = Pace(100, clock=lambda: next(times))
    pace.step(4)  # compiles for ten seconds
    assert pace.rate == pytest.approx(4 / 10)
    pace.step(4)
    assert pace.rate == pytest.approx(4 / 2)
    pace.step(4)
    assert pace.rate == pytest.approx(8 / 4)


def test_a_run_killed_before_its_first_archive_begins_again(scan, tmp_path):
    straight = small_model(scan, epochs=1, batch_size=4, output=tmp_path / "whole")
    part = tmp_path / "part"
    write_config(part, straight.config, TrainConfig(**straight.provenance["train"]))
    again = pinn.train(scan, output=part, resume=True)
    _same_run(again, straight)
    (part / "wts.h5.zip").unlink()
    (part / "config.json").write_text("{}")
    with pytest.raises(ArchiveError, match=r"no archive, and its config.json cannot be used"):
        pinn.train(scan, output=part, resume=True)
