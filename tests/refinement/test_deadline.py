"""A refinement ends in time, by a clock of the test: every batch that is read takes a second."""

import numpy as np
import pytest
from refining import QUICK, arrays_of, scan_of

import pinn
from pinn.data.kept_frames import Frames
from pinn.progress import OVER, Deadline, OutOfTime

pytestmark = pytest.mark.one_backend


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock, read = Clock(), Frames.read

    def slow(self, rows):
        clock.now += 1.0
        return read(self, rows)

    monkeypatch.setattr(Frames, "read", slow)
    return clock


def test_time_is_kept_for_judging_and_writing_as_the_steps_tell(clock):
    deadline = Deadline(100.0, clock, later=1000, writing=7.0)
    assert deadline.left == 93.0
    for done, took in ((0, 0.0), (10, 5.0), (20, 1.0), (30, 1.0)):
        clock.now += took
        deadline.learn(done)
    assert deadline.judging == 0.1 * 1000 + 5.0  # the pace of most steps, and the slow first one
    assert deadline.left == 100 - 7 - 105 - clock.now
    with pytest.raises(OutOfTime):
        deadline.check()
    deadline.judged = False
    assert deadline.left == 100 - 7 - clock.now
    deadline.check()
    clock.now = 92.5  # a step takes a second
    deadline.pause()
    with pytest.raises(OutOfTime):
        deadline.step(0)
    Deadline(None).step(0)


@pytest.mark.parametrize(
    ("options", "times"),
    [
        ({"epochs": 50}, (80.0, 160.0)),
        ({"epochs": 2, "lbfgs_iterations": 50}, (80.0, 160.0)),
        ({"epochs": 3, "split_half": True}, (80.0, 100.0)),
    ],
    ids=["epochs", "lbfgs", "halves"],
)
def test_whatever_goes_on_ends_early_enough_to_judge_and_write(scan, options, times, clock):
    held = []
    for seconds in times:
        clock.now = 0.0
        deadline = Deadline(seconds, clock, writing=10.0)
        recon = pinn.refine(
            scan, deadline=deadline, update_probe=False, patience=60, **{**QUICK, **options}
        )
        assert recon.statistics["refinement"]["ended"] == OVER
        assert recon.frame_likelihood is not None and "unfinished" not in recon.statistics
        # the judgement has been made; what is kept for what it compiles was not needed here
        assert seconds - 12.0 < clock.now + deadline.writing <= seconds
        held.append(recon.statistics["likelihood"]["fit"]["held_out"])
    assert held[1] <= held[0]


def test_smoothing_ends_in_time_too(clock):
    scan = scan_of(arrays_of(photons_per_frame=300.0))
    options = {**QUICK, "update_probe": False, "epochs": 4, "split_half": True}
    smoothed = []
    # there is time after the epochs for judging alone; for smoothing too, but not that of a half
    for seconds in (80.0, 120.0):
        clock.now = 0.0
        recon = pinn.refine(scan, deadline=Deadline(seconds, clock, writing=10.0), **options)
        assert seconds - 12.0 < clock.now + 10.0 <= seconds
        assert recon.frame_likelihood is not None and "unfinished" not in recon.statistics
        smoothed.append(recon.statistics["refinement"]["object_low_pass"] is not None)
    assert smoothed == [False, True]


def test_an_epoch_longer_than_the_time_is_cut_and_says_so(scan, clock):
    seen = []
    recon = pinn.refine(scan, deadline=Deadline(9.0, clock), watch=seen.append, **QUICK)
    assert clock.now <= 9.0 and not seen
    cut = recon.statistics["refinement"]["cut"]
    assert cut["epoch"] == 1 and 0 < cut["frames"] < len(scan)
    assert recon.frame_likelihood is None  # there was no time for a pass over all frames
    assert recon.verdict.startswith("unfinished, epoch 1, before its end")
    assert np.ptp(np.abs(recon.object)) > 0.01


def test_what_there_is_can_be_seen_within_a_long_epoch(scan, monkeypatch):
    monkeypatch.setattr("pinn.refinement.loop._LONG", 0.0)
    seen = []
    whole = pinn.refine(scan, watch=seen.append, **{**QUICK, "epochs": 1})
    assert len(seen) > 5
    assert {one.statistics["unfinished"] for one in seen[:-1]} == {"epoch 1, before its end"}
    apart = [np.abs(one.object - whole.object).mean() for one in seen[:-1:4]]
    assert apart == sorted(apart, reverse=True) and apart[0] > 0
    unseen = pinn.refine(scan, **{**QUICK, "epochs": 1})
    np.testing.assert_array_equal(unseen.object, whole.object)
