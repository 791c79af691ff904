"""The batches of a run as Keras takes them."""

from __future__ import annotations

import keras

from pinn.data.feed import Batches


class Feed(keras.utils.PyDataset):
    """Hands the batches of one epoch to Keras; a batch is a function of its number and the epoch.

    Args:
        batches: of the run.
        first: where the epoch begins; above 0 for the rest of one that was interrupted.

    Attributes:
        epoch: the present one, from 0; set before its first batch is asked for.
    """

    def __init__(self, batches: Batches, first: int = 0) -> None:
        super().__init__()
        self._batches, self._first, self.epoch = batches, first, 0

    def __len__(self) -> int:
        return len(self._batches) - self._first

    def __getitem__(self, index: int):
        return (self._batches.batch(index + self._first, self.epoch),)
