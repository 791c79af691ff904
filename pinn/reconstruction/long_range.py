"""Long-range phase and amplitude of a canvas, from the first moments of the frames.

The stages of an unrolled network correct what is near: what changes over many frames reaches them
only as a residual that is the same everywhere. But how bright a frame is, and where its centre of
mass lies, tell the mean amplitude and the mean phase gradient of the object under it; against those
that the forward model predicts, how both must change. The gradients are integrated over the graph
of neighbouring frames.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.linalg import spsolve
from scipy.spatial import cKDTree

_NEIGHBOURS = 8
_TIED = 1e-6  # to zero, so that parts of a scan that do not touch have a phase as well
_FAINT = 1e-3  # of the greatest weight of a pixel, below which it changes less
_WIDTH = 2.0  # of the smoothing, in radii of the probe: what is nearer, the stages correct
_LIT = 0.05  # of the greatest weight
_PIXELS = 50_000  # are enough to fit six numbers to

Moments = np.ndarray


def amplitude(
    measured: Moments,
    predicted: Moments,
    corners: np.ndarray,
    light: np.ndarray,
    shape: tuple[int, int],
) -> np.ndarray:
    """What the amplitude of a canvas is to be multiplied with.

    Args:
        measured, predicted: `(M, 3)` sums of the intensity of each frame over its used pixels, of
            that times y and times x in pixels from the middle. Frames without light do not count.
        corners: `(M, 2)`, places of the patches on the canvas (`pinn.ops.windows`).
        light: `(N, N)`, intensity of the probe.
        shape: of the canvas.

    Returns:
        float32 of that shape.
    """
    there = _there(measured, predicted)
    logarithm = 0.5 * np.log(measured[there, 0] / predicted[there, 0])
    change, _ = _merged(corners[there], logarithm[:, None, None], light, shape)
    return np.exp(change).astype(np.float32)


def phase(
    measured: Moments,
    predicted: Moments,
    corners: np.ndarray,
    fractions: np.ndarray,
    light: np.ndarray,
    shape: tuple[int, int],
) -> np.ndarray:
    """What a canvas is to be multiplied with, of amplitude 1.

    Args:
        measured, predicted, corners, light, shape: see `amplitude`.
        fractions: `(M, 2)`, what the corners lack of the places.

    Returns:
        complex64 of that shape.
    """
    there = _there(measured, predicted)
    if np.sum(there) < 2:
        return np.ones(shape, np.complex64)
    N = len(light)
    centres = [sums[there, 1:] / sums[there, :1] for sums in (measured, predicted)]
    gradient = (centres[0] - centres[1]) * (2 * np.pi / N)
    first = _integrated(gradient, (corners + fractions)[there])
    axis = (np.arange(N) - N // 2) - fractions[there][:, :, None]
    slopes = gradient[:, :, None] * axis
    planes = first[:, None, None] + slopes[:, 0, :, None] + slopes[:, 1, None, :]
    change, total = _merged(corners[there], planes, light, shape)
    width = _WIDTH * np.sqrt(light.sum() / light.max() / np.pi)
    smooth = _smoothed(change, total > _LIT * total.max(), float(width))
    return np.exp(1j * smooth).astype(np.complex64)


def _there(measured: Moments, predicted: Moments) -> np.ndarray:
    return (measured[:, 0] > 0) & (predicted[:, 0] > 0)


def _merged(
    corners: np.ndarray, planes: np.ndarray, light: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """What the frames say of each pixel, weighted by the probe's light, and the sum of weights."""
    weight, N = light / light.max(), len(light)
    total, change = np.zeros(shape), np.zeros(shape)
    for corner, plane in zip(corners, planes, strict=True):
        window = tuple(slice(c, c + N) for c in corner)
        change[window] += weight * plane
        total[window] += weight
    return change / (total + max(_FAINT * total.max(), 1e-30)), total


def _smoothed(values: np.ndarray, lit: np.ndarray, width: float) -> np.ndarray:
    """Smoothed where it is lit. What is quadratic stays: a mean would flatten it at the rim."""
    y, x = (
        np.linspace(-1, 1, length).reshape(side)
        for length, side in zip(values.shape, [(-1, 1), (1, -1)], strict=True)
    )
    terms = [np.broadcast_to(term, values.shape) for term in (1.0, y, x, y * y, y * x, x * x)]
    some = np.flatnonzero(lit)[:: max(1, int(lit.sum()) // _PIXELS)]
    factors = np.linalg.lstsq(np.stack([term.flat[some] for term in terms], 1), values.flat[some])[
        0
    ]
    fitted = sum(factor * term for factor, term in zip(factors, terms, strict=True))
    rest = ndimage.gaussian_filter(np.where(lit, values - fitted, 0.0), width)
    return np.asarray(fitted + rest / (ndimage.gaussian_filter(lit.astype(float), width) + 1e-6))


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
