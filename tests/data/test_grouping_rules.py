"""Rules of grouping (distances, quadrants, bounds, subsets) against brute force."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pinn.data.combinations import combinations, share_out
from pinn.data.grouping import make_groups
from pinn.errors import ConfigError, ScanError

STEP = 3.7
TIE = 1e-9


def raster(rows, columns):
    y, x = np.mgrid[:rows, :columns]
    return np.stack([y.ravel(), x.ravel()], 1) * STEP


def spread(M, seed=0):
    return np.random.default_rng(seed).uniform((0, -10), (22, 8), (M, 2))


scans = st.builds(
    lambda M, seed, kind: {
        "spread": spread(M, seed),
        "raster": raster(-(-M // 5), 5)[:M],
        "pairs": np.repeat(spread(M, seed)[: -(-M // 2)], 2, axis=0)[:M],
    }[kind],
    st.integers(9, 30),
    st.integers(0, 9),
    st.sampled_from(["spread", "raster", "pairs"]),
)
# multiples of the step of the raster: its neighbours lie exactly on the ends of the range
lows = st.sampled_from([None, 0.0, STEP, 2.5])
highs = st.sampled_from([None, STEP, 2 * STEP, 9.0])


def in_reach(points, seed, pool, low=None, high=None, allowed=None):
    """Others of a frame within the distances, by full sort on (distance, y, x, number)."""
    away = [math.dist(points[seed], p) for p in points]
    others = [
        j
        for j in range(len(points))
        if j != seed
        and (allowed is None or j in allowed)
        and (low or 0) * (1 - TIE) <= away[j] <= (math.inf if high is None else high) * (1 + TIE)
    ]
    others.sort(
        key=lambda j: (float(((points[j] - points[seed]) ** 2).sum()), *points[j].tolist(), j)
    )
    return others[:pool]


def quadrant(step):
    """Number of quarter turns from +x towards +y; the axis where one begins belongs to it."""
    if not np.any(step):
        return None
    for turns in range(4):
        y, x = step
        if x > 0 and y >= 0:
            return turns
        step = np.array([-x, y])  # a quarter turn back
    raise AssertionError


def taking_turns(counts, there):
    """True if quadrants with `there` candidates can have given `counts` members by turns."""
    return all(have == n or have >= max(counts) - 1 for have, n in zip(counts, there, strict=True))


def quadrant_sets(points, seed, near, size):
    """All sets of `size` of the candidates that the rule of quadrants allows."""
    where = {j: quadrant(points[j] - points[seed]) for j in near}
    near = [j for j in near if where[j] is not None]
    there = [sum(where[j] == q for j in near) for q in range(4)]
    return {
        tuple(sorted(chosen))
        for chosen in itertools.combinations(near, size)
        if taking_turns([sum(where[j] == q for j in chosen) for q in range(4)], there)
    }


def sets_of(groups, seed):
    return [tuple(sorted(m)) for m in groups.indices[groups.seeds == seed, 1:].tolist()]


# -- distances ----------------------------------------------------------------------------


@given(scans, lows, highs, st.integers(1, 3), st.integers(0, 3))
def test_members_lie_in_reach_of_the_seed_and_the_rest_are_no_seeds(points, low, high, grid, seed):
    C = grid**2
    expected = [in_reach(points, s, C - 1, low, high) for s in range(len(points))]
    seeds = [s for s, near in enumerate(expected) if len(near) == C - 1]
    options = dict(min_distance=low, max_distance=high, seed=seed)
    if not seeds:
        with pytest.raises(ScanError, match=f"none of {len(points)} frames has as many"):
            make_groups(points, grid, **options)
        return
    groups = make_groups(points, grid, **options)
    assert groups.seeds.tolist() == seeds
    np.testing.assert_array_equal(groups.indices, [[s, *expected[s]] for s in seeds])
    missing = len(points) - len(seeds)
    assert [note.split()[0] for note in groups.notes] == [str(missing)] * bool(missing)


@given(scans, lows, highs, st.integers(3, 7))
def test_oversampling_can_take_every_group_that_is_in_reach(points, low, high, pool):
    near = [in_reach(points, s, pool, low, high) for s in range(len(points))]
    every = [{tuple(sorted(c)) for c in itertools.combinations(n, 3)} for n in near]
    total = sum(map(len, every))
    assume(total)
    options = dict(neighbours=pool, min_distance=low, max_distance=high)
    groups = make_groups(points, 2, total, **options)
    for s in range(len(points)):
        found = sets_of(groups, s)
        assert len(found) == len(every[s])
        assert set(found) == every[s]
    with pytest.raises(ConfigError, match=f"{total + 1} groups were asked for.*only {total} diff"):
        make_groups(points, 2, total + 1, **options)


def test_a_range_that_no_frame_is_in_is_refused():
    with pytest.raises(ConfigError, match="9 to 3 px from its seed, which no frame is"):
        make_groups(spread(12), 2, min_distance=9, max_distance=3)
    with pytest.raises(ScanError, match=r"none of 12 frames has as many \(at most 0\); change min"):
        make_groups(spread(12), 2, min_distance=500)


# -- quadrants ----------------------------------------------------------------------------


@given(scans, lows, highs, st.integers(3, 9))
def test_quadrants_allow_exactly_the_sets_that_take_turns(points, low, high, pool):
    every = [
        quadrant_sets(points, s, in_reach(points, s, pool, low, high), 3)
        for s in range(len(points))
    ]
    total = sum(map(len, every))
    options = dict(neighbours=pool, method="quadrants", min_distance=low, max_distance=high, seed=4)
    if not total:
        with pytest.raises(ScanError, match="in a quadrant from its seed"):
            make_groups(points, 2, **options)
        return
    groups = make_groups(points, 2, total, **options)
    assert (groups.indices[:, 0] == groups.seeds).all()
    for s in range(len(points)):
        found = sets_of(groups, s)
        assert len(found) == len(every[s])
        assert set(found) == every[s]
    with pytest.raises(ConfigError, match=f"only {total} different"):
        make_groups(points, 2, total + 1, **options)


@given(st.integers(0, 9), st.integers(3, 5), st.sampled_from([24, 40, 90]))
def test_larger_groups_take_turns_too(seed, gridsize, pool):
    points, size = spread(120, seed), gridsize**2 - 1
    count = 120 if pool == size else 150
    groups = make_groups(points, gridsize, count, pool, seed, method="quadrants")
    for row in groups.indices[:40].tolist():
        where = [quadrant(points[j] - points[row[0]]) for j in row[1:]]
        near = in_reach(points, row[0], pool)
        there = [sum(quadrant(points[j] - points[row[0]]) == q for j in near) for q in range(4)]
        assert len(set(row)) == size + 1
        assert set(row[1:]) <= set(near)
        assert [near.index(j) for j in row[1:]] == sorted(near.index(j) for j in row[1:])
        assert taking_turns([where.count(q) for q in range(4)], there)


def test_inside_a_raster_the_members_of_a_group_of_nine_are_two_of_each_quadrant():
    points = raster(9, 9)
    groups = make_groups(points, 3, neighbours=8, method="quadrants")
    middle = groups.indices[groups.seeds == 40][0]
    around = {30, 31, 32, 39, 41, 48, 49, 50}  # its eight neighbours, and no others
    assert set(middle[1:].tolist()) == around


def test_quadrants_reach_round_where_the_nearest_lie_on_one_side():
    lines = np.stack(np.meshgrid(np.arange(5) * 9.0, np.arange(30.0), indexing="ij"), -1)
    points = lines.reshape(-1, 2)  # rows far apart: the nearest of a frame are all in its own
    ends = {}
    for method in ("nearest", "quadrants"):
        groups = make_groups(points, 2, neighbours=40, method=method, bounds=(9, 5, 27, 24))
        ends[method] = np.ptp(points[groups.indices[:, 1:], 0], axis=1)
    assert (ends["quadrants"] > 0).all()
    assert not (ends["nearest"] > 0).all()
    plain = make_groups(points, 2, bounds=(9, 5, 27, 24))
    assert (np.ptp(points[plain.indices, 0], axis=1) == 0).all()


def test_a_rim_without_neighbours_on_one_side_is_told():
    points = raster(6, 7)
    groups = make_groups(points, 2, method="quadrants", max_distance=1.5 * STEP)
    told = [note for note in groups.notes if "quadrants" in note]
    near = [in_reach(points, s, 12, None, 1.5 * STEP) for s in range(len(points))]
    sides = [len({quadrant(points[j] - points[s]) for j in n}) for s, n in enumerate(near)]
    assert told == [note for note in told if note.startswith(f"{sum(k < 3 for k in sides)} of 42")]
    assert len(told) == 1


# -- bounds, subsets ----------------------------------------------------------------------


@given(scans, st.tuples(*[st.floats(-12, 24)] * 4), st.sampled_from(["nearest", "quadrants"]))
def test_bounds_choose_seeds_and_leave_members_free(points, box, method):
    y0, y1 = sorted(box[:2])
    x0, x1 = sorted(box[2:])
    inside = [s for s, (y, x) in enumerate(points.tolist()) if y0 <= y <= y1 and x0 <= x <= x1]
    options = dict(method=method, seed=2)
    if not inside:
        with pytest.raises(ScanError, match=f"none of {len(points)} frames lies within the bounds"):
            make_groups(points, 2, bounds=(y0, x0, y1, x1), **options)
        return
    groups = make_groups(points, 2, bounds=(y0, x0, y1, x1), **options)
    assert groups.seeds.tolist() == inside
    if method == "nearest":
        whole = make_groups(points, 2, **options)
        np.testing.assert_array_equal(groups.indices, whole.indices[inside])


@given(scans, st.integers(5, 25), st.integers(0, 5), st.sampled_from(["nearest", "quadrants"]))
def test_a_subsample_is_the_whole_world_of_its_groups(points, count, seed, method):
    assume(method == "nearest" or len(np.unique(points, axis=0)) == len(points))
    groups = make_groups(points, 2, subsample=count, subsample_seed=seed, method=method)
    kept = groups.seeds
    assert len(kept) == min(count, len(points))
    assert set(groups.indices.ravel().tolist()) == set(kept.tolist())
    alone = make_groups(points[kept], 2, method=method)
    np.testing.assert_array_equal(groups.indices, kept[alone.indices])


def test_the_draw_of_a_subsample_has_a_seed_of_its_own():
    points = spread(300)

    def kept(**options):
        return make_groups(points, 1, subsample=50, **options).seeds.tolist()

    assert kept(seed=1) != kept(seed=2)
    assert kept(seed=1, subsample_seed=7) == kept(seed=2, subsample_seed=7)
    assert kept(subsample_seed=7) != kept(subsample_seed=8)
    assert kept(sequential=True) == list(range(50))


def test_subsample_and_number_of_groups_go_together():
    points = spread(300)
    few = make_groups(points, 2, 30, subsample=50, subsample_seed=3)
    kept = make_groups(points, 2, subsample=50, subsample_seed=3).seeds
    assert set(few.indices.ravel().tolist()) <= set(kept.tolist())
    assert len(set(few.seeds.tolist())) == 30
    more = make_groups(points, 2, 80, subsample=50, subsample_seed=3)
    assert np.bincount(more.seeds)[kept].tolist().count(2) == 30
    first = make_groups(points, 2, 30, subsample=50, sequential=True)
    np.testing.assert_array_equal(first.seeds, np.arange(30))
    legacy = make_groups(points, 2, 30, subsample=50, subsample_seed=3, method="legacy")
    assert set(legacy.indices.ravel().tolist()) <= set(kept.tolist())
    assert set(legacy.seeds.tolist()) <= set(kept.tolist())


def test_at_most_limits_only_what_nobody_asked_for():
    points = spread(100)
    assert len(make_groups(points, 2, at_most=30)) == 30
    assert len(make_groups(points, 2, at_most=30, method="legacy")) == 30
    assert len(make_groups(points, 2, at_most=300)) == 100
    assert len(make_groups(points, 2, 40, at_most=30)) == 40


@pytest.mark.parametrize("method", ["nearest", "quadrants"])
def test_no_rule_mixes_scans(method):
    points = np.tile(spread(60), (2, 1))
    index = np.random.default_rng(8).permutation(np.repeat([3, 9], 60))
    groups = make_groups(
        *(points, 2, 300),
        scan_index=index,
        method=method,
        min_distance=0.5,
        max_distance=12,
        subsample=100,
        bounds=(2, -8, 20, 6),
        neighbours=10,
    )
    assert len(groups) == 300
    assert (index[groups.indices] == index[groups.seeds][:, None]).all()
    away = np.hypot(*np.moveaxis(points[groups.indices[:, 1:]] - points[groups.seeds, None], -1, 0))
    assert away.min() >= 0.5
    assert away.max() <= 12
    assert len({(m[0], *sorted(m[1:])) for m in groups.indices.tolist()}) == 300


# -- the draws ----------------------------------------------------------------------------


@given(st.lists(st.integers(0, 6), min_size=1, max_size=12), st.data())
def test_draws_are_shared_as_evenly_as_the_capacities_allow(capacity, data):
    capacity = np.array(capacity, np.int64)
    n = data.draw(st.integers(0, int(capacity.sum())))
    for sequential in (True, False):
        shares = share_out(n, capacity, sequential, np.random.default_rng(0))
        assert shares.sum() == n
        assert (shares <= capacity).all()
        # whoever could have more has no fewer than any other, save for the last one given out
        assert (shares[shares < capacity] >= shares.max() - 1).all()
    first = np.flatnonzero(capacity > 0)[:1]
    if n == 1:
        assert np.flatnonzero(share_out(1, capacity, True, np.random.default_rng(0))) == first


@given(st.integers(1, 9), st.integers(0, 5))
def test_every_number_is_another_combination(pool, size):
    assume(size <= pool)
    count = math.comb(pool, size)
    found = combinations(np.arange(count), pool, size)
    assert sorted(map(tuple, found.tolist())) == list(itertools.combinations(range(pool), size))


# -- refusals and options -----------------------------------------------------------------

BAD = {
    "subsample too small": (
        dict(subsample=3),
        ScanError,
        r"3 frames left by subsample \(3 of 20\), but a group has 4; raise subsample",
    ),
    "subsample 0": (dict(subsample=0), ConfigError, "subsample is 0"),
    "legacy distance": (dict(method="legacy", max_distance=5), ConfigError, "leave min_distance"),
    "legacy bounds": (dict(method="legacy", bounds=(0, 0, 9, 9)), ConfigError, "nor bounds"),
    "one place": (dict(method="quadrants"), ScanError, "in a quadrant from its seed, but none"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_the_rules_cannot_do_is_one_sentence(case):
    options, error, message = BAD[case]
    points = np.tile([[3.0, 4.0]], (20, 1)) if case == "one place" else spread(20)
    with pytest.raises(error, match=message):
        make_groups(points, 2, **options)
