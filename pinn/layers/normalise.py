"""Network input: deviation of the normalised amplitude from the mean frame of training."""

from __future__ import annotations

import keras
import numpy as np

from pinn.layers import PACKAGE
from pinn.layers.base import PhysicsLayer
from pinn.ops import masks


@keras.saving.register_keras_serializable(PACKAGE)
class FrameNormaliser(PhysicsLayer):
    """`(amplitude - mean) * gain`, and 0 at masked pixels.

    All frames of a scan look alike: what they share is many times larger than what tells them
    apart. A network fed with plain amplitudes first learns the answer to the common part, one
    flat object for all, and may stay there for the whole run (docs/collapse.md). The mean frame
    and the gain are weights that are never trained, so they travel with the archive.

    Args:
        N: side of a frame.
    """

    def __init__(self, N: int, **kwargs):
        super().__init__(**kwargs)
        self.N = N

    def build(self, input_shape=None):
        shape = (self.N, self.N)
        self.mean = self.add_weight(name="mean", shape=shape, initializer="zeros", trainable=False)
        self.gain = self.add_weight(name="gain", shape=shape, initializer="ones", trainable=False)
        super().build(input_shape)

    def set_statistics(
        self,
        mean: np.ndarray,
        deviation: np.ndarray | None = None,
        seen: np.ndarray | None = None,
    ) -> None:
        """Assign the mean frame and, for unit variance, the standard deviation `(N, N)`.

        Args:
            mean: mean normalised amplitude.
            deviation: its standard deviation; bounded below by a tenth of its maximum, since dark
                pixels are mostly noise. None: the gain is 1.
            seen: bool, False where no training frame has a valid pixel. The network never learned
                what such a pixel means, so a later scan's value there is not shown to it.
        """
        gain = np.ones((self.N, self.N))
        if deviation is not None:
            floor = 0.1 * float(np.max(deviation)) or 1.0
            gain = 1 / np.hypot(deviation, floor)
        if seen is not None:
            gain = np.where(seen, gain, 0.0)
        self.mean.assign(np.asarray(mean, "float32"))
        self.gain.assign(gain.astype("float32"))

    def call(self, frames):
        """`frames` `(B, N, N, C)`, -1 at masked pixels."""
        mean, gain = self.mean[None, :, :, None], self.gain[None, :, :, None]
        amplitude, valid = masks.decode(frames)
        return (amplitude - mean) * gain * valid

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "N": self.N}
