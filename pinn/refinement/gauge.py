"""What refinement cannot know is fixed by rules, after every epoch.

- Object and probe: the probe keeps the energy it began with, the object takes the factor.
- Positions: their mean stays; a common shift is the object's, whose origin takes it.
- Intensities: their mean is 1, the probe takes the factor.
- Probe modes: orthogonal, the strongest first.
- Variations: weights of the first are 1; those of the others have mean zero, and the others are
  orthogonal, as strong as the probe, ordered by their weights.
"""

from __future__ import annotations

import numpy as np

from pinn.refinement.state import State

MOST_SHIFT = 1.0  # of the object as a whole, in pixels: canvases have room for no more


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
    mixed = np.einsum("pq,vqij->vpij", mix, state.probe.astype(np.complex128))
    state.probe = mixed.astype(np.complex64)


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


def move_positions(
    state: State,
    moves: np.ndarray,
    start: np.ndarray,
    parts: tuple[str, ...],
    step_px: float,
    limit_px: float,
    momentum: float = 0.0,
    anchor: np.ndarray | None = None,
) -> None:
    """Move positions, within their limits and as a model of the errors allows.

    Args:
        moves: `(M, 2)` pixels.
        start: `(M, 2)` positions before refinement.
        parts: `scale`, `rotation`, `shear`; empty: each position by itself.
        step_px, limit_px: longest move now, and in all.
        momentum: share of the last move that is made again; the object follows the positions, so
            what many neighbours have in common changes slowly without.
        anchor: see `within_limits`.
    """
    state.drift = _no_longer(momentum * state.drift + moves, step_px)
    shift = state.positions + state.drift - start
    if parts:
        shift = model_of(shift, start, parts) + shift.mean(0)
    state.positions = start + shift
    within_limits(state, start, limit_px, anchor)


def within_limits(
    state: State, start: np.ndarray, limit_px: float, anchor: np.ndarray | None = None
) -> None:
    """Bring the mean of all moves to zero, and each of them within its limit.

    The object stays in its place under the frames and moves with its pixels: the same values, its
    origin elsewhere. Held on pixels that lie across its details it could not explain the frames
    as well.

    Args:
        start: `(M, 2)` positions before refinement.
        limit_px: longest move from there.
        anchor: `(2,)` origin that the object's stays within `MOST_SHIFT` of, where given.
    """
    shift, common = state.positions - start, np.zeros(2)
    for _ in range(8):  # what is cut off at the limit has a mean again
        mean = shift.mean(0)
        shift, common = _no_longer(shift - mean, limit_px), common + mean
    origin = state.origin - common
    if anchor is not None:
        origin = np.clip(origin, anchor - MOST_SHIFT, anchor + MOST_SHIFT)
    state.positions, state.origin = start + shift, origin


def _no_longer(vectors: np.ndarray, limit: float) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors * np.minimum(1.0, limit / np.maximum(length, 1e-12)))


_GENERATORS = {
    "scale": [[[1.0, 0.0], [0.0, 1.0]]],
    "rotation": [[[0.0, 1.0], [-1.0, 0.0]]],
    "shear": [[[1.0, 0.0], [0.0, -1.0]], [[0.0, 1.0], [1.0, 0.0]]],
}


def model_of(shift: np.ndarray, places: np.ndarray, parts: tuple[str, ...]) -> np.ndarray:
    """The displacement of these kinds that fits displacements best.

    Args:
        shift: `(M, 2)`.
        places: `(M, 2)`.
        parts: see `move_positions`; shear is that of two axes: different scales of y and x count
            as one, a skew of the axes as the other.

    Returns:
        `(M, 2)`, mean zero.
    """
    design = design_of(places, parts)
    found, *_ = np.linalg.lstsq(design, (shift - shift.mean(0)).ravel(), rcond=None)
    return (design @ found).reshape(shift.shape)


def design_of(places: np.ndarray, parts: tuple[str, ...]) -> np.ndarray:
    """Displacements by one unit of each kind `(2 M, K)`, see `model_of`."""
    centred = places - places.mean(0)
    columns = [
        (centred @ np.array(matrix).T).ravel() for part in parts for matrix in _GENERATORS[part]
    ]
    return np.stack(columns, axis=1)
