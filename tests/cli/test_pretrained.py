"""The pretrained model at the command line: reconstruct without a model, info, train on, refine."""

import json

import numpy as np
import pytest

import pinn
from pinn import cli
from pinn.io.archive import PRETRAINED, PRETRAINED_PATH, archive_path
from pinn.simulate import SimulateConfig, simulate_to_file

FEW = ["--epochs", "1", "--batch-size", "8", "--n-groups", "16"]


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    recipe = SimulateConfig(
        N=16, object="leaves", n_frames=150, photons_per_frame=1e6, overlap=0.68, probe="defocused"
    )
    whole, path = (tmp_path_factory.mktemp("scans") / name for name in ("whole.npz", "scan.npz"))
    simulate_to_file(recipe, whole)
    with np.load(whole) as file:  # without the truth there are fewer pictures to draw
        np.savez(path, **{name: file[name] for name in file.files if name != "objectGuess"})
    return path


@pytest.fixture(scope="module")
def trained_on(scan, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "on"
    assert cli.run(["train", str(scan), "--output", str(run), "--start", PRETRAINED, *FEW]) == 0
    return run


def refused(capsys, line, words):
    assert cli.run([*map(str, line)]) == 2
    said = [text for text in capsys.readouterr().err.splitlines() if "Error: " in text]
    assert len(said) == 1 and words in said[0], said


def test_reconstruct_without_a_model_takes_the_pretrained_one_and_says_so(
    scan, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / PRETRAINED).mkdir()  # something of that name is not what is meant
    line = [
        "reconstruct",
        str(scan),
        "--output",
        "out",
        "--stages",
        "4",
        "--no-check",
        "--no-consistency",
    ]
    assert cli.run(line) == 0
    said = capsys.readouterr().err
    assert "4 stages of the package's own model" in said and "exposure" not in said
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    recon = pinn.load_reconstruction("out")
    assert config["model"] == PRETRAINED
    assert config["archive_sha256"] == recon.archive_sha256
    assert recon.archive_sha256 == pinn.load_model(PRETRAINED_PATH).archive_sha256


def test_the_name_means_the_archive_of_the_package_where_nothing_else_has_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert archive_path(PRETRAINED) == PRETRAINED_PATH
    (tmp_path / PRETRAINED).mkdir()
    assert archive_path(PRETRAINED) != PRETRAINED_PATH
    assert archive_path("elsewhere/pretrained") != PRETRAINED_PATH


def test_info_shows_the_pretrained_model(capsys):
    assert cli.run(["info", PRETRAINED]) == 0
    said = capsys.readouterr().out
    assert str(PRETRAINED_PATH) in said and "unrolled" in said and "where it fails" in said
    assert cli.run(["info", PRETRAINED, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["config"]["model"]["architecture"] == "unrolled"
    assert facts["parameters"] < 2e5
    assert "made it worse" in facts["provenance"]["card"]["what it is"]


def test_a_stop_says_that_stages_are_missing(scan, tmp_path, monkeypatch, capsys):
    asked = cli.reconstruct.StopOnSignal.__call__

    def stop(self, progress):
        self.asked = progress.done >= 0.6 * progress.total
        asked(self, progress)

    monkeypatch.setattr(cli.reconstruct.StopOnSignal, "__call__", stop)
    line = ["reconstruct", str(scan), "--output", str(tmp_path), "--stages", "4", "--batch-size"]
    assert cli.run([*line, "8", "--no-consistency", "--no-check"]) == 130
    said = capsys.readouterr().err
    assert "some stages were not made; run it again for all" in said
    assert pinn.load_reconstruction(tmp_path).statistics["stages"] in (1, 2, 3)


def test_training_goes_on_from_the_pretrained_weights(scan, trained_on):
    start, model = pinn.load_model(PRETRAINED), pinn.load_model(trained_on)
    assert model.config == start.config.replace(N=16)
    named = [(m.network.network.weights) for m in (start, model)]
    for before, after in zip(*named, strict=True):
        change = np.linalg.norm(after.numpy() - before.numpy())
        # all biases and the last layer begin at zero
        assert 0 < change < 0.1 * np.linalg.norm(before.numpy()) + 0.1, after.path
    assert len(model.history) == len(start.history) + 1
    options = dict(epochs=1, batch_size=8, n_groups=16)
    loaded = pinn.load(scan)
    # frozen weights are those of the start, bit for bit
    frozen = pinn.train(loaded, start, rate_factors="block_*:0", **options)
    for before, after in zip(named[0], frozen.network.network.weights, strict=True):
        alike = np.array_equal(before.numpy(), after.numpy())
        assert alike == after.path.startswith("block_"), after.path


def test_what_was_trained_on_is_resumed_reconstructed_and_refined(scan, trained_on, tmp_path):
    line = ["train", str(scan), "--output", str(trained_on), "--resume", "--epochs", "2", "--quiet"]
    before = len(pinn.load_model(trained_on).history)
    assert cli.run(line) == 0
    assert len(pinn.load_model(trained_on).history) == before + 1
    recon = pinn.reconstruct(pinn.load(scan), pinn.load_model(trained_on), stages=2)
    assert recon.statistics["stages"] == 2
    line = ["refine", str(scan), "--output", str(tmp_path / "refined"), "--epochs", "1", "--quiet"]
    assert (
        cli.run(
            [
                *line,
                "--model",
                PRETRAINED,
                "--no-split-half",
                "--no-check",
                "--lbfgs-iterations",
                "0",
            ]
        )
        == 0
    )
    facts = pinn.load_reconstruction(tmp_path / "refined").statistics["refinement"]
    assert facts["network_start"]["stages"] >= 1


def test_starts_that_do_not_fit_are_refused_in_a_sentence(scan, trained_on, tmp_path, capsys):
    line = ["train", scan, "--output", tmp_path / "run", *FEW]
    words = "a trained model keeps its network; drop the model options"
    refused(capsys, [*line, "--start", PRETRAINED, "--architecture", "lean"], words)
    words = "give --start or --resume, not both"
    refused(capsys, [*line, "--start", PRETRAINED, "--resume"], words)
    refused(capsys, [*line, "--start", tmp_path / "nowhere"], "nowhere")
    lean = tmp_path / "lean"
    assert cli.run(["train", str(scan), "--output", str(lean), *FEW, "--quiet"]) == 0
    words = "a trained model keeps its network; drop the model options"
    refused(capsys, [*line, "--start", lean, "--architecture", "unrolled"], words)
    words = "stages 3 was asked for, but the network 'lean' has none"
    line = ["reconstruct", scan, "--model", lean, "--output", tmp_path / "out", "--stages", 3]
    refused(capsys, line, words)
    refused(capsys, ["reconstruct", scan, "--output", tmp_path / "out", "--stages", 0], "stages")


def test_a_scan_without_a_probe_is_told_where_to_get_one(scan, tmp_path, capsys):
    with np.load(scan) as file:
        arrays = {name: file[name] for name in file.files if "probe" not in name.lower()}
    np.savez(tmp_path / "bare.npz", **arrays)
    line = ["reconstruct", tmp_path / "bare.npz", "--output", tmp_path / "out", "--no-check"]
    refused(capsys, line, "has no probe, which the unrolled network needs")
