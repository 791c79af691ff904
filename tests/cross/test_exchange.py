"""Archives written on each backend, read and trained on by each of the others."""

import csv

import numpy as np
import pytest
from test_parity import BACKENDS

from pinn.simulate import SimulateConfig, simulate_to_file


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory):
    place = tmp_path_factory.mktemp("exchange")
    recipe = SimulateConfig(N=32, object="lines", n_frames=60, photons_per_frame=1e5, seed=2)
    simulate_to_file(recipe, place / "scan.npz")
    frames = np.random.default_rng(0).uniform(0, 2, (3, 32, 32, 4)).astype(np.float32)
    np.savez(place / "frames.npz", frames=frames)
    for backend in BACKENDS:
        run(backend, "train", place, 2)
    for backend in BACKENDS:
        run(backend, "read", place, *BACKENDS)
    return place


@pytest.mark.parametrize("writer", BACKENDS)
def test_an_archive_gives_the_same_output_everywhere(folder, writer):
    outputs = [dict(np.load(folder / f"predicted_{writer}_{r}.npz")) for r in BACKENDS]
    for other in outputs[1:]:
        for name in ("patches", "object"):
            gap = np.linalg.norm(other[name] - outputs[0][name])
            assert gap <= 1e-5 * np.linalg.norm(outputs[0][name]), name
        np.testing.assert_array_equal(other["origin"], outputs[0]["origin"])


@pytest.mark.parametrize("writer", BACKENDS)
def test_training_resumes_on_every_backend(folder, writer):
    losses = {}
    for reader in BACKENDS:
        with (folder / f"resumed_{writer}_{reader}" / "history.csv").open() as stream:
            rows = list(csv.DictReader(stream))
        assert [row["backend"] for row in rows] == [writer] * 2 + [reader] * 2
        losses[reader] = [float(row["loss"]) for row in rows]
    for reader in BACKENDS:
        # The optimiser's moments came along: the third epoch agrees with the writer's own
        # continuation far better than two runs of different seeds would (several percent).
        assert losses[reader][2] == pytest.approx(losses[writer][2], rel=1e-5)
        assert losses[reader][2] < losses[reader][0]


def _relative(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.mark.parametrize("writer", BACKENDS)
def test_the_first_resumed_epoch_is_the_one_the_writer_would_have_made(folder, writer):
    steps = {r: dict(np.load(folder / f"resumed_{writer}_{r}" / "epoch.npz")) for r in BACKENDS}
    own = steps[writer]
    for other in steps.values():
        for prefix, tolerance in (("0", 1e-5), ("moved", 1e-4)):
            # what a weight moves by is a small difference, of which rounding leaves some digits
            names = [name for name in own if name.startswith(prefix)]
            ours, theirs = (np.concatenate([s[n].ravel() for n in names]) for s in (other, own))
            assert np.linalg.norm(theirs) > 0
            assert _relative(ours, theirs) <= tolerance


@pytest.mark.full
def test_a_run_handed_from_backend_to_backend_goes_on_without_a_jump(run, folder):
    for epochs, backend in enumerate(BACKENDS, 1):
        run(backend, "relay", folder, "relay", 3 * epochs)
    run("jax", "relay", folder, "straight", 9)

    def rows(name):
        with (folder / name / "history.csv").open() as stream:
            return list(csv.DictReader(stream))

    relay = rows("relay")
    assert [row["backend"] for row in relay] == [b for b in BACKENDS for _ in range(3)]
    assert [int(row["epoch"]) for row in relay] == list(range(1, 10))
    ours, straight = (
        np.array([float(row["deviance"]) for row in part]) for part in (relay, rows("straight"))
    )
    noise = np.abs(np.diff(straight)).max()
    assert abs(ours[3] - ours[2]) <= noise and abs(ours[6] - ours[5]) <= noise
    np.testing.assert_allclose(ours[:4], straight[:4], rtol=2e-3)  # as in a resumed epoch above
    assert ours[-1] < ours[0]
