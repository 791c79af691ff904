"""A few groups that light what all of them light."""

import numpy as np
import pytest

from pinn.reconstruction.cover import covering


def disc(N, radius):
    axis = np.arange(N) - N // 2
    return np.hypot(axis[:, None], axis) <= radius


def times(places, footprint):
    """How often each pixel is lit, one patch after the other."""
    corners = np.rint(places).astype(int).reshape(-1, 2)
    corners = corners - corners.min(0)
    return corners, np.array(corners.max(0)) + footprint.shape


def light(corners, shape, footprint):
    total, N = np.zeros(shape, int), len(footprint)
    for y, x in corners:
        total[y : y + N, x : x + N] += footprint
    return total


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("depth", [1, 2, 5, 1000])
@pytest.mark.parametrize("seed", range(3))
def test_every_pixel_is_lit_as_often_as_asked_or_as_by_all(members, depth, seed):
    rng = np.random.default_rng(seed)
    places = rng.uniform(0, 60, (200, 1, 2)) + rng.normal(0, 3, (200, members, 2))
    footprint = disc(16, 5.0) & (rng.uniform(size=(16, 16)) > 0.1)
    chosen = covering(places, footprint, depth)
    corners, shape = times(places, footprint)
    corners = corners.reshape(200, members, 2)
    whole = light(corners.reshape(-1, 2), shape, footprint)
    part = light(corners[chosen].reshape(-1, 2), shape, footprint)
    assert np.all(part >= np.minimum(whole, depth))
    assert np.all(np.diff(chosen) > 0)
    if depth == 1:
        assert len(chosen) < 160
    if depth == 1000 and members == 1:
        assert len(chosen) == 200


def test_more_of_a_dense_scan_adds_nothing():
    rng = np.random.default_rng(3)
    few, many = (
        len(covering(rng.uniform(0, 50, (count, 1, 2)), disc(16, 6.0))) for count in (500, 4000)
    )
    # a disc of 113 pixels, on about 60 x 60: 32 would do without any overlap and a straight rim
    assert 32 < few < 100 and many < 200


def test_frames_in_one_place_are_one():
    places = np.repeat([[[0.0, 0.0]], [[40.0, 3.0]]], 10, axis=0)
    assert covering(places, disc(16, 6.0)).tolist() == [0, 10]


def test_without_light_nothing_is_left_out():
    assert covering(np.zeros((3, 1, 2)), np.zeros((16, 16), bool)).tolist() == [0, 1, 2]
    assert len(covering(np.zeros((0, 1, 2)), disc(16, 6.0))) == 0
