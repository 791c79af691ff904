"""From one Python process, training on each backend, one after the other."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HELPERS = Path(__file__).parent.parent / "helpers"

import remote_parts  # noqa: E402
from test_parity import BACKENDS  # noqa: E402

import pinn  # noqa: E402
from pinn.io.archive import read_archive  # noqa: E402


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """By backend: what a worker trained and reconstructed, and the folder of a plain process."""
    found, scan = {}, remote_parts.scan()
    for backend in BACKENDS:
        folder = tmp_path_factory.mktemp(backend)
        environment = {
            **os.environ,
            "KERAS_BACKEND": backend,
            "PYTHONPATH": os.pathsep.join([*sys.path]),
        }
        command = [sys.executable, HELPERS / "remote_parts.py", folder]
        subprocess.run(command, env=environment, check=True)
        trained = pinn.remote.train(scan, backend=backend, imports="tiny", **remote_parts.OPTIONS)
        recon = trained.reconstruct(scan, imports=["tiny"])
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


def test_an_archive_of_one_backend_predicts_alike_on_the_others(results):
    trained = results["torch"][0]
    frames = np.random.default_rng(1).uniform(0, 2, (3, 16, 16, 4))
    patches = [
        pinn.remote.predict(frames, trained, backend=backend, imports="tiny")
        for backend in BACKENDS
    ]
    for other in patches[1:]:
        assert np.linalg.norm(other - patches[0]) <= 1e-5 * np.linalg.norm(patches[0])


def test_the_backend_of_this_process_is_not_asked_to_change():
    import keras

    loaded = keras.backend.backend()
    assert [b for b in BACKENDS if not pinn.remote.needs_worker(b)] == [loaded]
