"""What training and reconstructing a scan will cost: estimates from measured rates.

The rates are those of docs/benchmarks.md, brought to this scan by counting multiplications and to
this machine by a short calculation timed on both. Such a figure is right to a factor of two or
three; `pinn check --thorough` trains a few steps instead.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import fft

from pinn.backend.machine import hardware
from pinn.check.places import Layout
from pinn.check.report import Fact, Finding
from pinn.config import ModelConfig, TrainConfig
from pinn.data.scan import Scan

TRAINING_GROUPS = 512  # unless the options say otherwise (`pinn.training`)


@dataclass(frozen=True)
class Measured:
    """One backend's rates, at N = 64, groups of 4, default width (2026-11-21).

    Attributes:
        train: groups per CPU second.
        reconstruct: frames per CPU second.
        start: CPU seconds of the first epoch for compiling.
        memory_mb: peak resident memory of the process.
    """

    train: float
    reconstruct: float
    start: float
    memory_mb: float


MEASURED = {
    "jax": Measured(302.0, 462.0, 8.0, 1225.0),
    "torch": Measured(134.0, 419.0, 4.0, 1246.0),
    "tensorflow": Measured(195.0, 548.0, 3.0, 910.0),
}
# What `_clock` took on the machine and at the time of those measurements.
_CLOCK_THERE = 0.0064
_CANVAS_BYTES = 48  # per object pixel while stitching: sums and weights in double precision
_NETWORK_SHARE = 0.43  # of the time at N = 64; the rest are transforms, moving and merging


def work(N: int, C: int, scale: int = 1) -> float:
    """Time of a group relative to the measured one, from sizes alone.

    The multiplications of the convolutions, by the rule for widths in `pinn.networks.lean`, and the
    pixels of the transforms.
    """
    network = _multiplications(N, C, scale) / _multiplications(64, 4, 1)
    pixels = C * N**2 / (4 * 64**2)
    return _NETWORK_SHARE * network + (1 - _NETWORK_SHARE) * pixels


def _multiplications(N: int, C: int, scale: int) -> float:
    side, width = (8 if N >= 64 else 4), 48 * scale
    cells = C * math.ceil(N / side) ** 2
    stem, blocks, last = side**2 * width, 40 * width**2, 9 * width * 2 * side**2
    return float(cells * (stem + blocks + last))


def costs(scan: Scan, found: Layout, backend: str = "jax") -> tuple[list[Fact], list[Finding]]:
    """Estimates of time and memory with default options, and whether memory suffices.

    Args:
        scan: the scan.
        found: its layout.
        backend: whose rates to take.
    """
    rate, machine = MEASURED[backend], hardware()
    cores = int(machine["cores_available"] or 1)
    slower = _clock() / _CLOCK_THERE
    model = ModelConfig(N=scan.N)
    C = model.gridsize**2
    share = work(scan.N, C, model.n_filters_scale)
    epochs, groups = TrainConfig().epochs, min(TRAINING_GROUPS, len(scan))
    several = 1 + 0.75 * (cores - 1)  # a batch does not fill all cores
    training = (rate.start + epochs * groups * share / rate.train) * slower / several
    frames = len(scan) * share / rate.reconstruct * slower / several
    extra = TrainConfig().batch_size * 20e6 * max(0.0, share - 1)
    canvas = float(_CANVAS_BYTES * found.canvas[0] * found.canvas[1])
    train_memory, stitch_memory = rate.memory_mb * 1e6 + extra, rate.memory_mb * 1e6 + canvas
    said = f"{cores} cores with {backend}"
    facts = [
        Fact("device", _devices(machine), _device_values(machine)),
        Fact(
            "train",
            f"about {_duration(training)} on {said} for {epochs} epochs of {groups} groups, "
            f"{train_memory / 1e9:.1f} GB",
            {"seconds": training, "bytes": train_memory, "backend": backend},
        ),
        Fact(
            "reconstruct",
            f"about {_duration(frames)} on {said}, {stitch_memory / 1e9:.1f} GB (the frames stay "
            "in the file)",
            {"seconds": frames, "bytes": stitch_memory, "backend": backend},
        ),
        Fact(
            "how known",
            "estimates, right to a factor of two or three: rates measured at N = 64, scaled by "
            "multiplications and by the speed of this machine; --thorough measures",
        ),
    ]
    return facts, _enough(machine, max(train_memory, stitch_memory), found)


def _enough(machine: dict[str, Any], needed: float, found: Layout) -> list[Finding]:
    total = float(machine.get("memory_gb", 0.0)) * 1e9
    if not total or needed < 0.8 * total:
        return []
    return [
        Finding(
            "error" if needed > total else "warning",
            "memory",
            f"about {needed / 1e9:.3g} GB will be needed and {total / 1e9:.3g} GB are there: the "
            f"object would be {found.canvas[0]} x {found.canvas[1]} px",
        )
    ]


def _clock() -> float:
    """CPU seconds of a fixed calculation in single precision, on one thread."""
    rng = np.random.default_rng(0)
    waves = rng.standard_normal((32, 128, 128), dtype=np.float32).astype(np.complex64)
    best = np.inf
    for _ in range(4):  # the first one warms up
        begun = time.process_time()
        for _ in range(4):
            np.abs(fft.fft2(waves, workers=1))
        best = min(best, time.process_time() - begun)
    return float(max(best, 1e-4))


def accelerators() -> list[str]:
    """Names of the NVIDIA cards the driver lists; no framework is asked."""
    names = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        names += [line.split(":", 1)[1].strip() for line in lines if line.startswith("Model:")]
    return names


def _devices(machine: dict[str, Any]) -> str:
    memory = f", {machine['memory_gb']:.0f} GB" if "memory_gb" in machine else ""
    text = f"{machine['cores_available']} cores ({machine['processor']}){memory}"
    load = _load()
    if load is not None and load > 0.7 * int(machine["cores_available"] or 1):
        text += f"; busy with other work (load {load:.1f}), so expect longer"
    cards = accelerators()
    if cards:
        text += f"; {', '.join(cards)}: not measured yet, --thorough does"
    return text


def _device_values(machine: dict[str, Any]) -> dict[str, Any]:
    return {**machine, "accelerators": accelerators(), "load": _load()}


def _load() -> float | None:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
