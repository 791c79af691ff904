"""The compiled parts of inference: patches of frames, and the stage of an unrolled network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from pinn import backend
from pinn.config import ReconstructConfig
from pinn.layers.probe import illumination_weight
from pinn.networks.model import PtychoModel
from pinn.ops import pairs, shift, stages
from pinn.ops.contrast import scale_deviation

Predictor = Callable[[np.ndarray, np.ndarray], np.ndarray]
Stage = Callable[[stages.Canvas, stages.Missing, np.ndarray], stages.Canvas]


class _Placement(keras.Model):
    """Frames `(B, N, N, C)` and places `(B, K, 3)` to `(B, K, N+1, N+1, 3)`.

    A place is the fraction (y, x) of the position and 1, or 0 for a frame without counts, whose
    patch is made from nothing.

    The last axis is (w Re, w Im, w), moved by the fractional part of the position, so that the
    host only adds slices.
    """

    def __init__(
        self,
        model: PtychoModel,
        weight: np.ndarray,
        illumination: np.ndarray,
        contrast: np.ndarray | None,
        alone: bool,
    ) -> None:
        super().__init__(name="placement")
        self.model, self.alone = model, alone
        self.weight, self.illumination = weight.astype("float32"), illumination.astype("float32")
        self.contrast = None if contrast is None else contrast.astype("float32")
        self.built = True

    def call(self, inputs):
        patches = pairs.unstack(self.model.object_patches(inputs["frames"]))
        if self.contrast is not None:
            illumination = ops.convert_to_tensor(self.illumination)
            factors = ops.convert_to_tensor(self.contrast)[None]
            patches = self._scaled(patches, illumination, factors)
        re, im = patches
        fractions = inputs["places"]
        weight = ops.convert_to_tensor(self.weight) * fractions[..., 2][..., None, None]
        parts = ops.stack([re * weight, im * weight, re * 0.0 + weight], axis=2)
        side = self.model.settings.N
        # T[i, j] = relu(1 - |i - j - f|): the half-pixel undoes the centring of an odd difference
        rows = shift.interpolation_matrix(fractions[..., 0] - 0.5, side, side + 1)[:, :, None]
        columns = shift.interpolation_matrix(fractions[..., 1] - 0.5, side, side + 1)
        columns = ops.swapaxes(columns, -1, -2)[:, :, None]
        moved = ops.matmul(ops.matmul(rows, parts), columns)
        return ops.transpose(moved, (0, 1, 3, 4, 2))

    def _scaled(self, patches, illumination, factors):
        """Deviations from the mean of the group, or of each patch where frames are alone."""
        shape = ops.shape(patches[0])
        if self.alone:
            side = self.model.settings.N
            patches = tuple(ops.reshape(part, (-1, 1, side, side)) for part in patches)
        re, im = scale_deviation(patches, illumination, factors)
        return ops.reshape(re, shape), ops.reshape(im, shape)


def patch_weight(probe: np.ndarray, config: ReconstructConfig) -> np.ndarray:
    """Weight `(N, N)` of a patch on the canvas, maximum about 1.

    Args:
        probe: `(P, N, N)` complex.
        config: `weighting` and `crop`.
    """
    side = probe.shape[-1]
    if config.weighting == "uniform":
        return np.ones((side, side))
    if config.weighting == "crop":
        crop = min(config.crop or side // 2, side)
        first = side // 2 - crop // 2
        weight = np.zeros((side, side))
        weight[first : first + crop, first : first + crop] = 1.0
        return weight
    intensity = np.sum(np.abs(probe) ** 2, axis=0)
    return intensity / intensity.max()


def compile_predictor(
    model: PtychoModel,
    probe: np.ndarray,
    config: ReconstructConfig,
    contrast: np.ndarray | None = None,
) -> Predictor:
    """Compiled `(frames (B, N, N, C), places (B, K, 3)) -> (B, K, N+1, N+1, 3)` on NumPy.

    Args:
        probe: `(P, N, N)` complex, weights the patches as `config` says.
        contrast: `(2,)` factors of the deviations of a group's patches from their illuminated
            mean, as in training (`pinn.ops.contrast`), or, where the network sees each frame alone,
            of each patch from its own; None leaves them.
    """
    pair = probe.real.astype("float32"), probe.imag.astype("float32")
    illumination = ops.convert_to_numpy(illumination_weight(pair))
    alone = getattr(model.network, "frame_by_frame", False)
    placement = _Placement(model, patch_weight(probe, config), illumination, contrast, alone)
    compiled = backend.compile_inference(placement)

    def predict(frames: np.ndarray, places: np.ndarray) -> np.ndarray:
        return compiled({"frames": frames, "places": places})

    return predict


def compile_stage(model: PtychoModel) -> Stage:
    """Compiled `pinn.ops.stages.advance` with the network of a model."""

    def stage(given: dict[str, Any]) -> Any:
        canvas, missing = stages.Canvas(*given["canvas"]), stages.Missing(*given["missing"])
        return tuple(stages.advance(model.network, canvas, missing, given["sized"]))

    compiled = backend.compile_function(stage, reuse_first=False)

    def advance(canvas: stages.Canvas, missing: stages.Missing, sized: np.ndarray) -> stages.Canvas:
        given = {"canvas": tuple(canvas), "missing": tuple(missing), "sized": sized}
        return stages.Canvas(*compiled(given))

    return advance
