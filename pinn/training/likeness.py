"""How a network explains the groups it has learned from: what scans are compared with."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from pinn import backend
from pinn.data.feed import Batches
from pinn.networks.model import PtychoModel
from pinn.quality.likeness import explained

_GROUPS = 64  # of each scan
_SCANS = 4
_PIXELS = 1 << 21


def training_likeness(
    network: PtychoModel, batches: Batches, scans: int, counted: bool
) -> dict[str, Any] | None:
    """`pinn.quality.likeness.Explained.to_dict` of a sample of the groups that were learned from.

    Args:
        network: as it is after the last epoch.
        batches: what was learned from.
        scans: how many; of more than four, some spread among them are looked at.
        counted: the frames of all scans are counts of photons.

    Returns:
        None where the network was not trained by the physics.
    """
    if not network.objective.physics:
        return None
    predict = backend.compile_inference(_Detector(network))
    N, gridsize = network.settings.N, network.settings.gridsize
    most = max(4, min(_GROUPS, _PIXELS // (N * gridsize) ** 2))
    seen: list[np.ndarray] = []
    for scan in np.unique(np.linspace(0, scans - 1, min(scans, _SCANS)).astype(int)):
        sample = batches.sample(int(scan), most)
        for index in range(0 if sample is None else len(sample)):
            assert sample is not None
            batch = sample.batch(index)
            seen.append(predict(batch)[batch["weight"] > 0])
    if not seen:
        return None
    counts, rate, valid = np.moveaxis(np.concatenate(seen), -1, 0).astype(np.float64)
    found = explained(counts, rate, valid > 0, counted)
    return None if found is None else found.to_dict()


class _Detector(keras.Model):
    """A batch to counts, rates and valid pixels `(B, C, N, N, 3)`."""

    def __init__(self, model: PtychoModel) -> None:
        super().__init__(name="likeness")
        self.model = model
        self.built = True

    def call(self, inputs):
        seen = self.model.detector(inputs, self.model(inputs))
        return keras.ops.stack([seen.counts, seen.rate, seen.valid], axis=-1)
