"""Positions of the frames: their updates, their limits, and models of what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pinn.config.refine import RefineConfig
from pinn.refinement.outputs import Pass
from pinn.refinement.state import State

Look = Callable[..., Pass]  # the frames under a state, as `Engine.look`

_STEP_PX, LIMIT_PX = 0.5, 10.0  # largest position update in an epoch, and in all
_MOMENTUM = 0.8  # of the position updates
_SEARCH_PX = 3.0  # radius of the search for the positions of frames explained worst
MOST_SHIFT = 1.0  # of the object as a whole, in pixels: canvases have room for no more
_SEARCH_EVERY, _SEARCH_FROM = 10, 20  # epochs after the first update of positions
_SEARCH_FRACTION, _SEARCH_TRIES = 0.1, 16


def update(
    look: Look,
    anchor: np.ndarray,
    state: State,
    result: Pass,
    start: np.ndarray,
    config: RefineConfig,
    since: int,
) -> None:
    """Move positions as an epoch says, within their limits and as a model of the errors allows.

    With momentum, since the object follows the positions: what many neighbours have in common
    would change slowly without it. Every few epochs a random search looks for better positions.

    Args:
        look: looks at frames under another state, see `Engine.look`.
        anchor: `(2,)` origin of the object's canvas.
        state: is changed.
        result: of the epoch.
        start: `(M, 2)` positions before refinement.
        since: epochs since the first update of positions.
    """
    updates = np.nan_to_num(result.others["position_updates"])
    state.drift = _limited(_MOMENTUM * state.drift + updates, _STEP_PX)
    shift = state.positions + state.drift - start
    if config.position_parts:
        shift = model_of(shift, start, config.position_parts) + shift.mean(0)
    state.positions = start + shift
    within_limits(state, start, LIMIT_PX, anchor)
    if not config.position_parts and since >= _SEARCH_FROM and since % _SEARCH_EVERY == 0:
        search(look, anchor, state, result, start, config)


def search(
    look: Look,
    anchor: np.ndarray,
    state: State,
    result: Pass,
    start: np.ndarray,
    config: RefineConfig,
) -> None:
    """Try positions at random around those of the frames explained worst; the best ones stay.

    Where a frame is further off than the features under it are wide, no gradient leads back
    (annealing: Maiden et al., Ultramicroscopy 120, 64, 2012).

    Args:
        look: looks at frames under another state, see `Engine.look`.
        anchor: `(2,)` origin of the object's canvas.
        state: is changed.
        result: of the last epoch, for each frame.
        start: `(M, 2)` positions before refinement.
    """
    rng = np.random.default_rng([config.seed, state.epoch, 1])
    count = int(np.ceil(_SEARCH_FRACTION * len(result.per_frame)))
    rows = np.sort(np.argsort(-np.nan_to_num(result.per_frame), kind="stable")[:count])
    trial, before = state.copy(), state.positions[rows].copy()

    def deviance(of: State) -> np.ndarray:  # of fitted pixels: what is held out must not choose
        seen = look(of, rows, fitted=True)
        return np.asarray(seen.deviance[rows] / np.maximum(seen.pixels[rows], 1.0))

    best = deviance(state)
    for _ in range(_SEARCH_TRIES):
        angle = rng.uniform(0.0, 2.0 * np.pi, count)
        radius = _SEARCH_PX * np.sqrt(rng.uniform(0.0, 1.0, count))
        places = before + radius[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
        inside = np.linalg.norm(places - start[rows], axis=1) <= LIMIT_PX
        trial.positions[rows] = np.where(inside[:, None], places, before)
        value = deviance(trial)
        better = value < best
        best = np.where(better, value, best)
        state.positions[rows[better]] = trial.positions[rows[better]]
        state.drift[rows[better]] = 0.0
    within_limits(state, start, LIMIT_PX, anchor)


def within_limits(
    state: State, start: np.ndarray, limit_px: float, anchor: np.ndarray | None = None
) -> None:
    """Bring the mean of all updates to zero, and each of them within its limit.

    The object stays in its place under the frames and moves with its pixels: the same values, its
    origin elsewhere. Held on pixels that lie across its details it could not explain the frames
    as well.

    Args:
        start: `(M, 2)` positions before refinement.
        limit_px: largest distance from there.
        anchor: `(2,)` origin that the object's stays within `MOST_SHIFT` of, where given.
    """
    shift, common = state.positions - start, np.zeros(2)
    for _ in range(8):  # what is cut off at the limit has a mean again
        mean = shift.mean(0)
        shift, common = _limited(shift - mean, limit_px), common + mean
    origin = state.origin - common
    if anchor is not None:
        origin = np.clip(origin, anchor - MOST_SHIFT, anchor + MOST_SHIFT)
    state.positions, state.origin = start + shift, origin


def _limited(vectors: np.ndarray, limit: float) -> np.ndarray:
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
        parts: of `scale`, `rotation` and `shear`; shear is that of two axes: different scales of y
            and x count as one, a skew of the axes as the other.

    Returns:
        `(M, 2)`, mean zero.
    """
    design = design_of(places, parts)
    amounts, *_ = np.linalg.lstsq(design, (shift - shift.mean(0)).ravel(), rcond=None)
    return (design @ amounts).reshape(shift.shape)


def design_of(places: np.ndarray, parts: tuple[str, ...]) -> np.ndarray:
    """Displacements by one unit of each kind `(2 M, K)`, see `model_of`."""
    centred = places - places.mean(0)
    columns = [
        (centred @ np.array(matrix).T).ravel() for part in parts for matrix in _GENERATORS[part]
    ]
    return np.stack(columns, axis=1)
