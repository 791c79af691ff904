"""Units, centre and masks: what the numbers mean, and that masked ones mean nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scan_makers import counts_stack, positions

from pinn.data import frame_values
from pinn.data.masks import encode, measured
from pinn.data.scan import Scan
from pinn.errors import ScanError

COUNTS = counts_stack()
POSITIONS = positions()
ROWS = np.array([5, 0, 5, 11])
SINGLE = 2e-7  # rounding of float32, relative


def test_counts_intensity_and_amplitude_of_the_same_thing_read_the_same():
    expected = np.sqrt(COUNTS[ROWS].astype(np.float64))
    stored = {
        "counts": COUNTS.astype(np.uint16),
        "intensity": COUNTS.astype(np.float64),
        "amplitude": np.sqrt(COUNTS),
    }
    for units, frames in stored.items():
        scan = Scan(frames, POSITIONS, units=units)
        amplitude, valid = scan.read(ROWS)
        assert amplitude.dtype == np.float32
        assert valid.dtype == bool
        assert valid.all()
        np.testing.assert_allclose(amplitude, expected, rtol=SINGLE)
        assert scan.statistics().photons_known == (units == "counts")


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]
)
def test_integer_types_are_counts_and_do_not_overflow(dtype):
    # The largest two values of a type are marks of detectors.
    top = 2 if dtype == "bool" else min(np.iinfo(dtype).max - 1, 2**40)
    frames = (np.arange(12 * 256).reshape(12, 16, 16) % top).astype(dtype)
    frames[:, 8, 8] = top - 1
    scan = Scan(frames, POSITIONS)
    assert scan.units == "counts"
    assert "read as counts" in scan.notes[0]
    amplitude, valid = scan.read(np.arange(12))
    assert valid.all()
    np.testing.assert_allclose(amplitude, np.sqrt(frames.astype(np.float64)), rtol=SINGLE)
    exact = [sum(frame.ravel().tolist()) for frame in frames]
    np.testing.assert_allclose(scan.statistics().frame_counts, exact, rtol=SINGLE)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4", "<f8"])
def test_whole_floats_above_one_are_counts_and_others_amplitude(dtype):
    assert Scan(COUNTS.astype(dtype), POSITIONS).units == "counts"
    scan = Scan(np.sqrt(COUNTS).astype(dtype), POSITIONS)
    assert scan.units == "amplitude"
    assert "read as amplitude" in scan.notes[0]
    assert Scan(np.minimum(COUNTS, 1).astype(dtype), POSITIONS).units == "amplitude"


@pytest.mark.parametrize("frames_at_once", [4, 8192])
def test_dim_frames_in_the_sample_do_not_decide(frames_at_once, monkeypatch):
    monkeypatch.setattr(frame_values, "SAMPLE_BYTES", frames_at_once * 8 * 256)
    frames = np.zeros((100, 16, 16), np.float32)
    where = np.random.default_rng(0).uniform(0, 300, (100, 2))
    frames[:, 8, 8] = 1.0
    frames[50, 3, 4] = 7.0  # no frame of the sample
    assert Scan(frames, where).units == "counts"
    frames[50, 3, 4] = 0.5
    assert Scan(frames, where).units == "amplitude"


def test_a_sample_of_whole_numbers_among_others_is_a_contradiction_that_asks():
    frames = np.full((100, 16, 16), 4.0)
    where = np.random.default_rng(0).uniform(0, 300, (100, 2))
    frames[50, 3, 4] = 0.5
    with pytest.raises(ScanError, match="cannot be told apart; say which with units"):
        Scan(frames, where).statistics()
    assert Scan(frames, where, units="counts").statistics().integer_valued is False


def test_bright_amplitudes_are_doubted_aloud():
    note = Scan(np.sqrt(COUNTS) * 1e4, POSITIONS).notes[0]
    assert "although the largest value" in note


def test_many_negative_amplitudes_are_a_contradiction_that_asks():
    noisy = np.sqrt(COUNTS) - np.random.default_rng(0).uniform(0.5, 1.5, COUNTS.shape)
    for units in ("auto", "amplitude"):
        with pytest.raises(ScanError, match=r"37 % of the frame values .*--frames intensity"):
            Scan(noisy, POSITIONS, units=units)
    valid = Scan(noisy, POSITIONS, units="intensity").read([0])[1]
    np.testing.assert_array_equal(valid[0], noisy[0] >= 0)


def test_one_negative_value_marks_bad_pixels_of_amplitudes():
    frames = np.sqrt(COUNTS)
    frames[:, 2:5] = -1.0
    amplitude, valid = Scan(frames, POSITIONS).read([0])
    assert not valid[0, 2:5].any()
    assert (amplitude[0, 2:5] == 0).all()


# -- masked values ------------------------------------------------------------------------

MASKED = {
    "nan": ("float32", np.nan),
    "infinity": ("float32", np.inf),
    "negative": ("float32", -3.0),
    "negative fraction": ("float64", -0.25),
    "garbage": ("float64", 1e30),
    "sentinel as float": ("float32", 2**32 - 1),
    "sentinel as double": ("float64", 2**32 - 1),
    "sentinel as wide integer": ("int64", 2**32 - 1),
    "sentinel of 31 bits": ("uint32", 2**31 - 1),
    "sentinel": ("uint32", 2**32 - 1),
    "dead or hot of DECTRIS": ("uint32", 2**32 - 2),
    "the same in 16 bits": ("uint16", 2**16 - 2),
    "the same as double": ("float64", 2**32 - 2),
    "the same as wide integer": ("int64", 2**32 - 2),
    "saturated 16 bits": ("uint16", 2**16 - 1),
    "saturated signed": ("int16", 2**15 - 1),
    "negative integer": ("int32", -2),
}


@pytest.mark.parametrize("case", MASKED)
def test_a_masked_value_changes_nothing(case):
    dtype, value = MASKED[case]
    hole = np.zeros(COUNTS.shape, bool)
    hole[3, 7:9, 2:11] = hole[:, 12, 5] = True
    plain, holed = COUNTS.astype(dtype), COUNTS.astype(dtype)
    holed[hole] = value
    by_mask = Scan(plain, POSITIONS, valid_mask=~hole)
    by_value = Scan(holed, POSITIONS)
    both = Scan(holed, POSITIONS, valid_mask=~hole)
    reference = by_mask.read(np.arange(12))
    np.testing.assert_array_equal(reference[1], ~hole)
    assert (reference[0][hole] == 0).all()
    for scan in (by_value, both):
        assert scan.units == by_mask.units
        assert scan.centre == by_mask.centre
        for mine, other in zip(scan.read(np.arange(12)), reference, strict=True):
            np.testing.assert_array_equal(mine, other)
        mine, other = scan.statistics(), by_mask.statistics()
        assert mine.exposure_factor == other.exposure_factor
        assert mine.max_counts == other.max_counts
        assert mine.masked_pixels == other.masked_pixels == hole.sum()
        assert mine.dead_pixels == other.dead_pixels == 1
        assert mine.integer_valued
        kinds = (mine.nonfinite_pixels, mine.negative_pixels, mine.sentinel_pixels)
        assert sorted(kinds) == [0, 0, hole.sum()]
        assert any(f"{hole.sum()} " in note for note in scan.notes)


ROOTS = [
    (dtype, power, less)
    for dtype in ("float32", "float64", "single as double")
    for power, less in ((16, 1), (16, 2), (31, 1), (32, 1), (32, 2))
]


@pytest.mark.parametrize(("dtype", "power", "less"), ROOTS)
def test_the_root_of_a_sentinel_is_no_amplitude(dtype, power, less):
    """However few pixels: one in a frame and a gap; and nothing else is left out."""
    hole = np.zeros(COUNTS.shape, bool)
    hole[3, 7, 2] = hole[:, 12:14] = True
    frames = np.sqrt(COUNTS)
    root = np.sqrt(2.0**power - less)
    frames[hole] = np.float32(root) if dtype == "single as double" else root
    frames = frames.astype("float64" if dtype == "single as double" else dtype)
    for units in ("auto", "amplitude"):
        scan = Scan(frames, POSITIONS, units=units)
        assert scan.units == "amplitude" and not any("although" in note for note in scan.notes)
        amplitude, valid = scan.read(np.arange(12))
        np.testing.assert_array_equal(valid, ~hole)
        np.testing.assert_allclose(amplitude, np.where(hole, 0, np.sqrt(COUNTS)), rtol=SINGLE)
        assert scan.statistics().sentinel_pixels == hole.sum()


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint32"])
def test_counts_and_neighbours_of_roots_are_measured(dtype):
    """65536 photons are no root; and roots of one photon more or less are none of a sentinel."""
    frames = COUNTS.astype(dtype)
    frames[5, 8, 8], frames[6, 8, 8], frames[7, 8, 8] = 65534, 65535, 65536
    scan = Scan(frames, POSITIONS)
    assert scan.units == "counts" and scan.read(np.arange(12))[1].all()
    if dtype != "uint32":
        near = np.sqrt(COUNTS).astype(dtype)
        near[5, 8, 8], near[6, 8, 8] = np.sqrt(65533), np.sqrt(65536)
        assert Scan(near, POSITIONS).read(np.arange(12))[1].all()


@pytest.mark.parametrize("stored", ["centred", "corner"])
def test_a_hot_pixel_does_not_say_where_the_centre_is(stored):
    """In the other place, with more counts than all the rest."""
    frames = COUNTS if stored == "centred" else np.roll(COUNTS, 8, (1, 2))
    frames = frames.copy()
    frames[:, *((6, 6) if stored == "corner" else (14, 1))] = 10**6
    assert Scan(frames, POSITIONS).centre == stored


@given(st.floats(width=32) | st.sampled_from([2.0**32, -1.0, 1e38]), st.integers(0, 255))
def test_whatever_lies_under_a_mask_never_shows(value, place):
    frames = COUNTS.astype(np.float32)
    mask = np.ones((16, 16), bool)
    mask.flat[place] = False
    expected = Scan(frames, POSITIONS, valid_mask=mask)
    frames = frames.copy()
    frames.reshape(12, -1)[:, place] = value
    scan = Scan(frames, POSITIONS, valid_mask=mask)
    assert scan.units == expected.units
    np.testing.assert_array_equal(scan.read([3])[0], expected.read([3])[0])
    assert scan.statistics().mean_counts == expected.statistics().mean_counts


def test_a_mask_per_frame_is_used_by_frame_number():
    mask = np.random.default_rng(3).random(COUNTS.shape) > 0.2
    valid = Scan(COUNTS, POSITIONS, valid_mask=mask).read(ROWS)[1]
    np.testing.assert_array_equal(valid, mask[ROWS])


def test_measured_keeps_double_precision_where_the_type_needs_it():
    for dtype in ("uint32", "int64", "float64"):
        assert measured(np.array([2**24 + 1], dtype))[0].tolist() == [2.0**24 + 1]
    assert measured(np.array([3], np.uint16))[0].dtype == np.float32


def test_encode_marks_masked_pixels():
    encoded = encode(np.array([4.0, 0.0, 5.0]), np.array([True, True, False]), 0.5)
    assert encoded.dtype == np.float32
    np.testing.assert_array_equal(encoded, [2.0, 0.0, -1.0])


# -- centre -------------------------------------------------------------------------------


@pytest.mark.parametrize("centre", ["auto", "corner"])
def test_corner_frames_are_moved_with_their_mask(centre):
    mask = np.ones((16, 16), bool)
    mask[1, 14] = False
    expected = Scan(COUNTS, POSITIONS, valid_mask=np.roll(mask, 8, (0, 1)))
    assert expected.centre == "centred"
    scan = Scan(np.roll(COUNTS, 8, (1, 2)), POSITIONS, valid_mask=mask, centre=centre)
    assert scan.centre == "corner"
    for mine, other in zip(scan.read(ROWS), expected.read(ROWS), strict=True):
        np.testing.assert_array_equal(mine, other)
    assert scan.statistics().mean_counts == expected.statistics().mean_counts
    np.testing.assert_array_equal(scan.valid_mask, expected.valid_mask)
    assert any("moved to the centre" in note for note in scan.notes) == (centre == "auto")


def test_a_stated_centre_is_believed():
    scan = Scan(np.roll(COUNTS, 8, (1, 2)), POSITIONS, centre="centred")
    np.testing.assert_allclose(
        scan.read([2])[0][0], np.sqrt(np.roll(COUNTS, 8, (1, 2))[2]), rtol=SINGLE
    )


def test_a_beamstop_does_not_move_the_centre():
    mask = np.ones((16, 16), bool)
    mask[7:10, 7:10] = False
    frames = np.where(mask, COUNTS, 0)
    assert Scan(frames, POSITIONS, valid_mask=mask).centre == "centred"
    rolled = np.roll(frames, 8, (1, 2)), np.roll(mask, 8, (0, 1))
    assert Scan(rolled[0], POSITIONS, valid_mask=rolled[1]).centre == "corner"


def test_frames_that_tell_no_centre_say_so():
    flat = np.full((12, 16, 16), 9, np.uint16)
    scan = Scan(flat, POSITIONS)
    assert scan.centre == "centred"
    assert any("taken as centred" in note for note in scan.notes)
