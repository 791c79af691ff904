"""Ptychography by a network that learns from the diffraction patterns alone, on Keras 3.

Everything is loaded when it is first used: importing `pinn` imports neither Keras nor a framework.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pinn.moved import put_up_signpost

__version__ = "0.2.0"

if TYPE_CHECKING:
    from pinn import check, remote, simulate
    from pinn.config import ModelConfig, ReconstructConfig, RefineConfig, ScanConfig, TrainConfig
    from pinn.data.scan import Scan
    from pinn.io.convert import convert
    from pinn.io.load import load
    from pinn.io.product import Reconstruction, load_reconstruction
    from pinn.networks.trained import Model, load_model
    from pinn.plots.export import export
    from pinn.progress import Progress, StopRequested
    from pinn.quality.evaluate import evaluate
    from pinn.reconstruction.inference import reconstruct
    from pinn.reconstruction.streaming import Reconstructor
    from pinn.refinement.run import refine
    from pinn.simulate.config import SimulateConfig
    from pinn.studies import study
    from pinn.training import train

_HOMES = {
    "Model": "pinn.networks.trained",
    "ModelConfig": "pinn.config",
    "Progress": "pinn.progress",
    "ReconstructConfig": "pinn.config",
    "Reconstruction": "pinn.io.product",
    "Reconstructor": "pinn.reconstruction.streaming",
    "RefineConfig": "pinn.config",
    "Scan": "pinn.data.scan",
    "ScanConfig": "pinn.config",
    "SimulateConfig": "pinn.simulate.config",
    "StopRequested": "pinn.progress",
    "TrainConfig": "pinn.config",
    "convert": "pinn.io.convert",
    "evaluate": "pinn.quality.evaluate",
    "export": "pinn.plots.export",
    "load": "pinn.io.load",
    "load_model": "pinn.networks.trained",
    "load_reconstruction": "pinn.io.product",
    "reconstruct": "pinn.reconstruction.inference",
    "refine": "pinn.refinement.run",
    "study": "pinn.studies",
    "train": "pinn.training",
}
_MODULES = {"check", "remote", "simulate"}
_ON_KERAS = {
    "pinn.networks.trained",
    "pinn.reconstruction.inference",
    "pinn.reconstruction.streaming",
    "pinn.refinement.run",
    "pinn.training",
}

__all__ = [
    "Model",
    "ModelConfig",
    "Progress",
    "ReconstructConfig",
    "Reconstruction",
    "Reconstructor",
    "RefineConfig",
    "Scan",
    "ScanConfig",
    "SimulateConfig",
    "StopRequested",
    "TrainConfig",
    "__version__",
    "check",
    "convert",
    "evaluate",
    "export",
    "load",
    "load_model",
    "load_reconstruction",
    "reconstruct",
    "refine",
    "remote",
    "simulate",
    "study",
    "train",
]


put_up_signpost()


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"pinn.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'pinn' has no attribute {name!r}")
    if home in _ON_KERAS:
        from pinn import backend

        backend.loaded_keras()  # the last moment at which the choice is ours and not Keras's
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
