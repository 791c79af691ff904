"""The grouping of the reference system, draw for draw, for parity with its results.

Three rules: standard, sequential and oversampling. They use NumPy's old generator, because the
numbers are part of the rule; here it is a private one instead of the global one. A seed is in
general not a member of its own group. New work uses `pinn.data.grouping`.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy.spatial import cKDTree

from pinn.errors import ConfigError, ScanError


def legacy_indices(
    positions: np.ndarray,
    C: int,
    n_groups: int | None,
    neighbours: int,
    seed: int,
    sequential: bool = False,
    oversample: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Members and seeds of groups after the reference's rules.

    Args:
        positions: `(M, 2)` [y, x] in pixels.
        C: frames in a group.
        n_groups: default one per frame; with C = 1 at most one per frame are made.
        neighbours: nearest frames to draw from, without the seed.
        seed: of the generator; the sequential rule ignores it.
        sequential: the first frames are the seeds, in order.
        oversample: allow more groups than frames.

    Returns:
        int64 `(G, C)` members, and int64 `(G,)` seeds.

    Raises:
        ScanError: fewer frames than a group has.
        ConfigError: numbers the rules do not allow.
    """
    M = len(positions)
    n_groups = M if n_groups is None else n_groups
    if n_groups > M and C > 1:
        if not oversample:
            raise ConfigError(
                f"{n_groups} groups were asked for but there are {M} frames; ask for fewer "
                "n_groups, or allow oversampling"
            )
        sequential = False
    if M < C:
        raise ScanError(f"there are {M} frames, but a group has {C}; use a smaller gridsize")
    if neighbours < C:
        raise ConfigError(
            f"neighbours is {neighbours}, but legacy groups of {C} need at least {C} of them"
        )
    # The reference fixes the generator in this rule, whatever seed it was given.
    random = np.random.RandomState(0 if sequential else seed)
    near = _nearest(positions, neighbours)
    if n_groups > M and C > 1:
        return _oversampled(near, C, n_groups, random)
    if sequential or n_groups >= M:
        seeds = np.arange(min(n_groups, M))
    else:
        seeds = random.choice(M, n_groups, replace=False)
    if C == 1:
        return seeds[:, None], seeds
    return np.array([_pick(near[s], s, C, random) for s in seeds.tolist()], np.int64), seeds


def _nearest(positions: np.ndarray, neighbours: int) -> np.ndarray:
    k = min(neighbours + 1, len(positions))
    found = cKDTree(positions[:, ::-1]).query(positions[:, ::-1], k=k)[1]
    # The first column is dropped even where, among equal positions, it is not the frame itself.
    return found.reshape(len(positions), k)[:, 1:]


def _pick(near: np.ndarray, seed: int, C: int, random: np.random.RandomState) -> np.ndarray:
    if len(near) < C:  # tiny scans: the seed joins in
        near = np.append(near, seed)
    return random.choice(near, C, replace=False)


def _oversampled(
    near: np.ndarray, C: int, n_groups: int, random: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    M, pool = near.shape
    count = min(2 * math.ceil(n_groups / math.comb(pool, C)), M)
    found = [
        (seed, members)
        for seed in random.choice(M, count, replace=False).tolist()
        for members in itertools.combinations(near[seed].tolist(), C)
    ][: 2 * n_groups]
    rows = random.choice(len(found), n_groups, replace=len(found) < n_groups)
    seeds, groups = zip(*(found[row] for row in rows), strict=True)
    return np.array(groups, np.int64), np.array(seeds, np.int64)
