"""Which groups of frames a run learns from, and which it holds out."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from pinn.config.base import Config


class GroupOptions(Config):
    """Groups to learn from."""

    sections: ClassVar[dict[str, str]] = {"n_groups": "Groups"}
    keys_only: ClassVar[frozenset[str]] = frozenset(("subsample_seed", "sequential"))

    n_groups: int | None = Field(
        None,
        ge=1,
        description="Groups per scan to train on. Default: 512, or one per frame if there are "
        "fewer frames.",
    )
    groups_per_epoch: int | None = Field(
        None,
        ge=1,
        description="Groups in one epoch. Each epoch takes other groups until all have been used. "
        "Default: all groups.",
    )
    neighbours: int | None = Field(
        None,
        ge=1,
        description="Number of nearest frames from which the members of a group are drawn. "
        "Default: C-1 for groups of C frames; 2 (C-1) if there are more groups than frames; "
        "4 (C-1) for quadrants.",
    )
    grouping: Literal["nearest", "quadrants", "legacy"] = Field(
        "nearest",
        description="How the members of a group are chosen: among its nearest frames, among those "
        "in each of the four quadrants in turn, or by PtychoPINN's rule.",
    )
    subsample: int | None = Field(
        None,
        ge=1,
        description="Train on this many frames per scan, drawn at random. Default: all.",
    )
    subsample_seed: int | None = Field(
        None, ge=0, description="Seed of the draw of frames. Default: seed."
    )
    sequential: bool = Field(
        False,
        description="Take the first frames instead of random ones if n_groups or subsample is "
        "smaller than the number of frames.",
    )
    validation: Literal["region", "random", "none"] = Field(
        "region",
        description="Groups held out for validation: a region at one end of each scan (its frames "
        "are not used for training), random groups (which may share frames with the others), or "
        "none. A validation_scan replaces them.",
    )
    validation_fraction: float = Field(
        0.05, ge=0, lt=1, description="Fraction of the groups that is held out."
    )

    @property
    def holds_out(self) -> bool:
        """Whether groups are to be held out."""
        return self.validation != "none" and self.validation_fraction > 0
