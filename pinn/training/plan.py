"""The data of a run: scans, groups to learn from and to hold out, labels, and batches of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pinn.check.first_probe import first_probe
from pinn.config import ModelConfig, TrainConfig
from pinn.data.feed import Batches
from pinn.data.fingerprint import describe
from pinn.data.grouping import Groups
from pinn.data.labels import Labels
from pinn.data.probe_modes import in_gauge
from pinn.data.scan import Scan
from pinn.errors import ScanError
from pinn.networks.model import POSITIONS_LIMIT_PX
from pinn.ops.patches import canvas_size
from pinn.training.groups import (
    groups_of,
    labels_of,
    nothing_held,
    split,
    validation_groups_of,
)
from pinn.training.staging import physics_weight

_log = logging.getLogger("pinn")


@dataclass(frozen=True)
class Plan:
    """What a run looks at.

    Attributes:
        scans: those to learn from, then those that are only watched.
        trained: how many of them are learned from.
        learn, hold: groups of each scan; of a scan that is only watched none to learn from.
        labels: of each scan, or None where no term of the loss asks for them.
        canvas: side of the group canvas in pixels.
        notes: sentences on the groups, and on probes that were not given.
        probes: of each scan in the gauge, complex64 `(P, N, N)`.
        positions: they are learned.
    """

    scans: list[Scan]
    trained: int
    learn: list[Groups]
    hold: list[Groups]
    labels: list[Labels | None] | None
    canvas: int
    notes: tuple[str, ...]
    probes: tuple[np.ndarray, ...]
    positions: bool = False

    @property
    def frames(self) -> list[int]:
        """Number of frames of every scan."""
        return [len(scan) for scan in self.scans]

    def feed(self, run: TrainConfig, origin: int = 0) -> Batches:
        """Batches to learn from.

        Args:
            origin: number of epochs before this run, where a trained model is trained on.
        """
        weight = (lambda epoch: physics_weight(run, epoch - origin)) if run.staged else None
        return Batches(
            self.scans,
            self.learn,
            run.batch_size,
            run.seed,
            per_epoch=run.groups_per_epoch,
            labels=self.labels,
            physics_weight=weight,
            numbered=self.positions,
        )

    def provenance(self, digests: Sequence[str]) -> dict[str, Any]:
        """What an archive says of the data: scans with their digests, and numbers of groups."""
        scans = [
            describe(scan, found, labels=self.labels is not None)
            for scan, found in zip(self.scans, digests, strict=True)
        ]
        watched = scans[self.trained :]
        return {
            "scans": scans[: self.trained],
            **({"validation_scans": watched} if watched else {}),
            "groups": [len(groups) for groups in self.learn[: self.trained]],
            "held_out": [len(groups) for groups in self.hold],
            "notes": list(self.notes),
            "canvas_px": self.canvas,
        }

    def held(self, run: TrainConfig) -> Batches | None:
        """Batches to watch, always judged by the last stage; None where nothing is held out."""
        if not any(len(groups) for groups in self.hold):
            return None
        return Batches(
            self.scans,
            self.hold,
            run.batch_size,
            0,
            shuffle=False,
            labels=self.labels,
            physics_weight=(lambda _: 1.0) if run.staged else None,
            numbered=self.positions,
        )


def plan_run(
    scans: Sequence[Scan], watched: Sequence[Scan], config: ModelConfig, run: TrainConfig
) -> Plan:
    """Make the groups of a run.

    Args:
        scans: to learn from.
        watched: only for validation; they take the place of what would be held out.

    Raises:
        ScanError: frames of another size, no labels where they are needed, or groups too wide.
    """
    everything = [*scans, *watched]
    for scan in everything:
        if scan.N != config.N:
            raise ScanError(
                f"scan {scan.name} has frames of {scan.N} x {scan.N}, but {config.N} x {config.N} "
                "are needed; load it with frame_size (crop or pad) or bin_frames, or leave it out"
            )
    labels = labels_of(everything, config, run)
    groups = [groups_of(scan, config, run) for scan in scans]
    aside = [validation_groups_of(scan, config, run) for scan in watched]
    reach = max(g.max_offset for g in (*groups, *aside))
    if reach > 2 * config.N:
        raise ScanError(
            f"a group of {config.gridsize**2} nearest frames spans {2 * reach:.0f} px, more "
            f"than four frames of {config.N} px: a position is far from all others, or the "
            "positions are not in pixels; remove it, correct them or use "
            "gridsize 1"
        )
    notes = [note for g in groups for note in g.notes]
    if watched:
        learn, hold = list(groups), [_none(g) for g in groups]
    else:
        pairs = [split(g, run) for g in groups]
        learn, hold = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        for scan, watching in zip(scans, hold, strict=True):
            if run.holds_out and not len(watching):
                notes.append(nothing_held(scan.name, run))
    probes = [_probe_of(scan) for scan in everything]
    # from the mean of its group a frame is displaced by twice the limit at most
    displacement = 2.0 * POSITIONS_LIMIT_PX if config.positions_trainable else 0.0
    return Plan(
        everything,
        len(scans),
        [*learn, *(_none(g) for g in aside)],
        [*hold, *aside],
        labels,
        canvas_size(reach + displacement, config.N),
        (*notes, *(note for _, note in probes if note)),
        tuple(probe for probe, _ in probes),
        config.positions_trainable,
    )


def _probe_of(scan: Scan) -> tuple[np.ndarray, str]:
    """The probe of a scan in the gauge, and where it comes from if it was not given."""
    if scan.probe is not None:
        return scan.probe_gauge(), ""
    made = first_probe(scan)
    _log.warning("%s: %s", scan.name, made.note)
    return in_gauge(made.probe).astype(np.complex64), f"{scan.name}: {made.note}"


def _none(groups: Groups) -> Groups:
    return groups.select(np.zeros(0, np.int64))
