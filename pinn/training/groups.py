"""Which groups a run learns from, and which it holds out."""

from __future__ import annotations

import logging

import numpy as np

from pinn.config import ModelConfig, TrainConfig
from pinn.data.feed import split_groups
from pinn.data.grouping import Groups, make_groups
from pinn.data.scan import Scan
from pinn.errors import ConfigError

_GROUPS = 512  # unless the options say otherwise
_log = logging.getLogger("pinn")


def split(groups: Groups, run: TrainConfig) -> tuple[Groups, Groups]:
    """Held-out block, or none where it would cost a small scan most of what it can learn from
    (groups that share a frame with the block are dropped)."""
    nothing = groups.select(np.zeros(0, np.int64))
    try:
        learn, hold = split_groups(groups, run.validation_fraction, run.seed)
    except ConfigError:
        return groups, nothing
    return (learn, hold) if len(learn) >= 0.6 * len(groups) else (groups, nothing)


def groups_of(scan: Scan, config: ModelConfig, run: TrainConfig) -> Groups:
    groups = make_groups(
        scan.positions_px,
        config.gridsize,
        n_groups=run.n_groups,
        at_most=_GROUPS,
        neighbours=run.neighbours,
        seed=run.seed,
        scan_index=scan.scan_index,
        method=run.grouping,
        sequential=run.sequential,
        oversample=True,  # whoever states n_groups has asked for that many
        min_distance=run.min_distance,
        max_distance=run.max_distance,
        bounds=run.field_of_view,
        subsample=run.subsample,
        subsample_seed=run.subsample_seed,
    )
    for note in groups.notes:
        _log.warning("%s: %s", scan.name, note)
    return groups
