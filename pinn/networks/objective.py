"""What a training step minimises: a weighted sum of terms on the rate, the object and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
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
        brightness: `(B,)` mean counts per pixel of the scan of each group, or None where all are
            of one scan: a bright scan must not drown the others.
    """

    counts: Tensor
    rate: Tensor
    valid: Tensor
    brightness: Tensor | None = None

    def weight(self, name: str) -> Tensor | None:
        """Weight of each group `(B,)` in the likelihood of that name, or None."""
        if self.brightness is None:
            return None
        amplitudes = name == "mae"  # its sums are of square roots of counts
        return 1.0 / (ops.sqrt(self.brightness) if amplitudes else self.brightness)


@dataclass(frozen=True)
class Patches:
    """Predicted object patches of a batch, and what they are compared with.

    Attributes:
        predicted: pair `(B, K, N, N)`, K patches per group.
        weight: `(B,)`, 0 for groups that only fill the batch.
        labels: pair `(B, K, N, N)`, or None.
        labelled: `(B, K, N, N)`, 1 where there is a label.
        illumination: `(B, 1, N, N)` or `(1, 1, N, N)`, weights of the pixels, or None for equal.
    """

    predicted: Pair
    weight: Tensor
    labels: Pair | None = None
    labelled: Tensor | None = None
    illumination: Tensor | None = None


class Objective:
    """The loss of a batch.

    Args:
        run: its terms and their weights; default: the Poisson deviance.

    Attributes:
        weights: weight of each term, by name.
        physics: rates are predicted; False in supervised training.
        needs_labels, needs_patches, needs_illumination: what the terms look at.
        staged: the batches say how much the physics weighs.
    """

    def __init__(self, run: TrainConfig | None = None) -> None:
        run = run or TrainConfig()
        self.weights = run.loss_terms
        self.physics = run.mode == "pinn"
        self.staged = run.staged
        self.needs_labels = run.needs_labels
        self.needs_patches = any(name not in LIKELIHOODS for name in self.weights)
        self.needs_illumination = self.needs_labels

    def terms(self, detector: Detector | None, patches: Patches | None) -> dict[str, Tensor]:
        """Each term of the batch by name, without its weight, scalars."""
        terms: dict[str, Any] = {}
        if detector is not None:
            for name in self._of(LIKELIHOODS):
                terms[name] = _LIKELIHOODS[name](
                    detector.counts, detector.rate, detector.valid, detector.weight(name)
                )
        if patches is not None:
            terms |= self._against_labels(patches) if self.needs_labels else {}
            for name in self._of(REGULARISERS):
                terms[name] = _mean(_REGULARISERS[name](patches.predicted), patches.weight)
        return terms

    def sizes(self, detector: Detector | None, patches: Patches | None) -> dict[str, Tensor]:
        """What each term of the batch is divided by, scalars.

        A mean over batches that is weighted with it is the term of all their groups together,
        however they are cut into batches.
        """
        sizes: dict[str, Any] = {}
        if detector is not None:
            for name in self._of(LIKELIHOODS):
                used = ops.where(detector.valid > 0.0, detector.counts, 0.0)
                size = ops.sum(ops.sqrt(used) if name == "mae" else used, axis=(1, 2, 3))
                weight = detector.weight(name)
                sizes[name] = ops.sum(size if weight is None else size * weight)
        if patches is not None:
            for name in self._of(LABEL_TERMS):
                sizes[name] = ops.sum(self._label_weight(patches))
            for name in self._of(REGULARISERS):
                sizes[name] = ops.sum(patches.weight)
        return sizes

    def term_weights(self, physics_weight: Tensor | None = None) -> dict[str, Any]:
        """What each term is multiplied with in the loss.

        Args:
            physics_weight: scalar w; likelihoods are multiplied by w, label terms by 1 - w.
                None: neither is changed.
        """
        weights: dict[str, Any] = dict(self.weights)
        if physics_weight is None:
            return weights
        for name in weights:
            if name in LIKELIHOODS:
                weights[name] = weights[name] * physics_weight
            elif name in LABEL_TERMS:
                weights[name] = weights[name] * (1.0 - physics_weight)
        return weights

    def total(self, terms: dict[str, Tensor], physics_weight: Tensor | None = None) -> Tensor:
        """Weighted sum of the terms; see `term_weights`."""
        loss, weights = ops.zeros(()), self.term_weights(physics_weight)
        for name, value in terms.items():
            loss = loss + weights[name] * value
        return loss

    def _label_weight(self, patches: Patches) -> Tensor:
        assert patches.labelled is not None
        weight = patches.labelled * patches.weight[:, None, None, None]
        return weight if patches.illumination is None else weight * patches.illumination

    def _against_labels(self, patches: Patches) -> dict[str, Tensor]:
        assert patches.labels is not None
        weight = self._label_weight(patches)
        truth = labels.without_mean_phase(patches.labels, weight)
        return {
            name: _LABEL_TERMS[name](patches.predicted, truth, weight)
            for name in self._of(LABEL_TERMS)
        }

    def _of(self, names: tuple[str, ...]) -> list[str]:
        return [name for name in names if name in self.weights]


class LossColumn(keras.metrics.Metric):
    """The loss of all groups of an epoch, as if they were one batch.

    Keras' own mean counts every batch alike, also the last one with few groups; here each term is
    a mean weighted with its size (`Objective.sizes`), and the loss their weighted sum,
    with weights that are the same for a whole epoch.

    Args:
        terms: names of the terms.
    """

    def __init__(self, terms: Sequence[str], name: str = "loss") -> None:
        super().__init__(name=name)
        self.terms = tuple(terms)
        self.totals, self.counts, self.term_weights = (
            [self.add_variable((), "zeros", name=f"{term}_{part}") for term in self.terms]
            for part in ("total", "size", "weight")
        )

    def update_state(
        self, values: Mapping[str, Any], sizes: Mapping[str, Any], weights: Mapping[str, Any]
    ) -> None:
        """Take in the terms of a batch, all by name."""
        for term, total, count, weight in zip(
            self.terms, self.totals, self.counts, self.term_weights, strict=True
        ):
            total.assign(total + values[term] * sizes[term])
            count.assign(count + sizes[term])
            weight.assign(ops.cast(weights[term], weight.dtype))

    def result(self) -> Any:
        loss = ops.zeros(())
        for total, count, weight in zip(self.totals, self.counts, self.term_weights, strict=True):
            size = count + 0.0  # a tensor of the backend; JAX takes no variable for one
            loss = loss + weight * (total + 0.0) / ops.where(size > 0.0, size, 1.0)
        return loss


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean of `(B, K)` over patches, then over groups by their weight `(B,)`."""
    total = ops.sum(weight)
    means = ops.mean(values, axis=1)
    return ops.sum(means * weight) / ops.where(total > 0.0, total, ops.ones_like(total))
