"""Which backend is taken: decided in fresh interpreters, before Keras is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

UNTOUCHED = {
    "floatx": "float32",
    "epsilon": 1e-07,
    "backend": "tensorflow",
    "image_data_format": "channels_last",
}


def select(tmp_path, argument=None, environment=None, keras_file=None, installed=None):
    """Run `select` in a process of its own; returns the one line it prints."""
    if keras_file is not None:
        text = keras_file if isinstance(keras_file, str) else json.dumps(keras_file)
        (tmp_path / "keras.json").write_text(text)
    clean = {k: v for k, v in os.environ.items() if not k.startswith("KERAS")}
    clean |= {"KERAS_HOME": str(tmp_path), **(environment or {})}
    code = (
        "import os, sys\n"
        "from pinn.backend import selection\n"
        f"installed = {installed!r}\n"
        "if installed is not None:\n"
        "    selection._installed = lambda name: name in installed\n"
        "try:\n"
        f"    print(selection.select({argument!r}), os.environ['KERAS_BACKEND'])\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n"
        "assert not {'keras', 'jax', 'torch', 'tensorflow'} & set(sys.modules)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


ALL = ["jax", "torch", "tensorflow"]


def test_order_is_argument_environment_file_first_installed(tmp_path):
    chosen = {**UNTOUCHED, "backend": "tensorflow", "epsilon": 1e-6}
    everything = {"environment": {"KERAS_BACKEND": "torch"}, "keras_file": chosen, "installed": ALL}
    assert select(tmp_path, "jax", **everything) == "jax (asked for) jax"
    assert select(tmp_path, **everything) == "torch (KERAS_BACKEND) torch"
    del everything["environment"]
    file = tmp_path / "keras.json"
    assert select(tmp_path, **everything) == f"tensorflow ({file}) tensorflow"
    file.unlink()
    first = "first installed of jax, torch, tensorflow"
    assert select(tmp_path, installed=["tensorflow", "torch"]) == f"torch ({first}) torch"


@pytest.mark.parametrize("content", [UNTOUCHED, "{damaged", {}, []])
def test_file_that_keras_wrote_by_itself_or_that_says_nothing_is_no_choice(tmp_path, content):
    line = select(tmp_path, keras_file=content, installed=ALL)
    assert line.startswith("jax (first installed")


def test_missing_backend_names_the_command_that_installs_it(tmp_path):
    line = select(tmp_path, "torch", installed=["jax"])
    assert line.startswith("BackendError the backend torch (asked for) is not installed")
    assert 'pip install "pinn-ptycho[torch]"' in line
    line = select(tmp_path, installed=[])
    assert line.startswith("BackendError no backend is installed")
    assert 'pip install "pinn-ptycho[jax]"' in line


def test_unknown_backend_says_where_it_came_from_and_what_is_known(tmp_path):
    known = "known: jax, torch, tensorflow"
    line = select(tmp_path, "theano", installed=ALL)
    assert line == f"BackendError unknown backend 'theano' (asked for); {known}"
    line = select(tmp_path, environment={"KERAS_BACKEND": "numpy"}, installed=ALL)
    assert line == f"BackendError unknown backend 'numpy' (KERAS_BACKEND); {known}"
