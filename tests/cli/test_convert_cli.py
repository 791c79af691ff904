"""`pinn convert` on the command line."""

import json

import numpy as np
import pytest
from npz_files import write_npz

from pinn import cli
from pinn.io.load import load

M, N = 12, 16
RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(9, (M, N, N)).astype(np.uint16)
PLACES = RNG.uniform(20, 90, (M, 2))


@pytest.fixture
def source(tmp_path):
    return write_npz(tmp_path / "in.npz", COUNTS, PLACES, frames_units="counts")


def test_a_scan_is_converted_with_options_and_a_file_of_options(tmp_path, source, capsys):
    options = tmp_path / "options.toml"
    options.write_text('[convert]\nflip-frames = "lr"\n[train]\nepochs = 3\n')
    out = tmp_path / "out.npz"
    line = ["convert", str(source), str(out), "--config", str(options), "--drop-frames", "0-2"]
    assert cli.run([*line, "--orientation", "-y+x"]) == 0
    told = capsys.readouterr().err
    assert f"wrote {out}: 9 frames of 16 x 16, counts" in told
    assert "in.npz: prepared: drop_frames (frames 0-2)" in told
    assert "convert 100 %  9/9" in told
    scan = load(out)
    assert [step["step"] for step in scan.steps] == ["drop_frames", "flip_frames", "orient"]
    np.testing.assert_array_equal(scan.positions_px, PLACES[3:] * (-1, 1))
    assert json.loads(str(np.load(out)["metadata"]))["steps"] == list(scan.steps)


def test_quiet_says_nothing(tmp_path, source, capsys):
    assert cli.run(["convert", str(source), str(tmp_path / "o.npz"), "--quiet"]) == 0
    captured = capsys.readouterr()
    assert captured.err == captured.out == ""


def test_the_format_by_option(tmp_path, source):
    out = tmp_path / "out.scan"
    assert cli.run(["convert", str(source), str(out), "--to", "npz"]) == 0
    assert len(load(out)) == M


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        (["in.npz"], "Missing argument 'OUT'"),
        (["in.npz", "out.npz", "--to", "tike"], "'tike' is not one of"),
        (["in.npz", "out.abc"], "tells no format to write; say --to"),
        (["in.npz", "in.npz"], "it is one of the files that are read"),
        (["none.npz", "out.npz"], "scan file none.npz does not exist; check the path"),
        (["in.npz", "out.npz", "--frame-size", "17"], "frame_size must be even, but is 17"),
        (["in.npz", "out.npz", "--format", "nzp"], "'nzp' is not one of"),
        (["in.npz", "out.npz", "--data-path", "x"], "data_path has no effect on PtychoPINN NPZ"),
    ],
)
def test_wrong_use_ends_with_two_and_a_sentence(source, monkeypatch, capsys, rest, message):
    monkeypatch.chdir(source.parent)
    assert cli.run(["convert", *rest]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told
    assert sorted(p.name for p in source.parent.iterdir()) == ["in.npz"]


def test_help_groups_the_options_under_headings(capsys):
    assert cli.run(["convert", "--help-all"]) == 0
    text = capsys.readouterr().out
    heads = [line for line in text.splitlines() if line.endswith(":") and line[0] != " "]
    assert heads == [
        "Options:", "Scan file:", "Scan geometry:", "Detector masks:", "Frame preparation:",
    ]  # fmt: skip
    assert text.index("--frames ") < text.index("geometry:") < text.index("--orientation")
    assert text.index("preparation:") < text.index("--frame-size")
    assert max(map(len, text.splitlines())) <= 90
