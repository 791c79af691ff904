"""Synthetic scans with known truth: the forward model in NumPy, independent of `pinn.ops`."""

from __future__ import annotations

from pinn.simulate.config import SimulateConfig
from pinn.simulate.identity import check_reusable, made_by, recipe_hash, recipe_of
from pinn.simulate.recipe import SimulatedScan, simulate, simulate_arrays, simulate_to_file

__all__ = [
    "SimulateConfig",
    "SimulatedScan",
    "check_reusable",
    "made_by",
    "recipe_hash",
    "recipe_of",
    "simulate",
    "simulate_arrays",
    "simulate_to_file",
]
