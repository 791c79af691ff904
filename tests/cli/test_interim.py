"""What an interrupted run leaves: the best so far, marked unfinished, and not too often."""

import json
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from small import small_model, small_scan

import pinn
from pinn import cli
from pinn.cli import interim as module
from pinn.cli.interim import SHARE, Interim
from pinn.io.product import load_reconstruction
from pinn.progress import Deadline
from pinn.simulate import SimulateConfig, simulate_to_file

PICTURES = {"amplitude.png", "phase.png", "loss.png", "probe.png", "history.csv"}


def mark(folder):
    with h5py.File(folder / "reconstruction.h5") as h5:
        return h5["pinn"].attrs.get("unfinished")


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    path = tmp_path_factory.mktemp("interim") / "scan.npz"
    simulate_to_file(SimulateConfig(N=16, object="lines", n_frames=60), path)
    return path


def test_a_killed_refinement_leaves_the_best_so_far(scan, tmp_path, capsys):
    output = tmp_path / "out"
    line = [sys.executable, "-m", "pinn", "--quiet", "refine", str(scan), "--output", str(output)]
    child = subprocess.Popen([*line, "--epochs", "100000", "--patience", "100000"])
    try:
        end = time.monotonic() + 300
        while not all((output / name).exists() for name in (*PICTURES, "refinement.h5")):
            assert child.poll() is None and time.monotonic() < end
            time.sleep(0.02)
    finally:
        child.kill()
        child.wait()
    left = load_reconstruction(output)
    assert mark(output) == left.statistics["unfinished"] and mark(output).startswith("epoch ")
    assert left.verdict.startswith(f"unfinished, {mark(output)}: ")
    assert np.ptp(np.abs(left.object[left.valid_mask])) > 0.01  # no flat object any more
    assert not (output / "metrics.json").exists()

    epochs = json.loads(json.dumps(left.statistics["refinement"]["epochs"])) + 1
    done = ["--resume", "--epochs", str(epochs), "--patience", "100000", "--no-split-half"]
    line = ["--quiet", "refine", str(scan), "--output", str(output), "--lbfgs-iterations", "0"]
    assert cli.run([*line, *done]) == 0, capsys.readouterr().err
    assert mark(output) is None and (output / "metrics.json").exists()
    whole = load_reconstruction(output)
    assert "unfinished" not in whole.statistics and "unfinished" not in whole.verdict
    assert not list(output.glob(".*")), "what the killed run left is gone"


def test_pictures_say_that_they_are_unfinished(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("pinn.plots.pictures.save", lambda figure, *_: said.append(figure))
    seen = []
    recon = pinn.refine(small_scan(), epochs=2, watch=seen.append, split_half=False)
    for one in (*seen[:2], recon):
        Interim(tmp_path, soon=True)(one)
    titles = [figure.axes[0].get_title() for figure in said]
    assert len(titles) == 6
    assert all("\nunfinished, epoch 1" in title for title in titles[:2])
    assert all("\nunfinished, epoch 2" in title for title in titles[2:4])
    assert not any("unfinished" in title for title in titles[4:])


class Clock:
    now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    for name in ("write_amplitude", "write_phase"):
        monkeypatch.setattr(module, name, lambda *_, **__: None)
    return clock


class Slow:
    """A result that takes three seconds to write."""

    def __init__(self, clock):
        self._clock = clock

    def save(self, path):
        self._clock.now += 3.0


@pytest.mark.parametrize("soon", [True, False])
def test_a_twentieth_of_the_time_goes_into_it(clock, tmp_path, soon):
    interim, when = Interim(tmp_path, soon), []
    while clock.now < 2000:
        clock.now += 0.5  # an epoch
        if interim.due():
            when.append(clock.now)
            interim(Slow(clock))
    # the first comes as soon as the run is not a brief one, the others when they may
    assert when[0] == (2.0 if soon else 20.0)
    assert len(when) > 20
    for number, moment in enumerate(when[1:], 2):
        assert 3.0 * number <= SHARE * moment + 1e-9


def test_writing_the_result_is_expected_to_take_as_long_as_what_was_written(
    clock, tmp_path, monkeypatch
):
    def draw(*_, **__):
        clock.now += 2.0

    for name in ("write_amplitude", "write_phase"):
        monkeypatch.setattr(module, name, draw)
    deadline = Deadline(1000.0, lambda: clock.now)
    interim = Interim(tmp_path, True, deadline=deadline, panels=3)
    clock.now = 2.0
    assert interim.due()
    interim(Slow(clock))
    assert deadline.writing == 3.0 + 2 * 2.0 + 3 * 2.0
    clock.now = 1000.0 - deadline.writing - 6.0
    assert not interim.due()  # no time for another one
    clock.now = 994.0
    assert interim.time_for(3) and not interim.time_for(4)


@pytest.mark.one_backend
def test_pictures_that_there_is_no_time_for_are_left_out_with_a_note(tmp_path):
    from pinn.cli.outputs import write_results

    scan = small_scan()
    recon = pinn.refine(scan, epochs=1, lbfgs_iterations=0, split_half=False)
    (tmp_path / "trust.png").touch()
    metrics = write_results(tmp_path, recon, scan, lambda panels: panels > 3)
    assert metrics["notes"][-1] == "the time was over; not drawn: trust.png"
    left = {path.name for path in tmp_path.iterdir()}
    assert "trust.png" not in left and {"amplitude.png", "phase.png", "metrics.json"} <= left


def test_a_reconstruction_is_asked_before_anything_is_made_for_it(tmp_path):
    scan = small_scan()
    model = small_model(scan, 1)
    seen = []

    class Watch:
        asked = 0

        def due(self):
            self.asked += 1
            return self.asked == 2

        def __call__(self, recon):
            seen.append(recon)

    watch = Watch()
    recon = pinn.reconstruct(scan, model, batch_size=4, watch=watch)
    assert watch.asked == 3 and len(seen) == 1
    assert seen[0].statistics["unfinished"] == "20 of 40 frames"
    assert seen[0].verdict.startswith("unfinished, 20 of 40 frames")
    assert "unfinished" not in recon.statistics and "unfinished" not in recon.verdict
    seen[0].save(tmp_path)
    assert mark(tmp_path) == "20 of 40 frames"
    recon.save(tmp_path)
    assert mark(tmp_path) is None
