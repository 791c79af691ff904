"""Which groups of frames a run learns from, and which it holds out."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from pinn.config.base import Config


class GroupOptions(Config):
    """Groups to learn from."""

    sections: ClassVar[dict[str, str]] = {"n_groups": "Groups to learn from"}

    n_groups: int | None = Field(
        None,
        ge=1,
        description="Groups of each scan to train on; default: 512, or one per frame if fewer.",
    )
    groups_per_epoch: int | None = Field(
        None,
        ge=1,
        description="An epoch takes this many of all groups, others each time until all were "
        "seen; default: all of them.",
    )
    neighbours: int | None = Field(
        None,
        ge=1,
        description="A frame's group is drawn from this many nearest frames; "
        "default: the C-1 nearest themselves, as in inference (2 (C-1) where more groups than "
        "frames are asked for; 4 (C-1) for quadrants).",
    )
    grouping: Literal["nearest", "quadrants", "legacy"] = Field(
        "nearest",
        description="Members of a frame's group: from its nearest frames; from these, but from "
        "each of the four quadrants around it in turn; or by the reference's rule.",
    )
    min_distance: float | None = Field(
        None, ge=0, description="Members lie at least this far in pixels from their group's frame."
    )
    max_distance: float | None = Field(
        None, gt=0, description="Members lie at most this far in pixels from their group's frame."
    )
    bounds: str | None = Field(
        None,
        description="Make groups only for frames inside y0,x0,y1,x1 (pixels, ends included); "
        "their neighbours may lie outside.",
    )
    subsample: int | None = Field(
        None,
        ge=1,
        description="Train on this many frames of each scan, drawn at random; all if it has fewer.",
    )
    subsample_seed: int | None = Field(
        None, ge=0, description="Seed of that draw; default: that of the groups."
    )
    sequential: bool = Field(
        False,
        description="Take the first frames, not random ones, where n_groups or subsample ask for "
        "fewer than there are.",
    )
    validation: Literal["region", "random", "none"] = Field(
        "region",
        description="What watches the loss: a block at one end of each scan, whose frames are not "
        "learned from; groups drawn at random, which may share frames with the others; or nothing. "
        "Scans given for validation take the place of all three.",
    )
    validation_fraction: float = Field(
        0.05, ge=0, lt=1, description="Share of the groups held out."
    )

    @property
    def field_of_view(self) -> tuple[float, float, float, float] | None:
        """`bounds` as numbers (y0, x0, y1, x1) in pixels."""
        return None if self.bounds is None else _box(self.bounds)

    @property
    def holds_out(self) -> bool:
        """Whether groups are to be held out."""
        return self.validation != "none" and self.validation_fraction > 0

    @model_validator(mode="after")
    def _check_groups(self) -> Self:
        if self.bounds is not None:
            _box(self.bounds)
        low, high = self.min_distance, self.max_distance
        if low is not None and high is not None and low > high:
            raise ValueError(f"min_distance {low:g} is larger than max_distance {high:g}")
        if self.grouping == "legacy":
            for name in ("min_distance", "max_distance", "bounds"):
                if getattr(self, name) is not None:
                    raise ValueError(f"legacy grouping knows no {name}; leave it out")
        return self


def _box(text: str) -> tuple[float, float, float, float]:
    """Four numbers y0, x0, y1, x1 that span an area or at least a line."""
    try:
        y0, x0, y1, x1 = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(
            f"bounds is {text!r}, but four numbers y0,x0,y1,x1 are required, as 0,0,120,80.5"
        ) from None
    if not (math.isfinite(y0 + x0 + y1 + x1) and y0 <= y1 and x0 <= x1):
        raise ValueError(
            f"bounds is {text!r}, but y0,x0,y1,x1 must be finite, y0 up to y1 and x0 up to x1"
        )
    return y0, x0, y1, x1
