"""Batches: static shapes, the right frames in the right place, order from seed and epoch."""

import numpy as np
import pytest
from scan_makers import counts_stack, positions

from pinn.data.feed import Batches
from pinn.data.frames import ArrayFrames
from pinn.data.grouping import groups_for_inference, make_groups
from pinn.data.labels import Labels
from pinn.data.scan import Scan
from pinn.errors import ConfigError, ScanError


class Watched(ArrayFrames):
    """Frames that remember what was read."""

    def __init__(self, array):
        super().__init__(array)
        self.asked = []

    def read(self, indices):
        self.asked.append(np.asarray(indices).tolist())
        return super().read(indices)


def make_scan(seed, M=12, factor=1, masked=False, **options):
    frames = counts_stack(M, seed=seed) * factor
    if masked:
        options["valid_mask"] = np.random.default_rng(seed).random((16, 16)) > 0.2
    return Scan(Watched(frames), positions(M, seed + 10), **options)


def two_scans():
    scans = [make_scan(0, 12, masked=True), make_scan(1, 7, factor=50)]
    return scans, [make_groups(scan.positions_px, 2, seed=3) for scan in scans]


def expected_row(scan, groups, row):
    factor = scan.statistics().exposure_factor
    frames = []
    for member in groups.indices[row]:
        amplitude, valid = scan.read([member])
        frames.append(np.where(valid[0], amplitude[0] * np.float32(factor), -1))
    return np.stack(frames, -1), groups.offsets[row].astype(np.float32), np.float32(factor)


def test_frames_are_numbered_through_all_scans_where_asked():
    scans, groups = two_scans()
    batches = Batches(scans, groups, 4, seed=1, numbered=True)
    starts = (0, len(scans[0]))
    for index in range(len(batches)):
        batch = batches.batch(index)
        assert batch["frame"].shape == (4, 4) and batch["frame"].dtype == np.int32
        for row in range(4):
            scan = batch["scan"][row]
            members = batch["frame"][row] - starts[scan]
            # the frames of the batch are those that the numbers name
            amplitude, valid = scans[scan].read(members)
            expected = np.where(valid, amplitude * batch["scale"][row], -1)
            np.testing.assert_allclose(np.moveaxis(batch["frames"][row], -1, 0), expected)
    assert "frame" in batches.sample(1, 3).batch(0)
    assert "frame" not in Batches(scans, groups, 4, seed=1).batch(0)


@pytest.mark.parametrize("shuffle", [True, False])
def test_an_epoch_holds_every_group_once_and_the_rest_weighs_nothing(shuffle):
    scans, groups = two_scans()
    batches = Batches(scans, groups, 5, seed=4, shuffle=shuffle)
    assert batches.groups == 19
    assert len(batches) == 4
    seen = []
    for number in range(4):
        batch = batches.batch(number, epoch=2)
        assert batch["frames"].shape == (5, 16, 16, 4)
        assert batch["offsets"].shape == (5, 4, 2)
        assert batch["scan"].dtype == np.int32
        for key in ("frames", "offsets", "scale", "weight"):
            assert batch[key].dtype == np.float32
        for b in range(5):
            which = int(batch["scan"][b])
            offsets = groups[which].offsets.astype(np.float32)
            row = int(np.flatnonzero((offsets == batch["offsets"][b]).all((1, 2)))[0])
            frames, _, scale = expected_row(scans[which], groups[which], row)
            np.testing.assert_array_equal(batch["frames"][b], frames)
            assert batch["scale"][b] == scale
            if batch["weight"][b]:
                seen.append((which, row))
    assert batch["weight"].tolist() == [1, 1, 1, 1, 0]
    everything = [(0, row) for row in range(12)] + [(1, row) for row in range(7)]
    assert sorted(seen) == everything
    assert (seen == everything) != shuffle


def test_masked_pixels_are_minus_one_and_no_others_are_negative():
    scans, groups = two_scans()
    batch = Batches(scans, groups, 19, 0, shuffle=False).batch(0)
    mask = scans[0].valid_mask
    assert (batch["frames"][:12][:, ~mask] == -1).all()
    assert (batch["frames"][:12][:, mask] >= 0).all()
    assert (batch["frames"][12:] >= 0).all()


def test_the_order_is_a_function_of_seed_and_epoch():
    scans, groups = two_scans()

    def order(seed, epoch):
        batches = Batches(scans, groups, 19, seed)
        return batches.batch(0, epoch)["offsets"].tolist()

    assert order(1, 3) == order(1, 3)
    assert order(1, 3) != order(1, 4)
    assert order(1, 3) != order(2, 3)
    used = Batches(scans, groups, 19, 1)
    for epoch in (0, 1, 5):
        used.batch(0, epoch)
    assert used.batch(0, 3)["offsets"].tolist() == order(1, 3)


def test_only_the_frames_of_the_batch_are_read_each_once():
    scan = make_scan(0)
    groups = make_groups(scan.positions_px, 2)
    batches = Batches([scan], [groups], 3, 0, shuffle=False)
    scan.statistics()
    scan.frames.asked.clear()
    batches.batch(1)
    assert scan.frames.asked == [np.unique(groups.indices[3:6]).tolist()]


def test_a_batch_is_never_larger_than_the_epoch():
    scan = make_scan(0, M=4)
    groups = [groups_for_inference(scan.positions_px, 1)]
    for size, per_epoch, wanted in ((11, None, 4), (10**9, None, 4), (11, 3, 3), (3, None, 3)):
        batches = Batches([scan], groups, size, 0, per_epoch=per_epoch)
        batch = batches.batch(0)
        assert batch["frames"].shape == (wanted, 16, 16, 1)
        assert batch["weight"].sum() == wanted == len(np.unique(batch["frames"], axis=0))


def test_a_scan_without_groups_is_allowed_besides_others():
    scans, groups = two_scans()
    none = groups[0].select(np.zeros(0, int))
    batch = Batches(scans, [none, groups[1]], 7, 0).batch(0)
    assert (batch["scan"] == 1).all()
    assert scans[0].frames.asked != []  # the sample of the constructor
    with pytest.raises(ScanError, match="no groups"):
        Batches(scans, [none, none], 7, 0)


def test_what_cannot_be_mixed_is_refused():
    scans, groups = two_scans()
    wide = Scan(counts_stack(12, 18), positions())
    with pytest.raises(ScanError, match=r"frame size \[16, 18\]"):
        Batches([scans[0], wide], [groups[0], groups[0]], 4, 0)
    with pytest.raises(ConfigError, match=r"groups of different size \[1, 4\]"):
        Batches(scans, [groups[0], make_groups(scans[1].positions_px, 1)], 4, 0)
    with pytest.raises(ConfigError, match="batch_size is 0"):
        Batches(scans, groups, 0, 0)
    with pytest.raises(ConfigError, match="2 scans came with groups for 1"):
        Batches(scans, groups[:1], 4, 0)
    with pytest.raises(IndexError, match="batch 5 of 5"):
        Batches(scans, groups, 4, 0).batch(5)


# -- fewer groups per epoch -------------------------------------------------------------------


def epoch_of(batches, epoch):
    """Group numbers `(scan, row)` that count in an epoch, in order."""
    found = []
    for number in range(len(batches)):
        batch = batches.batch(number, epoch)
        real = np.flatnonzero(batch["weight"])
        found += [(int(batch["scan"][b]), batch["offsets"][b].tobytes()) for b in real]
    return found


@pytest.mark.parametrize("share", [1, 4, 7, 18, 19, 40])
def test_an_epoch_takes_the_next_groups_of_an_endless_row(share):
    scans, groups = two_scans()
    everything = set(epoch_of(Batches(scans, groups, 5, seed=2, shuffle=False), 0))
    batches = Batches(scans, groups, 5, seed=2, per_epoch=share)
    assert batches.groups == min(share, 19)
    assert len(batches) == -(-batches.groups // 5)
    row = [group for epoch in range(45) for group in epoch_of(batches, epoch)]
    assert len(row) == 45 * batches.groups
    for first in range(0, len(row) - 18, 19):  # a round has every group once
        assert set(row[first : first + 19]) == everything
    assert row[:19] != row[19:38]
    again = Batches(scans, groups, 5, seed=2, per_epoch=share)
    assert epoch_of(again, 3) == row[3 * batches.groups : 4 * batches.groups]


def test_all_groups_in_an_epoch_are_as_without_the_option():
    scans, groups = two_scans()
    plain, all_of_them = Batches(scans, groups, 5, 2), Batches(scans, groups, 5, 2, per_epoch=19)
    assert epoch_of(plain, 6) == epoch_of(all_of_them, 6)
    with pytest.raises(ConfigError, match="groups_per_epoch is 0"):
        Batches(scans, groups, 5, 2, per_epoch=0)


# -- labels and stages --------------------------------------------------------------------


def test_labels_travel_with_their_groups():
    truth = np.random.default_rng(3).normal(size=(2, 90, 90)) * (1 + 1j)
    scans = [
        make_scan(0, 12, truth=truth[0], truth_origin_px=(-9, -9)),
        make_scan(1, 7, truth=truth[1], truth_origin_px=(20, 20)),
    ]
    groups = [make_groups(scan.positions_px, 2, seed=3) for scan in scans]
    labels = [Labels(scan) for scan in scans]
    batch = Batches(scans, groups, 5, seed=4, labels=labels).batch(3)
    assert batch["labels"].shape == (5, 4, 16, 16, 2)
    assert batch["labels"].dtype == batch["labelled"].dtype == np.float32
    for b in range(5):
        which = int(batch["scan"][b])
        offsets = groups[which].offsets.astype(np.float32)
        row = np.flatnonzero((offsets == batch["offsets"][b]).all((1, 2)))
        values, defined = labels[which].read(groups[which], row)
        np.testing.assert_array_equal(batch["labels"][b, ..., 0], values[0].real)
        np.testing.assert_array_equal(batch["labels"][b, ..., 1], values[0].imag)
        np.testing.assert_array_equal(batch["labelled"][b], defined[0])
    assert 0 < batch["labelled"].mean() < 1


def test_batches_hold_what_is_asked_for_only():
    scans, groups = two_scans()
    plain = Batches(scans, groups, 5, 0).batch(0)
    assert set(plain) == {"frames", "offsets", "scale", "scan", "weight"}
    staged = Batches(scans, groups, 5, 0, physics_weight=lambda epoch: epoch / 8)
    for epoch in (0, 3):
        weight = staged.batch(0, epoch)["physics_weight"]
        assert weight.dtype == np.float32
        np.testing.assert_array_equal(weight, np.full(5, epoch / 8))


# -- blocks -------------------------------------------------------------------------------


@pytest.mark.parametrize("photons", [None, 500.0])
def test_many_frames_at_once_are_the_same_as_one_by_one(photons):
    rng = np.random.default_rng(3)
    M = 700  # of 16 x 16: more than are worked on at a time
    frames = rng.poisson(3.0, (M, 16, 16)).astype(np.float32)
    frames[rng.random(frames.shape) < 0.01] = np.nan
    valid = rng.random(frames.shape) > 0.1
    places = rng.uniform(0, 90, (M, 2))
    scan = Scan(frames, places, valid_mask=valid, units="counts", photons_per_frame=photons)
    used = valid & np.isfinite(frames)
    counts = np.where(used, frames.astype(np.float64), 0)
    counts *= 1 if photons is None else photons / counts.sum((1, 2)).mean()
    rows = rng.permutation(M)
    amplitude, mask = scan.read(rows)
    np.testing.assert_array_equal(mask, used[rows])
    np.testing.assert_allclose(amplitude, np.sqrt(counts)[rows], rtol=2e-7)  # float32
    batch = Batches([scan], [groups_for_inference(places, 1)], M, 0, shuffle=False).batch(0)
    factor = 8 / np.sqrt(counts.sum((1, 2)).mean())
    expected = np.where(used, factor * np.sqrt(counts), -1)
    np.testing.assert_allclose(batch["frames"][..., 0], expected, rtol=4e-7)  # two roundings
