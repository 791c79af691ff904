"""Typed, frozen, validated configuration.

One class per stage. Every field has a description: the command line builds its options from
these classes, a TOML file may hold the same names, and the resolved values are written beside
every result. Unknown keys are errors. Nothing here knows a framework.
"""

from pinn.config.base import Config, from_toml
from pinn.config.model import ModelConfig
from pinn.config.reconstruct import ReconstructConfig
from pinn.config.refine import RefineConfig
from pinn.config.scan import ORIENTATIONS, ScanConfig
from pinn.config.train import TrainConfig

__all__ = [
    "ORIENTATIONS",
    "Config",
    "ModelConfig",
    "ReconstructConfig",
    "RefineConfig",
    "ScanConfig",
    "TrainConfig",
    "from_toml",
]
