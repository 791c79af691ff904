"""`ffno`: a factorised Fourier neural operator, deep and cheap in parameters.

Tran et al., ICLR 2023 (arXiv:2111.13802), in the arrangement used for PtychoPINN: a lifter of two
3 x 3 convolutions; blocks `x + gate * project(GELU(expand(norm(spectral(x)))))`, where the spectral
convolution runs along rows and columns separately, the norm is over each image and channel, the
inner width is twice the outer and the gate a scalar that starts at 0.1; residual refiners
`x + conv(GELU(conv(x)))`; a 1 x 1 convolution to two maps per patch. The weights per frequency are
shared by all blocks unless `fno_shared_weights` is off.
"""

from __future__ import annotations

from typing import Any

import keras

from pinn.config import ModelConfig
from pinn.layers.spectral import AxialSpectralConv2D, Gate
from pinn.networks.registry import register
from pinn.networks.spectral import conv, gelu, lift, modes_of, project, width_of

BLOCKS = 24
MLP_RATIO = 2


@register("ffno")
def build(config: ModelConfig) -> keras.Model:
    """Build the network: `(B, N, N, C)` amplitudes to `(B, N, N, C_out, 2)` patches.

    Raises:
        ConfigError: more modes than the frames have.
    """
    modes, width = modes_of(config), width_of(config)
    frames, x = lift(config)
    shared = AxialSpectralConv2D(modes, width, name="spectral")
    for i in range(config.fno_blocks or BLOCKS):
        if config.fno_shared_weights:
            spectral = shared
        else:
            spectral = AxialSpectralConv2D(modes, width, name=f"block_{i}_spectral")
        x = _block(x, spectral, width, f"block_{i}")
    for i in range(config.fno_refine_blocks):
        inner = gelu(conv(width, 3, f"refine_{i}_a")(x), f"refine_{i}_gelu")
        x = keras.layers.Add(name=f"refine_{i}_sum")([x, conv(width, 3, f"refine_{i}_b")(inner)])
    return project(frames, x, config)


def _block(x: Any, spectral: AxialSpectralConv2D, width: int, name: str) -> Any:
    y = spectral(x)
    y = keras.layers.GroupNormalization(groups=-1, name=f"{name}_norm")(y)
    y = gelu(conv(MLP_RATIO * width, 1, f"{name}_expand")(y), f"{name}_gelu")
    y = Gate(name=f"{name}_gate")(conv(width, 1, f"{name}_project")(y))
    return keras.layers.Add(name=f"{name}_sum")([x, y])
