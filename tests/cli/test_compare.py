"""`pinn compare`: one table of several reconstructions, and a picture of them."""

from __future__ import annotations

import json

import numpy as np
import pytest

import pinn
from pinn import cli


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
