"""What is free in a probe, fixed by rule: its energy, and the mix of its incoherent modes."""

from __future__ import annotations

import numpy as np


def in_gauge(probe: np.ndarray) -> np.ndarray:
    """A probe with the energy of the gauge: the sum over modes and pixels of `|P|^2` is (N/2)^2.

    Args:
        probe: `(P, N, N)` complex; or `(V, P, N, N)`, where the first variation is the probe
            itself and gives the factor for all.

    Returns:
        complex128, same shape.
    """
    probe = np.asarray(probe, np.complex128)
    itself = probe[0] if probe.ndim == 4 else probe
    return probe * (probe.shape[-1] / 2 / np.sqrt(np.sum(itself.real**2 + itself.imag**2)))


def orthogonal_modes(probe: np.ndarray) -> np.ndarray:
    """The same illumination as modes that are orthogonal, the strongest first.

    Modes that add as intensities may be mixed by any unitary matrix without a change of any frame,
    behind any object. The one taken diagonalises their Gram matrix; each new mode has the phase of
    the given mode it has most of. A single mode stays as it is, and dark ones come last, dark.

    Args:
        probe: `(P, N, N)` complex.

    Returns:
        `(P, N, N)` of the same type; computed in float64.
    """
    probe = np.asarray(probe)
    if len(probe) < 2:
        return probe
    modes = probe.reshape(len(probe), -1).astype(np.complex128)
    out = np.zeros_like(modes)
    modes = modes[modes.any(axis=1)]
    lit = len(modes)
    if lit == 1:
        out[0] = modes[0]
    if lit > 1:
        out[:lit] = _diagonal(modes)
    return out.astype(probe.dtype).reshape(probe.shape)


def _diagonal(modes: np.ndarray) -> np.ndarray:
    """Modes `(P, n)` mixed such that their Gram matrix is diagonal and falling."""
    # singular vectors rather than those of the Gram matrix, whose weak ones are less exact
    mixed, strength, orthogonal = np.linalg.svd(modes, full_matrices=False)
    largest = mixed[np.abs(mixed).argmax(0), np.arange(len(modes))]
    return np.asarray((strength * largest / np.abs(largest))[:, None] * orthogonal)
