"""`watch`: looking at a model in training, and at an object while it is put together."""

import numpy as np
import pytest
from small import same, small_model, small_scan

import pinn

pytestmark = pytest.mark.alike


@pytest.fixture(scope="module")
def scan():
    return small_scan()


@pytest.mark.parametrize("stop_at", [None, 2])
def test_training_shows_its_model_after_every_epoch(scan, stop_at):
    seen = []

    def watch(model):
        picture = pinn.reconstruct(scan, model, calibrate=False)
        seen.append((len(model.history), picture.object))
        if stop_at == len(seen):
            raise pinn.StopRequested

    model = small_model(scan, epochs=3, watch=watch)
    assert [epoch for epoch, _ in seen] == [1, 2, 3][:stop_at]
    assert len(model.history) == (stop_at or 3)
    assert not np.array_equal(seen[0][1], seen[1][1])
    same(seen[-1][1], pinn.reconstruct(scan, model, calibrate=False).object)


def test_watching_changes_nothing(scan):
    plain = small_model(scan, epochs=2)
    watched = small_model(
        scan, epochs=2, watch=lambda model: pinn.reconstruct(scan, model, calibrate=False)
    )
    for name in ("loss", "val_loss"):
        assert [row[name] for row in plain.history] == pytest.approx(
            [row[name] for row in watched.history], rel=1e-6
        )


def test_inference_shows_its_parts(scan):
    model, parts = small_model(scan), []
    last = pinn.reconstruct(scan, model, batch_size=5, watch=parts.append)
    covered = [np.count_nonzero(part.valid_mask) for part in parts]
    frames = [part.statistics["frames"] for part in parts]
    assert 2 <= len(parts) <= 3 and frames == sorted(set(frames)) and frames[-1] < len(scan)
    assert covered == sorted(covered) and covered[0] < np.count_nonzero(last.valid_mask)
    same(last.object, pinn.reconstruct(scan, model, batch_size=5).object, 1e-6)


def test_inference_stops_on_request(scan):
    def stop(part):
        raise pinn.StopRequested

    found = pinn.reconstruct(scan, small_model(scan), batch_size=5, watch=stop)
    assert 0 < found.statistics["frames"] < len(scan)
    assert any("stopped on request" in note for note in found.notes)
