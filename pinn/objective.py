"""What a training step minimises: a weighted sum of terms on the rate, the object and labels."""

from __future__ import annotations

from typing import Any

from keras import ops

from pinn.config import TrainConfig
from pinn.ops import likelihood

_LIKELIHOODS = {
    "poisson": likelihood.deviance_loss,
    "gaussian": likelihood.amplitude_mse,
    "mae": likelihood.amplitude_mae,
}


class Objective:
    """The loss of a batch.

    Args:
        run: its terms and their weights.
    """

    def __init__(self, run: TrainConfig | None = None) -> None:
        self.terms = (run or TrainConfig()).loss_terms

    def __call__(self, counts: Any, rate: Any, valid: Any) -> Any:
        """Scalar.

        Args:
            counts, rate: `(B, C, N, N)` measured and predicted counts.
            valid: `(B, C, N, N)`, 1 where a pixel is used.
        """
        loss = ops.zeros(())
        for name, weight in self.terms.items():
            loss = loss + weight * _LIKELIHOODS[name](counts, rate, valid)
        return loss
