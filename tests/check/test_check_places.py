"""Overlap, units and strays of positions, against plain constructions."""

import h5py
import numpy as np
import pytest
from npz_files import write_npz

from pinn.check.places import area_overlap, layout, position_findings, stray_positions
from pinn.config import ScanConfig
from pinn.data.geometry import object_pixel_m, photon_wavelength_m
from pinn.data.scan import Scan
from pinn.io.load import load

N = 32
RNG = np.random.default_rng(8)


def grid(rows=8, columns=10, step=4.0):
    y, x = np.mgrid[:rows, :columns] * step
    return np.stack([y.ravel(), x.ravel()], 1) + 30.0


def disc_probe(diameter):
    """Uniform disc: its 4 sigma diameter is its diameter."""
    y, x = np.indices((N, N)) - N / 2 + 0.5
    return (y**2 + x**2 < (diameter / 2) ** 2).astype(complex)


def scan_at(positions, probe=None, **parts):
    counts = RNG.poisson(20, (len(positions), N, N))
    return Scan(counts, positions, probe=probe, units="counts", **parts)


def codes(scan, **options):
    config = ScanConfig(**options)
    return {f.code: f for f in position_findings(scan, config, layout(scan))}


@pytest.mark.parametrize("distance", [0.0, 1.0, 5.5, 9.9, 10.0, 30.0])
def test_area_overlap_counted_point_by_point(distance):
    y, x = (np.indices((1200, 1200)) / 1200 - 0.5) * 10
    first = y**2 + x**2 <= 25
    second = y**2 + (x - distance) ** 2 <= 25
    counted = np.count_nonzero(first & second) / np.count_nonzero(first)
    assert area_overlap(np.array(distance), 10.0) == pytest.approx(counted, abs=2e-3)


def test_layout_of_a_grid():
    found = layout(scan_at(grid(), disc_probe(16)))
    assert found.step == pytest.approx(4.0)
    assert found.span == (28.0, 36.0)
    assert found.canvas == (28 + N, 36 + N)
    assert found.diameter == pytest.approx(16, rel=0.02)
    assert found.linear == pytest.approx(1 - 4 / found.diameter)
    # Inside a square grid the six nearest are four at one step and two at sqrt 2; at the rim they
    # are further away.
    inside = (
        4 * area_overlap(np.array(4.0), found.diameter)
        + 2 * area_overlap(np.array(4 * np.sqrt(2)), found.diameter)
    ) / 6
    assert inside - 0.08 < found.area < inside
    assert layout(scan_at(grid())).linear is None


def test_a_place_that_comes_twice_counts_once():
    places = np.concatenate([grid(), grid()[:3]])
    scan = scan_at(places, disc_probe(16))
    found = layout(scan)
    assert found.places == 80 and found.step == pytest.approx(4.0)
    finding = codes(scan)["same-place"]
    assert finding.severity == "remark" and finding.options == {"duplicates": "drop"}


def test_an_ordinary_scan_is_not_remarked_upon():
    assert codes(scan_at(grid() + RNG.uniform(-1, 1, (80, 2)), disc_probe(16))) == {}


@pytest.mark.parametrize(("unit", "metres"), [("um", 1e-6), ("nm", 1e-9)])
def test_lengths_taken_for_pixels_are_recognised_by_the_pixel_size(unit, metres):
    pixel = 12e-9
    scan = scan_at(grid() * pixel / metres, disc_probe(16), pixel_size_m=pixel)
    finding = codes(scan)["positions-unit"]
    assert finding.severity == "error"
    assert finding.options == {"positions_unit": unit}
    right = scan_at(scan.positions_px * metres / pixel, disc_probe(16), pixel_size_m=pixel)
    assert codes(right, positions_unit=unit) == {}


def test_the_pixel_size_may_follow_from_the_experiment():
    energy, distance, detector = 8000.0, 2.0, 75e-6
    pixel = object_pixel_m(photon_wavelength_m(energy), distance, N, detector)
    known = {"energy_ev": energy, "distance_m": distance, "detector_pixel_m": detector}
    finding = codes(scan_at(grid() * pixel / 1e-9, disc_probe(16), **known))["positions-unit"]
    assert finding.options == {"positions_unit": "nm"}
    other = scan_at(grid() * pixel / 1e-9, disc_probe(16), **known, propagation="near")
    assert codes(other)["positions-unit"].options == {}  # nothing follows


def test_without_a_pixel_size_no_unit_is_proposed_but_asked_for():
    finding = codes(scan_at(grid() * 0.003, disc_probe(16)))["positions-unit"]
    assert finding.severity == "error" and finding.options == {}
    assert "--positions-unit" in finding.message and "--pixel-size-m" in finding.message


def test_steps_wider_than_a_frame_are_an_error_and_sparse_ones_a_warning():
    assert codes(scan_at(grid(step=50), disc_probe(16)))["positions-unit"].severity == "error"
    finding = codes(scan_at(grid(step=20), disc_probe(16)))["overlap-low"]
    assert finding.severity == "warning" and "do not overlap" in finding.message
    assert "overlap-low" not in codes(scan_at(grid(step=20)))  # nobody knows the probe


@pytest.mark.parametrize(
    ("factor", "code", "severity", "unit"),
    [(5.0, "overlap-low", "warning", "nm"), (0.07, "overlap-high", "warning", "nm")],
)
def test_an_unusual_overlap_is_no_reason_to_scale_positions(factor, code, severity, unit):
    """The unit that would make it usual is told in words, not proposed for --fix."""
    pixel = 4e-9 if factor > 1 else 0.07e-9
    scan = scan_at(grid() * factor, disc_probe(16), pixel_size_m=pixel)
    finding = codes(scan)[code]
    assert (finding.severity, finding.options) == (severity, {})
    assert f"in {unit} they would overlap as usual" in finding.message
    known = scan_at(grid() * factor, disc_probe(16), pixel_size_m=pixel, positions_from_m=True)
    assert "as usual" not in codes(known)[code].message


def test_a_rare_overlap_is_remarked_upon_only_if_another_unit_fits():
    places = grid() * 0.25  # 94 %
    assert codes(scan_at(places, disc_probe(16), pixel_size_m=5e-8)) == {}
    finding = codes(scan_at(places, disc_probe(16), pixel_size_m=4e-10))["overlap-high"]
    assert (finding.severity, finding.options) == ("remark", {})


def test_no_unit_is_guessed_where_the_reader_knew_it():
    places, given = grid(step=50.0), {"pixel_size_m": 12e-9}
    assert codes(scan_at(places, disc_probe(16), **given))["positions-unit"].options
    known = scan_at(places, disc_probe(16), positions_from_m=True, **given)
    finding = codes(known)["positions-unit"]
    assert finding.severity == "error" and finding.options == {}


def test_a_reader_says_whether_positions_were_lengths(tmp_path):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["frames"] = RNG.poisson(20, (80, N, N))
        file["places"] = grid() * 12e-9
        file["places"].attrs["units"] = "m"
    keys = {"format": "plain-hdf5", "data_path": "frames", "positions_path": "places"}
    scan = load(path, pixel_size_m=12e-9, **keys)
    np.testing.assert_allclose(np.ptp(scan.positions_px, axis=0), np.ptp(grid(), axis=0))
    assert scan.positions_from_m
    plain = tmp_path / "plain.npz"
    write_npz(plain, RNG.poisson(20, (80, N, N)), grid() * 12, frames_units="counts")
    assert not load(plain).positions_from_m
    assert load(plain, positions_unit="nm", pixel_size_m=12e-9).positions_from_m


@pytest.mark.parametrize("exposures", [2, 3, 20])
def test_exposures_of_one_place_differ_by_the_jitter_of_the_stage(exposures):
    """The step is that of the places; the jitter is a fraction of a percent of the probe."""
    jitter = np.random.default_rng(4).normal(0, 0.02, (80 * exposures, 2))
    scan = scan_at(np.repeat(grid(), exposures, 0) + jitter, disc_probe(16))
    assert layout(scan).step == pytest.approx(4.0, rel=0.02)
    assert set(codes(scan)) <= {"same-place"}  # of so many, some do agree to a thousandth


def test_many_small_fields_are_no_strays():
    rng = np.random.default_rng(1)
    corners = np.stack(np.divmod(np.arange(60), 8), 1) * 400.0
    places = np.repeat(corners, 10, 0) + rng.uniform(0, 12, (600, 2))
    assert codes(scan_at(places, disc_probe(16))) == {}
    index = np.repeat(np.arange(60), 10)
    assert codes(scan_at(places, disc_probe(16), scan_index=index)) == {}
    # In one of these scans, a stray one.
    places[37] += 5000.0
    finding = codes(scan_at(places, disc_probe(16), scan_index=index))["stray-positions"]
    assert finding.options == {"drop_frames": "37"}


def test_scans_of_one_place_each_have_no_step():
    places, index = np.repeat(grid()[:2], 4, 0), np.repeat([0, 1], 4)
    scan = scan_at(places, disc_probe(16), scan_index=index)
    assert layout(scan).step == 0.0 and set(codes(scan)) == {"same-place"}


def test_a_scan_along_a_line():
    places = np.stack([np.full(40, 50.0), np.arange(40) * 4.0], 1)
    finding = codes(scan_at(places, disc_probe(16)))["line-scan"]
    assert "y spans" in finding.message


def test_strays_are_named_and_the_canvas_without_them():
    places = grid()
    places[7] = (9000, 40)
    places[33] = (9002, 44)
    scan = scan_at(places, disc_probe(16))
    finding = codes(scan)["stray-positions"]
    assert finding.severity == "error"
    assert finding.options == {"drop_frames": "7,33"}
    assert "60 x 68 instead of 9004 x 68" in finding.message
    near = grid()
    near[7] = (120, 40)
    assert codes(scan_at(near, disc_probe(16)))["stray-positions"].severity == "warning"


def test_numbers_of_frames_are_those_of_the_file():
    places = np.delete(grid(), [2, 5], axis=0)
    places[10] = (9000, 0)  # number 12 of the file
    scan = scan_at(places, disc_probe(16))
    assert codes(scan, drop_frames="2,5")["stray-positions"].options == {"drop_frames": "2,5,12"}
    assert "(frames 12)" in codes(scan, drop_frames="2,5")["stray-positions"].message
    # Those left out at the end of the file stay left out.
    assert codes(scan, drop_frames="78-79")["stray-positions"].options == {
        "drop_frames": "10,78-79"
    }
    unknown = codes(scan, part="test")["stray-positions"]
    assert unknown.options == {} and "(frames 10 of those read)" in unknown.message


def test_no_stray_in_patterns_that_are_merely_uneven():
    rng = np.random.default_rng(1)
    spiral = np.sqrt(np.arange(400))[:, None] * 4
    angle = np.arange(400) * 2.4
    assert not len(stray_positions(spiral * np.stack([np.sin(angle), np.cos(angle)], 1), 3.5))
    assert not len(stray_positions(rng.uniform(0, 100, (500, 2)), 2.2))
    two = np.concatenate([grid(), grid() + 500])  # two fields of one scan, equally large
    assert not len(stray_positions(two, 4.0))


def test_many_positions_take_little():
    """Cells and not pairs: the work grows with the number of positions."""
    places = np.random.default_rng(0).uniform(0, 3000, (100_000, 2))
    places[5] = (40000, 40000)
    np.testing.assert_array_equal(stray_positions(places, 4.7), [5])


def test_scans_too_small_to_group():
    index = np.repeat([1, 2, 5], [70, 7, 3])
    finding = codes(scan_at(grid(), disc_probe(16), scan_index=index))["small-scans"]
    assert "1 of 3 scans" in finding.message and "number 5" in finding.message
