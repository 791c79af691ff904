"""Dose and exposure of a scan, against plain double-precision sums."""

import json

import numpy as np
import pytest
from scan_makers import counts_stack, positions

from pinn.data import dose as dose_module
from pinn.data.frames import ArrayFrames
from pinn.data.scan import Scan
from pinn.data.statistics import TrainingStatistics, training_statistics
from pinn.errors import ArchiveError, ScanError

COUNTS = counts_stack()
POSITIONS = positions()


@pytest.mark.parametrize("piece", [1, 5000, 8 << 20], ids=["one frame", "some", "all at once"])
def test_sums_do_not_depend_on_the_pieces(piece, monkeypatch):
    monkeypatch.setattr(dose_module, "_CHUNK_BYTES", piece)
    mask = np.random.default_rng(5).random((16, 16)) > 0.2
    found = Scan(COUNTS, POSITIONS, valid_mask=mask).statistics()
    sums = (COUNTS * mask).astype(np.float64).sum((1, 2))
    assert found.frames == 12
    np.testing.assert_array_equal(found.frame_counts, sums)  # whole numbers: exact
    assert found.mean_counts == pytest.approx(sums.mean(), rel=1e-14)
    assert found.exposure_factor == pytest.approx(8 / np.sqrt(sums.mean()), rel=1e-14)
    assert found.max_counts == (COUNTS * mask).max()
    assert found.masked_pixels == 12 * (~mask).sum()
    assert found.dead_pixels == (~mask).sum()
    assert found.dark_frames == ()


@pytest.mark.parametrize("units", ["counts", "intensity", "amplitude"])
def test_the_exposure_factor_brings_the_mean_energy_to_a_quarter_of_the_pixels(units):
    frames = np.sqrt(COUNTS) if units == "amplitude" else COUNTS.astype(np.float32)
    scan = Scan(frames, POSITIONS, units=units)
    amplitude = scan.read(np.arange(12))[0].astype(np.float64) * scan.statistics().exposure_factor
    assert np.mean(np.sum(amplitude**2, (1, 2))) == pytest.approx(64.0, rel=1e-6)


class Counted(ArrayFrames):
    """Frames that count how often all of them were passed through."""

    passes = 0

    def chunks(self, size):
        self.passes += 1
        return super().chunks(size)


@pytest.mark.parametrize("units", ["counts", "intensity", "amplitude"])
def test_the_dose_of_a_selection_is_that_of_the_whole_scan(units):
    counts = COUNTS * np.linspace(1, 7, 12)[:, None, None]
    frames = Counted(np.sqrt(counts) if units == "amplitude" else counts)
    mask = np.random.default_rng(5).random((16, 16)) > 0.2
    scan = Scan(frames, POSITIONS, valid_mask=mask, units=units, photons_per_frame=5e4)
    wanted = counts * mask * 5e4 / (counts * mask).sum((1, 2)).mean()
    rows = np.array([9, 2, 5])
    some = scan.select(rows)
    fewer = some.select([2, 0])
    assert frames.passes == 0  # only when it is needed
    for part, numbers in ((some, rows), (fewer, rows[[2, 0]]), (scan, np.arange(12))):
        amplitude = part.read(np.arange(len(part)))[0].astype(np.float64)
        np.testing.assert_allclose(amplitude**2, wanted[numbers], rtol=1e-6)
        mean = wanted[numbers].sum((1, 2)).mean()
        assert part.statistics().mean_counts == pytest.approx(mean, rel=1e-12)
    assert frames.passes == 2  # once for the dose, once for the statistics of the whole scan


def test_statistics_and_dose_of_a_whole_scan_take_one_pass():
    frames = Counted(COUNTS.astype(np.float64))
    scan = Scan(frames, POSITIONS, units="intensity", photons_per_frame=5e4)
    scan.read([0])
    scan.statistics()
    scan.select([3, 4]).read([0, 1])
    assert frames.passes == 1


def test_photons_per_frame_rescale_counts_and_keep_the_normalised_amplitude():
    plain = Scan(np.sqrt(COUNTS), POSITIONS)
    dosed = Scan(np.sqrt(COUNTS), POSITIONS, photons_per_frame=5e6)
    found = dosed.statistics()
    assert found.mean_counts == pytest.approx(5e6, rel=1e-12)
    assert found.photons_known
    assert not plain.statistics().photons_known
    assert found.max_counts == pytest.approx(plain.statistics().max_counts * found.rescale)
    assert any("dose is unknown" in note for note in plain.notes)
    assert not any("dose is unknown" in note for note in dosed.notes)
    amplitude = dosed.read(np.arange(12))[0].astype(np.float64)
    assert np.mean(np.sum(amplitude**2, (1, 2))) == pytest.approx(5e6, rel=1e-6)
    np.testing.assert_allclose(
        amplitude * found.exposure_factor,
        plain.read(np.arange(12))[0] * plain.statistics().exposure_factor,
        rtol=1e-6,
    )


def test_dark_frames_are_counted_and_noted():
    frames = COUNTS.copy()
    frames[[2, 7]] = 0
    scan = Scan(frames, POSITIONS)
    assert scan.statistics().dark_frames == (2, 7)
    assert any("2 of 12 frames are dark, the first is number 2" in note for note in scan.notes)
    assert scan.statistics().mean_counts == pytest.approx(frames.sum() / 12)


def test_a_dark_scan_is_refused():
    for frames in (np.zeros((12, 16, 16), np.uint16), np.full((12, 16, 16), np.nan)):
        scan = Scan(frames, POSITIONS, name="mine")
        with pytest.raises(ScanError, match="all 12 frames of scan 'mine' are dark"):
            scan.statistics()


def test_large_sums_keep_their_last_digit():
    frames = np.full((12, 16, 16), 2**24 + 1, np.uint32)
    assert Scan(frames, POSITIONS).statistics().mean_counts == 256 * (2**24 + 1)


def test_statistics_are_measured_once():
    scan = Scan(COUNTS, POSITIONS)
    assert scan.statistics() is scan.statistics()


def test_training_statistics_go_through_json():
    scans = [
        Scan(COUNTS, POSITIONS, name="a"),
        Scan(3 * COUNTS[:5], POSITIONS[:5], name="b"),
    ]
    found = training_statistics(["a", "b"], scans[0].N, [scan.statistics() for scan in scans])
    sums = np.concatenate([COUNTS.sum((1, 2)), 3 * COUNTS[:5].sum((1, 2))])
    assert found.mean_counts == pytest.approx(sums.mean(), rel=1e-14)
    assert found.exposure_factor == pytest.approx(8 / np.sqrt(sums.mean()), rel=1e-14)
    assert [s.name for s in found.scans] == ["a", "b"]
    assert [s.frames for s in found.scans] == [12, 5]
    again = TrainingStatistics.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again == found


def test_damaged_training_statistics_are_refused():
    scan = Scan(COUNTS, POSITIONS)
    good = training_statistics([scan.name], scan.N, [scan.statistics()]).to_dict()
    for change in ({"exposure_factor": -1.0}, {"mean_counts": "much"}, {"scans": [{}]}):
        with pytest.raises(ArchiveError, match="training statistics are damaged"):
            TrainingStatistics.from_dict(good | change)
    with pytest.raises(ArchiveError, match="mean_counts"):
        TrainingStatistics.from_dict({k: v for k, v in good.items() if k != "mean_counts"})
