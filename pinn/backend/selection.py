"""Which backend Keras will load: decided before Keras is imported, without importing anything."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pinn.errors import BackendError, PinnError

BACKENDS = ("jax", "torch", "tensorflow")
ALIASES = {"pytorch": "torch", "tf": "tensorflow"}
DEVICES = ("auto", "cpu", "gpu", "cuda", "mps", "tpu")

# What Keras writes by itself, whatever backend runs, when it finds no configuration file. A file
# that says just this is nobody's choice.
_UNTOUCHED = {
    "floatx": "float32",
    "epsilon": 1e-07,
    "backend": "tensorflow",
    "image_data_format": "channels_last",
}


@dataclass(frozen=True)
class Selection:
    """A backend and why it was taken; `str` gives one line for people."""

    backend: str
    reason: str

    def __str__(self) -> str:
        return f"{self.backend} ({self.reason})"


class _Fork:
    """Whether this process was forked from one in which TensorFlow was at work: its threads are
    not in the copy, and the first computation waits for them for ever."""

    lost = False

    @classmethod
    def child(cls) -> None:
        """Look, in a process that was just forked, what it was forked from."""
        eager = sys.modules.get("tensorflow.python.eager.context")
        context = getattr(eager, "_context", None)
        cls.lost = cls.lost or bool(getattr(context, "_initialized", False))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Fork.child)


def select(backend: str | None = None) -> Selection:
    """Decide the backend of this process; Keras loads it when it is imported.

    Order: the argument, `KERAS_BACKEND`, a Keras configuration file somebody wrote, the first
    installed of jax, torch, tensorflow. Nothing is imported. Sets `KERAS_BACKEND` for the process.

    Raises:
        BackendError: unknown, not installed, or Keras already runs on another one; or this process
            is a fork in which TensorFlow would hang.
    """
    loaded = loaded_backend()
    if loaded == "tensorflow" and _Fork.lost:
        raise BackendError(
            "this process was forked from one that had used TensorFlow, which hangs in such a "
            'copy; start processes afresh (multiprocessing.get_context("spawn")), use pinn.remote, '
            "or fork before the first use"
        )
    if backend is not None:
        choice = Selection(_known(backend, "asked for"), "asked for")
    elif loaded is not None:
        return Selection(_known(loaded, "loaded"), "Keras is already imported with it")
    else:
        choice = _from_surroundings()
    if loaded is not None and loaded != choice.backend:
        raise BackendError(
            f"the backend {choice.backend} was asked for, but Keras is already imported with "
            f"{loaded} in this process; choose before the first use of pinn, or start a new process"
        )
    if loaded is None:
        _check_installed(choice)
    os.environ["KERAS_BACKEND"] = choice.backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    return choice


def available(backend: str) -> str:
    """The name of an installed backend, for another process than this one; selects nothing.

    Args:
        backend: its name, or a usual other one: `pytorch`, `tf`; in any case.

    Raises:
        BackendError: unknown, or not installed.
    """
    name = str(backend).strip().lower()
    if name not in BACKENDS and name not in ALIASES:
        name = str(backend)
    found = Selection(_known(ALIASES.get(name, name), "asked for"), "asked for")
    _check_installed(found)
    return found.backend


@contextlib.contextmanager
def loading(choice: Selection) -> Iterator[None]:
    """Around the first import of a backend: one that is there, but broken, becomes a sentence.

    Raises:
        BackendError: whatever went wrong.
    """
    try:
        yield
    except PinnError:
        raise
    except Exception as error:  # a build for another machine, a library that is missing, ...
        text = (str(error).strip().splitlines() or [""])[0]
        raise BackendError(
            f"the backend {choice.backend} ({choice.reason}) is installed, but cannot be loaded "
            f"({type(error).__name__}: {text}); install it again, or choose another with "
            "--backend or KERAS_BACKEND"
        ) from error


def _check_installed(choice: Selection) -> None:
    if not _installed(choice.backend):
        raise BackendError(
            f"the backend {choice.backend} ({choice.reason}) is not installed; run "
            f'`pip install "pinn-ptycho[{choice.backend}]"` or choose another with --backend or '
            "KERAS_BACKEND"
        )


def _from_surroundings() -> Selection:
    named = os.environ.get("KERAS_BACKEND")
    if named:
        return Selection(_known(named, "KERAS_BACKEND"), "KERAS_BACKEND")
    file = _keras_file()
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = None
    if isinstance(content, dict) and content.get("backend") and content != _UNTOUCHED:
        return Selection(_known(str(content["backend"]), str(file)), str(file))
    for name in BACKENDS:
        if _installed(name):
            return Selection(name, f"first installed of {', '.join(BACKENDS)}")
    raise BackendError(
        f"no backend is installed: pinn needs one of {', '.join(BACKENDS)}; run "
        '`pip install "pinn-ptycho[jax]"`'
    )


def _keras_file() -> Path:
    """Where Keras looks for its configuration."""
    if folder := os.environ.get("KERAS_HOME"):
        return Path(folder).expanduser() / "keras.json"
    home = Path("~").expanduser()
    if not os.access(home, os.W_OK):
        home = Path("/tmp")  # noqa: S108 (where Keras looks then)
    return home / ".keras" / "keras.json"


def _known(name: str, source: str) -> str:
    if name not in BACKENDS:
        raise BackendError(f"unknown backend {name!r} ({source}); known: {', '.join(BACKENDS)}")
    return name


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ValueError:  # sys.modules holds None: somebody forbade the import
        return False


def loaded_backend() -> str | None:
    """The backend Keras runs on, or None while Keras is not imported."""
    keras = sys.modules.get("keras")
    return None if keras is None else keras.config.backend()
