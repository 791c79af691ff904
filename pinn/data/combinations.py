"""Numbered combinations: many different draws without replacement at once, and none twice."""

from __future__ import annotations

import math

import numpy as np

RANKS = 2**62  # combinations are numbered with int64; beyond this many, only these are drawn


def counts_table(pool: int, size: int, most: int = RANKS) -> np.ndarray:
    """Combinations of `size` out of 0, 1, ... `pool` things, no more than `most`.

    Returns:
        int64 `(pool + 1,)`.
    """
    return np.array([min(math.comb(c, size), most) for c in range(pool + 1)], np.int64)


def combinations(ranks: np.ndarray, pool: int, size: int) -> np.ndarray:
    """Combination number `rank` in the combinatorial number system, members ascending.

    Every rank below `comb(n, size)` is `comb(c_size, size) + ... + comb(c_1, 1)` for exactly one
    `n > c_size > ... > c_1 >= 0` (Knuth, The Art of Computer Programming 4A, 7.2.1.3), so ranks
    of smaller pools need no other table.

    Args:
        ranks: int64 `(n,)`, each below `comb(pool, size)`.
        pool: the largest pool.
        size: members of a combination.

    Returns:
        int64 `(n, size)`.
    """
    chosen = np.empty((len(ranks), size), np.int64)
    left = ranks.copy()
    for place in range(size, 0, -1):
        table = counts_table(pool - 1, place)
        chosen[:, place - 1] = np.searchsorted(table, left, side="right") - 1
        left -= table[chosen[:, place - 1]]
    return chosen


def share_out(
    n: int, capacity: np.ndarray, sequential: bool, rng: np.random.Generator
) -> np.ndarray:
    """`n` draws over owners, as evenly as their capacities allow.

    Args:
        n: at most the sum of the capacities.
        capacity: int64 `(S,)`, different draws each owner has.
        sequential: what does not go round goes to the first owners, not to random ones.

    Returns:
        int64 `(S,)`, draws of each owner; their sum is `n`.
    """
    capacity = np.minimum(capacity, n)
    low, high = 0, n  # the largest number that every owner can have, or has to his capacity
    while low < high:
        middle = (low + high + 1) // 2
        if int(np.minimum(capacity, middle).sum()) <= n:
            low = middle
        else:
            high = middle - 1
    counts = np.minimum(capacity, low)
    rest = n - int(counts.sum())
    open_ = np.flatnonzero(capacity > low)
    counts[open_[:rest] if sequential else open_[rng.choice(len(open_), rest, replace=False)]] += 1
    return counts


def draw_ranks(capacity: np.ndarray, counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Random ranks below each owner's capacity, all different for one owner.

    Args:
        capacity: int64 `(S,)`.
        counts: int64 `(S,)`, ranks for each owner.

    Returns:
        int64 `(sum of counts,)`, owner by owner.
    """
    owners = np.repeat(np.arange(len(counts)), counts)
    ranks = rng.integers(0, capacity[owners])
    ends = np.cumsum(counts)
    for owner in np.flatnonzero(counts > 1).tolist():
        count = int(counts[owner])
        mine = rng.choice(int(capacity[owner]), count, replace=False)
        ranks[ends[owner] - count : ends[owner]] = mine
    return ranks
