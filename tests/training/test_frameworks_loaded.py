"""What a training loads: not TensorFlow because it happens to be installed.

JAX is loaded by Keras itself, for its checkpoints.
"""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.each_backend

BACKEND = os.environ["KERAS_BACKEND"]

TRAINING = """
import json, sys, tempfile
import tiny, remote_parts
import pinn

with tempfile.TemporaryDirectory() as folder:
    pinn.train(remote_parts.scan(), output=folder, **{**remote_parts.OPTIONS, "epochs": 1})
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


@pytest.mark.skipif(BACKEND == "tensorflow", reason="it is what trains")
def test_a_training_does_not_load_tensorflow():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", TRAINING]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "tensorflow" not in json.loads(result.stdout.splitlines()[-1])
