"""Two commands into one output folder: the second is refused, the first ends as if alone."""

import csv
import json
import subprocess
import sys
import time

import pytest

from pinn import cli
from pinn.io.archive import read_archive
from pinn.io.lock import LOCK
from pinn.simulate import SimulateConfig, simulate_to_file

TINY = ["--gridsize", "1", "--n-filters-scale", "1", "--n-groups", "8", "--batch-size", "4"]


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    path = tmp_path_factory.mktemp("two") / "scan.npz"
    simulate_to_file(SimulateConfig(N=16, object="lines", n_frames=40), path)
    return str(path)


def test_a_second_run_is_refused_and_a_stop_signal_saves_the_first(scan, tmp_path, capfd):
    output = tmp_path / "out"
    line = [sys.executable, "-m", "pinn", "--quiet", "train", scan, "--output", str(output)]
    child = subprocess.Popen([*line, *TINY, "--epochs", "100000"])
    try:
        end = time.monotonic() + 300
        while not (output / "wts.h5.zip").exists():
            assert child.poll() is None and time.monotonic() < end
            time.sleep(0.02)
        for command in (
            ["train", scan, "--output", str(output), "--epochs", "1", *TINY],
            ["train", scan, "--output", str(output), "--epochs", "2", "--resume"],
            ["refine", scan, "--output", str(output), "--epochs", "1"],
            ["reconstruct", scan, "--output", str(output), "--model", str(output)],
        ):
            assert cli.run(command) == 2
            said = capfd.readouterr().err
            assert f"another run writes into {output} (process {child.pid} on " in said
    finally:
        child.terminate()
    assert child.wait(300) == 130
    assert "stopping after this step" in capfd.readouterr().err
    assert json.loads((output / "config.json").read_text())["scans"] == [scan]
    rows = list(csv.DictReader((output / "history.csv").read_text().splitlines()))
    assert 0 < len(rows) == len(read_archive(output).history) < 100000
    assert not (output / LOCK).exists()
    assert cli.run(["refine", scan, "--output", str(output), "--epochs", "1", "--quiet"]) == 0
    assert not (output / LOCK).exists()
