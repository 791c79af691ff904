"""A process forked from one that has used its backend: refused where it would hang."""

import subprocess
import sys

import keras
import pytest

CODE = """
import os, sys, warnings
import numpy as np
from pinn import backend
from pinn.errors import BackendError

warnings.simplefilter("ignore")  # JAX warns of every fork
keras = backend.loaded_keras()
if sys.argv[1] == "used":
    backend.compile_function(lambda x: x @ x)(np.eye(300, dtype="float32"))
child = os.fork()
if child == 0:
    try:
        print(backend.loaded_keras().config.backend(), flush=True)
    except BackendError as error:
        print(error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(backend.loaded_keras().config.backend(), flush=True)
"""


@pytest.mark.parametrize("before", ["used", "not used"])
def test_a_fork_of_a_process_that_has_computed(before):
    run = subprocess.run(
        [sys.executable, "-c", CODE, before], capture_output=True, text=True, check=True
    )
    child, parent = run.stdout.splitlines()
    assert parent == keras.config.backend()
    if before == "used" and parent == "tensorflow":
        assert "forked from one that had used TensorFlow, which hangs in such a copy" in child
        assert "pinn.remote" in child
    else:
        assert child == parent
