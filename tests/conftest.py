"""Rules for every test: an explicit backend, fixed seeds, deterministic hypothesis."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hypothesis
import pytest

from pinn.backend import seed_everything

BACKENDS = ("jax", "torch", "tensorflow")
BACKEND_FOLDERS = ("ops", "layers", "networks", "training", "reconstruction", "refinement")
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


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> None:
    """Refuse to import a backend test while no backend was chosen; never skip it."""
    if module_path.is_relative_to(_HERE):
        folder = module_path.relative_to(_HERE).parts[0]
        if folder in BACKEND_FOLDERS:
            _require_backend(f"tests/{module_path.relative_to(_HERE).as_posix()}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked `alike` run on the backend that compiles nothing, unless all are asked for."""
    if config.option.markexpr != "not full" or os.environ.get("KERAS_BACKEND") == "torch":
        return
    left_out = [item for item in items if item.get_closest_marker("alike")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish(session: pytest.Session) -> None:
    """The same for tests elsewhere whose imports loaded Keras."""
    if "keras" in sys.modules:
        _require_backend("a collected test")


@pytest.fixture(autouse=True)
def _seeds() -> None:
    """Same seeds before every test, so that no result depends on the order of tests."""
    if "keras" in sys.modules:
        seed_everything(20240607)
