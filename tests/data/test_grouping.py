"""Groups: properties of every group, and brute-force neighbours as oracle."""

import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinn.data.grouping import groups_for_inference, make_groups
from pinn.data.neighbours import nearest_frames
from pinn.errors import ConfigError, ScanError


def spread(M, seed=0):
    return np.random.default_rng(seed).uniform((0, 0), (200, 90), (M, 2))


def raster(rows, columns, step=3.7):
    y, x = np.mgrid[:rows, :columns]
    return np.stack([y.ravel(), x.ravel()], 1) * step


def brute_nearest(points, count):
    """Neighbours by full sort on (distance, y, x, number), the frame itself left out."""
    result = []
    for i, p in enumerate(points):
        others = [j for j in range(len(points)) if j != i]
        others.sort(key=lambda j: (float(((points[j] - p) ** 2).sum()), *points[j].tolist(), j))
        result.append(others[:count])
    return np.array(result, np.int64).reshape(len(points), count)


scans = st.builds(
    lambda M, seed, kind: {
        "spread": spread(M, seed),
        "raster": raster(-(-M // 5), 5)[:M],
        "repeated": np.repeat(spread(M, seed)[: -(-M // 3)], 3, axis=0)[:M],
        "one place": np.tile([[3.0, 4.0]], (M, 1)),
    }[kind],
    st.integers(9, 40),
    st.integers(0, 9),
    st.sampled_from(["spread", "raster", "repeated", "one place"]),
)


@given(scans, st.integers(0, 8))
def test_nearest_frames_agree_with_a_full_sort(points, count):
    np.testing.assert_array_equal(nearest_frames(points, count), brute_nearest(points, count))


def test_long_ties_are_resolved_in_blocks(monkeypatch):
    monkeypatch.setattr("pinn.data.neighbours._BLOCK", 7)
    points = np.concatenate([np.tile([[3.0, 4.0]], (40, 1)), raster(6, 6), spread(20)])
    np.testing.assert_array_equal(nearest_frames(points, 5), brute_nearest(points, 5))


@given(scans, st.integers(1, 3), st.integers(1, 90), st.integers(0, 5), st.booleans())
def test_every_group_is_its_seed_and_distinct_near_frames(points, gridsize, n, seed, sequential):
    M, C = len(points), gridsize**2
    if C == 1:
        n = min(n, M)
    pool = min(2 * (C - 1), M - 1)
    if -(-n // M) > math.comb(pool, C - 1):
        n = M
    groups = make_groups(points, gridsize, n, seed=seed, sequential=sequential)
    assert groups.indices.shape == (n, C)
    assert groups.indices.dtype == np.int64
    np.testing.assert_array_equal(groups.indices[:, 0], groups.seeds)
    near = brute_nearest(points, pool)
    for members in groups.indices.tolist():
        assert len(set(members)) == C
        assert set(members[1:]) <= set(near[members[0]].tolist())
    assert len({(m[0], *sorted(m[1:])) for m in groups.indices.tolist()}) == n
    places = points[groups.indices]
    np.testing.assert_allclose(groups.centres, places.mean(1), atol=1e-12)
    np.testing.assert_allclose(groups.centres[:, None] + groups.offsets, places, atol=1e-12)
    assert groups.max_offset == np.abs(groups.offsets).max()
    again = make_groups(points, gridsize, n, seed=seed, sequential=sequential)
    np.testing.assert_array_equal(again.indices, groups.indices)


def test_the_seed_of_the_generator_matters():
    points = spread(60)
    first, other = (make_groups(points, 2, 20, seed=seed) for seed in (0, 1))
    assert not np.array_equal(first.seeds, other.seeds)
    assert not np.array_equal(first.indices, other.indices)


def test_by_default_every_frame_is_a_seed_once():
    np.testing.assert_array_equal(make_groups(spread(30), 2).seeds, np.arange(30))


def test_a_subset_has_different_seeds_and_sequential_takes_the_first():
    points = spread(30)
    seeds = make_groups(points, 2, 12).seeds
    assert len(set(seeds.tolist())) == 12
    assert not np.array_equal(np.sort(seeds), np.arange(12))
    np.testing.assert_array_equal(make_groups(points, 2, 12, sequential=True).seeds, np.arange(12))


def test_as_many_neighbours_as_needed_gives_the_nearest():
    points = spread(40)
    groups = make_groups(points, 2, neighbours=3, seed=5)
    np.testing.assert_array_equal(groups.indices[:, 1:], brute_nearest(points, 3))


def test_all_neighbours_are_drawn_equally_often():
    points = spread(3000)
    groups = make_groups(points, 2, neighbours=6)
    near = nearest_frames(points, 6)
    share = (near[:, :, None] == groups.indices[:, None, 1:]).any(2).mean(0)
    # each neighbour is in half of the groups; 3000 draws have a standard error of 0.009
    np.testing.assert_allclose(share, 0.5, atol=0.045)


def test_oversampling_can_take_every_combination_once():
    points = spread(10)
    groups = make_groups(points, 2, 10 * 20, neighbours=6, seed=3)
    near = brute_nearest(points, 6)
    for seed in range(10):
        mine = groups.indices[groups.seeds == seed, 1:]
        found = {tuple(sorted(members)) for members in mine.tolist()}
        assert found == {tuple(sorted(c)) for c in itertools.combinations(near[seed].tolist(), 3)}


def test_more_groups_than_combinations_is_an_error():
    with pytest.raises(ConfigError, match=r"201 groups .* 6 neighbours give only 200 different"):
        make_groups(spread(10), 2, 201, neighbours=6)
    with pytest.raises(ConfigError, match="gridsize 1 there are only 10 different"):
        make_groups(spread(10), 1, 11)


def test_combinations_too_many_to_number_are_still_drawn():
    groups = make_groups(spread(120), 5, 240, neighbours=110)
    assert all(len(set(members)) == 25 for members in groups.indices.tolist())


@pytest.mark.parametrize("method", ["train", "infer"])
def test_groups_never_cross_scans(method):
    points = np.tile(spread(25), (3, 1))  # the same places, three times
    index = np.random.default_rng(8).permutation(np.repeat([7, -2, 40], 25))
    if method == "train":
        groups = make_groups(points, 3, 100, scan_index=index)
        assert len(groups) == 100
    else:
        groups = groups_for_inference(points, 3, index)
        np.testing.assert_array_equal(groups.indices[:, 0], np.arange(75))
    assert (index[groups.indices] == index[groups.seeds][:, None]).all()
    assert all(len(set(members)) == 9 for members in groups.indices.tolist())


@given(scans, st.integers(1, 3))
def test_inference_groups_are_each_frame_and_its_nearest(points, gridsize):
    groups = groups_for_inference(points, gridsize)
    np.testing.assert_array_equal(groups.indices[:, 0], np.arange(len(points)))
    near = brute_nearest(points, gridsize**2 - 1)
    np.testing.assert_array_equal(groups.indices[:, 1:], near)


@given(st.integers(9, 40), st.integers(0, 9), st.booleans(), st.integers(2, 3))
def test_inference_groups_do_not_depend_on_the_order_of_frames(M, seed, grid, gridsize):
    points = raster(-(-M // 5), 5)[:M] if grid else spread(M, seed)
    order = np.random.default_rng(seed).permutation(M)
    groups = groups_for_inference(points, gridsize)
    moved = groups_for_inference(points[order], gridsize)
    np.testing.assert_array_equal(order[moved.indices], groups.indices[order])


BAD = {
    "too few": (lambda: make_groups(spread(3), 2), ScanError, "there are 3 frames, .* has 4"),
    "too few to infer": (lambda: groups_for_inference(spread(8), 3), ScanError, "8 frames"),
    "too few in one scan": (
        lambda: make_groups(spread(9), 2, scan_index=np.array([0] * 6 + [5] * 3)),
        ScanError,
        "scan_index 5 has 3 frames",
    ),
    "no frames": (lambda: make_groups(np.zeros((0, 2)), 1), ScanError, "there are 0 frames"),
    "neighbours": (lambda: make_groups(spread(9), 2, neighbours=2), ConfigError, "at least 3"),
    "gridsize": (lambda: make_groups(spread(9), 0), ConfigError, "gridsize is 0"),
    "n_groups": (lambda: make_groups(spread(9), 1, 0), ConfigError, "n_groups is 0"),
    "method": (lambda: make_groups(spread(9), 1, method="x"), ConfigError, "grouping is 'x'"),
    "shape": (lambda: make_groups(spread(9).T, 1), ScanError, r"\(2, 9\)"),
    "index": (
        lambda: groups_for_inference(spread(9), 1, np.zeros(3)),
        ScanError,
        r"scan_index has shape \(3,\)",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_grouped_is_refused(case):
    make, error, message = BAD[case]
    with pytest.raises(error, match=message):
        make()


def test_a_hundred_thousand_frames_take_seconds():
    points = np.random.default_rng(0).uniform(0, 3000, (100_000, 2))
    clock = time.process_time()
    groups = make_groups(points, 2)
    groups_for_inference(points, 2)
    # 1.4 s on one core of 2024; a loop over the frames would take minutes
    assert time.process_time() - clock < 15
    assert len(groups) == 100_000
