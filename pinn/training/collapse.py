"""Whether a run has gone wrong without an error: flat output, dead units, a loss that stays.

A flat object gives the same frame everywhere, so frames that differ put a floor under the spread
of any object that explains them. With w the illumination, o the patches and psi their far field,
Parseval and the triangle inequality give

    sum w |o - mean o|^2  =  sum |psi - mean psi|^2  >=  sum (|psi| - mean |psi|)^2,

sums over pixels and frames, means over frames. The right side is measured (less the photon noise);
the left side is predicted. A run whose left side is a small part of the right one explains none of
what tells the frames apart. No threshold on the object itself is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from pinn import backend
from pinn.data.feed import Batches
from pinn.data.masks import decode
from pinn.networks.model import PtychoModel
from pinn.ops.likelihood import brightness

FLAT = 0.1  # predicted spread over the least that the frames demand
DEAD = 0.9  # share of the units of a layer
STUCK = 0.02  # least fall of the loss, relative
PATIENCE = 3  # epochs before a run is judged
_GROUPS = 16  # looked at
_NOISE = 0.42  # largest variance of the square root of a Poisson number
# activations that are constant over half of their inputs
_MORTAL = ("relu", "relu6", "relu_squared", "hard_sigmoid", "hard_silu", "squareplus")


def demanded_spread(counts: np.ndarray, valid: np.ndarray) -> float | None:
    """Least relative spread of any object that explains the frames.

    Args:
        counts: `(F, N, N)` counts of frames of one scan.
        valid: `(F, N, N)` bool.

    Returns:
        `sqrt(sum (a - mean a)^2 / sum a^2)` with a the amplitude, less the photon noise; None
        where the noise hides it.
    """
    seen = np.maximum(valid.sum(0), 1)
    amplitude = np.where(valid, np.sqrt(counts), 0.0)
    mean = amplitude.sum(0) / seen
    spread = float(np.sum(np.where(valid, amplitude - mean, 0.0) ** 2))
    rate = np.where(valid, counts, 0.0).sum(0) / seen
    noise = float(np.sum(np.minimum(rate, _NOISE) * valid.sum(0)))
    total = float(np.sum(amplitude**2))
    if total <= 0 or spread <= 1.5 * noise:
        return None
    return float(np.sqrt((spread - noise) / total))


def predicted_spread(patches: np.ndarray, illumination: np.ndarray) -> float:
    """Relative spread of patches about their mean, weighted with the illumination.

    Args:
        patches: `(F, N, N)` complex.
        illumination: `(N, N)` intensity, any scale.
    """
    weight = np.asarray(illumination, np.float64)[None]
    differing = np.sum(weight * np.abs(patches - patches.mean(0)) ** 2)
    return float(np.sqrt(differing / max(np.sum(weight * np.abs(patches) ** 2), 1e-30)))


class CollapseDetector:
    """Looks at the same few groups after every epoch from the third on.

    Costs one forward pass of at most 16 groups, compiled once.

    Args:
        network: in training.
        feed: of the run; the groups of its first batches that belong to one scan are taken.
        from_scratch: whether the loss must fall; one of a network that was trained before need
            not.
    """

    def __init__(self, network: PtychoModel, feed: Batches, from_scratch: bool) -> None:
        self._network, self._feed, self._from_scratch = network, feed, from_scratch
        self._frames: np.ndarray | None = None
        self._demanded: float | None = None
        self._scan = 0
        self._layers: list[str] = []
        self._predict: Any = None

    def look(self, history: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
        """What is wrong, as (kind, sentence); nothing is said of the first epochs."""
        if len(history) < PATIENCE:
            return []
        if self._predict is None:
            self._prepare()
        complaints = {"stuck": stuck(history) if self._from_scratch else None}
        if self._frames is not None:
            patches, *ranges = self._predict(self._frames)
            complaints |= {"dead": self._dead(ranges), "flat": self._flat(patches)}
        return [(kind, text) for kind, text in complaints.items() if text]

    def _dead(self, ranges: Sequence[np.ndarray]) -> str | None:
        """Says which layers are dead; `ranges` holds least and largest value of their units."""
        dead = [
            f"{np.count_nonzero(low == high)} of {low.size} units of {name}"
            for name, low, high in zip(self._layers, ranges[::2], ranges[1::2], strict=True)
            if np.mean(low == high) >= DEAD
        ]
        if not dead:
            return None
        return (
            f"{'; '.join(dead[:3])} give one value for every pixel of every frame: no signal "
            "passes them; start again with a lower learning_rate or another seed"
        )

    def _flat(self, patches: np.ndarray) -> str | None:
        """Says that patches `(B, C, N, N, 2)` differ less than the frames demand."""
        if self._demanded is None:
            return None
        re, im = (keras.ops.convert_to_numpy(p)[self._scan] for p in self._network.probe())
        illumination = np.sum(re.astype(np.float64) ** 2 + im.astype(np.float64) ** 2, axis=0)
        members = patches.reshape(-1, *patches.shape[-3:]).astype(np.float64)
        spread = predicted_spread(members[..., 0] + 1j * members[..., 1], illumination)
        if spread >= FLAT * self._demanded:
            return None
        return (
            f"the predicted patches are flat (relative spread {spread:.2g}, but the frames demand "
            f"at least {self._demanded:.2g}): the run has collapsed, or has not begun to learn; if "
            "it stays so, start again with another seed or a lower learning_rate, and look at "
            "positions, probe and orientation with `pinn check`"
        )

    def _prepare(self) -> None:
        if self._network.unrolled:  # begins with a flat object, and cannot stay there
            self._predict = self._network
            return
        batch = self._feed.batch(0, 0)
        batches = [batch]
        while len(batches) < len(self._feed) and len(batches) * len(batch["scan"]) < _GROUPS:
            batches.append(self._feed.batch(len(batches), 0))
        joined = {k: np.concatenate([one[k] for one in batches]) for k in batch}
        self._scan = int(joined["scan"][0])
        rows = np.flatnonzero((joined["scan"] == self._scan) & (joined["weight"] > 0))[:_GROUPS]
        frames = joined["frames"][rows]
        stack = np.moveaxis(frames, -1, 1).reshape(-1, *frames.shape[1:3]).astype(np.float64)
        amplitude, valid = decode(stack)
        lit = np.any(amplitude > 0, axis=(1, 2))
        counts = (amplitude / joined["scale"][rows][0]) ** 2
        # in arbitrary units the noise is unknown; the unit that the likelihood takes is as good
        unit, _ = brightness(joined["scale"][rows][:1])
        counts *= float(keras.ops.convert_to_numpy(unit)[0])
        if np.count_nonzero(lit) > 1:
            self._demanded = demanded_spread(counts[lit], valid[lit])
        self._frames = frames
        self._predict = self._compile()

    def _compile(self) -> Any:
        """Patches `(B, C, N, N, 2)`, then lowest and highest value of every unit of each layer."""
        network = self._network
        tapped = _activated(network.network)
        self._layers = [layer.name for layer in tapped]
        return backend.compile_inference(_Tapped(network, tapped))


def stuck(history: Sequence[Mapping[str, Any]]) -> str | None:
    """Whether nothing that is minimised has fallen since the first epoch of a run from scratch."""
    for name in ("loss", "val_loss", "deviance", "val_deviance"):
        values = [float(row[name]) for row in history if name in row]
        if values and min(values) < values[0] - STUCK * abs(values[0]):
            return None
    first, last = float(history[0]["loss"]), float(history[-1]["loss"])
    return (
        f"the loss has not fallen in {len(history)} epochs (first {first:.4g}, now {last:.4g}); "
        "try a lower learning_rate, look at positions, probe and orientation with `pinn check`, or "
        "start again with another seed"
    )


class _Tapped(keras.Model):
    """The network, and the range of each unit on the way."""

    def __init__(self, model: PtychoModel, layers: list[Any]) -> None:
        super().__init__(name="tapped")
        self._model = model
        outputs = [model.network.output, *(layer.output for layer in layers)]
        self._taps = keras.Model(model.network.input, outputs) if layers else model.network
        self._count = len(layers)
        self.built = True

    def call(self, frames: Any, training: bool = False) -> list[Any]:
        ops = keras.ops
        outputs = self._taps(self._model.normalise(frames), training=training)
        patches, *inner = outputs if self._count else [outputs]
        ranges = []
        for value in inner:
            axes = tuple(range(len(value.shape) - 1))
            ranges += [ops.min(value, axis=axes), ops.max(value, axis=axes)]
        patches = ops.transpose(ops.cast(patches, "float32"), (0, 3, 1, 2, 4))
        return [patches, *(ops.cast(value, "float32") for value in ranges)]


def _activated(network: keras.Model) -> list[Any]:
    """Layers whose units can die; none where the network is no graph of layers."""
    if getattr(network, "outputs", None) is None:
        return []
    layers = []
    for layer in network.layers:
        name = getattr(getattr(layer, "activation", None), "__name__", "linear")
        if name not in _MORTAL:
            continue
        try:
            image = len(layer.output.shape) == 4
        except (AttributeError, ValueError):  # a layer that is used twice has no one output
            continue
        if image:
            layers.append(layer)
    return layers
