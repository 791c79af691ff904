"""How sure a mean over few frames is."""

from __future__ import annotations

import numpy as np


def sigmas(difference: np.ndarray) -> float:
    """The mean over frames `(F,)` in standard errors; 0 for no spread."""
    error = float(difference.std(ddof=1) / np.sqrt(len(difference)))
    return float(difference.mean()) / error if error > 0 else 0.0
