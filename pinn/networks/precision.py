"""Mixed precision: the network computes in half precision, weights and physics are float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from pinn import backend
from pinn.config import TrainConfig
from pinn.errors import ConfigError


@contextmanager
def network_precision(precision: str) -> Iterator[None]:
    """Layers built within the block compute in `precision`, unless they have a type of their own.

    Args:
        precision: `float32`, `mixed_bfloat16` or `mixed_float16`, as Keras names them.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def check_precision(run: TrainConfig, device: str | None = None) -> None:
    """Refuse what would only be slow, or fail.

    Args:
        device: what computes, as `hardware` names it; default: this machine's.

    Raises:
        ConfigError: float16 on a processor, or bfloat16 on one that PyTorch cannot train it on.
    """
    device = str(backend.hardware().get("device", "")) if device is None else device
    if run.precision == "mixed_float16" and device.startswith("cpu"):
        raise ConfigError(
            f"precision mixed_float16 was asked for on {device}, where it is ten times slower than "
            "float32; use mixed_bfloat16 or float32, or a GPU"
        )
    if run.precision == "mixed_bfloat16" and not backend.trains_in_bfloat16():
        raise ConfigError(
            f"precision mixed_bfloat16 was asked for on {device}, whose processor PyTorch cannot "
            "train convolutions on in bfloat16; use float32, another backend, or a GPU"
        )


def in_float32(model: Any) -> Any:
    """A `PtychoModel` with the same weights that computes in float32 throughout."""
    contrast = model.contrast is not None
    frames = None if model.positions is None else model.positions.frames
    twin = type(model)(
        model.settings,
        model.canvas,
        model.scans,
        model.objective,
        contrast=contrast,
        frames=frames,
    )
    twin.load_arrays(model.named_arrays())
    return twin
