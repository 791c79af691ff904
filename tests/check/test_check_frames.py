"""What is said about frames and pixels: each fault alone, and nothing about a good scan."""

import numpy as np
import pytest

from pinn.check import check, quick
from pinn.check.dose import lit_pixels
from pinn.check.look import look
from pinn.check.pixels import centre_of_mass, centre_of_pattern, find_bad
from pinn.config import ScanConfig
from pinn.data.quantum import quantum
from pinn.data.scan import Scan
from pinn.io.load import load
from pinn.simulate import SimulateConfig, simulate

GOOD = simulate(SimulateConfig(N=32, n_frames=60, seed=2, object="leaves", photons_per_frame=2e5))
COUNTS, PLACES, PROBE = GOOD.frames().astype(np.int64), GOOD.positions_px, GOOD.probe


def made(counts=COUNTS, **parts):
    parts = {"probe": PROBE, "units": "counts", **parts}
    return Scan(counts, parts.pop("positions", PLACES), **parts)


def codes(scan, **options):
    return {finding.code: finding for finding in quick(scan, ScanConfig(**options))}


def test_a_good_scan_is_not_remarked_upon():
    assert codes(made()) == {}


def test_hot_and_dead_pixels_are_found_and_nothing_else():
    counts = COUNTS.copy()
    hot, dead = [(5, 27), (20, 9), (20, 10)], [(13, 16), (14, 16), (14, 17)]
    for y, x in hot:
        counts[:, y, x] = 4 * counts.mean(0).max()
    for y, x in dead:
        counts[:, y, x] = 0
    scan = made(counts)
    found = find_bad(look(scan), True)
    assert sorted(map(tuple, np.argwhere(found.hot).tolist())) == hot
    assert sorted(map(tuple, np.argwhere(found.dead).tolist())) == dead
    said = codes(scan)
    assert "3 pixels ([5, 27], [20, 9], [20, 10]" in said["hot-pixels"].message
    assert "3 pixels ([13, 16]" in said["dead-pixels"].message
    report = check(scan, orientation=False)
    np.testing.assert_array_equal(np.argwhere(report.bad_pixels), sorted(hot + dead))
    # Masked, they are nobody's concern.
    valid = np.ones((32, 32), bool)
    valid[tuple(np.transpose(hot + dead))] = False
    assert codes(made(counts, valid_mask=valid)) == {}


def test_a_stuck_pixel_amid_the_light():
    counts = COUNTS.copy()
    counts[:, 15, 19] = int(counts[:, 15, 19].mean())
    for units in ("counts", "intensity"):
        scan = made(counts, units=units)
        assert np.argwhere(find_bad(look(scan), units == "counts").hot).tolist() == [[15, 19]]
    same = np.repeat(COUNTS[:1], len(COUNTS), 0)  # all pixels: it is the frames
    assert find_bad(look(made(same)), True).hot.mean() < 0.02


def test_a_gap_between_modules_is_dead_and_a_dark_corner_is_not():
    counts = COUNTS.copy()
    counts[:, :, 18:20] = 0
    found = find_bad(look(made(counts)), True)
    rows = np.flatnonzero(found.dead[:, 18])
    assert found.dead[:, 18].sum() > 8 and rows[0] <= 13 and rows[-1] >= 19
    assert not found.dead[:, :17].any() and not found.dead[:, 21:].any()
    assert not find_bad(look(made()), True).dead.any()


def test_saturation_is_seen_by_the_ties():
    level = int(np.quantile(COUNTS.max((1, 2)), 0.2))
    finding = codes(made(np.minimum(COUNTS, level)))["saturated"]
    assert finding.options == {"saturation": float(level)}
    assert "saturated" not in codes(made(np.minimum(COUNTS, level)), saturation=float(level))


@pytest.mark.parametrize("shift", [(0, 0), (3, -4), (-6, 1)])
def test_the_centre_is_found_to_a_fraction_of_a_pixel(shift):
    counts = np.roll(COUNTS, shift, (1, 2))
    index = np.arange(32) - 16
    mean = COUNTS.mean(0)
    own = np.array([mean.sum(1) @ index, mean.sum(0) @ index]) / mean.sum()
    found = centre_of_mass(look(made(counts, centre="centred")))
    np.testing.assert_allclose(found, own + shift, atol=0.25)


def test_an_off_centre_pattern_names_the_beam_pixel_of_the_stored_frames():
    scan = made(np.roll(COUNTS, (3, -4), (1, 2)), centre="centred")
    finding = codes(scan)["off-centre"]
    assert finding.severity == "warning"
    assert finding.options == {"beam_centre": "19,12"}
    flipped = codes(scan, flip_frames="ud")["off-centre"]
    assert flipped.options == {"beam_centre": "13,12"}


@pytest.mark.parametrize("flip", ["none", "ud", "lr", "both"])
@pytest.mark.parametrize("b", [1, 2, 4])
def test_the_beam_pixel_is_that_of_the_stored_frames_however_they_are_binned(tmp_path, b, flip):
    """The block of the zero frequency begins at it, before the frames are flipped back."""
    y, x = np.indices((64, 64))
    spot = 400 * np.exp(-((y - 44) ** 2 + (x - 30) ** 2) / (2 * 4.0**2))
    counts = np.random.default_rng(3).poisson(spot, (60, 64, 64)).astype(np.uint16)
    path = tmp_path / "off.npz"
    np.savez(path, diff3d=counts, xcoords=PLACES[:, 1], ycoords=PLACES[:, 0])
    options = {"bin_frames": b, "flip_frames": flip, "centre": "centred"}
    finding = codes(load(path, **options), **options)["off-centre"]
    assert finding.options == {"beam_centre": "44,30"}
    options |= finding.options
    assert "off-centre" not in codes(load(path, **options), **options)


def test_saturation_is_not_tested_where_pixels_are_added_up(tmp_path):
    level = int(np.quantile(COUNTS.max((1, 2)), 0.2))
    path = tmp_path / "saturated.npz"
    counts = np.minimum(COUNTS, level).astype(np.uint32)
    np.savez(path, diff3d=counts, xcoords=PLACES[:, 1], ycoords=PLACES[:, 0])
    said = codes(load(path, bin_frames=2), bin_frames=2)
    assert said["saturation-untested"].severity == "remark" and "saturated" not in said
    options = {"bin_frames": 2, "saturation": float(level)}
    assert "saturation-untested" not in codes(load(path, **options), **options)
    assert "saturation-untested" not in codes(load(path))


def test_half_a_mask_does_not_move_the_centre():
    valid = np.ones((32, 32), bool)
    valid[:, 20:] = False
    assert "off-centre" not in codes(made(valid_mask=valid))


def test_a_pattern_that_is_cut_off():
    wide = COUNTS + np.random.default_rng(0).poisson(2.0 * COUNTS.mean(), COUNTS.shape)
    assert codes(made(wide))["pattern-cut"].severity == "warning"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_amplitudes_that_are_roots_of_counts_tell_the_dose(dtype):
    dim = simulate(SimulateConfig(N=32, n_frames=40, photons_per_frame=5e3, seed=1))
    amplitude = np.sqrt(dim.frames().astype(float))
    for factor, said in ((1.0, "whole numbers"), (0.0137, "whole multiples of")):
        stored = (factor * amplitude).astype(dtype)
        scan = Scan(stored, dim.positions_px, probe=dim.probe, units="amplitude")
        finding = codes(scan)["dose-found"]
        photons = float((amplitude**2).sum((1, 2)).mean())
        assert finding.options["photons_per_frame"] == pytest.approx(photons, rel=1e-3)
        assert said in finding.message
    assert "dose-found" not in codes(scan, photons_per_frame=5e3)


def test_numbers_without_a_quantum_do_not_tell_the_dose():
    noise = np.random.default_rng(0)
    smooth = np.sqrt(COUNTS + noise.uniform(0, 1, COUNTS.shape))
    said = codes(made(smooth, units="amplitude"))
    assert "dose-unknown" in said and "dose-found" not in said
    assert quantum(noise.uniform(0, 10, 5000)) is None
    assert quantum(noise.poisson(3, 5000) * 0.37) == pytest.approx(0.37)
    assert quantum(noise.poisson(90, 20) * 1.0) is None  # too few to tell


def test_units_that_contradict_the_numbers():
    assert codes(made(units="amplitude"), frames="amplitude")["units"].options == {
        "frames": "counts"
    }
    halves = made(COUNTS + 0.5, units="counts")
    assert codes(halves)["units"].severity == "remark" and not codes(halves)["units"].options
    bright = made(COUNTS * 1000.5, units="amplitude")
    assert codes(bright, frames="amplitude")["units"].options == {"frames": "intensity"}
    gain = codes(made(COUNTS * 12, units="auto"))["gain"]
    photons = COUNTS.sum((1, 2)).mean()
    assert gain.options["frames"] == "intensity"
    assert gain.options["photons_per_frame"] == pytest.approx(photons, rel=1e-3)


def test_no_option_that_contradicts_what_the_file_says():
    """It would be refused: which is it?"""
    assert codes(made(COUNTS * 12, units="counts"))["gain"].options == {}
    for wrong in (COUNTS, COUNTS * 1000.5):
        assert codes(made(wrong, units="amplitude"))["units"].options == {}


@pytest.mark.parametrize("given", [True, False], ids=["probe", "no probe"])
@pytest.mark.parametrize(("overlap", "severity"), [(0.5, "warning"), (0.9, "remark")])
def test_little_light(overlap, severity, given):
    """The same frames are enough where many of them share a pixel."""
    recipe = SimulateConfig(N=32, n_frames=100, photons_per_frame=40, overlap=overlap)
    dim = simulate(recipe)
    probe = dim.probe if given else None
    finding = codes(Scan(dim.frames(), dim.positions_px, probe=probe))["dose-low"]
    assert finding.severity == severity


def test_what_the_light_falls_on():
    frames = np.ones((2, 16, 16))
    probe = np.zeros((1, 16, 16), complex)
    probe[0, 4:10, 4:10] = 3.0
    apart = Scan(frames, [[0.0, 0.0], [0.0, 3.0]], probe=probe, units="counts")
    assert lit_pixels(apart) == 6 * 6 + 6 * 3
    unknown = Scan(frames, [[0.0, 0.0], [0.0, 3.0]], units="counts")
    assert lit_pixels(unknown) == 8 * 8 + 8 * 3
    # a canvas for all of it would not fit into the memory
    astray = Scan(np.ones((3, 16, 16)), [[3e5, 3.0], [-3e5, 0.0], [3e5, 0.0]], units="counts")
    assert lit_pixels(astray) == 8 * 8 * 2 + 8 * 3


def test_frames_that_stand_out():
    counts = COUNTS.copy()
    counts[[4, 5, 6]] = 0
    counts[20] *= 9
    counts[30] //= 30
    said = codes(made(counts))
    assert said["dark-frames"].options == {"drop_frames": "4-6"}
    assert said["bright-frames"].options == {"drop_frames": "20"}
    assert said["dim-frames"].options == {"drop_frames": "30"}
    report = check(made(counts), orientation=False)
    assert report.options["drop_frames"] == "4-6,20,30"


def test_frames_are_named_by_their_numbers_in_the_file():
    """Here the scan lacks frames 3 and 60 of 62, the latter beyond all that are left but one."""
    counts = COUNTS.copy()
    counts[[4, 5, 6]] = 0
    said = codes(made(counts), drop_frames="3,60")["dark-frames"]
    assert said.options == {"drop_frames": "3,5-7,60"} and "(5-7)" in said.message
    late = codes(made(counts), drop_frames="60-61")["dark-frames"]
    assert late.options == {"drop_frames": "4-6,60-61"}


def test_repeated_frames_are_found_by_the_whole_check():
    counts = COUNTS.copy()
    counts[11] = counts[10]
    counts[12] = counts[10]
    counts[40] = np.roll(counts[41], 1, 0)  # as bright, but another frame
    report = check(made(counts), orientation=False)
    found = {finding.code: finding for finding in report.findings}
    assert found["repeated-frames"].options == {"drop_frames": "11-12"}


def test_unusable_values_and_a_mask_the_wrong_way_round(tmp_path):
    counts = COUNTS.astype(np.float64)
    counts[:, 3, 3] = np.nan
    counts[2, 5, 5] = -1
    assert "60 not finite, 1 negative" in codes(made(counts))["unusable-values"].message
    valid = np.zeros((32, 32), bool)
    valid[10:20, 10:20] = True
    given = {"bad_pixels": tmp_path / "mask.npy"}
    # With most of the light: somebody wants no more than the middle.
    for options in ({}, given):
        finding = codes(made(valid_mask=valid), **options)["mask-large"]
        assert finding.severity == "warning" and finding.options == {}


@pytest.mark.parametrize("hot", [False, True], ids=["stuck pixels", "a hot pixel"])
def test_a_mask_the_wrong_way_round_comes_before_all_else(tmp_path, hot):
    """Also where all but pixels without a measurement is masked, or hot ones outshine the light."""
    counts = COUNTS.astype(np.uint32)
    counts[:, 3] = 2**32 - 1
    counts[:, 25, 25] = 10**7 + 10**5 * np.arange(len(counts)) if hot else 0
    counts[:, 30] = 70000  # stuck
    used = np.zeros((32, 32), bool)
    used[3] = used[30] = used[25, 25] = True
    given = {"bad_pixels": tmp_path / "mask.npy"}
    (finding,) = quick(made(counts, valid_mask=used), ScanConfig(**given))
    assert (finding.severity, finding.code) == ("error", "mask-large")
    assert finding.options == {"bad_pixels_polarity": "good"}
    report = check(made(counts, valid_mask=used), ScanConfig(**given), orientation=False)
    assert report.findings == (finding,) and report.to_dict()["facts"] == {}


@pytest.mark.parametrize("units", ["counts", "amplitude"])
def test_hot_pixels_have_no_part_in_what_is_said_of_the_rest(units):
    """A block of them, whose middle only shows when the rim is gone; and it hides a dark frame."""
    counts = COUNTS.copy()
    counts[7] = 0
    counts[:, 5, 27] = 10**8
    counts[:, 24:26, 3] = 10**9 + 10**5 * np.arange(len(counts))[:, None]
    frames = counts if units == "counts" else np.sqrt(counts)
    report = check(made(frames, units=units), orientation=False)
    assert np.argwhere(report.bad_pixels).tolist() == [[5, 27], [24, 3], [25, 3]]
    found = {finding.code for finding in report.findings if finding.severity != "remark"}
    assert found == {"hot-pixels", "dark-frames"}
    assert report.options == {"drop_frames": "7"}
    if units == "amplitude":
        dose = next(finding for finding in report.findings if finding.code == "dose-found")
        photons = np.where(report.bad_pixels, 0, counts).sum((1, 2)).mean()
        assert dose.options["photons_per_frame"] == pytest.approx(photons, rel=1e-3)


def test_a_wide_gap_that_an_unknown_number_marks():
    counts = COUNTS.copy()
    counts[:, :, 22:27] = 10**6 + 7
    bad = check(made(counts), orientation=False).bad_pixels
    columns = np.isin(np.arange(32), np.arange(22, 27))
    np.testing.assert_array_equal(bad, np.broadcast_to(columns, (32, 32)))


def test_the_probe():
    assert codes(made(probe=None))["no-probe"].severity == "warning"
    wide = np.ones((32, 32), complex)
    assert codes(made(probe=wide))["probe-support"].severity == "warning"


def test_the_truth():
    assert codes(made(truth=np.ones((200, 200), complex)))["truth-constant"].severity == "remark"
    small = GOOD.truth[:36, :36]
    assert codes(made(truth=small))["truth-small"].severity == "warning"
    assert codes(made(truth=GOOD.truth)) == {}
    shifted = made(truth=GOOD.truth, truth_origin_px=(40.0, 0.0))
    assert "truth-small" in codes(shifted)


@pytest.mark.parametrize("probe", [PROBE, None], ids=["probe", "no probe"])
@pytest.mark.parametrize("M", [1, 2, 3, 17])
def test_the_smallest_scans_are_examined_too(M, probe):
    """No statistic of few or equal frames is undefined: warnings are errors here."""
    for counts in (COUNTS[:M], np.ones((M, 32, 32), int)):
        report = check(made(counts, probe=probe, positions=PLACES[:M]))
        assert report.facts and report.to_dict()["costs"]
        codes = {finding.code for finding in report.findings}
        assert codes & {"orientation", "orientation-open", "orientation-untested"}


@pytest.mark.parametrize("radius", [20, 35, 56, 60])
@pytest.mark.parametrize("background", [0.0, 1.5])
@pytest.mark.parametrize("off", [(3.6, -8.2), (-7.3, 2.4), (14.0, 9.0)])
def test_the_centre_of_a_bright_field_is_that_of_its_edge(radius, background, off):
    """However much of the frame it fills, cut by the frame or not, with hot pixels."""
    y, x = np.indices((128, 128)) - 64
    disc = 6 * np.clip(radius + 0.5 - np.hypot(y - off[0], x - off[1]), 0, 1) + background
    counts = np.random.default_rng(radius).poisson(disc, (12, 128, 128))
    counts[:, 20, 100], counts[:, 90, 91] = 400, 300
    scan = made(counts, positions=PLACES[:12], probe=None, centre="centred")
    np.testing.assert_allclose(centre_of_pattern(look(scan)), off, atol=0.25)
    assert codes(scan)["off-centre"].options == {
        "beam_centre": f"{round(64 + off[0])},{round(64 + off[1])}"
    }


def test_a_pattern_that_is_no_disc_is_judged_by_its_centre_of_mass():
    seen = look(made(np.roll(COUNTS, (3, -4), (1, 2)), centre="centred"))
    assert centre_of_pattern(seen) == centre_of_mass(seen)
