"""The reference's groups, draw for draw, against arrays measured from it."""

from pathlib import Path

import numpy as np
import pytest

from pinn.data.grouping import make_groups
from pinn.errors import ConfigError, ScanError

GOLDENS = np.load(Path(__file__).parent.parent / "goldens" / "grouping.npz")
POSITIONS = np.stack([GOLDENS["y"], GOLDENS["x"]], axis=1)

CASES = {
    "gs1": dict(gridsize=1, n_groups=5, neighbours=4, seed=42),
    "gs2_K4": dict(gridsize=2, n_groups=5, neighbours=4, seed=42),
    "gs2_K7": dict(gridsize=2, n_groups=5, neighbours=7, seed=42),
    "gs2_seq_K6": dict(gridsize=2, n_groups=4, neighbours=6, seed=7, sequential=True),
    "gs2_over_K7": dict(gridsize=2, n_groups=50, neighbours=7, seed=42, oversample=True),
}


@pytest.mark.parametrize("case", CASES)
def test_groups_and_coordinates_are_those_of_the_reference(case):
    groups = make_groups(POSITIONS, method="legacy", **CASES[case])
    np.testing.assert_array_equal(groups.indices, GOLDENS[f"{case}_nn"])
    # [x, y], and relative positions the other way round
    centres = groups.centres[:, None, ::-1, None]
    relative = -np.moveaxis(groups.offsets[:, :, ::-1], 1, 2)[:, None]
    # the same means of the same doubles, in perhaps another order of addition
    np.testing.assert_allclose(centres, GOLDENS[f"{case}_offsets"], rtol=0, atol=1e-13)
    np.testing.assert_allclose(relative, GOLDENS[f"{case}_relative"], rtol=0, atol=1e-13)


def test_seeds_need_not_be_members_but_are_told():
    groups = make_groups(POSITIONS, 2, 5, 4, seed=42, method="legacy")
    assert groups.seeds[:3].tolist() == [35, 13, 26]
    assert not (groups.indices == groups.seeds[:, None]).any()


def test_the_global_generator_is_left_alone():
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    make_groups(POSITIONS, 2, 5, 4, seed=42, method="legacy")
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_all_frames_in_order_when_no_number_is_given():
    groups = make_groups(POSITIONS, 2, method="legacy")
    np.testing.assert_array_equal(groups.seeds, np.arange(36))


def test_with_gridsize_1_more_groups_than_frames_are_cut():
    assert len(make_groups(POSITIONS, 1, 99, method="legacy")) == 36


def test_a_tiny_scan_takes_the_seed_in():
    groups = make_groups(POSITIONS[:4], 2, neighbours=4, method="legacy")
    np.testing.assert_array_equal(np.sort(groups.indices, axis=1), [[0, 1, 2, 3]] * 4)


BAD = {
    "oversampling": (dict(n_groups=50), ConfigError, "50 groups .* 36 frames.*oversampling"),
    "neighbours": (dict(neighbours=3), ConfigError, "neighbours is 3"),
    "scans": (dict(scan_index=np.arange(36) // 18), ConfigError, "ignores scan_index"),
    "frames": (dict(gridsize=7), ScanError, "36 frames, but a group has 49"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_the_rules_forbid_is_refused(case):
    changes, error, message = BAD[case]
    with pytest.raises(error, match=message):
        make_groups(POSITIONS, **{"gridsize": 2, "method": "legacy", **changes})
