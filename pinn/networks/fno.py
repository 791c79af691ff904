"""`fno`: a Fourier neural operator with local convolutions beside the spectral ones.

Li et al., ICLR 2021 (arXiv:2010.08895), in the arrangement used for PtychoPINN: a lifter of two
3 x 3 convolutions, blocks `x + GELU(spectral(x) + conv3x3(x))`, a 1 x 1 convolution, a few 3 x 3
convolutions with GELU, and a 1 x 1 convolution to two maps per patch. Unlike there, the spectral
convolution keeps row frequencies of both signs.
"""

from __future__ import annotations

import keras

from pinn.config import ModelConfig
from pinn.layers.spectral import SpectralConv2D
from pinn.networks.registry import register
from pinn.networks.spectral import conv, gelu, lift, modes_of, project, width_of

BLOCKS = 4


@register("fno")
def build(config: ModelConfig) -> keras.Model:
    """Build the network: `(B, N, N, C)` amplitudes to `(B, N, N, C_out, 2)` patches.

    Raises:
        ConfigError: more modes than the frames have.
    """
    modes, width = modes_of(config), width_of(config)
    frames, x = lift(config)
    for i in range(config.fno_blocks or BLOCKS):
        far = SpectralConv2D(modes, width, name=f"block_{i}_spectral")(x)
        near = conv(width, 3, f"block_{i}_conv")(x)
        both = keras.layers.Add(name=f"block_{i}_both")([far, near])
        x = keras.layers.Add(name=f"block_{i}_sum")([x, gelu(both, f"block_{i}_gelu")])
    if config.fno_refine_blocks:
        x = conv(width, 1, "refine")(x)
    for i in range(config.fno_refine_blocks):
        x = gelu(conv(width, 3, f"refine_{i}")(x), f"refine_{i}_gelu")
    return project(frames, x, config)
