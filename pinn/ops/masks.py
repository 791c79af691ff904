"""The code of a masked pixel in tensors: -1, and nothing else (`pinn.data.masks` for NumPy)."""

from __future__ import annotations

from keras import ops

from pinn.ops.pairs import Tensor


def decode(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Encoded frames to amplitude and mask.

    Args:
        frames: amplitude of any shape, -1 at masked pixels.

    Returns:
        Amplitude, 0 at masked pixels; and float32 of the same shape, 1 = the pixel is used.
    """
    return ops.maximum(frames, 0.0), ops.cast(frames >= 0.0, "float32")
