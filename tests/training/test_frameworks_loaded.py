"""What a training loads: no framework because it happens to be installed.

But for JAX, which Keras itself loads for its checkpoints.
"""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.each_backend

TRAINING = """
import json, sys, tempfile
import tiny, remote_parts
import pinn

with tempfile.TemporaryDirectory() as folder:
    pinn.train(remote_parts.scan(), output=folder, **{**remote_parts.OPTIONS, "epochs": 1})
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


def test_a_training_loads_its_own_framework_alone():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", TRAINING]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    loaded = set(json.loads(result.stdout.splitlines()[-1]))
    assert loaded & {"torch", "tensorflow"} == {os.environ["KERAS_BACKEND"]} - {"jax"}
