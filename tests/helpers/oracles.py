"""Independent NumPy float64 models of the operations, written from their definitions.

Nothing here shares a formula with `pinn.ops`: transforms are explicit sums, translations are
SciPy's interpolation, the deviance is the textbook difference in double precision.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage, special


def dft_matrix(size: int) -> np.ndarray:
    """Centred orthonormal DFT of a line: frequency and place both count from `size // 2`."""
    index = np.arange(size) - size // 2
    return np.exp(-2j * np.pi * np.outer(index, index) / size) / np.sqrt(size)


def centred_dft(z: np.ndarray) -> np.ndarray:
    """Transform of the last two axes as explicit sums."""
    return dft_matrix(z.shape[-2]) @ z @ dft_matrix(z.shape[-1]).T


def translate(image: np.ndarray, shift: tuple[float, float], out_shape=None) -> np.ndarray:
    """Bilinear translation by `+shift` of one real image, zero outside, about the middle."""
    height, width = image.shape
    out_height, out_width = out_shape or image.shape
    assert (out_height - height) % 2 == 0 and (out_width - width) % 2 == 0
    # A frame wide enough that nothing is lost before the crop, with zeros all round.
    margin = int(np.ceil(np.max(np.abs(shift)))) + 2
    pad = [
        (margin + max(0, (out - size) // 2),) * 2
        for size, out in ((height, out_height), (width, out_width))
    ]
    moved = ndimage.shift(
        np.pad(image, pad), shift, order=1, mode="grid-constant", cval=0.0, prefilter=False
    )
    first = [
        (total - out) // 2 for total, out in zip(moved.shape, (out_height, out_width), strict=True)
    ]
    return moved[first[0] : first[0] + out_height, first[1] : first[1] + out_width]


def place(patches: np.ndarray, offsets: np.ndarray, side: int) -> np.ndarray:
    """`(B, C, N, N)` at `+offsets`, summed over the group: `(B, M, M)`."""
    return np.array(
        [
            sum(translate(p, r, (side, side)) for p, r in zip(group, positions, strict=True))
            for group, positions in zip(patches, offsets, strict=True)
        ]
    )


def extract(canvas: np.ndarray, offsets: np.ndarray, side: int) -> np.ndarray:
    """The canvas `(B, M, M)` seen at `+offsets`: `(B, C, N, N)`."""
    return np.array(
        [
            [translate(image, tuple(-np.asarray(r)), (side, side)) for r in positions]
            for image, positions in zip(canvas, offsets, strict=True)
        ]
    )


def merge(patches, weights, offsets, side, floor=1e-3):
    """Weighted mean of complex patches on the canvas, and the total weight."""
    weights = np.broadcast_to(1.0 if weights is None else weights, patches.shape)
    total = place(weights, offsets, side)
    top = place(weights * patches.real, offsets, side) + 1j * place(
        weights * patches.imag, offsets, side
    )
    seen = total > floor * total.max(axis=(-2, -1), keepdims=True)
    return np.where(seen, top / np.where(seen, total, 1.0), 0.0), total


def rate(exit_waves: np.ndarray, log_scale, background=0.0, frame_factor=1.0) -> np.ndarray:
    """Counts of exit waves `(B, C, P, N, N)`."""
    power = np.sum(np.abs(centred_dft(exit_waves)) ** 2, axis=2)
    scale = np.exp(np.asarray(log_scale, np.float64)).reshape(-1, 1, 1, 1)
    return np.asarray(frame_factor)[..., None, None] * scale * power + background


def deviance(counts: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """Textbook Poisson deviance in float64; exact to 1e-7 while |rate / k - 1| > 1e-4."""
    return 2.0 * (rate - counts + special.xlogy(counts, counts) - special.xlogy(counts, rate))


def letter(height: int, width: int) -> np.ndarray:
    """An L with a serif: no rotation, transposition or reflection maps it to itself."""
    image = np.zeros((height, width))
    image[1 : height - 1, 1:3] = 1.0
    image[height - 3 : height - 1, 1 : width - 2] = 0.6
    image[1, 3] = 0.3
    return image
