"""The trainable model: network, object merge, probe, diffraction and objective in one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from pinn import backend
from pinn.config import ModelConfig
from pinn.config.loss import LIKELIHOODS
from pinn.errors import ConfigError
from pinn.layers.diffraction import Diffraction
from pinn.layers.group import GroupMerge, PatchExtraction
from pinn.layers.normalise import FrameNormaliser
from pinn.layers.positions import Displacements
from pinn.layers.probe import Probe, illumination_weight
from pinn.layers.scale import IntensityScale
from pinn.networks.objective import Detector, LossColumn, Objective, Patches
from pinn.networks.precision import network_precision
from pinn.networks.registry import build_network
from pinn.networks.unrolling import Unrolled, unroll
from pinn.ops import likelihood, masks, pairs
from pinn.ops.contrast import scale_deviation

# Largest displacement of a coordinate where positions are trained, before the mean over the scan
# is taken off.
POSITIONS_LIMIT_PX = 5.0


class PtychoModel(keras.Model):
    """Ptychographic model; trains with `fit` on batches of `pinn.data.feed`.

    A batch is a dictionary: `frames` `(B, N, N, C)` normalised amplitude with -1 at masked
    pixels, `offsets` `(B, C, 2)` positions relative to the group centre in pixels, `scale` `(B,)`
    exposure factor of the scan, `scan` `(B,)` index of the scan, `weight` `(B,)` 1 or, for groups
    that only fill the last batch, 0. Where the objective asks for them: `labels`
    `(B, K, N, N, 2)` and `labelled` `(B, K, N, N)`, K patches per group; `physics_weight` `(B,)`,
    one number. Where positions are learned: `frame` `(B, C)`, numbers of the frames through all
    scans.

    Args:
        config: the network and physics.
        canvas: side in pixels of the group canvas, even; at least N plus twice the largest offset.
        scans: number of scans with a probe and a scale of their own.
        objective: what training minimises.
        contrast: each scan has factors for the deviations of its object, see `contrast`.
        frames: number of frames of every scan, for positions that are learned; without it there are
            none.
        precision: in which the network computes, as Keras names it; all else is float32.

    Attributes:
        contrast: weight `(scans, 2)`, never trained: factors of the real and the imaginary
            deviation of a group's object from its illuminated mean, before it is diffracted; or
            None.
        positions: layer of learned displacements, or None.
    """

    def __init__(
        self,
        config: ModelConfig,
        canvas: int,
        scans: int = 1,
        objective: Objective | None = None,
        precision: str = "float32",
        contrast: bool = False,
        frames: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        backend.ordered_updates()
        super().__init__(name="ptycho", **kwargs)
        self.settings, self.canvas, self.scans = config, canvas, scans
        self.objective = objective or Objective()
        with network_precision(precision):
            self.network = build_network(config)
        self.unrolled = bool(getattr(self.network, "unrolled", False))
        self.normalise = FrameNormaliser(config.N, name="normalise")
        physics = self.objective.physics  # without it no gradient reaches probe and scale
        self.probe = Probe(
            config.N,
            config.probe_modes,
            scans,
            trainable=config.probe_trainable and physics,
            support=config.probe_support,
            name="probe",
        )
        self.scale = IntensityScale(
            scans, trainable=config.scale_trainable and physics, name="scale"
        )
        rule = "legacy" if config.merge == "legacy" else "weighted"
        self.merge = GroupMerge(canvas, rule, name="merge")
        self.extract = PatchExtraction(config.N, name="extract")
        self.diffract = Diffraction(
            config.propagation, config.detector_response, name="diffraction"
        )
        self.normalise.build()
        self.probe.build()
        self.scale.build()
        self.contrast = None
        if contrast:
            self.contrast = self.add_weight(
                name="contrast", shape=(scans, 2), initializer="ones", trainable=False
            )
        self.positions = None
        if config.positions_trainable and frames is not None:
            self.positions = Displacements(
                frames, POSITIONS_LIMIT_PX, trainable=physics, name="positions"
            )
            self.positions.build()
        self.loss_column = LossColumn(list(self.objective.weights))
        several = list(self.objective.weights) if len(self.objective.weights) > 1 else []
        self.term_means = [keras.metrics.Mean(name=name) for name in several]
        self.count_means = [keras.metrics.Mean(name=n) for n in ("deviance", "nll") if physics]
        self.built = True

    # -- inference part ------------------------------------------------------------------

    def object_patches(self, frames: Any, training: bool = False) -> Any:
        """Normalised amplitudes `(B, N, N, C)`, -1 masked, to object patches `(B, C, N, N, 2)`.

        Raises:
            ConfigError: the network needs positions and probe as well.
        """
        if self.unrolled:
            raise ConfigError(
                "the unrolled network needs positions and probe besides the frames; reconstruct "
                "the scan with it, or train another network"
            )
        patches = self.network(self.normalise(frames), training=training)
        return ops.transpose(ops.cast(patches, "float32"), (0, 3, 1, 2, 4))

    # -- physics -------------------------------------------------------------------------

    def group_object(self, patches: Any, inputs: dict[str, Any]) -> Any:
        """Merge patches `(B, C, N, N, 2)` into the object on the group canvas `(B, M, M, 2)`."""
        weights = self.illumination(inputs) if self.settings.merge == "probe" else None
        return self.merge(patches, self.offsets(inputs), weights)

    def offsets(self, inputs: dict[str, Any]) -> Any:
        """Positions `(B, C, 2)` in the group, with the displacements learned."""
        if self.positions is None:
            return inputs["offsets"]
        return inputs["offsets"] + self.positions(inputs["frame"])

    def illuminated_object(self, patches: Any, inputs: dict[str, Any]) -> tuple[Any, Any]:
        """The merged object `(B, M, M, 2)`, and it under each frame `(B, C, N, N, 2)`."""
        canvas = self.group_object(patches, inputs)
        return canvas, self.extract(canvas, self.offsets(inputs))

    def illumination(self, inputs: dict[str, Any]) -> Any:
        """Illumination of a patch's pixels `(B or 1, 1, N, N)`, maximum about 1, no gradient."""
        re, im = self.probe(inputs["scan"])
        probe = ops.stop_gradient(re), ops.stop_gradient(im)
        return illumination_weight(probe)[:, None]

    def scaled_patches(self, inputs: dict[str, Any]) -> Any:
        """Patches of a batch with the contrast of their scans, for pictures."""
        if self.unrolled:
            return pairs.stack(self.unroll(inputs).patches)
        return self._with_contrast(self.object_patches(inputs["frames"]), inputs)

    def _with_contrast(self, patches: Any, inputs: dict[str, Any]) -> Any:
        if self.contrast is None:
            return patches
        factors = ops.take(self.contrast, inputs["scan"], axis=0)
        illumination = self.illumination(inputs)
        return pairs.stack(scale_deviation(pairs.unstack(patches), illumination, factors))

    def call(self, inputs: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Returns `object` `(B, M, M, 2)` and `rate` `(B, C, N, N)` in counts where the objective
        looks at the physics, and `patches` `(B, K, N, N, 2)` where it looks at them; of an
        unrolled network also `earlier`, the rates after the stages before the last."""
        if self.unrolled:
            return self._call_unrolled(inputs)
        patches = self.object_patches(inputs["frames"], training)
        shown = {"patches": patches} if self.objective.needs_patches else {}
        if not self.objective.physics:
            return shown
        canvas, illuminated = self.illuminated_object(patches, inputs)
        scan, illuminated = inputs["scan"], self._with_contrast(illuminated, inputs)
        rate = self.diffract(illuminated, self.probe(scan), self.scale(scan))
        return {"object": canvas, "rate": rate, **shown}

    def unroll(self, inputs: dict[str, Any]) -> Unrolled:
        """The stages of an unrolled network."""
        scan = inputs["scan"]
        unit, _ = likelihood.brightness(inputs["scale"])
        return unroll(
            self.network,
            self.diffract.through,
            inputs,
            self.offsets(inputs),
            self.probe(scan),
            self.scale(scan),
            unit,
            self.canvas,
            self.settings.stages,
        )

    def _call_unrolled(self, inputs: dict[str, Any]) -> dict[str, Any]:
        made = self.unroll(inputs)
        shown = {"patches": pairs.stack(made.patches)} if self.objective.needs_patches else {}
        if not self.objective.physics:
            return shown
        shown["earlier"] = tuple(made.rates[:-1])
        return {"object": pairs.stack(made.object), "rate": made.rates[-1], **shown}

    # -- loss ----------------------------------------------------------------------------

    @property
    def metrics(self) -> list[Any]:
        """The columns of the history; `loss` is ours, in place of the one that Keras keeps."""
        return [self.loss_column, *self.term_means, *self.count_means]

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True, **kwargs
    ):
        """The objective on the batch itself; `y` is not used."""
        detector = self.detector(x, y_pred) if self.objective.physics else None
        patches = self._patches(x, y_pred) if self.objective.needs_patches else None
        terms = self.objective.terms(detector, patches)
        sizes = self.objective.sizes(detector, patches)
        weight = x["physics_weight"][0] if self.objective.staged else None
        self.loss_column.update_state(terms, sizes, self.objective.term_weights(weight))
        for mean in self.term_means:
            mean.update_state(terms[mean.name], sample_weight=sizes[mean.name])
        if detector is not None:
            # scans that are mixed are weighted in the loss, but not here
            self._count(detector, terms.get("poisson") if self.scans == 1 else None)
        return self.objective.total(self._over_stages(terms, x, y_pred), weight)

    def _over_stages(
        self, last: dict[str, Any], x: dict[str, Any], y_pred: dict[str, Any]
    ) -> dict[str, Any]:
        """Terms with likelihoods as their means over the stages of an unrolled network.

        The history shows those of the last stage.
        """
        earlier = y_pred.get("earlier", ())
        terms = dict(last)
        for rate in earlier:
            seen = self.objective.terms(self.detector(x, {"rate": rate}), None)
            for name, value in seen.items():
                terms[name] = terms[name] + value
        return {
            name: value / (1 + len(earlier)) if name in LIKELIHOODS else value
            for name, value in terms.items()
        }

    def detector(self, x: dict[str, Any], y_pred: dict[str, Any]) -> Detector:
        """Measured and predicted frames of a batch, in counts as far as these are known."""
        amplitude, valid = masks.decode(ops.transpose(x["frames"], (0, 3, 1, 2)))
        valid = valid * x["weight"][:, None, None, None]
        amplitude = amplitude / x["scale"][:, None, None, None]
        unit, brightness = likelihood.brightness(x["scale"])
        unit = unit[:, None, None, None]
        counts = amplitude * amplitude * unit
        several = brightness if self.scans > 1 else None
        return Detector(counts, y_pred["rate"] * unit, valid, several)

    def _count(self, detector: Detector, deviance: Any) -> None:
        """Deviance and negative log-likelihood per pixel go into the metrics."""
        counts, rate, valid = detector.counts, detector.rate, detector.valid
        if deviance is None:
            deviance = likelihood.deviance_loss(counts, rate, valid)
        pixels = ops.maximum(ops.sum(valid), 1.0)
        values = (
            deviance * ops.sum(counts * valid) / pixels,
            likelihood.poisson_nll(counts, rate, valid),
        )
        for mean, value in zip(self.count_means, values, strict=True):
            mean.update_state(value, sample_weight=pixels)

    def _patches(self, x: dict[str, Any], y_pred: dict[str, Any]) -> Patches:
        labels, labelled = None, None
        if self.objective.needs_labels:
            labels, labelled = pairs.unstack(x["labels"]), x["labelled"]
        illumination = self.illumination(x) if self.objective.needs_illumination else None
        patches = pairs.unstack(y_pred["patches"])
        return Patches(patches, x["weight"], labels, labelled, illumination)

    # -- state as named arrays -----------------------------------------------------------

    def named_arrays(self) -> dict[str, np.ndarray]:
        """All weights by name, in a form that no framework or Keras version owns."""
        return {path: ops.convert_to_numpy(v) for path, v in self._named_weights().items()}

    def load_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Assign weights by name; those of the network by their number.

        Raises:
            ValueError: a name is missing, unknown, or has another shape.
        """
        named = self._named_weights().items()
        variables = {_key(name): (name, variable) for name, variable in named}
        given = {_key(name): array for name, array in arrays.items()}
        missing, unknown = variables.keys() - given.keys(), given.keys() - variables.keys()
        if missing or unknown:
            raise ValueError(
                f"weights missing {sorted(missing)[:3]}, unknown {sorted(unknown)[:3]}"
            )
        for key, (name, variable) in variables.items():
            if given[key].shape != tuple(variable.shape):
                raise ValueError(
                    f"weight {name} has shape {given[key].shape}, expected {tuple(variable.shape)}"
                )
        for key, (_, variable) in variables.items():
            variable.assign(given[key])

    def _named_weights(self) -> dict[str, Any]:
        named = {
            "probe": self.probe.pair,
            "log_scale": self.scale.log_scale,
            "input/mean": self.normalise.mean,
            "input/gain": self.normalise.gain,
        }
        if self.contrast is not None:
            named["contrast"] = self.contrast
        if self.positions is not None:
            for number, variable in enumerate(self.positions.raw):
                named[f"positions/{number:04d}"] = variable
        for number, variable in enumerate(self.network.weights):
            named[f"network/{number:04d}/{variable.path}"] = variable
        return named


def _key(name: str) -> str:
    """`network/0007/encoder_1_b/kernel` -> `network/0007`: Keras numbers unnamed layers anew in
    every process, so a path is for people and only the position identifies a weight."""
    return "/".join(name.split("/")[:2])
