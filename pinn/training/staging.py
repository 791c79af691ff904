"""Staged training: labels first, then a blend, then the physics; as functions of the epoch.

Nothing is remembered between epochs, so a resumed run goes on where it would have been.
"""

from __future__ import annotations

import math

from pinn.config import TrainConfig


def physics_weight(run: TrainConfig, epoch: int) -> float:
    """Weight of the likelihoods; that of the label terms is one less it. 1 without stages.

    In the blend of n epochs it rises as half a cosine, in n + 1 equal steps of time from 0 to 1,
    both left out, so that every epoch of the blend learns from both.

    Args:
        epoch: of this run, from 0.
    """
    if epoch < run.label_epochs:
        return 0.0
    time = (epoch - run.label_epochs + 1) / (run.blend_epochs + 1)
    if time >= 1.0:
        return 1.0
    return math.sin(0.5 * math.pi * time) ** 2


def columns_of_epoch(run: TrainConfig, epoch: int) -> dict[str, float]:
    """What the history says of an epoch's stage; nothing without stages."""
    return {"physics_weight": physics_weight(run, epoch)} if run.staged else {}
