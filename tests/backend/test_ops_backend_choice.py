"""Backend tests never run on a backend nobody chose, and never import a framework themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

HERE = Path(__file__).parent


@pytest.mark.parametrize("chosen", [None, "numpy"])
def test_collection_without_a_backend_is_an_error_that_says_what_to_do(chosen):
    environment = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    if chosen:
        environment["KERAS_BACKEND"] = chosen
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "--collect-only",
            "-q",
            str(HERE.parent / "ops" / "test_ops_pairs.py"),
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode not in (0, 5)
    assert f"KERAS_BACKEND is {chosen!r}; set it to one of jax, torch, tensorflow" in (
        result.stdout + result.stderr
    )


def test_these_tests_run_on_the_chosen_backend():
    assert keras.backend.backend() == os.environ["KERAS_BACKEND"]
