"""From one Python process, training on each backend, one after the other."""

import json

import numpy as np
import pytest
import remote_parts
from test_parity import BACKENDS

import pinn
from pinn.io.archive import read_archive

ONCE = "jax"  # here each call has a process of its own; that of JAX starts soonest


@pytest.fixture(scope="module")
def workers():
    """By backend: what serves its calls."""
    found = {b: pinn.remote.Worker(b, imports=["tiny"]) for b in BACKENDS if b != ONCE}
    yield found
    for worker in found.values():
        worker.close()


@pytest.fixture(scope="module")
def results(run, workers, tmp_path_factory):
    """By backend: what a worker trained and reconstructed, and the folder of a plain process."""
    found, scan = {}, remote_parts.scan()
    for backend in BACKENDS:
        folder = tmp_path_factory.mktemp(backend)
        run(backend, "small", folder)
        if backend == ONCE:
            options = {"backend": backend, "imports": "tiny", **remote_parts.OPTIONS}
            trained = pinn.remote.train(scan, **options)
            recon = trained.reconstruct(scan, imports=["tiny"])
        else:
            trained = workers[backend].train(scan, **remote_parts.OPTIONS)
            recon = workers[backend].reconstruct(scan, trained)
        found[backend] = trained, recon, folder
    return found


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_worker_gives_what_a_process_of_that_backend_gives(results, backend):
    trained, recon, folder = results[backend]
    assert {row["backend"] for row in trained.history} == {backend}
    plain = read_archive(folder)
    for name, array in trained.arrays().items():
        np.testing.assert_array_equal(array, plain.weights[name], err_msg=name)
    theirs = pinn.load_reconstruction(folder)
    np.testing.assert_array_equal(recon.object, theirs.object)
    np.testing.assert_array_equal(recon.probe, theirs.probe)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_training_loads_its_own_framework_alone(results, backend):
    """No other because it is installed; but for JAX, which Keras itself loads for checkpoints."""
    loaded = set(json.loads((results[backend][2] / "loaded.json").read_text()))
    assert loaded & {"torch", "tensorflow"} == {backend} - {"jax"}


def test_an_archive_of_one_backend_predicts_alike_on_the_others(results, workers):
    trained = results["torch"][0]
    frames = np.random.default_rng(1).uniform(0, 2, (3, 16, 16, 4))
    patches = [worker.predict(frames, trained) for worker in workers.values()]
    patches.append(pinn.remote.predict(frames, trained, backend=ONCE, imports="tiny"))
    assert len(patches) == len(BACKENDS)
    for other in patches[1:]:
        assert np.linalg.norm(other - patches[0]) <= 1e-5 * np.linalg.norm(patches[0])
