"""Synthetic scans with known truth: the forward model in NumPy, independent of `pinn.ops`."""

from __future__ import annotations

from pinn.simulate.config import SimulateConfig
from pinn.simulate.recipe import (
    SimulatedScan,
    recipe_hash,
    simulate,
    simulate_arrays,
    simulate_to_file,
)

__all__ = [
    "SimulateConfig",
    "SimulatedScan",
    "recipe_hash",
    "simulate",
    "simulate_arrays",
    "simulate_to_file",
]
