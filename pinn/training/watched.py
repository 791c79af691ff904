"""The count scale of scans that are only watched, fitted before they are judged.

Amplitude and count scale trade places while a network learns: the scales of the scans it learns
from follow, that of a scan it is only watched on cannot. So it is set to the best one whenever the
scan is judged, and put back afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops

from pinn import backend
from pinn.data.feed import Batches
from pinn.networks.model import PtychoModel


class _Light(keras.Model):
    """A batch to the sums `(B, 2)` of measured and predicted counts of each group."""

    def __init__(self, model: PtychoModel) -> None:
        super().__init__(name="light")
        self.model = model
        self.built = True

    def call(self, inputs):
        found = self.model.detector(inputs, self.model(inputs))
        used = found.valid > 0.0
        both = ops.stack([found.counts, found.rate], axis=-1)
        return ops.sum(ops.where(used[..., None], both, 0.0), axis=(1, 2, 3))


class WatchedScales:
    """Fits one number per watched scan: the scale of least Poisson deviance.

    That is in closed form: the sum of the counts over that of the rate, over all groups held out.

    Args:
        network: in training, or any other.
        held: what it is judged by, or None.
        first: number of the first scan that is only watched.
    """

    def __init__(self, network: PtychoModel, held: Batches | None, first: int) -> None:
        self._network, self._first = network, first
        self._batches: list[Batches] = []
        self._sums: Callable[[Any], Any] | None = None
        if held is not None and network.objective.physics:
            whole = (held.sample(scan, held.groups) for scan in range(first, network.scans))
            self._batches = [batches for batches in whole if batches is not None]

    @contextmanager
    def fitted(self) -> Iterator[None]:
        """Within the block the watched scans have their best scale; nothing else changes."""
        if not self._batches:
            yield
            return
        weight = self._network.scale.log_scale
        before = ops.convert_to_numpy(weight).copy()
        weight.assign(before + self._shift().astype("float32"))
        try:
            yield
        finally:
            weight.assign(before)

    def _shift(self) -> np.ndarray:
        """Logarithm of measured over predicted light `(scans,)`, 0 where it is not known."""
        if self._sums is None:
            self._sums = backend.compile_inference(_Light(self._network))
        light = np.zeros((self._network.scans, 2))
        for batches in self._batches:
            for index in range(len(batches)):
                batch = batches.batch(index)
                real = batch["weight"] > 0
                sums = self._sums(_physical(batch)).astype(np.float64)
                np.add.at(light, batch["scan"][real], sums[real])
        known = np.all(np.isfinite(light) & (light > 0), axis=1)
        logs = np.log(np.where(known[:, None], light, 1.0))
        return logs[:, 0] - logs[:, 1]


def _physical(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    names = ("frames", "offsets", "scale", "scan", "weight", "frame")
    return {name: batch[name] for name in names if name in batch}
