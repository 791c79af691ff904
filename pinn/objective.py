"""What a training step minimises: a weighted sum of terms on the rate, the object and labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras import ops

from pinn.config import TrainConfig
from pinn.config.loss import LABEL_TERMS, LIKELIHOODS, REGULARISERS
from pinn.ops import labels, likelihood, priors
from pinn.ops.pairs import Pair, Tensor

_LIKELIHOODS = {
    "poisson": likelihood.deviance_loss,
    "gaussian": likelihood.amplitude_mse,
    "mae": likelihood.amplitude_mae,
}
_LABEL_TERMS = {
    "label_amplitude": labels.amplitude_error,
    "label_phase": labels.phase_error,
    "label_complex": labels.complex_error,
}
_REGULARISERS = {
    "tv_amplitude": priors.amplitude_variation,
    "tv_phase": priors.phase_variation,
    "deviation_amplitude": priors.amplitude_deviation,
    "deviation_phase": priors.phase_deviation,
}


@dataclass(frozen=True)
class Detector:
    """Measured and predicted frames of a batch.

    Attributes:
        counts, rate: `(B, C, N, N)` measured and predicted counts.
        valid: `(B, C, N, N)`, 1 where a pixel is used.
    """

    counts: Tensor
    rate: Tensor
    valid: Tensor


@dataclass(frozen=True)
class Patches:
    """Predicted object patches of a batch, and what they are compared with.

    Attributes:
        predicted: pair `(B, K, N, N)`, K patches per group.
        weight: `(B,)`, 0 for groups that only fill the batch.
        labels: pair `(B, K, N, N)`, or None.
        labelled: `(B, K, N, N)`, 1 where there is a label.
        light: `(B, 1, N, N)` or `(1, 1, N, N)`, illumination of the pixels, or None for equal.
    """

    predicted: Pair
    weight: Tensor
    labels: Pair | None = None
    labelled: Tensor | None = None
    light: Tensor | None = None


class Objective:
    """The loss of a batch.

    Args:
        run: its terms and their weights; default: the Poisson deviance.

    Attributes:
        weights: weight of each term, by name.
        physics: rates are predicted; False in supervised training.
        needs_labels, needs_patches, needs_light: what the terms look at.
        staged: the batches say how much the physics weighs.
    """

    def __init__(self, run: TrainConfig | None = None) -> None:
        run = run or TrainConfig()
        self.weights = run.loss_terms
        self.physics = run.mode == "pinn"
        self.staged = run.staged
        self.needs_labels = run.needs_labels
        self.needs_patches = any(name not in LIKELIHOODS for name in self.weights)
        self.needs_light = self.needs_labels and run.label_weighting == "probe"
        self._relative = run.label_phase == "relative"

    def terms(self, detector: Detector | None, patches: Patches | None) -> dict[str, Tensor]:
        """Each term of the batch by name, without its weight, scalars."""
        found: dict[str, Any] = {}
        if detector is not None:
            for name in self._of(LIKELIHOODS):
                found[name] = _LIKELIHOODS[name](detector.counts, detector.rate, detector.valid)
        if patches is not None:
            found |= self._against_labels(patches) if self.needs_labels else {}
            for name in self._of(REGULARISERS):
                found[name] = _mean(_REGULARISERS[name](patches.predicted), patches.weight)
        return found

    def total(self, terms: dict[str, Tensor], physics_weight: Tensor | None = None) -> Tensor:
        """Weighted sum of the terms.

        Args:
            physics_weight: scalar; multiplies the likelihoods, and one less it the label terms.
                None: neither is changed.
        """
        loss = ops.zeros(())
        for name, value in terms.items():
            share: Any = self.weights[name]
            if physics_weight is not None and name in LIKELIHOODS:
                share = share * physics_weight
            elif physics_weight is not None and name in LABEL_TERMS:
                share = share * (1.0 - physics_weight)
            loss = loss + share * value
        return loss

    def _against_labels(self, patches: Patches) -> dict[str, Tensor]:
        assert patches.labels is not None and patches.labelled is not None
        weight = patches.labelled * patches.weight[:, None, None, None]
        if patches.light is not None:
            weight = weight * patches.light
        truth = patches.labels
        if self._relative:
            truth = labels.without_mean_phase(truth, weight)
        return {
            name: _LABEL_TERMS[name](patches.predicted, truth, weight)
            for name in self._of(LABEL_TERMS)
        }

    def _of(self, names: tuple[str, ...]) -> list[str]:
        return [name for name in names if name in self.weights]


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean of `(B, K)` over the groups that count."""
    total = ops.sum(weight)
    each = ops.mean(values, axis=1)
    return ops.sum(each * weight) / ops.where(total > 0.0, total, ops.ones_like(total))
