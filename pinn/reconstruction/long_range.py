"""Long-range phase and amplitude of a canvas, from the first moments of the frames.

The stages of an unrolled network correct what is near: what changes over many frames reaches them
only as a residual that is the same everywhere. But how bright a frame is, and where its centre of
mass lies, tell the mean amplitude and the mean phase gradient of the object under it; against those
that the forward model predicts, how both must change. The gradients are integrated over the graph
of neighbouring frames.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve
from scipy.spatial import cKDTree

_NEIGHBOURS = 8
_TIED = 1e-6  # to zero, so that parts of a scan that do not touch have a phase as well
_FAINT = 1e-3  # of the greatest weight of a pixel, below which it changes less


def correction(
    measured: np.ndarray,
    predicted: np.ndarray,
    corners: np.ndarray,
    fractions: np.ndarray,
    light: np.ndarray,
    shape: tuple[int, int],
) -> np.ndarray:
    """What a canvas is to be multiplied with.

    Args:
        measured, predicted: `(M, 3)` sums of the intensity of each frame over its used pixels, of
            that times y and times x in pixels from the middle. Frames without light do not count.
        corners, fractions: `(M, 2)`, places of the patches on the canvas (`pinn.ops.windows`).
        light: `(N, N)`, intensity of the probe.
        shape: of the canvas.

    Returns:
        complex64 of that shape.
    """
    there = (measured[:, 0] > 0) & (predicted[:, 0] > 0)
    measured, predicted, corners, fractions = (
        values[there] for values in (measured, predicted, corners, fractions)
    )
    if len(corners) < 2:
        return np.ones(shape, np.complex64)
    N = len(light)
    centres = [sums[:, 1:] / sums[:, :1] for sums in (measured, predicted)]
    gradient = (centres[0] - centres[1]) * (2 * np.pi / N)
    logarithm = 0.5 * np.log(measured[:, 0] / predicted[:, 0])
    phase = _integrated(gradient, corners + fractions)
    weight = light / light.max()
    axis = np.arange(N) - N // 2
    total, change = np.zeros(shape), np.zeros(shape, np.complex128)
    for corner, fraction, first, slope, size in zip(
        corners, fractions, phase, gradient, logarithm, strict=True
    ):
        window = tuple(slice(c, c + N) for c in corner)
        plane = first + slope[0] * (axis - fraction[0])[:, None] + slope[1] * (axis - fraction[1])
        change[window] += weight * (size + 1j * plane)
        total[window] += weight
    return np.exp(change / (total + _FAINT * total.max())).astype(np.complex64)


def _integrated(gradient: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Phases `(M,)` whose differences between neighbours fit the gradients `(M, 2)` best."""
    count = len(positions)
    near = cKDTree(positions).query(positions, k=min(_NEIGHBOURS + 1, count))[1]
    one = np.repeat(np.arange(count), near.shape[1] - 1)
    other = near[:, 1:].ravel()
    difference = np.sum(
        0.5 * (gradient[one] + gradient[other]) * (positions[other] - positions[one]), axis=1
    )
    edges = np.arange(len(one))
    signs = np.repeat([1.0, -1.0], len(one))
    graph = sparse.csr_matrix(
        (signs, (np.tile(edges, 2), np.concatenate([other, one]))), shape=(len(one), count)
    )
    tied = graph.T @ graph + _TIED * sparse.eye(count)
    return np.asarray(spsolve(tied.tocsc(), graph.T @ difference))
