"""`pinn train` against labels, and watched on another file."""

import json

import pytest

import pinn
from pinn import cli

SMALL = ["--quiet", "--N", "16", "--n-frames", "40", "--size", "64", "--photons-per-frame", "1e5"]
QUICK = ["--quiet", "--epochs", "1", "--batch-size", "8", "--n-groups", "16"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("labels")
    for seed in ("0", "1"):
        file = str(place / f"scan{seed}.npz")
        assert cli.run(["simulate", file, *SMALL, "--object", "lines", "--seed", seed]) == 0
    return place


def test_supervised_and_watched_on_another_file(place):
    first, second, run = (str(place / name) for name in ("scan0.npz", "scan1.npz", "run"))
    supervised = ["--mode", "supervised"]
    command = ["train", first, "--output", run, "--validation-scan", second]
    assert cli.run([*command, *supervised, *QUICK]) == 0
    model = pinn.load_model(run)
    assert {"label_phase", "val_label_phase"} <= set(model.history[0])
    assert [s["name"] for s in model.provenance["validation_scans"]] == ["scan1"]
    config = json.loads((place / "run" / "config.json").read_text())
    assert config["train"]["mode"] == "supervised"


def test_a_file_without_an_object_is_one_sentence(place, capsys):
    import numpy as np

    with np.load(place / "scan0.npz") as stored:
        kept = {k: stored[k] for k in stored.files if k not in ("objectGuess", "truth", "label")}
    bare = place / "bare.npz"
    np.savez(bare, **{k: v for k, v in kept.items() if v.dtype.kind != "O"})
    command = ["train", str(bare), "--output", str(place / "none"), "--mode", "supervised"]
    assert cli.run([*command, *QUICK]) == 2
    said = capsys.readouterr().err
    assert "bare has no labels" in said and "pinn simulate" in said and "Traceback" not in said
    assert not (place / "none" / "wts.h5.zip").exists()
