"""Which groups a run learns from, which it holds out, and what they are compared with."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from pinn.config import ModelConfig, TrainConfig
from pinn.data.grouping import Groups, make_groups
from pinn.data.labels import Labels
from pinn.data.scan import Scan
from pinn.data.split import split_at_random, split_groups
from pinn.errors import ConfigError

_GROUPS = 512  # unless the options say otherwise
_log = logging.getLogger("pinn")


def split(groups: Groups, run: TrainConfig) -> tuple[Groups, Groups]:
    """Groups to learn from, and held-out groups as `validation` says.

    None are held out where a region would cost a small scan most of what it can learn from
    (groups that share a frame with it are dropped).
    """
    nothing = groups.select(np.zeros(0, np.int64))
    if run.validation == "none":
        return groups, nothing
    seed = run.seed
    try:
        if run.validation == "random":
            return split_at_random(groups, run.validation_fraction, seed)
        learn, hold = split_groups(groups, run.validation_fraction, seed)
    except ConfigError:
        return groups, nothing
    return (learn, hold) if len(learn) >= 0.6 * len(groups) else (groups, nothing)


def nothing_held(name: str, run: TrainConfig) -> str:
    """Says, and returns, that what `validation` asks for cannot be had of a scan."""
    note = (
        f"{name}: no groups could be held out (validation {run.validation}, "
        f"{run.validation_fraction:g} of them), there are too few for that; nothing watches "
        "its loss, unless you ask for validation random, for more groups, or give a scan for "
        "validation"
    )
    _log.warning("%s", note)
    return note


def groups_of(scan: Scan, config: ModelConfig, run: TrainConfig) -> Groups:
    """Groups of a scan to train on."""
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
        subsample=run.subsample,
        subsample_seed=run.subsample_seed,
    )
    for note in groups.notes:
        _log.warning("%s: %s", scan.name, note)
    return groups


def validation_groups_of(scan: Scan, config: ModelConfig, run: TrainConfig) -> Groups:
    """Groups of a scan that is only watched: as in inference, one per frame, a seeded sample of
    them where there are more than a scan has to train on."""
    return make_groups(
        scan.positions_px,
        config.gridsize,
        at_most=run.n_groups or _GROUPS,
        seed=run.seed,
        scan_index=scan.scan_index,
    )


def labels_of(
    scans: Sequence[Scan], config: ModelConfig, run: TrainConfig
) -> list[Labels | None] | None:
    """Labels of every scan, or None where no term of the loss asks for them.

    Raises:
        ScanError: a scan has none.
    """
    if not run.needs_labels:
        return None
    return [Labels(scan, whole_group=not config.object_big) for scan in scans]
