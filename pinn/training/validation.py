"""Held-out groups: what the model is judged by after an epoch.

Amplitude and count scale trade places while a network learns: the scales of the scans it learns
from follow, that of a scan it is only validated on cannot. So it is set to the best one whenever
the scan is judged, and put back afterwards.
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
from pinn.training.feed import Feed

_PHYSICS = ("frames", "offsets", "scale", "scan", "weight", "frame")  # inputs without labels


class Validation:
    """Means of the loss and its terms over the groups held out.

    The count scale of a validation scan that has the least Poisson deviance is the sum of the
    counts over that of the rate, over all its groups.

    Args:
        network: in training, or any other.
        held: groups held out, or None.
        first: number of the first scan that is not learned from.
    """

    def __init__(self, network: PtychoModel, held: Batches | None, first: int) -> None:
        self._network, self._held = network, held
        self._scans: list[Batches] = []
        self._totals: Callable[[Any], Any] | None = None
        if held is not None and network.objective.physics:
            whole = (held.sample(scan, held.groups) for scan in range(first, network.scans))
            self._scans = [batches for batches in whole if batches is not None]

    def evaluate(self, epoch: int) -> dict[str, float]:
        """`val_loss` and so on; nothing where no groups are held out."""
        if self._held is None:
            return {}
        feed = Feed(self._held)
        feed.epoch = epoch
        with self.scales_fitted():
            means = self._network.evaluate(feed, verbose=0, return_dict=True)
        return {f"val_{name}": float(value) for name, value in means.items()}

    @contextmanager
    def scales_fitted(self) -> Iterator[None]:
        """Within the block validation scans have their best scale; nothing else changes."""
        if not self._scans:
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
        """Logarithm of measured over predicted counts `(scans,)`, 0 where it is not known."""
        if self._totals is None:
            self._totals = backend.compile_inference(_Totals(self._network))
        totals = np.zeros((self._network.scans, 2))
        for batches in self._scans:
            for index in range(len(batches)):
                batch = batches.batch(index)
                real = batch["weight"] > 0
                inputs = {name: batch[name] for name in _PHYSICS if name in batch}
                np.add.at(totals, batch["scan"][real], self._totals(inputs)[real].astype(float))
        seen = np.all(np.isfinite(totals) & (totals > 0), axis=1)
        logs = np.log(np.where(seen[:, None], totals, 1.0))
        return logs[:, 0] - logs[:, 1]


class _Totals(keras.Model):
    """A batch to the sums `(B, 2)` of measured and predicted counts of each group."""

    def __init__(self, model: PtychoModel) -> None:
        super().__init__(name="totals")
        self.model = model
        self.built = True

    def call(self, inputs):
        detector = self.model.detector(inputs, self.model(inputs))
        both = ops.stack([detector.counts, detector.rate], axis=-1)
        return ops.sum(ops.where(detector.valid[..., None] > 0.0, both, 0.0), axis=(1, 2, 3))
