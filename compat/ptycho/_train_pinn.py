"""The functions of `train_pinn`: training and evaluation with the legacy dictionary's options."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ptycho import _bundle
from ptycho._container import PtychoDataset
from ptycho._dictionary import LEGACY
from ptycho._network import DiffractionToObject
from ptycho._run import reassemble_cdi_image, train_cdi_model


def calculate_intensity_scale(container: Any = None) -> float:
    """sqrt(nphotons) / (N/2), from the legacy dictionary."""
    return math.sqrt(float(LEGACY.get("nphotons"))) / (float(LEGACY.get("N")) / 2)


def train(
    train_data: Any, intensity_scale: float | None = None, model_instance: Any = None
) -> tuple[DiffractionToObject, Any]:
    """Train with the options of the legacy dictionary.

    Args:
        train_data: a container of `loader.load`, or a `RawData`.
        intensity_scale: not used; it is found from the data.
        model_instance: not used; a fresh network is trained.

    Returns:
        The model, and an object whose `history` is a dictionary of columns.
    """
    results = train_cdi_model(train_data, None)
    return results["model_instance"], _History(results["history"])


class _History:
    def __init__(self, history: dict[str, list[float]]) -> None:
        self.history = history
        self.epoch = list(range(len(history["loss"])))


def train_eval(ptycho_dataset: PtychoDataset, model_instance: Any = None) -> dict[str, Any]:
    """Train on one part and reconstruct the other, with the options of the legacy dictionary."""
    results = train_cdi_model(ptycho_dataset.train_data, ptycho_dataset.test_data)
    shown = ptycho_dataset.test_data or ptycho_dataset.train_data
    found = evaluate(shown, trained_model=results["model_instance"])
    return {**results, **found}


def evaluate(
    test_data: Any, history: Any = None, trained_model: Any = None, model_path: Any = None
) -> dict[str, Any]:
    """Reconstruct with a model, or with that of an archive."""
    if model_path is not None:
        trained_model, _ = _bundle.load_inference_bundle(model_path)
    amplitude, phase, more = reassemble_cdi_image(test_data, model=trained_model)
    return {
        "reconstructed_obj": more["obj_tensor_full"],
        "stitched_obj": amplitude * np.exp(1j * phase),
        **more,
    }
