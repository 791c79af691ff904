"""Frames that are one or two places out of step with their positions."""

import numpy as np
import pytest
from npz_files import write_npz

from pinn.check import Report, mend
from pinn.check.geometry import orientation_findings
from pinn.check.lateness import _partners, rank_lateness
from pinn.check.orientation import ClassScore, Orientation
from pinn.check.regions import central_side
from pinn.check.symmetry import Choice
from pinn.config import ScanConfig
from pinn.data.fourier import corner
from pinn.data.pattern_probe import mean_pattern
from pinn.data.scan import Scan
from pinn.io.load import load
from pinn.ops.forward import instrument
from pinn.simulate import SimulateConfig, simulate

MADE = simulate(
    SimulateConfig(N=32, n_frames=70, seed=3, object="leaves", probe="defocused", pattern="random")
)
COUNTS = MADE.frames()


@pytest.fixture
def quick(monkeypatch):
    """Few frames and sweeps; the shift is told by far."""
    monkeypatch.setattr("pinn.check.lateness._FRAMES", 32)
    monkeypatch.setattr("pinn.check.lateness._ROUNDS", ((2, 2), (4, 1)))
    monkeypatch.setattr("pinn.check.lateness.SHIFTS", (1,))


def late(by):
    """A scan whose frames come `by` places too late."""
    return Scan(np.roll(COUNTS, by, 0), MADE.positions_px, units="counts")


def told(scan):
    mean = mean_pattern(scan)
    assert central_side(mean) == scan.N
    every, good = np.arange(len(scan)), np.ones(mean.shape, bool)
    through = instrument(scan.propagation, scan.detector_response)
    return rank_lateness(scan, every, every, good, 0, None, corner(mean), through)


def test_partners_are_told_by_numbers_of_the_file():
    frames, places = _partners(np.array([0, 1, 3, 4, 5]), 1)
    assert frames.tolist() == [1, 3, 4] and places.tolist() == [0, 2, 3]


def test_the_shift_is_found_and_mended(quick, tmp_path, monkeypatch, capsys):
    found = told(late(1))
    assert found.frames == 1
    assert found.r_factor < 0.7 * found.given_r_factor
    # The rest of the way, without the fits: the finding, its option, and the corrected file.
    turned = dict(best=0, decided=True, members=(Choice("+y+x", "none"),), scale=None, late=found)
    turned |= dict(classes=(), rivals=(), agreement=(1, 1), member_margin=None, probe="none")
    turned |= dict(free_r_factor=0.2, probe_r_factor=None, frames=32, side=32, seconds=0.0)
    bad = Orientation(**turned, noise=0.01)
    assert not bad.unexplained
    (finding,) = orientation_findings(bad, late(1), ScanConfig())
    assert (finding.severity, finding.code) == ("error", "frames-late")
    assert finding.options == {"frames_late": 1}
    path, fixed = tmp_path / "late.npz", tmp_path / "fixed.npz"
    write_npz(
        path, np.roll(COUNTS, 1, 0), MADE.positions_px, probe=MADE.probe, frames_units="counts"
    )
    report = Report("late", (), (finding,))
    assert mend.write_fixed(report, path, ScanConfig(), fixed).options == {"frames_late": 1}
    scan = load(fixed)
    np.testing.assert_array_equal(scan.positions_px, MADE.positions_px[:-1])
    np.testing.assert_allclose(scan.read([0, 5])[0] ** 2, COUNTS[[0, 5]], rtol=1e-5)


def test_none_is_found_where_frames_are_in_step(quick):
    assert told(late(0)) is None


@pytest.mark.parametrize(
    ("best", "other", "noise", "told"),
    [(0.175, 0.18, 0.016, True), (0.12, 0.25, 0.01, False), (0.02, 0.025, 0.016, False)]
    + [(0.175, 0.18, None, False)],
)
def test_frames_that_nothing_explains_are_told(best, other, noise, told):
    classes = tuple(ClassScore("", (), r, 0.0) for r in (best, other, other, other))
    found = Orientation(
        classes, 0, not told, (1,), (1, 1), (Choice("+y+x", "none"),), None, "none", best, None,
        None, 32, 32, 0.0, noise=noise,
    )  # fmt: skip
    codes = [finding.code for finding in orientation_findings(found, late(0), ScanConfig())]
    assert ("frames-unexplained" in codes) == told
