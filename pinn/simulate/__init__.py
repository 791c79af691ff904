"""Synthetic scans with known truth: the forward model in NumPy, independent of `pinn.ops`."""

from __future__ import annotations

from typing import Any

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

_GONE = ("Written", "recipes", "simulate_many")


def __getattr__(name: str) -> Any:
    if name in _GONE:
        raise ImportError(
            f"pinn.simulate.{name} is gone since pinn 0.2: simulate one scan after the other in a "
            "loop over config.replace(seed=...) (docs/simulate.md)"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
