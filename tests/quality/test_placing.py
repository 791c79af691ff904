"""Placing against analytic images that can be evaluated at any object coordinate."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinn.errors import InputError
from pinn.quality.frames import (
    Placed,
    Region,
    as_placed,
    common_region,
    covered_area,
    cut,
    sample,
    scan_area,
)


def scene(y, x):
    """A smooth, asymmetric complex object (highest frequency 0.09 cycles/px)."""
    y, x = np.asarray(y)[:, None], np.asarray(x)[None, :]
    amplitude = 2 + 0.4 * np.sin(0.31 * y + 0.12 * x) + 0.3 * np.cos(0.47 * x - 0.2 * y + 1)
    return amplitude * np.exp(1j * (0.5 * np.sin(0.23 * x + 0.4) + 0.3 * np.cos(0.35 * y)))


def placed(origin, shape, **more):
    y, x = (o + np.arange(n) for o, n in zip(origin, shape, strict=True))
    return Placed(scene(y, x), np.asarray(origin, float), **more)


@given(
    origin=st.tuples(st.floats(-9, 9), st.floats(-9, 9)),
    shift=st.tuples(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5)),
)
@settings(max_examples=25, deadline=None)
def test_sampling_moves_features_by_the_shift(origin, shift):
    region = Region((20.0, 17.0), (30, 41))
    values, inside = sample(placed(origin, (80, 90)), region, shift)
    expected = scene(20 + np.arange(30) - shift[0], 17 + np.arange(41) - shift[1])
    assert inside.all()
    # A quintic spline errs by 1e-6 of a wave of this frequency.
    # a quintic spline near its own rim: at most 2e-5 was seen for these waves
    np.testing.assert_allclose(values, expected, atol=5e-5)


def test_whole_displacements_are_copied():
    item = placed((-3.0, 4.0), (50, 60))
    values, inside = sample(item, Region((2.0, 9.0), (20, 30)), (1.0, -2.0))
    assert inside.all()
    np.testing.assert_array_equal(values, item.object[4:24, 7:37])


def test_uncovered_pixels_stay_out_and_do_not_bleed():
    valid = np.ones((60, 70), bool)
    valid[20:30, 35:] = False
    item = placed((0.0, 0.0), (60, 70), valid=valid)
    item.object[~valid] = 1e6
    values, inside = sample(item, Region((5.0, 5.0), (50, 60)), (0.5, 0.0))
    # A pixel between two source rows needs both of them.
    assert not inside[15:25, 30:].any() and not inside[25, 30:].any()
    assert inside[:15].all() and inside[26:].all() and inside[:, :30].all()
    assert np.abs(values).max() < 4


def test_outside_the_object_is_not_covered():
    values, inside = sample(placed((10.0, 0.0), (30, 30)), Region((0.0, 0.0), (20, 20)))
    assert not inside[:10].any() and inside[10:].all()
    assert np.all(values[:10] == 0)


def test_scan_area_is_whole_pixels_around_the_positions():
    positions = [[40.4, 30.2], [351.97, 100.9], [60.0, 12.0]]
    assert scan_area(positions) == (40.0, 352.0, 12.0, 101.0)


def test_common_region_takes_the_grid_of_the_second():
    first = placed((2.5, -1.25), (60, 70))
    second = placed((-4.0, 3.0), (100, 50))
    region = common_region(first, second, (-100.0, 100.0, -100.0, 100.0))
    # Rows: 2.5 .. 61.5 has second's rows 3 .. 61; columns: 3 .. 52 of the second all lie inside.
    assert region == Region((3.0, 3.0), (59, 50))
    values, inside = sample(first, region)
    wanted, there = cut(second, region)
    assert inside.all() and there.all()
    np.testing.assert_allclose(values, wanted, atol=0.03)  # the rim has neighbours on one side
    np.testing.assert_allclose(values[12:-12, 12:-12], wanted[12:-12, 12:-12], atol=1e-5)


def test_common_region_with_a_fractional_second_origin():
    second = placed((0.3, 0.7), (64, 64))
    region = common_region(placed((0.0, 0.0), (64, 64)), second, (10.0, 50.0, 10.0, 40.0), 2.0)
    np.testing.assert_allclose(region.start_px, (12.3, 12.7))
    assert region.shape == (36, 26)
    np.testing.assert_allclose(region.bounds_px, (12.3, 48.3, 12.7, 38.7))


def test_no_common_region_names_the_axis_and_the_cure():
    with pytest.raises(InputError, match=r"along x.*check the origins"):
        common_region(
            placed((0.0, 0.0), (64, 64)), placed((0.0, 60.0), (64, 64)), (0.0, 64.0, 0.0, 200.0)
        )


def test_covered_area_is_the_rectangle_of_the_mask():
    valid = np.zeros((40, 50), bool)
    valid[5:21, 7:44] = True
    assert covered_area(placed((1.5, -2.0), (40, 50), valid=valid)) == (6.5, 22.5, 5.0, 42.0)
    with pytest.raises(InputError, match="covers no pixel"):
        covered_area(placed((0.0, 0.0), (40, 50), valid=np.zeros((40, 50), bool)))


def test_reconstructions_are_taken_by_their_attributes():
    coverage = np.ones((20, 30), np.float32)
    coverage[3, 4] = 0
    array = np.ones((20, 30), np.complex64)
    array[3, 4] = np.nan  # never looked at: not covered
    item = SimpleNamespace(
        object=array,
        origin_px=np.array([1.0, 2.0]),
        coverage=coverage,
        positions_px=np.zeros((5, 2)),
        pixel_size_m=1e-8,
    )
    got = as_placed(item, (9.0, 9.0))
    assert got.object.dtype == np.complex128 and np.isfinite(got.object).all()
    assert tuple(got.origin_px) == (1.0, 2.0) and got.pixel_size_m == 1e-8
    assert got.valid is not None and np.count_nonzero(~got.valid) == 1


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (np.ones((2, 3, 4)), "one complex image"),
        (np.array([["a", "b"]]), "one complex image"),
        (np.full((20, 20), np.nan), "400 pixels that are not finite"),
        (SimpleNamespace(object=np.ones((4, 4)), origin_px=[1.0]), "origin"),
        (
            SimpleNamespace(
                object=np.ones((4, 4)), origin_px=[0, 0], positions_px=None, coverage=np.ones(4)
            ),
            "coverage of the reconstruction",
        ),
        (SimpleNamespace(object=np.ones((4, 4)), origin_px=[0, 0], positions_px=[1]), "positions"),
    ],
)
def test_bad_items_are_refused(item, words):
    with pytest.raises(InputError, match=words):
        as_placed(item)
