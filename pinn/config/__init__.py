"""Typed, frozen, validated configuration.

One class per stage. Every field has a description: the command line builds its options from
these classes, a TOML file may hold the same names, and the resolved values are written beside
every result. Unknown keys are errors. Nothing here knows a framework.
"""

from pinn.config.base import Config, from_toml
from pinn.config.run import ModelConfig, ReconstructConfig, TrainConfig
from pinn.config.scan import ORIENTATIONS, ScanConfig

__all__ = [
    "ORIENTATIONS",
    "Config",
    "ModelConfig",
    "ReconstructConfig",
    "ScanConfig",
    "TrainConfig",
    "from_toml",
]
