"""`pinn check --fix`: each defect alone and with each other, and what it refuses to write."""

from itertools import combinations

import numpy as np
import pytest
from npz_files import write

from pinn import cli
from pinn.check import Finding, Report, mend
from pinn.io.load import load
from pinn.simulate import SimulateConfig, simulate

MADE = simulate(SimulateConfig(N=32, n_frames=60, seed=2, object="leaves", photons_per_frame=2e5))
COUNTS, PLACES = MADE.frames().astype(np.float64), MADE.positions_px
M, N = COUNTS.shape[:2]
SHIFT = (3, -4)
# Pixels of the clean scan that its mask leaves out; what lies there is no light.
MASKED = np.zeros((N, N), bool)
MASKED[29] = MASKED[2:4, 8] = True

DEFECTS = ("mask polarity", "sentinel", "hot pixel", "off centre", "dark frame")
SETS = [*((one,) for one in DEFECTS), *combinations(DEFECTS, 2), DEFECTS]


def planted(path, defects, kind):
    """A file with defects, the options to read it with, frames and pixels that are to be left."""
    counts, valid, kept = COUNTS.copy(), ~MASKED, np.arange(M)
    counts[:, MASKED] = 7e4
    options = ["--bad-pixels", str(path.with_suffix(".mask.npy"))]
    bad = MASKED.copy()
    if "hot pixel" in defects:
        counts[:, 6, 25] = 3e5
        valid[6, 25] = False
    if "dark frame" in defects:
        lit = counts[11] == counts[12]  # what does not change stays
        counts[11] = np.where(lit | (counts.max(0) >= 3e5), counts[11], 0)
        kept = np.delete(kept, 11)
    if kind == "amplitude":
        counts = np.sqrt(counts)
    if "sentinel" in defects:
        counts[:, :, 20:22] = np.sqrt(2.0**32 - 1) if kind == "amplitude" else 2**32 - 1
        counts[:, 13, 9] = np.sqrt(2.0**32 - 2) if kind == "amplitude" else 2**32 - 2
        valid[:, 20:22] = valid[13, 9] = False
    if "off centre" in defects:
        counts, bad = np.roll(counts, SHIFT, (1, 2)), np.roll(bad, SHIFT, (0, 1))
        valid[N - SHIFT[0] :] = valid[:, : -SHIFT[1]] = False
    np.save(options[1], ~bad if "mask polarity" in defects else bad)
    frames = counts if kind == "amplitude" else counts.astype(np.uint32)
    write(
        path,
        diff3d=frames,
        ycoords=PLACES[:, 0],
        xcoords=PLACES[:, 1],
        probeGuess=MADE.probe,
        objectGuess=None,
        scan_index=None,
    )
    return options, kept, valid


@pytest.mark.parametrize("kind", ["amplitude", "counts"])
@pytest.mark.parametrize("defects", SETS, ids=" and ".join)
def test_the_fixed_scan_is_the_clean_one_outside_the_mask(tmp_path, defects, kind, capsys):
    source, target = tmp_path / "scan.npz", tmp_path / "fixed.npz"
    options, kept, valid = planted(source, defects, kind)
    cli.run(["check", str(source), "--no-orientations", *options, "--fix", str(target)])
    told = capsys.readouterr().err
    if defects == ("sentinel",):
        assert "nothing to correct" in told
        scan = load(source, bad_pixels=options[1])
    else:
        scan = load(target)
    assert scan.units == kind
    np.testing.assert_allclose(scan.positions_px, PLACES[kept], atol=1e-9)
    amplitude, used = scan.read(np.arange(len(scan)))
    np.testing.assert_array_equal(used, np.broadcast_to(valid, used.shape))
    expected = np.where(valid, np.sqrt(COUNTS[kept]), 0)
    np.testing.assert_allclose(amplitude, expected, rtol=1e-6)
    if target.exists():
        assert cli.run(["check", str(target), "--no-orientations", "--fix", str(source)]) == 0
        assert "nothing to correct" in capsys.readouterr().err


def test_a_fix_that_leaves_out_most_frames_is_refused(tmp_path, capsys):
    source, target = tmp_path / "dark.npz", tmp_path / "fixed.npz"
    counts = COUNTS.astype(np.uint32)
    counts[5:45] = 0
    write(source, diff3d=counts, ycoords=PLACES[:, 0], xcoords=PLACES[:, 1], scan_index=None,
          probeGuess=MADE.probe, objectGuess=None)  # fmt: skip
    assert cli.run(["check", str(source), "--no-orientations", "--fix", str(target)]) == 2
    told = capsys.readouterr().err
    assert "40 of 60 frames would be left out" in told and "--drop-frames=5-44" in told
    assert not target.exists()


def test_a_fix_that_makes_it_worse_is_refused(tmp_path, capsys, monkeypatch):
    """The next check finds an error that was not there, or never has enough."""
    source, target = tmp_path / "scan.npz", tmp_path / "fixed.npz"
    options, *_ = planted(source, ("off centre",), "counts")
    line = ["check", str(source), "--no-orientations", *options, "--fix", str(target)]

    def found(finding):
        monkeypatch.setattr(mend, "check", lambda *_, **__: Report("scan", (), (finding,)))
        assert cli.run(line) == 2
        assert not target.exists()
        return capsys.readouterr().err

    told = found(Finding("error", "positions-unit", "no frame meets another"))
    assert "what comes out is worse: no frame meets another" in told and "--beam-centre" in told
    told = found(Finding("warning", "off-centre", "off", {"beam_centre": "3,4"}))
    assert "come to no end (--beam-centre=3,4, and then --beam-centre=3,4)" in told
