"""What a regular raster cannot tell: a pattern of the raster's own period.

Frames on a lattice see an object that is multiplied with a function of the lattice's period exactly
as they see the probe multiplied with it: where both are refined, stripes at the pitch of the raster
may come into the object and out of the probe (Thibault et al., Ultramicroscopy 109, 338, 2009, call
it the raster grid pathology). The object keeps only what does not stand out there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from pinn.refinement.state import State

_FEWEST = 9  # frames of a lattice
_NEIGHBOURS = 8  # of a frame, whose distances tell the lattice
_ALIKE = 0.25  # vectors differ by less than this part of their length
_IRREGULAR = 0.1  # of the shorter period: root mean square of what positions are off
_STANDS_OUT = 4.0  # times the spectrum around: of noise alone one harmonic in about ten thousand
_HARMONICS = 400  # the lowest ones: a fine pattern of a wide raster is left alone
_BRIGHT = 0.5  # mean of the object over its root mean square: strong objects have no such mean
_STRONG = 0.3  # a larger pattern is something else
_WINDOW = 512  # pixels
_AROUND = 1.5  # in units of the spectrum's own resolution


@dataclass(frozen=True)
class Lattice:
    """Positions `corner + n @ periods` with whole numbers n.

    Attributes:
        corner: `(2,)` one of them, in pixels.
        periods: `(2, 2)`, a period in each row.
    """

    corner: np.ndarray
    periods: np.ndarray

    def harmonics(self) -> np.ndarray:
        """The lowest frequencies `(K, 2)` of functions of this period, without zero."""
        reciprocal = np.linalg.inv(self.periods).T
        most = np.ceil(0.5 * np.abs(self.periods).sum(1)).astype(int)
        first, second = (np.arange(-n, n + 1) for n in most)
        numbers = np.stack(np.meshgrid(first, second, indexing="ij"), axis=-1).reshape(-1, 2)
        found = numbers[np.any(numbers != 0, axis=1)] @ reciprocal
        found = found[np.all(np.abs(found) <= 0.5, axis=1)]
        return found[np.argsort(np.linalg.norm(found, axis=1), kind="stable")[:_HARMONICS]]


def lattice_of(positions: np.ndarray) -> Lattice | None:
    """The lattice that positions `(M, 2)` lie on, or None.

    Two periods are the shortest vectors between neighbours; from the middle outwards they are
    fitted to more and more positions, so that a small error of theirs never adds up to a period.
    """
    if len(positions) < _FEWEST:
        return None
    middle = positions[np.argmin(np.linalg.norm(positions - positions.mean(0), axis=1))]
    periods = _shortest(positions)
    if periods is None:
        return None
    distance = np.linalg.norm(positions - middle, axis=1)
    reach, corner = 3.0 * np.linalg.norm(periods, axis=1).max(), middle
    while True:
        near = positions[distance <= reach]
        numbers = np.rint((near - corner) @ np.linalg.inv(periods))
        design = np.hstack([np.ones((len(near), 1)), numbers])
        if np.linalg.matrix_rank(design) < 3:
            return None
        fitted, *_ = np.linalg.lstsq(design, near, rcond=None)
        off = np.sqrt(np.mean(np.sum((near - design @ fitted) ** 2, axis=1)))
        corner, periods = fitted[0], fitted[1:]
        if off > _IRREGULAR * np.linalg.norm(periods, axis=1).min():
            return None
        if len(near) == len(positions):
            return Lattice(corner, periods)
        reach *= 2.0


def _shortest(positions: np.ndarray) -> np.ndarray | None:
    """Two vectors between neighbours, the shortest and the next in another direction."""
    count = min(_NEIGHBOURS + 1, len(positions))
    _, others = cKDTree(positions).query(positions, k=count)
    between = (positions[others[:, 1:]] - positions[:, None]).reshape(-1, 2)
    length = np.linalg.norm(between, axis=1)
    between, length = between[length > 1e-6], length[length > 1e-6]
    found: list[np.ndarray] = []
    for _ in range(2):
        if not len(between):
            return None
        typical = between[np.argsort(length)[len(length) // 20]]
        alike = np.linalg.norm(between - typical, axis=1) < _ALIKE * np.linalg.norm(typical)
        period = between[alike].mean(0)
        found.append(period)
        across = np.abs(between @ np.array([-period[1], period[0]])) / np.linalg.norm(period)
        kept = across > 0.5 * length
        between, length = between[kept], length[kept]
    return np.stack(found)


def without_pattern(state: State, lattice: Lattice) -> State | None:
    """The state without what stands out in its object at the raster's period; the probe gets it.

    Exit waves stay as they are, but for the interpolation at fractions of a pixel.

    Returns:
        None where nothing stands out, or the object is so strong that it has hardly a mean.
    """
    frequencies = lattice.harmonics()
    light = state.illumination()
    weight = np.minimum(light / np.median(light[light > 0.1 * light.max()]), 1.0)
    window = _middle(state)
    weight = weight[window]
    mean = np.sum(weight * state.object[window]) / weight.sum()
    square = np.sum(weight * np.abs(state.object[window]) ** 2) / weight.sum()
    if not abs(mean) > _BRIGHT * np.sqrt(square):
        return None
    field = weight * (state.object[window] - mean) / (weight.sum() * mean)
    found = _spectrum(field, frequencies)
    extent = np.sqrt(np.count_nonzero(weight > 0.5))
    turns = 2.0 * np.pi * np.arange(6) / 6.0
    ring = np.stack([np.sin(turns), np.cos(turns)], axis=1)
    beside = _AROUND / extent * np.concatenate([ring, 2.0 * ring[:, ::-1]])
    around = np.sqrt(np.mean([np.abs(_spectrum(field, frequencies + b)) ** 2 for b in beside], 0))
    kept = np.abs(found) > _STANDS_OUT * around
    if not kept.any():
        return None
    frequencies = frequencies[kept]
    corner = [part.start for part in window]
    found = found[kept] * np.exp(-2j * np.pi * frequencies @ corner)  # phases at the canvas' corner
    changed, N = state.copy(), state.probe.shape[-1]
    if np.abs(found).sum() > _STRONG:
        return None
    pattern = 1.0 + _waves(found, frequencies, *map(np.arange, state.object.shape))
    under = lattice.corner - state.origin - N // 2
    of_probe = 1.0 + _waves(found, frequencies, *(np.arange(N) + first for first in under))
    changed.object = (state.object / pattern).astype(np.complex64)
    changed.probe = (state.probe * of_probe).astype(np.complex64)
    return changed if changed.finite else None


def _middle(state: State) -> tuple[slice, slice]:
    """Where the spectrum is looked at: so much is enough, and takes little time."""
    middle = np.rint(state.positions.mean(0) - state.origin).astype(int)
    first = np.maximum(middle - _WINDOW // 2, 0)
    last = np.minimum(first + _WINDOW, state.object.shape)
    return slice(int(first[0]), int(last[0])), slice(int(first[1]), int(last[1]))


def _spectrum(field: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """Sums of a field `(H, W)` times waves of these frequencies `(K, 2)`, `(K,)`."""
    y, x = (np.arange(n) for n in field.shape)
    rows = np.exp(-2j * np.pi * np.outer(frequencies[:, 0], y))
    columns = np.exp(-2j * np.pi * np.outer(frequencies[:, 1], x))
    return np.einsum("ky,ky->k", rows, columns @ field.T)


def _waves(
    amplitudes: np.ndarray, frequencies: np.ndarray, y: np.ndarray, x: np.ndarray
) -> np.ndarray:
    """The sum of waves of these amplitudes `(K,)` at rows y and columns x."""
    rows = np.exp(2j * np.pi * np.outer(y, frequencies[:, 0]))
    columns = np.exp(2j * np.pi * np.outer(frequencies[:, 1], x))
    return (rows * amplitudes) @ columns
