"""The command that a run ends with: pasted as it is, it runs, and with the options of the run."""

import shlex
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from small import small_model

import pinn
import pinn.cli.interim
import pinn.cli.outputs
import pinn.cli.reconstruct
import pinn.cli.refine
from pinn import cli
from pinn.cli import advice
from pinn.cli.common import Common
from pinn.cli.options import Resolved
from pinn.config import RefineConfig
from pinn.progress import OVER, SETTLED, STOPPED
from pinn.simulate import SimulateConfig, simulate_to_file

QUICK = ["--lbfgs-iterations", "0", "--no-split-half"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a space in its name, and a scan in it."""
    folder = tmp_path_factory.mktemp("a place")
    simulate_to_file(SimulateConfig(N=16, object="lines", n_frames=40), folder / "my scan.npz")
    return folder


@pytest.fixture
def here(place, monkeypatch):
    """The commands, in that folder, without the pictures that take their time."""
    monkeypatch.chdir(place)
    pictures = ("amplitude", "phase", "trust", "comparison", "frc", "loss", "probe")
    for module in ("outputs", "interim", "refine"):
        for name in pictures:
            monkeypatch.setattr(
                f"pinn.cli.{module}.write_{name}", lambda *_, **__: None, raising=False
            )


def pasted(told):
    """The words of the command in what a run said."""
    (line,) = [line for line in told.splitlines() if line.startswith("  pinn refine ")]
    return shlex.split(line)[1:]


def test_refinement_that_used_all_its_epochs_names_the_command_that_goes_on(here, capsys):
    with open("all.toml", "w") as file:
        file.write("[refine]\nprobe_modes = 2\nheld_out = 0.05\n")
    line = ["refine", "my scan.npz", "--output", "one", "--epochs", "2", *QUICK]
    reading = ["--drop-frames", "0-2", "--orientation=-y+x", "--config", "all.toml", "--no-check"]
    assert cli.run([*line, *reading]) == 0
    told = capsys.readouterr().err
    assert "all its epochs were used; to go on for roughly 1 s:" in told
    again = pasted(told)
    assert "--drop-frames=0-2" in again and "--epochs=4" in again and "--no-check" in again
    assert cli.run(again) == 0, capsys.readouterr().err
    done = pinn.load_reconstruction("one")
    assert done.statistics["refinement"]["epochs"] == 4
    assert len(done.probe) == 2 and len(done.positions_px) == 37


def test_reconstruction_names_the_refinement_that_starts_from_it(here, capsys):
    model = small_model(pinn.load("my scan.npz"))
    model.save("run/wts.h5.zip")
    line = ["reconstruct", "my scan.npz", "--model", "run", "--output", "out"]
    assert cli.run([*line, "--drop-frames", "0-2"]) == 0
    told = capsys.readouterr().err
    assert "refinement makes the picture sharper; that takes roughly" in told
    words = pasted(told)
    assert cli.run([*words, "--epochs", "1", *QUICK]) == 0, capsys.readouterr().err
    done = pinn.load_reconstruction("out-refined")
    assert done.statistics["refinement"]["started_from"] == "a reconstruction"
    assert len(done.positions_px) == 37


@pytest.mark.parametrize(
    ("ended", "options", "iterations", "said"),
    [
        (SETTLED, {}, 20, "the likelihood no longer improves: more epochs will not help"),
        (SETTLED, {}, 60, "all iterations of L-BFGS were used; to go on for roughly 5 min:"),
        (OVER, {"seconds": 30.0}, 0, "the time limit ended it; to go on for roughly 60 s:"),
        (STOPPED, {}, 0, ""),
    ],
)
def test_what_is_said_depends_on_why_it_ended(ended, options, iterations, said):
    rows = [{"seconds": s} for s in (30.0, *[2.0] * 19)]
    recon = SimpleNamespace(
        statistics={
            "refinement": {"ended": ended, "lbfgs_iterations": iterations}, "history": rows,
        }
    )  # fmt: skip
    values = {name: field.default for name, field in RefineConfig.model_fields.items()} | options
    sources = {name: "command line" if name in options else "default" for name in values}
    given = Resolved(values, sources, dict.fromkeys(values, RefineConfig))
    with cli.app.pinn.make_context("pinn", ["info"]):
        told = advice.after_refinement(Common(), "s.npz", recon, given, {"output": "out"})
    assert told.splitlines()[:1] == [said][: bool(said)]
    if options:
        assert pasted(told) == ["refine", "s.npz", "--seconds=60", "--output=out", "--resume"]


@pytest.mark.parametrize(("frames", "where"), [(0, "0"), (8, "1, before its end")])
def test_a_refinement_stopped_in_its_first_epoch_says_so_and_is_marked(
    here, monkeypatch, capsys, frames, where
):
    asked = cli.refine.StopOnSignal.__call__

    def stop(self, progress):
        self.asked = progress.stage == "refine" and progress.done >= frames
        asked(self, progress)

    monkeypatch.setattr(cli.refine.StopOnSignal, "__call__", stop)
    assert cli.run(["refine", "my scan.npz", "--output", "stopped", "--batch-size", "8"]) == 130
    told = capsys.readouterr().err
    made = "a part of the first" if frames else "the start"
    assert f"no epoch was finished: the picture is made from {made}; again:" in told
    assert (f"stopped on request, after {frames} of" in told) == (frames > 0)
    assert pasted(told)[-1] == "--resume"
    left = pinn.load_reconstruction("stopped")
    assert left.statistics["unfinished"] == f"stopped at epoch {where}"
    with h5py.File("stopped/reconstruction.h5") as h5:
        assert h5["pinn"].attrs["unfinished"] == f"stopped at epoch {where}"


def test_an_interrupted_reconstruction_leaves_what_is_stitched_by_then(here, monkeypatch, capsys):
    asked = cli.reconstruct.StopOnSignal.__call__

    def stop(self, progress):
        self.asked = True
        asked(self, progress)

    monkeypatch.setattr(cli.reconstruct.StopOnSignal, "__call__", stop)
    scan = pinn.load("my scan.npz")
    small_model(scan).save("part/wts.h5.zip")
    line = ["reconstruct", "my scan.npz", "--model", "part", "--output", "cut"]
    assert cli.run([*line, "--batch-size", "8"]) == 130
    told = capsys.readouterr().err
    assert f"8 of {len(scan)} frames are in the picture; run it again for all" in told
    assert "refinement makes" not in told
    left = pinn.load_reconstruction("cut")
    assert left.statistics["unfinished"] == f"stopped at 8 of {len(scan)} frames"
    assert left.verdict.startswith("unfinished, stopped at 8 of")
    assert len(left.positions_px) == 8 and np.ptp(np.abs(left.object)) > 0
    assert Path("cut/metrics.json").exists()


@pytest.mark.parametrize("written", [False, True])
def test_an_interruption_at_once_says_what_there_is(here, monkeypatch, capsys, written):
    def refine(*_, watch, **__):
        watch.written = int(written)
        raise KeyboardInterrupt

    monkeypatch.setattr(pinn, "refine", refine)
    assert cli.run(["refine", "my scan.npz", "--output", "gone"]) == 130
    said = "gone holds the last picture before the end, marked unfinished"
    assert (said if written else "nothing was written yet") in capsys.readouterr().err
