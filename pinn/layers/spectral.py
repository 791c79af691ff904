"""Convolutions by products of spectra, on the low frequencies of both signs.

A spectral convolution multiplies each kept frequency of all channels by a matrix of its own
(Li et al., ICLR 2021, arXiv:2010.08895); the factorised one does so along one axis at a time
(Tran et al., ICLR 2023, arXiv:2111.13802).

`modes` counts frequencies from zero up: along a row or a column of a two-dimensional spectrum those
from `-(modes - 1)` to `modes - 1` are kept, the same number of both signs, so that no direction is
preferred. The transform of a real image needs half of them; the other half is the conjugate.
Weights are real pairs, last axis (re, im), and all is float32: no transform exists in half
precision, and no optimiser of Keras trains complex weights rightly.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from pinn.layers import PACKAGE
from pinn.layers.base import PhysicsLayer
from pinn.ops.pairs import Pair, Tensor


def _fft_flops(length: int, transforms: float, real: bool = False) -> float:
    """Operations of one-dimensional transforms: 5 n log2 n each, half of it for real input."""
    return transforms * 5.0 * length * math.log2(length) * (0.5 if real else 1.0)


def _mix(spectrum: Pair, weights: Tensor) -> Pair:
    """Channels mixed at each frequency: `(F..., B, Cin)` with `(F..., Cin, Cout, 2)`."""
    *frequencies, before, after, _ = weights.shape
    # One product with (re, im) of the weights side by side instead of two.
    flat = ops.reshape(weights, (*frequencies, before, after * 2))
    real, imaginary = (
        ops.reshape(ops.matmul(part, flat), (*frequencies, -1, after, 2)) for part in spectrum
    )
    return real[..., 0] - imaginary[..., 1], real[..., 1] + imaginary[..., 0]


def _real_inverse(spectrum: Pair, length: int) -> Tensor:
    """Low frequencies `(..., modes)` to a real signal `(..., length)`."""
    re, im = spectrum
    # A real signal has no imaginary part at zero frequency. Libraries differ in what they make of
    # one, so it is taken out here.
    im = im * ops.convert_to_tensor((np.arange(im.shape[-1]) > 0).astype("float32"))
    pad = [(0, 0)] * (len(re.shape) - 1) + [(0, length // 2 + 1 - re.shape[-1])]
    return ops.irfft((ops.pad(re, pad), ops.pad(im, pad)), fft_length=length)


class _Spectral(PhysicsLayer):
    """What the spectral layers share: how many frequencies and channels, and the start."""

    def __init__(self, modes: int, filters: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.modes, self.filters = modes, filters

    def _add_frequencies(self, name: str, *frequencies: int, channels: int) -> Any:
        return self.add_weight(
            name=name, shape=(*frequencies, channels, self.filters, 2), initializer="zeros"
        )

    def redraw(self, rng: np.random.Generator) -> None:
        """Random weights of both parts that keep the power of the kept frequencies."""
        for weight in self.trainable_weights:
            spread = math.sqrt(0.5 / weight.shape[-3])
            weight.assign(rng.normal(0.0, spread, tuple(weight.shape)).astype("float32"))

    def _check(self, *sides: int) -> None:
        if self.modes > min(sides) // 2:
            raise ValueError(f"{self.modes} modes need sides of at least {2 * self.modes}")

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        return {**super().get_config(), "modes": self.modes, "filters": self.filters}


@keras.saving.register_keras_serializable(PACKAGE)
class SpectralConv2D(_Spectral):
    """Spectral convolution of images, all four corners of the spectrum.

    `(B, H, W, C)` to `(B, H, W, filters)`, float32; H, W and C are static. The weight `kernel` has
    shape `(modes, 2 modes - 1, C, filters, 2)`: column frequencies 0 to `modes - 1`, row
    frequencies 0 to `modes - 1` and then `-(modes - 1)` to -1. Zero until `redraw` is called.

    Args:
        modes: frequencies per axis and sign, zero included; at most half of either side.
        filters: output channels.

    Raises:
        ValueError: more modes than the image has.
    """

    def build(self, input_shape):
        _, height, width, channels = input_shape
        self._check(height, width)
        self.kernel = self._add_frequencies(
            "kernel", self.modes, 2 * self.modes - 1, channels=channels
        )
        super().build(input_shape)

    def call(self, x):
        _, height, width, _ = x.shape
        modes = self.modes
        columns = ops.rfft(ops.transpose(x, (0, 3, 1, 2)))  # (B, C, H, W // 2 + 1)
        columns = tuple(ops.transpose(part[..., :modes], (0, 1, 3, 2)) for part in columns)
        both = tuple(self._low(part) for part in ops.fft(columns))  # (B, C, modes, 2 modes - 1)
        re, im = _mix(tuple(ops.transpose(part, (2, 3, 0, 1)) for part in both), self.kernel)
        re, im = (self._high(ops.transpose(part, (2, 3, 0, 1)), height) for part in (re, im))
        # The inverse transform is the conjugate of the transform of the conjugate.
        re, im = ops.fft((re, -im))
        rows = tuple(ops.transpose(part, (0, 1, 3, 2)) for part in (re, -im))
        y = _real_inverse(rows, width) / height
        return ops.transpose(y, (0, 2, 3, 1))

    def _low(self, x):
        """Row frequencies that are kept: `(..., H)` to `(..., 2 modes - 1)`."""
        if self.modes == 1:
            return x[..., :1]
        return ops.concatenate([x[..., : self.modes], x[..., -(self.modes - 1) :]], axis=-1)

    def _high(self, x, height: int):
        """The inverse of `_low`, with zeros between."""
        pad = [(0, 0)] * (len(x.shape) - 1)
        positive = ops.pad(x[..., : self.modes], [*pad, (0, height - self.modes)])
        if self.modes == 1:
            return positive
        return positive + ops.pad(x[..., self.modes :], [*pad, (height - self.modes + 1, 0)])

    def flops(self, input_shape: tuple[int | None, ...]) -> float:
        """Forward operations per sample: transforms of the kept columns, and the products."""
        height, width, channels = (int(side or 0) for side in input_shape[1:])
        transforms = channels + self.filters
        both = _fft_flops(width, height * transforms, real=True)
        both += _fft_flops(height, self.modes * transforms)
        return both + 8.0 * self.modes * (2 * self.modes - 1) * channels * self.filters


@keras.saving.register_keras_serializable(PACKAGE)
class AxialSpectralConv2D(_Spectral):
    """Sum of the spectral convolutions along rows and along columns.

    `(B, H, W, C)` to `(B, H, W, filters)`, float32; H, W and C are static. The weights `rows`
    (along an image column, over the row index) and `columns` have shape `(modes, C, filters, 2)`;
    a real signal's negative frequencies are the conjugates of its positive ones, so none are
    missing. Zero until `redraw` is called.

    Args:
        modes: frequencies per axis, zero included; at most half of either side.
        filters: output channels.

    Raises:
        ValueError: more modes than the image has.
    """

    def build(self, input_shape):
        _, height, width, channels = input_shape
        self._check(height, width)
        self.rows = self._add_frequencies("rows", self.modes, channels=channels)
        self.columns = self._add_frequencies("columns", self.modes, channels=channels)
        super().build(input_shape)

    def call(self, x):
        down = self._along(ops.transpose(x, (0, 2, 3, 1)), self.rows)  # (B, W, filters, H)
        across = self._along(ops.transpose(x, (0, 1, 3, 2)), self.columns)  # (B, H, filters, W)
        return ops.transpose(down, (0, 3, 1, 2)) + ops.transpose(across, (0, 1, 3, 2))

    def _along(self, x, weights):
        """Spectral convolution of `(B, lines, C, length)` along the last axis."""
        _, lines, channels, length = x.shape
        spectrum = tuple(
            ops.reshape(
                ops.transpose(part[..., : self.modes], (3, 0, 1, 2)), (self.modes, -1, channels)
            )
            for part in ops.rfft(x)
        )
        re, im = (
            ops.transpose(ops.reshape(part, (self.modes, -1, lines, self.filters)), (1, 2, 3, 0))
            for part in _mix(spectrum, weights)
        )
        return _real_inverse((re, im), length)

    def flops(self, input_shape: tuple[int | None, ...]) -> float:
        """Forward operations per sample: real transforms along both axes, and the products."""
        height, width, channels = (int(side or 0) for side in input_shape[1:])
        transforms = channels + self.filters
        both = _fft_flops(width, height * transforms, real=True)
        both += _fft_flops(height, width * transforms, real=True)
        return both + 8.0 * self.modes * (height + width) * channels * self.filters


@keras.saving.register_keras_serializable(PACKAGE)
class Gate(keras.layers.Layer):
    """A trainable scalar factor: how much of a block is added to what passes it by.

    Args:
        start: its first value.
    """

    def __init__(self, start: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start = start

    def build(self, input_shape):
        initializer = keras.initializers.Constant(self.start)
        self.gate = self.add_weight(name="gate", shape=(), initializer=initializer)
        super().build(input_shape)

    def call(self, x):
        return x * self.gate

    def compute_output_shape(self, input_shape):
        return input_shape

    def flops(self, input_shape: tuple[int | None, ...]) -> float:
        """Forward operations per sample: one product per number."""
        return float(math.prod(int(side or 0) for side in input_shape[1:]))

    def get_config(self):
        return {**super().get_config(), "start": self.start}
