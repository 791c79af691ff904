"""One process for each backend, for all tests of this folder: imports take longer than tasks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WORKER = Path(__file__).with_name("worker.py")


def start(backend, errors):
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    return subprocess.Popen(
        [sys.executable, str(WORKER)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
    )


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """Run a task of worker.py in the process of a backend."""
    folder, workers = tmp_path_factory.mktemp("workers"), {}

    def run(backend, *task):
        if backend not in workers:
            with (folder / backend).open("w") as errors:
                workers[backend] = start(backend, errors)
        worker = workers[backend]
        worker.stdin.write(json.dumps([str(word) for word in task]) + "\n")
        worker.stdin.flush()
        answer = worker.stdout.readline()
        said = json.loads(answer) if answer else (folder / backend).read_text()[-3000:] or "ended"
        assert said is None, f"{backend}: {said}"

    yield run
    for worker in workers.values():
        worker.communicate()
