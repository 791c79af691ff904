"""The trainable model: network, object merge, probe, diffraction and likelihood in one."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from pinn.config import ModelConfig
from pinn.layers.diffraction import FarField
from pinn.layers.group import GroupMerge, PatchExtraction
from pinn.layers.probe import Probe, illumination_weight
from pinn.layers.scale import IntensityScale
from pinn.networks.registry import build_network
from pinn.ops import likelihood, pairs


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
    """

    def __init__(self, config: ModelConfig, canvas: int, scans: int = 1, **kwargs: Any) -> None:
        super().__init__(name="ptycho", **kwargs)
        self.settings, self.canvas, self.scans = config, canvas, scans
        self.network = build_network(config)
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
        self.probe.build()
        self.scale.build()
        self.deviance = keras.metrics.Mean(name="deviance")
        self.nll = keras.metrics.Mean(name="nll")
        self.built = True

    # -- inference part ------------------------------------------------------------------

    def object_patches(self, frames: Any, training: bool = False) -> Any:
        """Normalised amplitudes `(B, N, N, C)`, -1 masked, to object patches `(B, C, N, N, 2)`."""
        patches = self.network(ops.maximum(frames, 0.0), training=training)
        return ops.transpose(ops.cast(patches, "float32"), (0, 3, 1, 2, 4))

    # -- physics -------------------------------------------------------------------------

    def group_object(self, patches: Any, inputs: dict[str, Any]) -> Any:
        """Merge patches `(B, C, N, N, 2)` into the object on the group canvas `(B, M, M, 2)`."""
        weights = None
        if self.settings.merge == "probe":
            probe = tuple(ops.stop_gradient(part) for part in self.probe(inputs["scan"]))
            weights = ops.broadcast_to(
                illumination_weight(probe)[:, None],
                (ops.shape(patches)[0], patches.shape[1], self.settings.N, self.settings.N),
            )
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
        counts = amplitude * amplitude
        rate = y_pred["rate"]
        deviance = likelihood.deviance_loss(counts, rate, valid)
        match self.settings.loss:
            case "poisson":
                loss = deviance
            case "gaussian":
                loss = likelihood.amplitude_mse(counts, rate, valid)
            case _:
                loss = likelihood.amplitude_mae(counts, rate, valid)
        pixels = ops.sum(valid)
        per_pixel = deviance * ops.sum(counts * valid) / pixels
        self.deviance.update_state(per_pixel, sample_weight=pixels)
        self.nll.update_state(likelihood.poisson_nll(counts, rate, valid), sample_weight=pixels)
        return loss

    # -- state as named arrays -----------------------------------------------------------

    def named_arrays(self) -> dict[str, np.ndarray]:
        """All weights by name, in a form that no framework or Keras version owns."""
        return {path: ops.convert_to_numpy(v) for path, v in self._named_weights().items()}

    def load_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Assign weights by name.

        Raises:
            ValueError: a name is missing, unknown, or has another shape.
        """
        own = self._named_weights()
        missing, unknown = own.keys() - arrays.keys(), arrays.keys() - own.keys()
        if missing or unknown:
            raise ValueError(f"weights missing {sorted(missing)[:3]}, unknown {sorted(unknown)[:3]}")
        for name, variable in own.items():
            if tuple(arrays[name].shape) != tuple(variable.shape):
                raise ValueError(
                    f"weight {name} has shape {arrays[name].shape}, expected {tuple(variable.shape)}"
                )
            variable.assign(arrays[name])

    def _named_weights(self) -> dict[str, Any]:
        named = {"probe": self.probe.pair, "log_scale": self.scale.log_scale}
        for layer in self.network.layers:
            for variable in layer.weights:
                named[f"network/{layer.name}/{variable.name}"] = variable
        return named


def complex_patches(stacked: np.ndarray) -> np.ndarray:
    """`(..., 2)` float32 to complex64."""
    return stacked[..., 0] + 1j * stacked[..., 1]


__all__ = ["PtychoModel", "complex_patches", "pairs"]
