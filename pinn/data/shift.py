"""A shift by a fraction of a pixel in NumPy: bilinear, and the only such rule without tensors.

The twin for tensors, with the sign rule in words, is `pinn.ops.shift`; the simulator has its own,
since it is what these are tested against.
"""

from __future__ import annotations

import numpy as np


def sample(windows: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """Patches at a fraction of a pixel beyond the corner of their windows.

    Args:
        windows: `(..., N+1, N+1)`, real or complex.
        fractions: `(..., 2)` in [0, 1), `[y, x]`.

    Returns:
        `(..., N, N)` in the precision of the windows.
    """
    y, x = _along(fractions, windows)
    rows = (1 - y) * windows[..., :-1, :] + y * windows[..., 1:, :]
    return np.asarray((1 - x) * rows[..., :-1] + x * rows[..., 1:])


def spread(patches: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """Patches onto the pixels they were sampled from, the adjoint of `sample`.

    That is a shift by `+fractions` onto a patch one pixel wider.

    Args:
        patches: `(..., N, N)`, real or complex.
        fractions: `(..., 2)` in [0, 1), `[y, x]`.

    Returns:
        `(..., N+1, N+1)` in the precision of the patches.
    """
    y, x = _along(fractions, patches)
    H, W = patches.shape[-2:]
    out = np.zeros((*patches.shape[:-2], H + 1, W + 1), patches.dtype)
    for down, weight_y in ((0, 1 - y), (1, y)):
        for right, weight_x in ((0, 1 - x), (1, x)):
            out[..., down : H + down, right : W + right] += weight_y * weight_x * patches
    return out


def _along(fractions: np.ndarray, like: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values = np.asarray(fractions, like.real.dtype)[..., None, None, :]
    return values[..., 0], values[..., 1]
