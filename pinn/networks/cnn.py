"""`cnn`: convolutional encoder with separate amplitude and phase decoders.

Topology and widths are those published for PtychoPINN (Hoidn et al., Sci. Rep. 13, 22789, 2023):
an encoder of double 3 x 3 convolutions and max-pooling down to about 8 x 8, two decoders of double
convolutions and nearest up-sampling to N/2, a head that fills the central N/2 square, and
optionally a light branch on the last four channels that fills the ring around it.

Rule for the widths, s = `n_filters_scale`: the number of stages L is the largest with
`2**L <= N/8` and `2**L` dividing N (at least 1); encoder stage i has `128 s / 2**(L-1-i)` filters;
the decoder has L-1 up-sampling stages ending at 32 s; the ring has `s * max(1, 2048 // N)`.
"""

from __future__ import annotations

import keras

from pinn.config import ModelConfig
from pinn.layers.heads import AmplitudeHead, PhaseHead, PolarPatches, RingMask
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
    # one root of the collapse to a flat picture (docs/collapse.md).
    return keras.layers.Conv2D(
        filters, 3, padding="same", activation="relu", kernel_initializer="he_normal", name=name
    )


def _double(x, filters: int, name: str):
    return _conv(filters, f"{name}_b")(_conv(filters, f"{name}_a")(x))


def _head_conv(filters: int, name: str) -> keras.layers.Conv2D:
    # A small start: amplitude 1 and phase 0 plus a little structure, so that the first
    # prediction already has the measured energy and no activation is saturated.
    small = keras.initializers.VarianceScaling(0.01, mode="fan_in", distribution="normal")
    return keras.layers.Conv2D(filters, 3, padding="same", kernel_initializer=small, name=name)


def _decode(x, config: ModelConfig, head: keras.layers.Layer, name: str):
    N, patches = config.N, output_patches(config)
    _, decoder, ring = widths(N, config.n_filters_scale)
    for i, filters in enumerate(decoder):
        x = _double(x, filters, f"{name}_decoder_{i}")
        x = keras.layers.UpSampling2D(2, name=f"{name}_up_{i}")(x)
    if not config.pad_object:
        x = _double(x, ring, f"{name}_full")
        x = keras.layers.UpSampling2D(2, name=f"{name}_full_up")(x)
        return head(_head_conv(patches, f"{name}_full_out")(x))
    centre, outer = x[..., :-RING_CHANNELS], x[..., -RING_CHANNELS:]
    before = N // 2 - (N // 2) // 2
    after = N - N // 2 - before
    centre = head(_head_conv(patches, f"{name}_centre_out")(centre))
    pad = ((before, after), (before, after))
    centre = keras.layers.ZeroPadding2D(pad, name=f"{name}_pad")(centre)
    if not config.probe_big:
        return centre
    outer = _double(outer, ring, f"{name}_ring")
    outer = keras.layers.UpSampling2D(2, name=f"{name}_ring_up")(outer)
    outer = _head_conv(patches, f"{name}_ring_out")(outer)
    if config.ring_activation == "swish":
        outer = keras.layers.Activation("swish", name=f"{name}_ring_swish")(outer)
    else:
        outer = head(outer)
    outer = RingMask(before, N // 2, name=f"{name}_ring_mask")(outer)
    return keras.layers.Add(name=f"{name}_sum")([centre, outer])


@register("cnn")
def build(config: ModelConfig) -> keras.Model:
    """Build the network: `(B, N, N, C)` amplitudes to `(B, N, N, C_out, 2)` patches."""
    frames = keras.Input((config.N, config.N, config.gridsize**2), name="frames")
    x = frames
    for i, filters in enumerate(widths(config.N, config.n_filters_scale)[0]):
        x = _double(x, filters, f"encoder_{i}")
        x = keras.layers.MaxPooling2D(2, name=f"encoder_pool_{i}")(x)
    amplitude = _decode(x, config, AmplitudeHead(config.amp_activation), "amplitude")
    phase = _decode(x, config, PhaseHead(), "phase")
    patches = PolarPatches(name="patches")([amplitude, phase])
    return keras.Model(frames, patches, name="network")
