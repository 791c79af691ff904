"""The rotation of the positions against the detector: by the curl of the centres of mass, and by
fits."""

import re

import numpy as np
import pytest

from pinn.check import Finding, check, quick
from pinn.check.geometry import explained
from pinn.check.rotation import curls, derivatives, look_for_rotation
from pinn.data.prepare import orient
from pinn.data.scan import Scan
from pinn.errors import BackendError
from pinn.simulate import SimulateConfig, simulate

MADE = simulate(
    SimulateConfig(
        N=32, n_frames=90, seed=4, object="leaves", probe="defocused", pattern="fermat",
        aberration=3.0,
    )
)  # fmt: skip
CENTRED = MADE.positions_px - MADE.positions_px.mean(0)


def turned(angle):
    """A scan that is right once its positions are turned by `angle` from +x towards +y."""
    t = np.deg2rad(angle)
    y, x = CENTRED.T
    # the inverse, written out: from +y towards +x
    places = np.stack([y * np.cos(t) - x * np.sin(t), x * np.cos(t) + y * np.sin(t)], 1)
    np.testing.assert_allclose(orient(places, "+y+x", angle), CENTRED, atol=1e-9)
    return Scan(MADE.frames(), places, probe=MADE.probe, units="counts")


def gradient(places):
    """Of a phase without symmetry, as columns y, x."""
    y, x = places.T / 7.0
    return np.stack([2 * np.cos(2 * y + x) - np.sin(y), np.cos(2 * y + x) - 0.6 * x], 1)


def test_derivatives_of_a_plane_are_exact_and_a_line_tells_none():
    places = np.random.default_rng(0).uniform(0, 30, (80, 2))
    slope = np.array([[0.3, -1.2], [0.7, 0.1]])
    found = derivatives(places @ slope.T + 5.0, places)
    np.testing.assert_allclose(found, np.broadcast_to(slope, found.shape), atol=1e-9)
    line = np.stack([np.arange(80.0), np.zeros(80)], 1)
    assert not derivatives(line @ slope.T, line).any()


@pytest.mark.parametrize("angle", [-70.0, -25.0, 0.0, 40.0])
def test_a_gradient_tells_its_angle(angle):
    right = np.random.default_rng(1).uniform(0, 60, (600, 2))
    values = gradient(right)
    given = orient(right, "+y+x", -angle)
    found = curls(values, given)
    assert abs((found.plain.angle_deg - angle + 90) % 180 - 90) < 2
    assert found.plain.clear and found.plain.ratio < 0.5 * found.mirrored.ratio
    # With y turned round it is the mirror class that tells it.
    mirror = curls(values, given * [-1.0, 1.0])
    assert abs((mirror.mirrored.angle_deg - angle + 90) % 180 - 90) < 2
    assert mirror.mirrored.ratio < 0.5 * mirror.plain.ratio
    expected = {-70.0: 20.0, -25.0: -25.0, 0.0: None, 40.0: 40.0}[angle]
    for seen, sign in ((found, 1), (mirror, -1)):
        wanted = expected if expected is None else pytest.approx(sign * expected, abs=2)
        assert seen.suspected == wanted


def test_noise_tells_nothing():
    rng = np.random.default_rng(2)
    found = curls(rng.standard_normal((300, 2)), rng.uniform(0, 60, (300, 2)))
    assert found.suspected is None and not found.sure


def test_a_turned_scan_is_turned_back():
    """33 degrees and a quarter turn more or less: the angle says both."""
    report = check(turned(123.0), rotation_deg=-10.0)
    (finding,) = [f for f in report.findings if f.code == "orientation"]
    assert finding.severity == "error" and "turned against the detector" in finding.message
    assert set(report.options) == {"rotation_deg"}
    assert report.options["rotation_deg"] == pytest.approx(113.0, abs=2.0)
    assert report.orientation.angles[0].margin > 4


def test_a_right_scan_is_left_alone_without_a_fit():
    seen = look_for_rotation(turned(0.0))
    assert seen.suspected is None and not seen.sure
    assert look_for_rotation(turned(33.0)).suspected == pytest.approx(33.0, abs=6.0)
    few = turned(33.0).select(np.arange(20))
    assert look_for_rotation(few) is None


def test_without_a_backend_the_curl_is_a_remark(monkeypatch):
    def missing(*args, **options):
        raise BackendError("no backend is installed")

    monkeypatch.setattr("pinn.check.rank_orientations", missing)
    report = check(turned(33.0))
    (finding,) = [f for f in report.findings if f.code == "positions-rotation"]
    assert finding.severity == "remark" and report.options == {}
    assert finding.options["rotation_deg"] == pytest.approx(33.0, abs=6.0)
    assert [f for f in check(turned(0.0)).findings if f.code == "positions-rotation"] == []


def test_open_classes_are_not_told_beside_a_rotation():
    open_, other = Finding("remark", "orientation-open", ""), Finding("remark", "probe-poor", "")
    sure = [Finding("error", "positions-rotation", "", {"rotation_deg": 120.0})]
    unsure = [Finding("warning", "positions-rotation", "", {"rotation_deg": 120.0})]
    assert explained([open_, other], sure) == [other]
    assert explained([open_, other], unsure) == [open_, other] == explained([open_, other], [])


@pytest.mark.parametrize(
    ("angle", "told"), [(33.0, True), (-62.0, True), (0.0, False), (90.0, False)]
)
def test_the_quick_check_says_that_positions_look_turned(angle, told):
    # a quarter turn is an orientation, which the quick check does not try
    found = [f for f in quick(turned(angle)) if f.code == "positions-rotation"]
    assert len(found) == told
    if told:
        assert found[0].severity == "warning"  # work goes on
        numbers = [
            float(n) for n in re.findall(r"by (-?\d+) or (-?\d+) degrees", found[0].message)[0]
        ]
        # said in whole degrees; its standard error is three
        assert min(abs((n - angle + 180) % 360 - 180) for n in numbers) < 5
        assert "pinn check SCAN --fix" in found[0].message
