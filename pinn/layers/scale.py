"""The count scale: one log-weight per scan."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from pinn.layers import PACKAGE
from pinn.layers.base import PhysicsLayer


@keras.saving.register_keras_serializable(PACKAGE)
class IntensityScale(PhysicsLayer):
    """`s` in `rate = exp(s) sum |psi_hat|^2`; weight `log_scale` of shape `(scans,)`.

    Args:
        scans: how many scans have a scale of their own.
        trainable: whether the optimiser may change it.
    """

    def __init__(self, scans: int = 1, trainable: bool = True, **kwargs):
        super().__init__(trainable=trainable, **kwargs)
        self.scans = scans

    def build(self, input_shape=None):
        self.log_scale = self.add_weight(
            name="log_scale", shape=(self.scans,), initializer="zeros", trainable=self.trainable
        )
        super().build(input_shape)

    def set_from_exposure(self, factors) -> None:
        """Initialise from exposure factors f: an object of mean energy one gives the counts."""
        factors = np.asarray(factors, np.float64).reshape(self.scans)
        self.log_scale.assign((-2.0 * np.log(factors)).astype("float32"))

    def call(self, scan=None):
        """Log-scale `(S or B,)`."""
        if scan is not None and self.scans > 1:
            return ops.take(self.log_scale, scan, axis=0)
        return self.log_scale + 0.0

    def get_config(self):
        return {**super().get_config(), "scans": self.scans, "trainable": self.trainable}
