"""Base of the physics layers: float32 whatever the policy of the network."""

from __future__ import annotations

from typing import Any

import keras


class PhysicsLayer(keras.layers.Layer):
    """A layer that always computes in float32: no FFT exists in half precision."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
