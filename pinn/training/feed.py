"""The batches of a run as Keras takes them."""

from __future__ import annotations

import keras

from pinn.data.feed import Batches


class Feed(keras.utils.PyDataset):
    """Hands the batches of one epoch to Keras; the order is a function of seed and epoch."""

    def __init__(self, batches: Batches, epoch: int = 0) -> None:
        super().__init__()
        self._batches, self._epoch = batches, epoch

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int):
        return (self._batches.batch(index, self._epoch),)

    def on_epoch_end(self) -> None:
        self._epoch += 1
