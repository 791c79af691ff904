"""Object patches of frames, compiled; in the process that has the backend loaded."""

from __future__ import annotations

import weakref
from typing import Any

import keras
import numpy as np

from pinn import backend
from pinn.errors import ScanError
from pinn.networks.model import PtychoModel
from pinn.networks.trained import Model

_compiled: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


class ObjectPatches(keras.Model):
    """Frames `(B, N, N, C)` to patches `(B, C, N, N, 2)`."""

    def __init__(self, model: PtychoModel) -> None:
        super().__init__(name="object_patches")
        self.model = model
        self.built = True

    def call(self, inputs):
        return self.model.object_patches(inputs)


def patches_of(trained: Model, frames: np.ndarray, batch_size: int) -> np.ndarray:
    """Complex patches of normalised amplitudes; see `pinn.remote.Worker.predict`."""
    N, C = trained.config.N, trained.config.gridsize**2
    if frames.ndim != 4 or frames.shape[1:] != (N, N, C) or frames.dtype.kind not in "biuf":
        raise ScanError(
            f"frames are {frames.shape} of {frames.dtype}, but the model takes real numbers "
            f"(B, {N}, {N}, {C})"
        )
    backend.full_precision()
    if trained not in _compiled:
        _compiled[trained] = backend.compile_inference(ObjectPatches(trained.network))
    out = []
    for first in range(0, len(frames), batch_size):
        some = frames[first : first + batch_size]
        batch = np.zeros((batch_size, N, N, C), np.float32)
        batch[: len(some)] = some
        out.append(_compiled[trained](batch)[: len(some)])
    members = C if trained.config.object_big else 1
    pairs = np.concatenate(out) if out else np.zeros((0, members, N, N, 2), np.float32)
    return (pairs[..., 0] + 1j * pairs[..., 1]).astype(np.complex64)
