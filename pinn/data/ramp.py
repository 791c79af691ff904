"""Linear phase ramps: what a detector off centre by a fraction of a pixel puts on an object."""

from __future__ import annotations

import numpy as np


def phase_gradient(field: np.ndarray) -> tuple[float, float]:
    """Mean phase gradient (y, x) in radians per pixel, bright pixels counting most.

    The angle of the summed product of neighbours: no phase is unwrapped. For a ramp that is steep
    or hidden by structure see `pinn.quality.register.find_ramp`, which searches.

    Args:
        field: `(H, W)` complex.
    """
    wide = field.astype(np.complex128)
    y = np.sum(np.conj(wide[:-1]) * wide[1:])
    x = np.sum(np.conj(wide[:, :-1]) * wide[:, 1:])
    return float(np.angle(y)), float(np.angle(x))


def phase_ramp(
    gradient: tuple[float, float], shape: tuple[int, ...], centre: tuple[float, float] | None = None
) -> np.ndarray:
    """`exp(i gradient . r)` `(H, W)` complex128.

    Args:
        gradient: (y, x) in radians per pixel.
        shape: `(H, W)`.
        centre: index (y, x) where the phase is 0; default `[H // 2, W // 2]`.
    """
    middle = (shape[0] // 2, shape[1] // 2) if centre is None else centre
    y, x = (
        np.exp(1j * g * (np.arange(n) - c)) for g, n, c in zip(gradient, shape, middle, strict=True)
    )
    return np.asarray(y[:, None] * x[None, :])
