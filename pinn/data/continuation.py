"""An image beyond what is known of it."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

_SMOOTH = 3.0  # pixels: the nearest values alone leave streaks


def continued(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The image, and where it is not known the nearest pixels that are, smoothed.

    Args:
        image: `(H, W)` real or complex.
        known: `(H, W)` bool; at least one pixel, or the image comes back as it is.

    Returns:
        Same dtype; known pixels are untouched.
    """
    if known.all() or not known.any():
        return image
    nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
    filled: np.ndarray = image[tuple(nearest)]
    smooth = gaussian_filter(filled, _SMOOTH, mode="nearest")
    return np.where(known, image, smooth).astype(image.dtype)
