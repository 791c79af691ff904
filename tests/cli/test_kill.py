"""`pinn train` killed without warning at any moment: whatever is visible is whole, and goes on."""

import csv
import json
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from pinn import cli
from pinn.io.archive import read_archive
from pinn.io.lock import LOCK
from pinn.simulate import SimulateConfig, simulate_to_file

RESULTS = {"wts.h5.zip", "history.csv", "config.json", "loss.png", "samples.png", "best"}
PATIENCE = 900  # seconds until a child that does nothing is given up


def _words(folder, output, epochs, *more):
    words = ["--quiet", "train", folder / "scan.npz"]
    words += ["--output", output, "--epochs", epochs, "--n-groups", 8, "--batch-size", 4]
    words += ["--gridsize", 1, "--n-filters-scale", 1, "--keep-best", 2, "--deterministic"]
    return [str(word) for word in [*words, *more]]


def _train(folder, output, epochs, *more):
    command = [sys.executable, "-m", "pinn", *_words(folder, output, epochs, *more)]
    with (folder / "errors.txt").open("a") as errors:
        return subprocess.Popen(command, stderr=errors)


def _hidden(output):
    """Temporary files; the lock of a run is there as long as the run."""
    return [path for path in output.rglob(".*") if path.name != LOCK]


def _kill(child, output, saves, delay, writing):
    """SIGKILL after some archives more, then after a delay or while a file is being written."""
    # before the first archive there is a configuration, from which a run begins again
    wts = output / ("wts.h5.zip" if saves else "config.json")
    seen, last = 0, time.monotonic()
    before = wts.stat().st_mtime_ns if wts.exists() else 0
    interval, end = 0.1, time.monotonic() + PATIENCE
    while seen < max(saves, 1):
        assert child.poll() is None, "the child ended before it was killed"
        assert time.monotonic() < end
        now = wts.stat().st_mtime_ns if wts.exists() else 0
        if now != before:
            before, seen = now, seen + 1
            interval, last = time.monotonic() - last, time.monotonic()
        time.sleep(0.002)
    if writing:
        while not _hidden(output) and time.monotonic() < end:
            assert child.poll() is None
            time.sleep(0.0002)
    else:
        time.sleep(delay * min(interval, 1.0))
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL


def _check(output):
    """Everything under a final name is whole and fits together; returns the number of epochs."""
    assert {p.name for p in output.iterdir() if not p.name.startswith(".")} <= RESULTS
    if not (output / "wts.h5.zip").exists():
        return 0
    archive = read_archive(output)
    epochs = [row["epoch"] for row in archive.history]
    assert epochs == list(range(1, len(epochs) + 1)) and archive.optimizer is not None
    if (output / "history.csv").exists():  # written after the archive: at most a row behind
        rows = list(csv.DictReader((output / "history.csv").read_text().splitlines()))
        assert len(epochs) - len(rows) in (0, 1)
        for row, kept in zip(rows, archive.history, strict=False):
            assert float(row["loss"]) == kept["loss"]
    if (output / "config.json").exists():
        assert json.loads((output / "config.json").read_text())["train"]["keep_best"] == 2
    for path in (output / "best").glob("[!.]*"):
        best = read_archive(path)
        assert path.name == f"epoch_{len(best.history):04d}.h5.zip"
        assert best.history == archive.history[: len(best.history)]
    return len(epochs)


def _run_with_kills(folder, kills, epochs):
    simulate_to_file(
        SimulateConfig(N=16, object="lines", n_frames=40, photons_per_frame=1e5),
        folder / "scan.npz",
    )
    whole, killed = folder / "whole", folder / "killed"
    assert cli.run(_words(folder, whole, epochs)) == 0
    done = 0
    for number, (saves, delay, writing) in enumerate(kills):
        child = _train(folder, killed, epochs, *(["--resume"] if number else []))
        try:
            _kill(child, killed, saves, delay, writing)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        assert _check(killed) >= done + saves
        done = _check(killed)
    assert cli.run(_words(folder, killed, epochs, "--resume")) == 0
    assert _check(killed) == epochs
    assert _hidden(killed) == [], "what a killed writer left is cleared away"
    assert not (killed / LOCK).exists()
    assert {p.name for p in killed.rglob("*")} == {p.name for p in whole.rglob("*")}
    ours, theirs = read_archive(killed), read_archive(whole)
    for part in ("weights", "optimizer"):
        for name, array in getattr(theirs, part).items():
            # bitwise, as deterministic runs repeat on one machine
            np.testing.assert_array_equal(getattr(ours, part)[name], array, err_msg=name)
    for row, expected in zip(ours.history, theirs.history, strict=True):
        for column in ("loss", "val_loss", "learning_rate"):
            assert row.get(column) == expected.get(column)


def _kills(count, seed):
    draw = random.Random(seed)
    moments = [(draw.randint(1, 3), draw.random(), number % 2 == 0) for number in range(count - 1)]
    return [(0, 0.0, False), *moments]  # the first before anything is saved


def test_a_run_killed_twice_ends_as_one_that_was_not(tmp_path):
    _run_with_kills(tmp_path, _kills(2, 1), 6)


@pytest.mark.full
def test_a_run_killed_ten_times_ends_as_one_that_was_not(tmp_path):
    _run_with_kills(tmp_path, _kills(10, 2), 36)
