"""What is held out: a region that nothing learned touches, or groups drawn at random."""

import numpy as np
import pytest
from scan_makers import positions

from pinn.data.grouping import make_groups
from pinn.data.split import split_at_random, split_groups
from pinn.errors import ConfigError


@pytest.mark.parametrize("gridsize", [1, 2])
@pytest.mark.parametrize("axis", [0, 1])
def test_the_held_out_groups_are_a_region_that_no_training_group_touches(gridsize, axis):
    places = np.random.default_rng(0).uniform((0, 0), (300, 80), (200, 2))
    places = places[:, ::-1] if axis else places
    groups = make_groups(places, gridsize)
    ends = set()
    for seed in range(6):
        learn, held = split_groups(groups, 0.1, seed)
        assert len(held) == 20
        assert not np.isin(learn.indices, held.indices).any()
        assert 160 - 40 * (gridsize - 1) < len(learn) <= 180
        if gridsize == 1:
            assert len(learn) == 180
        rest = np.setdiff1d(groups.seeds, held.seeds)
        along, others = held.centres[:, axis], groups.centres[rest, axis]
        ends.add(bool(along.min() > others.max()))
        # equal where two frames are each other's nearest: their groups are the same frames
        assert along.min() >= others.max() or along.max() <= others.min()
        again = split_groups(groups, 0.1, seed)[1]
        np.testing.assert_array_equal(again.indices, held.indices)
    assert ends == {True, False}


def test_a_share_below_half_a_group_holds_out_nothing():
    groups = make_groups(positions(9), 2)
    for fraction in (0.0, 0.05):
        learn, held = split_groups(groups, fraction, 0)
        assert len(learn) == 9
        assert held.indices.shape == (0, 4)
        assert held.max_offset == 0.0


def test_holding_out_everything_is_refused():
    groups = make_groups(positions(9), 2)
    with pytest.raises(ConfigError, match="validation_fraction"):
        split_groups(groups, 0.9, 0)


def test_at_random_every_group_is_in_one_part():
    places = np.random.default_rng(0).uniform((0, 0), (300, 80), (200, 2))
    groups = make_groups(places, 2)
    learn, held = split_at_random(groups, 0.1, 4)
    assert (len(learn), len(held)) == (180, 20)
    assert sorted([*learn.seeds, *held.seeds]) == sorted(groups.seeds)
    np.testing.assert_array_equal(split_at_random(groups, 0.1, 4)[1].indices, held.indices)
    assert not np.array_equal(split_at_random(groups, 0.1, 5)[1].indices, held.indices)
    # spread over the scan, unlike a region of a tenth of it
    assert np.ptp(held.centres[:, 0]) > 150
    learn, held = split_at_random(groups, 0.0, 4)
    assert (len(learn), len(held)) == (200, 0)
    with pytest.raises(ConfigError, match="validation_fraction"):
        split_at_random(groups, 0.999, 4)
