"""The whole road at the command line: simulate, train, reconstruct, evaluate, info; bad input."""

import json

import numpy as np
import pytest

import pinn
from pinn import cli

pytestmark = pytest.mark.each_backend

SMALL = ["--quiet", "--n-frames", "80", "--size", "64", "--photons-per-frame", "1e5"]
QUICK = ["--quiet", "--epochs", "2", "--batch-size", "8", "--n-groups", "16"]


@pytest.fixture(scope="module")
def road(tmp_path_factory):
    """A folder with scan.npz, a trained run and a reconstruction, all made by the commands."""
    place = tmp_path_factory.mktemp("road")
    scan, run, out = (str(place / name) for name in ("scan.npz", "run", "out"))
    assert cli.run(["simulate", scan, "--N", "16", *SMALL, "--object", "lines"]) == 0
    assert cli.run(["train", scan, "--output", run, *QUICK]) == 0
    assert cli.run(["reconstruct", scan, "--model", run, "--output", out, "--quiet"]) == 0
    return place


def test_training_leaves_its_files(road):
    names = {path.name for path in (road / "run").iterdir()}
    assert names == {"wts.h5.zip", "history.csv", "config.json", "loss.png", "samples.png"}
    config = json.loads((road / "run" / "config.json").read_text())
    assert config["model"]["N"] == 16 and config["train"]["epochs"] == 2


def test_reconstruction_leaves_its_files(road):
    names = {path.name for path in (road / "out").iterdir()}
    assert {"reconstruction.h5", "amplitude.png", "phase.png", "metrics.json"} <= names
    for picture in ("amplitude.png", "phase.png"):
        data = (road / "out" / picture).read_bytes()
        assert data.startswith(b"\x89PNG") and len(data) > 5000
    recon = pinn.load_reconstruction(road / "out" / "reconstruction.h5")
    assert np.all(np.isfinite(recon.object)) and len(recon.positions_px) == 80
    metrics = json.loads((road / "out" / "metrics.json").read_text())
    assert "nrmse" in json.dumps(metrics)  # the simulated scan carries its truth


@pytest.mark.one_backend
def test_a_comparison_that_cannot_be_written_is_an_error_and_its_numbers_are_kept(road, capsys):
    out = road / "blocked"
    (out / "comparison.png" / "inside").mkdir(parents=True)
    line = ["reconstruct", str(road / "scan.npz"), "--model", str(road / "run")]
    assert cli.run([*line, "--output", str(out)]) == 2
    assert "comparison.png: it is a folder" in capsys.readouterr().err
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["evaluation"]["metrics"]["nrmse"] > 0


@pytest.mark.one_backend
def test_a_truth_that_cannot_be_compared_is_told(road, tmp_path, capsys):
    with np.load(road / "scan.npz") as file:
        arrays = {name: file[name] for name in file.files}
    arrays["ycoords"] = arrays["ycoords"] + 5000  # far from where the truth lies
    np.savez(tmp_path / "far.npz", **arrays)
    line = ["reconstruct", str(tmp_path / "far.npz"), "--model", str(road / "run"), "--no-check"]
    assert cli.run([*line, "--output", str(tmp_path / "out")]) == 0
    assert "no comparison with the scan's truth: " in capsys.readouterr().err


@pytest.mark.one_backend
def test_a_batch_larger_than_the_scan_changes_nothing(road):
    scan, model = pinn.load(road / "scan.npz"), pinn.load_model(road / "run")
    few, many = (pinn.reconstruct(scan, model, batch_size=size) for size in (80, 10**8))
    np.testing.assert_array_equal(few.object, many.object)


def test_evaluate_info_and_resume(road, capsys):
    recon = str(road / "out" / "reconstruction.h5")
    out = str(road / "judged")
    assert cli.run(["evaluate", recon, "--truth", str(road / "scan.npz"), "--output", out]) == 0
    assert {"metrics.json", "comparison.png", "frc.png"} <= {
        path.name for path in (road / "judged").iterdir()
    }
    assert cli.run(["info", str(road / "run")]) == 0
    said = capsys.readouterr().out
    assert "16" in said and "epoch" in said
    scan, run = str(road / "scan.npz"), str(road / "run")
    assert cli.run(["train", scan, "--output", run, "--resume", "--epochs", "3", "--quiet"]) == 0
    assert len(pinn.load_model(run).history) == 3
    # a run that has all its epochs is complete, and one that has more than asked for is refused
    assert cli.run(["train", scan, "--output", run, "--resume", "--epochs", "3", "--quiet"]) == 0
    assert len(pinn.load_model(run).history) == 3
    assert cli.run(["train", scan, "--output", run, "--resume", "--epochs", "2", "--quiet"]) == 2


def _npz(path, **changes):
    """A valid little scan with some members changed (None: left out)."""
    rng = np.random.default_rng(0)
    members = {
        "diff3d": rng.poisson(5.0, (12, 16, 16)).astype(np.uint16),
        "xcoords": rng.uniform(10, 40, 12),
        "ycoords": rng.uniform(10, 40, 12),
        "probeGuess": np.ones((16, 16), np.complex64),
        **changes,
    }
    np.savez(path, **{name: value for name, value in members.items() if value is not None})
    return str(path)


NAN = np.full((12, 16, 16), np.nan, np.float32)
BAD_SCANS = {
    "missing key": (dict(xcoords=None), ["xcoords"]),
    "wrong rank": (dict(diff3d=np.ones((16, 16), np.float32)), ["diff3d"]),
    "not square": (dict(diff3d=np.ones((12, 16, 20), np.float32)), ["16", "20"]),
    "metres": (
        dict(xcoords=np.linspace(0, 4e-6, 12), ycoords=np.linspace(0, 3e-6, 12)),
        ["metres"],
    ),
    "length mismatch": (dict(xcoords=np.arange(11.0)), ["11", "12"]),
    "all NaN": (dict(diff3d=NAN), ["dark", "valid"]),
    "all dark": (dict(diff3d=np.zeros((12, 16, 16), np.uint16)), ["dark"]),
    "odd side": (
        dict(diff3d=np.ones((12, 17, 17), np.float32), probeGuess=np.ones((17, 17), complex)),
        ["17"],
    ),
    "probe of another size": (dict(probeGuess=np.ones((8, 8), complex)), ["probe"]),
    "position not finite": (dict(ycoords=np.array([np.nan] * 12)), ["positions", "finite"]),
    "positions all equal": (
        dict(xcoords=np.full(12, 9.0), ycoords=np.full(12, 9.0)),
        ["a scan moves"],
    ),
}


@pytest.mark.one_backend
@pytest.mark.parametrize("name", BAD_SCANS)
def test_bad_scan_is_one_sentence_code_2_and_nothing_written(name, tmp_path, capsys):
    changes, words = BAD_SCANS[name]
    scan = _npz(tmp_path / "bad.npz", **changes)
    out = tmp_path / "run"
    assert cli.run(["train", scan, "--output", str(out), *QUICK]) == 2
    said = capsys.readouterr()
    message = (said.err + said.out).strip().splitlines()[-1]
    assert "Traceback" not in said.err + said.out
    assert all(word in message for word in words), message
    assert not out.exists() or not any(out.iterdir())


@pytest.mark.one_backend
def test_wrong_use_of_good_files(road, tmp_path, capsys):
    scan = str(road / "scan.npz")
    wide = _npz(
        tmp_path / "wide.npz",
        diff3d=np.random.default_rng(0).poisson(5.0, (12, 32, 32)),
        probeGuess=np.ones((32, 32), complex),
    )
    (tmp_path / "damaged").mkdir()
    archive = (road / "run" / "wts.h5.zip").read_bytes()
    (tmp_path / "damaged" / "wts.h5.zip").write_bytes(archive[: len(archive) // 2])
    (tmp_path / "file").write_text("not a folder")
    out = str(tmp_path / "out")
    cases = [
        (["train", scan, "--output", out, "--epoch-count", "3"], "epoch-count"),
        (["train", scan, "--output", out, "--epochs", "0"], "epochs"),
        (["train", scan, "--output", str(tmp_path / "file" / "run")], "file"),
        (["train", str(tmp_path / "none.npz"), "--output", out], "none.npz"),
        (["train", scan, wide, "--output", out], "32 x 32"),
        (["train", scan, "--output", out, "--architecture", "resnet"], "lean"),
        (["train", scan, "--output", out, "--resume"], "wts.h5.zip"),
        (["reconstruct", scan, "--model", str(tmp_path / "none"), "--output", out], "none"),
        (["reconstruct", scan, "--model", str(tmp_path / "damaged"), "--output", out], "damaged"),
        (["reconstruct", wide, "--model", str(road / "run"), "--output", out], "16 x 16"),
        (["evaluate", str(tmp_path / "file"), "--truth", scan, "--output", out], "file"),
        (["info", str(tmp_path / "file")], "file"),
    ]
    for arguments, word in cases:
        assert cli.run(arguments) == 2, arguments
        said = capsys.readouterr()
        text = said.err + said.out
        assert word in text and "Traceback" not in text, (arguments, text)


@pytest.mark.one_backend
def test_some_dark_and_nan_frames_are_survived(tmp_path):
    frames = np.random.default_rng(0).poisson(5.0, (12, 16, 16)).astype(np.float32)
    frames[0] = 0
    frames[1] = np.nan
    frames[:, 3, 3] = 4294967295.0
    scan = _npz(tmp_path / "some.npz", diff3d=frames)
    out = str(tmp_path / "run")
    assert cli.run(["train", scan, "--output", out, *QUICK, "--frames", "counts"]) == 0
    recon = str(tmp_path / "recon")
    arguments = ["reconstruct", scan, "--model", out, "--output", recon, "--frames", "counts"]
    assert cli.run([*arguments, "--quiet"]) == 0
    assert np.all(np.isfinite(pinn.load_reconstruction(recon).object))
