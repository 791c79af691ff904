"""Rates and memory of this machine on this scan, by a few steps of the real thing."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import pinn
from pinn.backend import peak_memory_mb
from pinn.check import Fact
from pinn.check.cost import TRAINING_GROUPS
from pinn.cli.common import Common
from pinn.config import TrainConfig
from pinn.data.scan import Scan

_GROUPS, _FRAMES = 64, 256


def measure(common: Common, scan: Scan) -> list[Fact]:
    """Train on a few groups, reconstruct a few frames, and scale up to the whole scan.

    Args:
        common: backend and device.
        scan: the scan.

    Returns:
        Lines for the table of costs.
    """
    common.start_device()
    middle = scan.positions_px.mean(0)
    nearest = np.argsort(((scan.positions_px - middle) ** 2).sum(1), kind="stable")
    part = scan.select(np.sort(nearest[:_FRAMES]))
    common.say("training a few steps ...")
    model = pinn.train(part, n_groups=min(_GROUPS, len(part)), epochs=3, validation_fraction=0.0)
    first, *later = model.history
    rate = max(float(row["groups_per_second"]) for row in later)
    pinn.reconstruct(part, model, calibrate=False)  # compiles
    begun = time.perf_counter()
    pinn.reconstruct(part, model, calibrate=False)
    frames = len(part) / (time.perf_counter() - begun)
    groups, epochs = min(TRAINING_GROUPS, len(scan)), TrainConfig().epochs
    start = float(first["seconds"])
    values: dict[str, Any] = {
        "groups_per_second": rate,
        "frames_per_second": frames,
        "start_seconds": start,
        "peak_memory_mb": peak_memory_mb(),
    }
    text = (
        f"{rate:.3g} groups/s in training (a run of {epochs} epochs of {groups} groups: "
        f"{(start + epochs * groups / rate) / 60:.1f} min), {frames:.3g} frames/s in "
        f"reconstruction ({len(scan) / frames:.0f} s for all), {values['peak_memory_mb'] / 1e3:.2g}"
        " GB resident at most"
    )
    return [Fact("measured", text, values)]
