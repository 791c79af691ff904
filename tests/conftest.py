"""Rules for every test: an explicit backend, fixed seeds, deterministic hypothesis."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hypothesis
import pytest

from pinn.backend import seed_everything

BACKENDS = ("jax", "torch", "tensorflow")
# Tests that need Keras. Those of the first folders run on each backend, for a backend can change
# what they test; those of the others once, on PyTorch, but for those marked `each_backend`.
EACH_BACKEND = ("ops", "layers", "refinement", "backend", "contract")
ONE_BACKEND = ("networks", "training", "reconstruction", "remote", "cli")
ONE = "torch"  # compiles nothing, so that tests of many small networks are quick
_HERE = Path(__file__).parent

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# Derandomised: a failure is a failure of the code, not of the day. No deadline: compilation of the
# first example dwarfs the others.
hypothesis.settings.register_profile(
    "deterministic",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=20,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("deterministic")


def _require_backend(who: str) -> None:
    chosen = os.environ.get("KERAS_BACKEND")
    if chosen not in BACKENDS:
        raise pytest.UsageError(
            f"{who} needs Keras but KERAS_BACKEND is {chosen!r}; set it to one of "
            f"{', '.join(BACKENDS)}, since results of a backend nobody chose prove nothing"
        )


def folder_of(path: Path) -> str:
    """The folder of tests that a file is in."""
    return path.relative_to(_HERE).parts[0] if path.is_relative_to(_HERE) else ""


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> None:
    """Refuse to import a backend test while no backend was chosen; never skip it."""
    if folder_of(module_path) in (*EACH_BACKEND, *ONE_BACKEND):
        _require_backend(f"tests/{module_path.relative_to(_HERE).as_posix()}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On JAX and TensorFlow only what a backend can change, unless all tests are asked for."""
    if config.option.markexpr != "not full" or os.environ.get("KERAS_BACKEND") == ONE:
        return
    left_out = [item for item in items if not on_each_backend(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if on_each_backend(item)]


def on_each_backend(item: pytest.Item) -> bool:
    """Whether a test runs on every backend in the fast tier."""
    if item.get_closest_marker("one_backend"):
        return False
    if folder_of(item.path) in ONE_BACKEND:
        return item.get_closest_marker("each_backend") is not None
    return True


def pytest_collection_finish(session: pytest.Session) -> None:
    """The same for tests elsewhere whose imports loaded Keras."""
    if "keras" in sys.modules:
        _require_backend("a collected test")


@pytest.fixture(autouse=True)
def _seeds() -> None:
    """Same seeds before every test, so that no result depends on the order of tests."""
    if "keras" in sys.modules:
        seed_everything(20240607)
