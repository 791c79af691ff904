"""Frames of a known object at given positions, behind `RawData.from_simulation`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pinn.errors import ConfigError, ScanError
from ptycho._dictionary import LEGACY

_SEED = 0
_CHUNK = 64


def amplitudes(xcoords: Any, ycoords: Any, probe: Any, obj: Any) -> np.ndarray:
    """Amplitudes `(M, N, N)` float32 with the noise of `nphotons` per frame, of the dictionary.

    They are in units of the probe: square roots of counts over `sqrt(nphotons / mean energy)`.
    The same arguments give the same noise.

    Raises:
        ConfigError: gridsize of the dictionary is not 1, as in the original.
        ScanError: a patch leaves the object, or shapes that do not fit.
    """
    from pinn.simulate.forward import diffract, extract_patches

    if int(LEGACY.get("gridsize")) != 1:
        raise ConfigError(
            f"gridsize is {LEGACY.get('gridsize')}, but frames are simulated one by one; set it to "
            "1 in the legacy dictionary, and group them afterwards"
        )
    modes, obj = np.asarray(probe), np.asarray(obj)
    modes = modes[None] if modes.ndim == 2 else modes
    places = np.stack([np.ravel(ycoords), np.ravel(xcoords)], axis=1).astype(np.float64)
    if modes.ndim != 3 or modes.shape[1] != modes.shape[2] or obj.ndim != 2:
        raise ScanError(
            f"the probe is {np.shape(probe)} and the object {obj.shape}, but (N, N) and (H, W) are "
            "required"
        )
    N, parts = modes.shape[-1], []
    try:
        for first in range(0, len(places), _CHUNK):
            patches = extract_patches(obj, places[first : first + _CHUNK], N)
            parts.append(diffract(patches, modes))
    except ValueError as error:
        raise ScanError(f"{error}; move the positions or give a larger object") from None
    rate = np.concatenate(parts)
    energy = float(rate.sum(axis=(1, 2)).mean())
    if not energy > 0:
        raise ScanError("object and probe give dark frames at these positions")
    scale = math.sqrt(float(LEGACY.get("nphotons")) / energy)
    counts = np.random.default_rng(_SEED).poisson(rate * scale**2)
    return (np.sqrt(counts) / scale).astype(np.float32)
