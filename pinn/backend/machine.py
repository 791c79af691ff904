"""What computes: versions, hardware and memory, for provenance and reports."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np

import pinn
from pinn.backend.selection import loaded_backend


def versions() -> dict[str, str]:
    """Versions of what computes: `pinn`, `python`, `numpy`, and of Keras and its backend.

    `backend` is the name of the backend, empty where Keras is not loaded.
    """
    backend = loaded_backend() or ""
    found = {
        "pinn": pinn.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "backend": backend,
    }
    for name in ("keras", backend):
        if name in sys.modules:
            found[name] = str(sys.modules[name].__version__)
    return found


def hardware() -> dict[str, Any]:
    """Processor, cores, memory and device, without anything that names the machine."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    facts: dict[str, Any] = {
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "cores_available": available or os.cpu_count(),
    }
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        facts["memory_gb"] = round(total / 1e9, 1)
    if loaded_backend() is not None:
        facts["device"] = _device_in_use()
    return facts


def _device_in_use() -> str:
    zero: Any = sys.modules["keras"].ops.zeros(())
    place = zero.device
    return str(getattr(place, "device_kind", place)).rsplit("/device:", 1)[-1].lower()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, in MB; NaN where the system does not say."""
    try:
        import resource
    except ImportError:
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6)
