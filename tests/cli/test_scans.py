"""Training and reconstruction look at the scan before they begin, unless told not to."""

import pytest
from npz_files import write_npz

from pinn import cli
from pinn.simulate import SimulateConfig, simulate

MADE = simulate(SimulateConfig(N=16, n_frames=12, seed=1))


@pytest.fixture
def wide(tmp_path):
    """Positions forty times too large, and no probe."""
    places = MADE.positions_px * 40
    return write_npz(tmp_path / "wide.npz", MADE.frames(), places, frames_units="counts")


def test_training_stops_at_an_error_of_the_check(wide, tmp_path, capsys):
    line = ["train", str(wide), "--output", str(tmp_path / "run")]
    assert cli.run(line) == 2
    told = capsys.readouterr().err
    assert "wide.npz: neighbouring positions are" in told and "--no-check" in told
    assert not (tmp_path / "run").exists()
    assert cli.run([*line, "--no-check"]) == 2
    told = capsys.readouterr().err
    assert "neighbouring positions are" not in told.split("Error:")[1]
    assert "nearest frames spans" in told


def test_reconstruction_stops_before_it_opens_the_model(wide, tmp_path, capsys):
    line = ["reconstruct", str(wide), "--model", str(tmp_path), "--output", str(tmp_path / "out")]
    assert cli.run(line) == 2
    assert "neighbouring positions are" in capsys.readouterr().err.split("Error:")[1]
    assert cli.run([*line, "--no-check"]) == 2
    assert "wts.h5.zip" in capsys.readouterr().err.split("Error:")[1]


def test_a_file_of_options_can_say_so(wide, tmp_path, capsys):
    options = tmp_path / "options.toml"
    options.write_text("[train]\ncheck = false\n")
    line = ["train", str(wide), "--output", str(tmp_path / "run"), "--config", str(options)]
    assert cli.run(line) == 2
    assert "nearest frames spans" in capsys.readouterr().err
