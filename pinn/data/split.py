"""Which groups are held out to watch the loss."""

from __future__ import annotations

import math

import numpy as np

from pinn.data.grouping import Groups
from pinn.errors import ConfigError


def split_groups(groups: Groups, fraction: float, seed: int) -> tuple[Groups, Groups]:
    """Split off a share of the groups by region.

    The groups are ordered by their centres along the longer axis of the scan, and a block at one
    end (`seed` picks which) is held out. Groups next to the block that share a frame with it are
    left out of both, so that no held-out frame is trained on.

    Args:
        fraction: share to hold out, rounded to whole groups; 0 holds out nothing.

    Returns:
        Groups to learn from, and held-out groups (maybe none).

    Raises:
        ConfigError: nothing is left to learn from.
    """
    count = _count(groups, fraction)
    if count == 0:
        return groups, groups.select(np.zeros(0, np.int64))
    axis = int(np.argmax(np.ptp(groups.centres, axis=0)))
    order = np.lexsort((np.arange(len(groups)), groups.seeds, groups.centres[:, axis]))
    if np.random.default_rng(seed).integers(2):
        order = order[::-1]
    held = groups.select(np.sort(order[:count]))
    shared = np.isin(groups.indices, held.indices).any(axis=1)
    learn = groups.select(np.flatnonzero(~shared))
    if not len(learn):
        raise ConfigError(
            f"holding out {fraction:g} of {len(groups)} groups leaves none to learn from that "
            "shares no frame with them; hold out less (validation_fraction) or make more groups"
        )
    return learn, held


def split_at_random(groups: Groups, fraction: float, seed: int) -> tuple[Groups, Groups]:
    """Split off groups drawn at random; their frames may be in groups that are learned from.

    Args:
        fraction: share to hold out, rounded to whole groups; 0 holds out nothing.

    Returns:
        Groups to learn from, and held-out groups (maybe none), both in order.

    Raises:
        ConfigError: nothing is left to learn from.
    """
    count = _count(groups, fraction)
    if count >= len(groups):
        raise ConfigError(
            f"holding out {fraction:g} of {len(groups)} groups leaves none to learn from; hold "
            "out less (validation_fraction) or make more groups"
        )
    held = np.zeros(len(groups), bool)
    held[np.random.default_rng(seed).permutation(len(groups))[:count]] = True
    return groups.select(~held), groups.select(held)


def _count(groups: Groups, fraction: float) -> int:
    return math.floor(fraction * len(groups) + 0.5)
