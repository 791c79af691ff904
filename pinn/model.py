"""The trainable model: network, object merge, probe, diffraction and likelihood in one."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from pinn.config import ModelConfig
from pinn.layers.diffraction import FarField
from pinn.layers.group import GroupMerge, PatchExtraction
from pinn.layers.normalise import FrameNormaliser
from pinn.layers.probe import Probe, illumination_weight
from pinn.layers.scale import IntensityScale
from pinn.networks.registry import build_network
from pinn.objective import Objective
from pinn.ops import likelihood


class PtychoModel(keras.Model):
    """Unsupervised ptychographic model; trains with `fit` on batches of `pinn.data.feed`.

    A batch is a dictionary: `frames` `(B, N, N, C)` normalised amplitude with -1 at masked
    pixels, `offsets` `(B, C, 2)` positions relative to the group centre in pixels, `scale` `(B,)`
    exposure factor of the scan, `scan` `(B,)` index of the scan, `weight` `(B,)` 1 or, for groups
    that only fill the last batch, 0.

    Args:
        config: the network and physics.
        canvas: side in pixels of the group canvas, even; at least N plus twice the largest offset.
        scans: number of scans with a probe and a scale of their own.
        objective: what training minimises.
    """

    def __init__(
        self,
        config: ModelConfig,
        canvas: int,
        scans: int = 1,
        objective: Objective | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name="ptycho", **kwargs)
        self.settings, self.canvas, self.scans = config, canvas, scans
        self.objective = objective or Objective()
        # Counts per unit of the data where the dose is unknown and the numbers are tiny: the
        # likelihood's floors are meant in counts. Set by training before the first step.
        self.count_unit = 1.0
        self.network = build_network(config)
        self.normalise = FrameNormaliser(config.N, name="normalise")
        self.probe = Probe(
            config.N,
            config.probe_modes,
            scans,
            trainable=config.probe_trainable,
            support=config.probe_support,
            smoothing=config.probe_smoothing,
            name="probe",
        )
        self.scale = IntensityScale(scans, trainable=config.scale_trainable, name="scale")
        rule = "legacy" if config.merge == "legacy" else "weighted"
        self.merge = GroupMerge(canvas, rule, name="merge")
        self.extract = PatchExtraction(config.N, name="extract")
        self.far_field = FarField(name="far_field")
        self.normalise.build()
        self.probe.build()
        self.scale.build()
        self.deviance = keras.metrics.Mean(name="deviance")
        self.nll = keras.metrics.Mean(name="nll")
        self.built = True

    # -- inference part ------------------------------------------------------------------

    def object_patches(self, frames: Any, training: bool = False) -> Any:
        """Normalised amplitudes `(B, N, N, C)`, -1 masked, to object patches `(B, C, N, N, 2)`."""
        patches = self.network(self.normalise(frames), training=training)
        return ops.transpose(ops.cast(patches, "float32"), (0, 3, 1, 2, 4))

    # -- physics -------------------------------------------------------------------------

    def group_object(self, patches: Any, inputs: dict[str, Any]) -> Any:
        """Merge patches `(B, C, N, N, 2)` into the object on the group canvas `(B, M, M, 2)`."""
        weights = None
        if self.settings.merge == "probe":
            re, im = self.probe(inputs["scan"])
            probe = ops.stop_gradient(re), ops.stop_gradient(im)
            weights = illumination_weight(probe)[:, None]
        return self.merge(patches, inputs["offsets"], weights)

    def call(self, inputs: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Returns `object` `(B, M, M, 2)` and `rate` `(B, C, N, N)` in counts."""
        canvas = self.group_object(self.object_patches(inputs["frames"], training), inputs)
        illuminated = self.extract(canvas, inputs["offsets"])
        scan = inputs["scan"]
        rate = self.far_field(illuminated, self.probe(scan), self.scale(scan))
        return {"object": canvas, "rate": rate}

    # -- loss ----------------------------------------------------------------------------

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True, **kwargs
    ):
        """Likelihood of the measured counts of the batch itself; `y` is not used."""
        frames = ops.transpose(x["frames"], (0, 3, 1, 2))
        weight = x["weight"]
        valid = ops.cast(frames >= 0.0, "float32") * weight[:, None, None, None]
        amplitude = ops.maximum(frames, 0.0) / x["scale"][:, None, None, None]
        counts = amplitude * amplitude * self.count_unit
        rate = y_pred["rate"] * self.count_unit
        deviance = likelihood.deviance_loss(counts, rate, valid)
        pixels = ops.maximum(ops.sum(valid), 1.0)
        loss = self.objective(counts, rate, valid)
        per_pixel = deviance * ops.sum(counts * valid) / pixels
        self.deviance.update_state(per_pixel, sample_weight=pixels)
        self.nll.update_state(likelihood.poisson_nll(counts, rate, valid), sample_weight=pixels)
        return loss

    # -- state as named arrays -----------------------------------------------------------

    def named_arrays(self) -> dict[str, np.ndarray]:
        """All weights by name, in a form that no framework or Keras version owns."""
        return {path: ops.convert_to_numpy(v) for path, v in self._named_weights().items()}

    def load_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Assign weights by name; those of the network by their number.

        Raises:
            ValueError: a name is missing, unknown, or has another shape.
        """
        own = {_key(name): (name, variable) for name, variable in self._named_weights().items()}
        given = {_key(name): array for name, array in arrays.items()}
        missing, unknown = own.keys() - given.keys(), given.keys() - own.keys()
        if missing or unknown:
            raise ValueError(
                f"weights missing {sorted(missing)[:3]}, unknown {sorted(unknown)[:3]}"
            )
        for key, (name, variable) in own.items():
            if given[key].shape != tuple(variable.shape):
                raise ValueError(
                    f"weight {name} has shape {given[key].shape}, expected {tuple(variable.shape)}"
                )
        for key, (_, variable) in own.items():
            variable.assign(given[key])

    def _named_weights(self) -> dict[str, Any]:
        named = {
            "probe": self.probe.pair,
            "log_scale": self.scale.log_scale,
            "input/mean": self.normalise.mean,
            "input/gain": self.normalise.gain,
        }
        for number, variable in enumerate(self.network.weights):
            named[f"network/{number:04d}/{variable.path}"] = variable
        return named


def _key(name: str) -> str:
    """`network/0007/encoder_1_b/kernel` -> `network/0007`: Keras numbers unnamed layers anew in
    every process, so a path is for people and only the position identifies a weight."""
    return "/".join(name.split("/")[:2])
