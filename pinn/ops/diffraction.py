"""From exit waves to the mean number of counts at the detector."""

from __future__ import annotations

from keras import ops

from pinn.ops import fourier, pairs
from pinn.ops.pairs import Pair, Tensor


def far_field(exit_waves: Pair) -> Pair:
    """Fraunhofer propagation: centred, orthonormal, `(..., N, N)` to `(..., N, N)`.

    Zero frequency is at `[N // 2, N // 2]`; the energy `sum |psi|^2` is conserved.
    """
    return fourier.fft2c(exit_waves)


def near_field(spectra: Pair) -> Pair:
    """From the detector back to the exit wave: inverse and adjoint of `far_field`."""
    return fourier.ifft2c(spectra)


def detector_rate(
    exit_waves: Pair,
    log_scale: Tensor,
    background: Tensor | None = None,
    frame_factor: Tensor | None = None,
) -> Tensor:
    """Mean counts of every pixel: `a_j e^s sum_m |psi_hat_jm(q)|^2 + b(q)`.

    Args:
        exit_waves: `(B, C, P, N, N)`, P incoherent modes.
        log_scale: s, scalar or `(B,)` (or `(1,)`): log of the counts per unit of energy.
        background: b in counts, `(N, N)` or anything that broadcasts with `(B, C, N, N)`.
        frame_factor: a, `(B, C)`, relative intensity of each frame; default 1.

    Returns:
        `(B, C, N, N)` counts. Without background and at a = 1 a frame sums to `e^s` times the
        energy of its exit waves.
    """
    factor = ops.exp(ops.reshape(log_scale, (-1, 1, 1, 1)))
    if frame_factor is not None:
        factor = factor * frame_factor[..., None, None]
    rate = factor * ops.sum(pairs.abs2(far_field(exit_waves)), axis=-3)
    return rate if background is None else rate + background
