"""A run cut at any batch and resumed is the uninterrupted one, with every state it has."""

import pytest
from interrupting import StopAt, same_run
from small import small_model, small_scan

from pinn.io.archive import read_archive

pytestmark = pytest.mark.each_backend


@pytest.fixture(scope="module")
def scan():
    return small_scan()


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(dict(schedule="cosine"), marks=pytest.mark.one_backend),
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
    same_run(last, whole)
    assert last.provenance["unfinished"] is None
    assert {p.name for p in (part / "best").iterdir()} == {
        p.name for p in (tmp_path / "whole" / "best").iterdir()
    }


def _batches(model):
    """Batches of an epoch of four groups each."""
    run = model.provenance["train"]
    groups = run["groups_per_epoch"] or sum(model.provenance["groups"])
    return range(0, groups, 4)
