"""Phase gauge of the patches: long-range phase from gradients that no patch's gauge can touch.

A far-field intensity does not know the phase of its patch as a whole, so the prediction for every
group carries an arbitrary constant phase. Where groups overlap on the canvas these constants are
averaged away, and with them the long-range phase: the stitched phase is a high-pass of the true
one. What every group does know is its phase *gradient*, and the product of a group with itself
moved by one pixel holds it without the constant. These products are summed on the canvas while it
is stitched (two complex sums, no list of patches, any order of arrival). Their difference to the
stitched object's own gradient is small and smooth; its weighted least-squares integral is the
correction. This is the synchronisation problem of Singer (Appl. Comput. Harmon. Anal. 30, 2011,
"Angular synchronization by eigenvectors") in a form that needs neither pairs nor stored patches.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import dctn, idctn
from scipy.ndimage import map_coordinates
from scipy.sparse.linalg import LinearOperator, cg

TOLERANCE = 1e-8  # so that order of arrival shows in no digit that is written
_MOST_STEPS = 1000
_MOST_BLOCKS = 512


def phase_correction(
    obj: np.ndarray,
    grad_y: np.ndarray,
    grad_x: np.ndarray,
    block: int = 4,
    tolerance: float = TOLERANCE,
) -> np.ndarray:
    """Phase to be added to a stitched object so that its gradient is that of its groups.

    Args:
        obj: `(H, W)` complex.
        grad_y: `(H, W)` complex sum over groups of `conj(q[y, x]) q[y + 1, x]`; last row unused.
        grad_x: `(H, W)` likewise along x; last column unused.
        block: side in pixels of the cells in which the correction is constant; enlarged for
            canvases of more than 512 cells a side. The correction varies over the size of a
            probe, so a few pixels lose nothing.
        tolerance: relative residual of the integral at which it ends.

    Returns:
        `(H, W)` float32 radians, mean zero over the cells by their weight; zero where all are dark.
    """
    height, width = obj.shape
    if min(height, width) < 2 or not np.any(grad_y):
        return np.zeros(obj.shape, np.float32)
    block = max(block, -(-max(height, width) // _MOST_BLOCKS))
    unit = obj / np.where(np.abs(obj) > 0, np.abs(obj), 1.0)
    cells_y = _cells(grad_y[:-1] * unit[:-1] * np.conj(unit[1:]), obj.shape, block)
    cells_x = _cells(grad_x[:, :-1] * unit[:, :-1] * np.conj(unit[:, 1:]), obj.shape, block)
    # between the centres of neighbouring cells
    step_y, step_x = cells_y[:-1] + cells_y[1:], cells_x[:, :-1] + cells_x[:, 1:]
    gradients = np.angle(step_y) * block, np.angle(step_x) * block
    weights = _weights(step_y, step_x)
    field = _integrate(gradients, weights, cells_y.shape, tolerance)
    weight = np.abs(cells_y) + np.abs(cells_x)
    field -= np.sum(weight * field) / np.sum(weight)
    rows = (np.arange(height) + 0.5) / block - 0.5
    columns = (np.arange(width) + 0.5) / block - 0.5
    grid = np.meshgrid(rows, columns, indexing="ij")
    return map_coordinates(field, grid, order=1, mode="nearest").astype(np.float32)


def _cells(product: np.ndarray, shape: tuple[int, ...], block: int) -> np.ndarray:
    rows, columns = (-(-n // block) for n in shape)
    padded = np.zeros((rows * block, columns * block), np.complex128)
    padded[: product.shape[0], : product.shape[1]] = product
    return padded.reshape(rows, block, columns, block).sum((1, 3))


def _weights(step_y: np.ndarray, step_x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # Capped, so that a bright spot cannot outvote the rest; the floor ties dark cells to their
    # neighbours and keeps the system regular.
    sizes = np.abs(step_y), np.abs(step_x)
    positive = np.concatenate([s[s > 0] for s in sizes])
    typical = float(np.median(positive)) if positive.size else 1.0
    first, second = (np.minimum(s / typical, 1.0) + 1e-4 for s in sizes)
    return first, second


def _integrate(
    gradients: tuple[np.ndarray, np.ndarray],
    weights: tuple[np.ndarray, np.ndarray],
    shape: tuple[int, int],
    tolerance: float,
) -> np.ndarray:
    """Least squares `min sum w (difference of field - gradient)^2`, conjugate gradients
    preconditioned with the cosine-transform solution of the unweighted problem."""
    rows, columns = shape
    size = rows * columns

    def divergence(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        out = np.zeros(shape)
        out[:-1] -= y
        out[1:] += y
        out[:, :-1] -= x
        out[:, 1:] += x
        return out.ravel()

    def laplacian(field: np.ndarray) -> np.ndarray:
        image = field.reshape(shape)
        return divergence(weights[0] * np.diff(image, axis=0), weights[1] * np.diff(image, axis=1))

    eigen = [2 - 2 * np.cos(np.pi * np.arange(n) / n) for n in shape]
    spectrum = eigen[0][:, None] + eigen[1][None, :]
    spectrum[0, 0] = 1.0

    def precondition(residual: np.ndarray) -> np.ndarray:
        transformed = dctn(residual.reshape(shape), norm="ortho") / spectrum
        transformed[0, 0] = 0.0
        return idctn(transformed, norm="ortho").ravel()

    right = divergence(weights[0] * gradients[0], weights[1] * gradients[1])
    if not np.any(right):
        return np.zeros(shape)
    solution, _ = cg(
        LinearOperator((size, size), laplacian, dtype=float),
        right,
        M=LinearOperator((size, size), precondition, dtype=float),
        rtol=tolerance,
        maxiter=_MOST_STEPS,
    )
    return solution.reshape(shape)
