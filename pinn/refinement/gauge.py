"""What refinement cannot know is fixed by rules, after every epoch.

- Object and probe: the probe keeps the energy it began with, the object takes the factor.
- Positions: their mean stays (`pinn.refinement.positions`).
- Intensities: their mean is 1, the probe takes the factor.
- Probe modes: orthogonal, the strongest first.
- OPR: weights of the first variation are 1; those of the others have mean zero, and the others are
  orthogonal, as strong as the probe, ordered by their weights.
"""

from __future__ import annotations

import numpy as np

from pinn.refinement.state import State


def energy(probe: np.ndarray) -> float:
    """Of the first variation of `(V, P, N, N)`, all modes."""
    return float(np.sum(np.abs(probe[0].astype(np.complex128)) ** 2))


def fix_energy(state: State, wanted: float) -> None:
    """Bring the probe to this energy, and the object to the same exit waves."""
    factor = np.sqrt(wanted / max(energy(state.probe), 1e-30))
    state.probe = (state.probe * factor).astype(np.complex64)
    state.object = (state.object / factor).astype(np.complex64)
    state.velocity = (state.velocity / factor).astype(np.complex64)


def fix_factors(state: State) -> None:
    """Bring the intensities to mean 1, and the probe to the same exit waves."""
    mean = float(state.factors.mean())
    state.factors = state.factors / mean
    state.probe = (state.probe * np.sqrt(mean)).astype(np.complex64)


def orthogonalise(state: State) -> None:
    """Mix the modes, in all variations alike, so that those of the first are orthogonal.

    A unitary mix of modes leaves every measured intensity as it is (Thibault and Menzel, Nature
    494, 68, 2013).
    """
    P = state.probe.shape[1]
    if P == 1:
        return
    flat = state.probe[0].reshape(P, -1).astype(np.complex128)
    values, vectors = np.linalg.eigh(flat @ flat.conj().T)
    mix = vectors[:, np.argsort(values)[::-1]].conj().T
    state.probe = np.einsum("pq,vqij->vpij", mix, state.probe).astype(np.complex64)


def fix_variations(state: State) -> None:
    """Bring variations and their weights to the declared form; the exit waves stay."""
    V = len(state.probe)
    if V == 1:
        return
    probe, opr_weights = state.probe.astype(np.complex128), state.opr_weights
    mean = opr_weights[:, 1:].mean(0)
    probe[0] += np.einsum("v,vpij->pij", mean, probe[1:])
    rest = opr_weights[:, 1:] - mean
    shape, flat = probe.shape, probe[1:].reshape(V - 1, -1)
    # weights are real: the product is decomposed over the real numbers
    pair = np.concatenate([flat.real, flat.imag], axis=1)
    values, vectors = np.linalg.eigh(pair @ pair.T)
    root = vectors * np.sqrt(np.maximum(values, 0.0))  # pair = root @ orthonormal rows
    rows = np.divide(
        vectors.T @ pair,
        np.sqrt(np.maximum(values, 1e-30))[:, None],
        where=values[:, None] > 1e-20,
        out=np.zeros_like(pair),
    )
    u, s, vt = np.linalg.svd(rest @ root, full_matrices=False)
    strength = np.sqrt(np.sum(np.abs(probe[0]) ** 2))
    pair = (vt @ rows) * strength
    half = pair.shape[1] // 2
    probe[1:] = (pair[:, :half] + 1j * pair[:, half:]).reshape(V - 1, *shape[1:])
    state.probe = probe.astype(np.complex64)
    state.opr_weights = np.concatenate([np.ones((len(rest), 1)), u * s / strength], axis=1)
