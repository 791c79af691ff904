"""The three backends, each in its own process: same start, same batches, same numbers."""

import numpy as np
import pytest

BACKENDS = ("jax", "torch", "tensorflow")


def _relative(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.fixture(scope="module")
def start(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("parity")
    run("jax", "start", folder)
    for backend in BACKENDS:
        run(backend, "steps", folder, "sgd:1", "adam:1", "adam:20")
    return folder


def _results(folder, kind, count):
    return [dict(np.load(folder / f"{kind}_{count}_{backend}.npz")) for backend in BACKENDS]


def _concatenate(result, prefix):
    return np.concatenate([result[k].ravel() for k in sorted(result) if k.startswith(prefix)])


def test_first_step_loss_and_gradients_agree(start):
    results = _results(start, "sgd", 1)
    for other in results[1:]:
        assert other["losses"][0] == pytest.approx(results[0]["losses"][0], rel=1e-5)
        for name in results[0]:
            if name.startswith("change/network") and np.linalg.norm(results[0][name]) > 0:
                # the gradient of every weight array by itself; an update of order one read back
                # from a weight of order one keeps about six digits of a gradient this small
                scale = np.linalg.norm(_concatenate(results[0], "change/"))
                gap = np.linalg.norm(other[name] - results[0][name])
                assert gap <= 1e-5 * scale, name
        assert _relative(_concatenate(other, "change/"), _concatenate(results[0], "change/")) < 1e-5


def test_first_adam_step_and_twenty_steps_agree(start):
    for count, tolerance in ((1, 1e-5), (20, 5e-3)):
        results = _results(start, "adam", count)
        for other in results[1:]:
            np.testing.assert_allclose(other["losses"], results[0]["losses"], rtol=tolerance)
            ours, theirs = _concatenate(other, "after/"), _concatenate(results[0], "after/")
            assert _relative(ours, theirs) < tolerance
        assert results[0]["losses"][-1] < results[0]["losses"][0] or count == 1


def test_an_unrolled_network_has_the_same_gradients_and_the_same_picture(start, run):
    for backend in BACKENDS:
        run(backend, "unrolled", start)
    results = [dict(np.load(start / f"unrolled_{backend}.npz")) for backend in BACKENDS]
    for other in results[1:]:
        assert other["losses"][0] == pytest.approx(results[0]["losses"][0], rel=1e-5)
        ours, theirs = (_concatenate(result, "change/network") for result in (other, results[0]))
        assert np.linalg.norm(theirs) > 1
        # through three stages, each a division by what the one before has left
        assert _relative(ours, theirs) < 5e-5
        # float32 sums in another order, four times
        assert _relative(other["object"], results[0]["object"]) < 1e-5
        assert _relative(other["likelihood"], results[0]["likelihood"]) < 1e-5
