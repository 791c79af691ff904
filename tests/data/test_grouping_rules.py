"""Rules of grouping (quadrants, subsets, oversampling) against brute force."""

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


def nearest(points, seed, pool):
    """Others of a frame, by full sort on (distance, y, x, number)."""
    others = [j for j in range(len(points)) if j != seed]
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


# -- oversampling ------------------------------------------------------------------------


@given(scans, st.integers(3, 7))
def test_oversampling_can_take_every_group_of_the_neighbours(points, pool):
    near = [nearest(points, s, pool) for s in range(len(points))]
    every = [{tuple(sorted(c)) for c in itertools.combinations(n, 3)} for n in near]
    total = sum(map(len, every))
    groups = make_groups(points, 2, total, pool)
    for s in range(len(points)):
        found = sets_of(groups, s)
        assert len(found) == len(every[s])
        assert set(found) == every[s]
    with pytest.raises(ConfigError, match=f"{total + 1} groups were asked for.*only {total} diff"):
        make_groups(points, 2, total + 1, pool)


# -- quadrants ----------------------------------------------------------------------------


@given(scans, st.integers(3, 9))
def test_quadrants_allow_exactly_the_sets_that_take_turns(points, pool):
    every = [quadrant_sets(points, s, nearest(points, s, pool), 3) for s in range(len(points))]
    total = sum(map(len, every))
    options = dict(neighbours=pool, method="quadrants", seed=4)
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
        near = nearest(points, row[0], pool)
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
        groups = make_groups(points, 2, neighbours=40, method=method)
        inside = ((points[groups.seeds] >= (9, 5)) & (points[groups.seeds] <= (27, 24))).all(1)
        ends[method] = np.ptp(points[groups.indices[inside, 1:], 0], axis=1)
    assert (ends["quadrants"] > 0).all()
    assert not (ends["nearest"] > 0).all()
    plain = make_groups(points, 2)
    assert (np.ptp(points[plain.indices, 0], axis=1) == 0).all()


def test_a_rim_without_neighbours_on_one_side_is_told():
    points = raster(6, 7)
    groups = make_groups(points, 2, neighbours=5, method="quadrants")
    told = [note for note in groups.notes if "quadrants" in note]
    near = [nearest(points, s, 5) for s in range(len(points))]
    sides = [len({quadrant(points[j] - points[s]) for j in n}) for s, n in enumerate(near)]
    assert told == [note for note in told if note.startswith(f"{sum(k < 3 for k in sides)} of 42")]
    assert len(told) == 1


# -- subsets ------------------------------------------------------------------------------


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
        subsample=100,
        neighbours=10,
    )
    assert len(groups) == 300
    assert (index[groups.indices] == index[groups.seeds][:, None]).all()
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
    "one place": (dict(method="quadrants"), ScanError, "in a quadrant from its seed, but none"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_the_rules_cannot_do_is_one_sentence(case):
    options, error, message = BAD[case]
    points = np.tile([[3.0, 4.0]], (20, 1)) if case == "one place" else spread(20)
    with pytest.raises(error, match=message):
        make_groups(points, 2, **options)
