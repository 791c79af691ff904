"""`cnn`: convolutional encoder with separate amplitude and phase decoders.

Topology and widths are those published for PtychoPINN (Hoidn et al., Sci. Rep. 13, 22789, 2023):
an encoder of double 3 x 3 convolutions and max-pooling down to about 8 x 8, two decoders of double
convolutions and nearest up-sampling to N/2, a head that fills the central N/2 square, and
optionally a small branch on the last four channels that fills the ring around it. Real and
imaginary part instead of amplitude and phase are an option.

Rule for the widths, s = `n_filters_scale`: the number of stages L is the largest with
`2**L <= N/8` and `2**L` dividing N (at least 1); encoder stage i has `128 s / 2**(L-1-i)` filters;
the decoder has L-1 up-sampling stages ending at 32 s; the ring has `s * max(1, 2048 // N)`.
"""

from __future__ import annotations

import keras
import numpy as np

from pinn.config import ModelConfig
from pinn.errors import ConfigError
from pinn.layers.heads import RingMask
from pinn.layers.initialisers import he_normal
from pinn.networks.output import join_parts, part_heads, small_conv, starts
from pinn.networks.registry import output_patches, register

RING_CHANNELS = 4


def stages(N: int) -> int:
    """Number of down-sampling stages for frames of side N."""
    count = 1
    while 2 ** (count + 1) <= N // 8 and N % 2 ** (count + 1) == 0:
        count += 1
    return count


def widths(N: int, scale: int) -> tuple[list[int], list[int], int]:
    """Encoder widths, decoder widths and ring width (see the module's rule)."""
    count = stages(N)
    encoder = [max(1, 128 * scale // 2 ** (count - 1 - i)) for i in range(count)]
    decoder = [32 * scale * 2 ** (count - 2 - i) for i in range(count - 1)]
    return encoder, decoder, scale * max(1, 2048 // N)


def _conv(filters: int, name: str) -> keras.layers.Conv2D:
    # He initialisation keeps the variance through ReLU layers. With Glorot's each layer halves
    # it, and the deeper encoder of N >= 128 starts with outputs that hardly depend on the input:
    # one root of the collapse to a flat object (docs/collapse.md).
    return keras.layers.Conv2D(
        filters, 3, padding="same", activation="relu", kernel_initializer=he_normal(), name=name
    )


def _double(x, filters: int, name: str):
    return _conv(filters, f"{name}_b")(_conv(filters, f"{name}_a")(x))


def _decode(
    x, config: ModelConfig, head: keras.layers.Layer, start: float, name: str
) -> keras.KerasTensor:
    """One decoder: one part of the object, `(B, N, N, C)`.

    Args:
        start: from which feature the part starts, see `starts`.
    """
    N, patches = config.N, output_patches(config)
    bias = np.repeat(start, patches)
    _, decoder, ring = widths(N, config.n_filters_scale)
    for i, filters in enumerate(decoder):
        x = _double(x, filters, f"{name}_decoder_{i}")
        x = keras.layers.UpSampling2D(2, name=f"{name}_up_{i}")(x)
    if not config.pad_object:
        x = _double(x, ring, f"{name}_full")
        x = keras.layers.UpSampling2D(2, name=f"{name}_full_up")(x)
        return head(small_conv(patches, 3, f"{name}_full_out", bias)(x))
    centre, outer = x[..., :-RING_CHANNELS], x[..., -RING_CHANNELS:]
    before = N // 2 - (N // 2) // 2
    after = N - N // 2 - before
    centre = head(small_conv(patches, 3, f"{name}_centre_out", bias)(centre))
    pad = ((before, after), (before, after))
    whole = keras.layers.ZeroPadding2D(pad, name=f"{name}_pad")(centre)
    if not config.probe_big:
        return whole
    outer = _double(outer, ring, f"{name}_ring")
    outer = keras.layers.UpSampling2D(2, name=f"{name}_ring_up")(outer)
    if config.ring_activation == "swish":
        bias = np.zeros_like(bias)
        head = keras.layers.Activation("swish", name=f"{name}_ring_swish")
    outer = head(small_conv(patches, 3, f"{name}_ring_out", bias)(outer))
    outer = RingMask(before, N // 2, name=f"{name}_ring_mask")(outer)
    return keras.layers.Add(name=f"{name}_sum")([whole, outer])


def _check(config: ModelConfig) -> None:
    if config.ring_activation == "swish" and config.head == "rectangular":
        raise ConfigError(
            "ring_activation 'swish' belongs to head 'polar' of old archives; with head "
            "'rectangular' leave it at 'head'"
        )


@register("cnn")
def build(config: ModelConfig) -> keras.Model:
    """Build the network: `(B, N, N, C)` amplitudes to `(B, N, N, C_out, 2)` patches.

    Raises:
        ConfigError: options that contradict each other.
    """
    _check(config)
    frames = keras.Input((config.N, config.N, config.gridsize**2), name="frames")
    x = frames
    for i, filters in enumerate(widths(config.N, config.n_filters_scale)[0]):
        x = _double(x, filters, f"encoder_{i}")
        x = keras.layers.MaxPooling2D(2, name=f"encoder_pool_{i}")(x)
    first, second = part_heads(config)
    one, two = starts(config)
    # The names are those of archives and older logs; with rectangular heads the decoder called
    # amplitude makes the real part, the other the imaginary part.
    parts = [
        _decode(x, config, first, one, "amplitude"),
        _decode(x, config, second, two, "phase"),
    ]
    return keras.Model(frames, join_parts(parts, config), name="network")
