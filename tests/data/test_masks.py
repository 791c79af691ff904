"""What never counts: saturated, sentinel, negative and undefined values, and masked pixels."""

import numpy as np
import pytest
from scan_makers import counts_stack, positions, probe

from pinn.data.feed import Batches
from pinn.data.frames import ArrayFrames
from pinn.data.grouping import make_groups
from pinn.data.masks import mask_rows, measured, sentinel
from pinn.data.scan import Scan
from pinn.errors import ScanError

COUNTS = counts_stack()
POSITIONS = positions()
EACH = np.random.default_rng(3).random(COUNTS.shape) > 0.1


def everything(scan):
    """All numbers that leave a scan: frames, mask, statistics, batches."""
    statistics = scan.statistics()
    batches = Batches([scan], [make_groups(scan.positions_px, 2)], 4, 0)
    found = [*scan.read(np.arange(len(scan))), statistics.frame_counts]
    found.append(np.array([statistics.exposure_factor, statistics.max_counts]))
    found += [batches.batch(index)["frames"] for index in range(len(batches))]
    return found


def assert_same(one, other):
    for mine, theirs in zip(everything(one), everything(other), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32", "float64"])
def test_saturation_is_the_same_as_masking_those_pixels(dtype):
    frames = COUNTS.astype(dtype)
    limit = float(np.sort(COUNTS.ravel())[-40])
    by_limit = Scan(frames, POSITIONS, probe=probe(), saturation=limit)
    by_mask = Scan(frames, POSITIONS, probe=probe(), valid_mask=limit > COUNTS)
    assert_same(by_limit, by_mask)
    assert by_limit.statistics().sentinel_pixels == np.count_nonzero(limit <= COUNTS)
    assert by_mask.statistics().sentinel_pixels == 0


def test_values_beyond_saturation_change_nothing():
    limit = 40
    hot = COUNTS.astype(np.uint32)
    assert (hot >= limit).sum() > 20
    hotter = np.where(hot >= limit, hot * 1000, hot)
    assert_same(
        Scan(hot, POSITIONS, saturation=limit, probe=probe()),
        Scan(hotter, POSITIONS, saturation=limit, probe=probe()),
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 1e30, 2.0**32 - 1])
def test_any_value_under_a_mask_of_each_frame_changes_nothing(value):
    frames = COUNTS.astype(np.float64)
    filled = np.where(EACH, frames, value)
    plain = Scan(frames, POSITIONS, valid_mask=EACH, probe=probe(), units="counts")
    for mask in (EACH, ArrayFrames(EACH)):
        scan = Scan(filled, POSITIONS, valid_mask=mask, probe=probe())
        assert_same(scan, plain)


def test_negative_values_under_a_mask_are_no_sign_of_another_unit():
    rng = np.random.default_rng(0)
    frames = np.sqrt(COUNTS)
    frames[:, :, :4] = -rng.random((12, 16, 4))
    mask = np.ones((16, 16), bool)
    mask[:, :4] = False
    assert Scan(frames, POSITIONS, valid_mask=mask).units == "amplitude"
    with pytest.raises(ScanError, match=r"25 % of the frame values .* are negative"):
        Scan(frames, POSITIONS)


def test_a_mask_in_a_source_is_the_mask_in_an_array():
    source = Scan(COUNTS, POSITIONS, valid_mask=ArrayFrames(EACH), probe=probe())
    array = Scan(COUNTS, POSITIONS, valid_mask=EACH, probe=probe())
    assert_same(source, array)
    assert source.statistics().masked_pixels == np.count_nonzero(~EACH)
    source.close()
    with pytest.raises(ScanError, match="closed"):
        source.valid_mask.read(np.array([0]))


def test_corner_masks_of_each_frame_are_moved_with_the_frames():
    rolled = Scan(
        np.roll(COUNTS, 8, (1, 2)), POSITIONS, valid_mask=np.roll(EACH, 8, (1, 2)), centre="corner"
    )
    for mine, theirs in zip(
        rolled.read([3, 0]), Scan(COUNTS, POSITIONS, valid_mask=EACH).read([3, 0]), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


def test_rows_of_a_mask_however_it_is_held():
    rows = np.array([4, 4, 0])
    assert mask_rows(None, rows) is None
    assert mask_rows(EACH[0], rows) is not None
    np.testing.assert_array_equal(mask_rows(EACH[0], rows), EACH[0])
    np.testing.assert_array_equal(mask_rows(EACH, rows), EACH[rows])
    np.testing.assert_array_equal(mask_rows(ArrayFrames(EACH), rows), EACH[rows])


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int64", "f4", "f8"])
def test_the_sentinel_of_a_type_is_not_measured(dtype):
    marked = np.zeros(3, dtype)
    marked[1] = sentinel(np.dtype(dtype))
    np.testing.assert_array_equal(measured(marked)[1], [True, False, True])


def test_a_source_of_masks_must_be_bool_and_fit():
    with pytest.raises(ScanError, match=r"source \(12, 16, 16\) of uint8, but bool"):
        Scan(COUNTS, POSITIONS, valid_mask=ArrayFrames(EACH.astype(np.uint8)))
    with pytest.raises(ScanError, match=r"source \(3, 16, 16\) of bool"):
        Scan(COUNTS, POSITIONS, valid_mask=ArrayFrames(EACH[:3]))
