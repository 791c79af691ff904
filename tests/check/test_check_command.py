"""`pinn check` on the command line, its files, and the short check before other work."""

import json

import numpy as np
import pytest
from npz_files import write_npz

from pinn import cli
from pinn.check import Finding, Report, check, options_text
from pinn.check.cost import MEASURED, costs, work
from pinn.check.places import layout
from pinn.check.report import proposed
from pinn.cli.common import Common
from pinn.cli.scans import stop_at_errors
from pinn.config import ScanConfig
from pinn.data.frames import ArrayFrames
from pinn.data.masks import and_mask
from pinn.data.scan import Scan
from pinn.errors import ConfigError, ScanError
from pinn.io.load import load
from pinn.simulate import SimulateConfig, simulate

RECIPE = SimulateConfig(
    N=32, n_frames=70, seed=3, object="leaves", probe="defocused", aberration=3.0
)
MADE = simulate(RECIPE)
COUNTS = MADE.frames()
UNITS = {"frames_units": "counts"}


@pytest.fixture
def good(tmp_path):
    return write_npz(tmp_path / "good.npz", COUNTS, MADE.positions_px, probe=MADE.probe, **UNITS)


@pytest.fixture
def spoilt(tmp_path):
    """y and x swapped, two hot pixels, three dark frames, a stray position."""
    counts = COUNTS.copy()
    counts[:, 4, 25] = counts[:, 27, 3] = 60000
    counts[[7, 8, 30]] = 0
    places = MADE.positions_px[:, ::-1].copy()
    places[50] = (20000, 5)
    return write_npz(tmp_path / "spoilt.npz", counts, places, probe=MADE.probe, **UNITS)


def test_a_good_scan(good, tmp_path, capsys):
    out = tmp_path / "report.json"
    assert cli.run(["check", str(good), "--json", str(out)]) == 0
    printed, told = capsys.readouterr()
    for word in ("Scan good", "PtychoPINN NPZ", "70 of 32 x 32 px", "Positions against frames"):
        assert word in printed
    assert "0 errors, 0 warnings, 1 remark" in printed and "to be copied" not in printed
    assert "trying orientations" in told
    found = json.loads(out.read_text())
    assert found["facts"]["frames"]["value"] == [70, 32, 32]
    assert found["orientation"]["decided"] and found["orientation"]["best"] == "as given"
    assert found["options"] == {} and found["bad_pixels"] is None
    assert found["costs"]["train"]["value"]["seconds"] > 0
    assert [f["code"] for f in found["findings"]] == ["orientation"]
    # The probe tells the member: nothing else is as likely.
    same = found["orientation"]["equally_likely_members"]
    assert same == [{"orientation": "+y+x", "flip_frames": "none"}]


def test_a_spoilt_scan_is_mended(spoilt, tmp_path, capsys):
    fixed = tmp_path / "fixed.npz"
    out = tmp_path / "report.json"
    assert cli.run(["check", str(spoilt), "--fix", str(fixed), "--json", str(out)]) == 2
    # The stray frame takes no part: a region with it would be as large as it is far.
    assert json.loads(out.read_text())["orientation"]["frames"] == 66
    printed, told = capsys.readouterr()
    line = next(line for line in printed.splitlines() if line.startswith("  --"))
    assert set(line.split()) == {"--orientation=+x+y", "--drop-frames=7-8,30,50"}
    assert f"wrote {fixed}: {line.strip()}" in told or "2 bad pixels masked" in told
    scan = load(fixed)
    kept = np.setdiff1d(np.arange(70), [7, 8, 30, 50])
    np.testing.assert_allclose(scan.positions_px, MADE.positions_px[kept])
    assert not scan.valid_mask[4, 25] and not scan.valid_mask[27, 3]
    assert np.count_nonzero(~scan.valid_mask) == 2
    amplitude, valid = scan.read(np.arange(len(scan)))
    np.testing.assert_allclose(amplitude[valid] ** 2, COUNTS[kept][valid], rtol=1e-5)
    assert check(scan, orientation=False).errors == ()


def test_nothing_to_mend_writes_nothing(good, tmp_path, capsys):
    out = tmp_path / "fixed.npz"
    line = ["check", str(good), "--fix", str(out), "--no-orientations"]
    assert cli.run(line) == 0
    assert not out.exists() and "nothing to correct" in capsys.readouterr().err


def test_options_are_those_of_reading_and_proposals_come_on_top(good, capsys):
    assert cli.run(["check", str(good), "--orientation=-x+y", "--quiet"]) == 2
    printed, told = capsys.readouterr()
    assert told == ""
    assert "  --orientation=+y+x" in printed.splitlines()


def test_a_mask_is_written_as_the_frames_of_the_file_lie(spoilt, tmp_path, capsys):
    mask = tmp_path / "bad.npy"
    line = ["check", str(spoilt), "--no-orientations", "--write-bad-pixels", str(mask)]
    cli.run(line)
    assert np.argwhere(np.load(mask)).tolist() == [[4, 25], [27, 3]]
    again = load(spoilt, bad_pixels=mask, drop_frames="7-8,30,50")
    assert "hot-pixels" not in {f.code for f in check(again, orientation=False).findings}
    # Stored corner-centred, the mask lies so too.
    with np.load(spoilt) as file:
        parts = {name: file[name] for name in file.files if name != "metadata"}
    parts["diff3d"] = np.fft.ifftshift(parts["diff3d"], (1, 2))
    corner = tmp_path / "corner.npz"
    np.savez(corner, **parts)
    cli.run(["check", str(corner), *line[2:]])
    assert np.argwhere(np.load(mask)).tolist() == [[11, 19], [20, 9]]
    capsys.readouterr()
    assert cli.run([*line, "--flip-frames", "ud"]) == 2
    assert "cannot be made while they are changed (flip_frames)" in capsys.readouterr().err


@pytest.mark.parametrize("polarity", ["bad", "good"])
def test_a_mask_is_written_with_the_one_that_was_given(spoilt, tmp_path, capsys, polarity):
    """The written file takes the place of the given one, so it must hold both."""
    old, new = tmp_path / "old.npy", tmp_path / "new.npy"
    given = np.zeros((32, 32), bool)
    given[4, 25] = given[9, 9] = True
    np.save(old, given if polarity == "bad" else ~given)
    line = ["check", str(spoilt), "--no-orientations", f"--bad-pixels-polarity={polarity}"]
    cli.run([*line, "--bad-pixels", str(old), "--write-bad-pixels", str(new)])
    told = capsys.readouterr().err
    paste = f"--bad-pixels={new} --bad-pixels-polarity={polarity}"
    assert paste in told and "3 bad pixels" in told
    options = ScanConfig(bad_pixels=new, bad_pixels_polarity=polarity)
    bad = ~load(spoilt, options).valid_mask
    assert np.argwhere(bad).tolist() == [[4, 25], [9, 9], [27, 3]]


def test_a_file_that_is_no_scan_gives_a_sentence(tmp_path, capsys):
    path = tmp_path / "notes.npz"
    path.write_text("not a scan")
    assert cli.run(["check", str(path)]) == 2
    assert "is of no known format" in capsys.readouterr().err


def test_a_thorough_check_looks_at_every_frame():
    """A flash in the one frame that a spread over the scan leaves out."""
    M = 60
    rng = np.random.default_rng(0)
    counts = rng.poisson(COUNTS[:M].astype(float)).astype(np.uint16)
    scan = Scan(counts, MADE.positions_px[:M], probe=MADE.probe)
    from pinn.check.look import look

    few, every = look(scan, 20), look(scan, None)
    assert len(few.rows) == 20 and len(every.rows) == M
    np.testing.assert_allclose(every.mean, counts.mean(0), rtol=1e-5)
    np.testing.assert_allclose(every.variance, counts.var(0), rtol=1e-3, atol=1e-2)
    assert every.largest == counts.max()


def test_proposals_join_and_the_severer_wins():
    findings = [
        Finding("remark", "a", "a", {"photons_per_frame": 5.0}),
        Finding("warning", "b", "b", {"drop_frames": "3,9", "frames": "counts"}),
        Finding("error", "c", "c", {"drop_frames": "9-11", "frames": "intensity"}),
    ]
    assert proposed(findings) == {"drop_frames": "3,9-11", "frames": "intensity"}
    report = Report("x", (), tuple(findings))
    assert [f.code for f in report.errors] == ["c"]


def test_options_can_be_pasted():
    options = {"orientation": "-y+x", "drop_frames": "1,2", "saturation": 4095.0}
    assert options_text(options) == "--orientation=-y+x --drop-frames=1,2 --saturation=4095"
    assert options_text({"saturation": 16777215.0}) == "--saturation=16777215"
    # To the last bit: rounded up, no value would reach it.
    for level in (511.999755859375, float(np.float32(0.1)), 1 / 3, 5e-324, 4294967295.0):
        assert float(options_text({"saturation": level}).split("=")[1]) == level


def test_errors_stop_other_work_and_warnings_are_told(capsys):
    wide = Scan(COUNTS, MADE.positions_px * 40, probe=MADE.probe, name="wide")
    with pytest.raises(ScanError, match=r"no frame meets another.*--no-check"):
        stop_at_errors(Common(), [wide], ScanConfig())
    dark = COUNTS.copy()
    dark[3] = 0
    fine = Scan(dark, MADE.positions_px, probe=MADE.probe, name="fine")
    stop_at_errors(Common(), [fine], ScanConfig())
    told = capsys.readouterr().err
    assert told == "fine: warning: frame 3 is without a count [--drop-frames=3]\n"
    stop_at_errors(Common(quiet=True), [fine], ScanConfig())
    assert capsys.readouterr().err == ""


def test_an_error_names_what_would_mend_it():
    metres = Scan(COUNTS, MADE.positions_px * 1e-2, probe=MADE.probe, pixel_size_m=1e-8)
    with pytest.raises(ScanError, match=r"try --positions-unit=um"):
        stop_at_errors(Common(), [metres], ScanConfig())


def test_costs_grow_with_the_work_and_differ_between_backends():
    assert work(64, 4) == pytest.approx(1.0)
    assert 1.2 < work(128, 4) < 4.5  # between linear and quadratic in N
    assert 1.5 < work(64, 4, 2) < 4
    scan = Scan(COUNTS, MADE.positions_px, probe=MADE.probe)
    seconds = {
        name: next(f for f in costs(scan, layout(scan), name)[0] if f.name == "train").value
        for name in MEASURED
    }
    assert len({round(value["seconds"], 3) for value in seconds.values()}) == len(MEASURED)


def test_an_object_that_no_memory_holds_is_an_error():
    places = MADE.positions_px * 1.0
    places[:, 0] *= 4e5
    scan = Scan(COUNTS, places, probe=MADE.probe)
    _, findings = costs(scan, layout(scan))
    assert [(f.severity, f.code) for f in findings] == [("error", "memory")]


def test_a_mask_is_added_to_any_mask():
    valid = np.ones((32, 32), bool)
    valid[3, 4] = False
    each = np.ones((70, 32, 32), bool)
    each[9, 5, 5] = False
    for before in (None, each[9], each, ArrayFrames(each)):
        scan = Scan(COUNTS, MADE.positions_px, valid_mask=before)
        scan.valid_mask = and_mask(scan.valid_mask, valid)
        used = scan.read([9])[1][0]
        assert not used[3, 4]
        assert used[5, 5] == (before is None)


def test_the_check_of_a_file_gives_the_file_back(good):
    report = check(good, orientation=False)
    assert report.name == "good" and report.orientation is None
    good.unlink()  # nobody holds it
    assert check(Scan(COUNTS, MADE.positions_px, probe=MADE.probe), orientation=False).facts


def test_an_unknown_option_is_refused():
    with pytest.raises(ConfigError, match="nonsense"):
        check(Scan(COUNTS, MADE.positions_px), nonsense=1)


def test_a_probe_is_written_that_can_be_read_back(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("pinn.check.first_probe._FRAMES", 24)
    monkeypatch.setattr("pinn.check.first_probe._LAST", 2)
    bare = write_npz(tmp_path / "bare.npz", COUNTS, MADE.positions_px, **UNITS)
    file = tmp_path / "probe.npz"
    line = ["check", str(bare), "--no-orientations", "--write-probe", str(file)]
    assert cli.run(line) == 0
    told = capsys.readouterr()
    assert "--write-probe FILE" in told.out and "--probe-defocus-m" in told.out
    assert f"read it with --probe={file}" in told.err
    scan = load(bare, probe=file)
    assert np.sum(np.abs(scan.probe) ** 2) == pytest.approx(scan.statistics().mean_counts, rel=0.1)
    wrong = write_npz(tmp_path / "wide.npz", COUNTS, 40 * MADE.positions_px, **UNITS)
    none = tmp_path / "none.npz"
    assert cli.run(["check", str(wrong), "--no-orientations", "--write-probe", str(none)]) == 2
    assert f"{none} was not written" in capsys.readouterr().err and not none.exists()
