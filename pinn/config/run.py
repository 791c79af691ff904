"""Network, training and inference: what a run is asked to do."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from pinn.config.base import Config


class ModelConfig(Config):
    """The network and the physics around it. Stored in the archive."""

    N: int = Field(64, ge=16, le=1024, description="Side of a frame and a patch in pixels (even).")
    gridsize: int = Field(
        2, ge=1, le=5, description="Frames in a group = gridsize squared; 1 = no overlap term."
    )
    architecture: str = Field("cnn", description="Name of the network in the registry.")
    n_filters_scale: int = Field(
        1, ge=1, le=16, description="Multiplies every network width (the reference uses 2)."
    )
    input_transform: Literal["mean", "standard", "none"] = Field(
        "mean",
        description="What the network sees: the amplitude's deviation from the mean training "
        "frame, that deviation in units of its spread, or the amplitude itself.",
    )
    amp_activation: Literal["softplus", "sigmoid", "swish", "relu", "sigmoid2"] = Field(
        "softplus",
        description="Amplitude head; softplus is scaled to 1 at zero input and is unbounded above, "
        "sigmoid2 spans 0 to 2, the others are the reference's.",
    )
    object_big: bool = Field(
        True, description="Predict one patch per frame and merge the group (False: one per group)."
    )
    pad_object: bool = Field(
        True, description="Predict only the central half of the patch with the full-width decoder."
    )
    probe_big: bool = Field(
        True, description="With pad_object: a light branch fills the ring around the centre."
    )
    ring_activation: Literal["head", "swish"] = Field(
        "head", description="Activation of the ring: as the head, or swish (old archives)."
    )
    merge: Literal["probe", "uniform", "legacy"] = Field(
        "probe",
        description="Weights that merge a group: illumination, equal, or the reference's rule "
        "(old archives only).",
    )
    loss: Literal["poisson", "gaussian", "mae"] = Field(
        "poisson", description="Likelihood of the counts, or of the amplitudes."
    )
    probe_trainable: bool = Field(False, description="Refine the probe while training.")
    probe_modes: int = Field(1, ge=1, le=32, description="Incoherent probe modes.")
    probe_support: float | None = Field(
        None, gt=0, description="Radius in pixels outside which the probe is held at zero."
    )
    probe_smoothing: float = Field(
        0.0, ge=0, description="Sigma in pixels of a Gaussian smoothing of the probe."
    )
    scale_trainable: bool = Field(True, description="Refine the one count scale while training.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.N % 2:
            raise ValueError(
                f"N must be even, but the frames are {self.N} pixels wide; crop or pad them"
            )
        return self


class TrainConfig(Config):
    """One training run."""

    epochs: int = Field(40, ge=1, description="Passes over the groups.")
    batch_size: int = Field(8, ge=1, description="Groups per step.")
    n_groups: int | None = Field(
        None,
        ge=1,
        description="Groups of each scan to train on; default: 512, or one per frame if fewer.",
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
    subsample_seed: int | None = Field(None, ge=0, description="Seed of that draw; default: seed.")
    sequential: bool = Field(
        False,
        description="Take the first frames, not random ones, where n_groups or subsample ask for "
        "fewer than there are.",
    )
    learning_rate: float = Field(1e-3, gt=0, description="Peak learning rate of Adam.")
    schedule: Literal["cosine", "constant"] = Field(
        "cosine", description="Learning rate: warm-up then cosine to a hundredth, or constant."
    )
    clip_norm: float | None = Field(1.0, gt=0, description="Clip the gradient to this norm.")
    validation_fraction: float = Field(
        0.05, ge=0, lt=1, description="Share of the groups held out to watch the loss."
    )
    seed: int = Field(0, ge=0, description="Seed of weights, grouping and shuffling.")
    deterministic: bool = Field(False, description="Bitwise repeatable on one backend, slower.")
    sample_every: int = Field(
        0,
        ge=0,
        description="Write a picture of sample patches every this many epochs; 0: at the end.",
    )

    @property
    def field_of_view(self) -> tuple[float, float, float, float] | None:
        """`bounds` as numbers (y0, x0, y1, x1) in pixels."""
        return None if self.bounds is None else _box(self.bounds)

    @model_validator(mode="after")
    def _check(self) -> Self:
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


class ReconstructConfig(Config):
    """Inference and stitching of one scan."""

    batch_size: int = Field(32, ge=1, description="Groups per step of the predictor.")
    weighting: Literal["probe", "uniform", "crop"] = Field(
        "probe",
        description="Weight of a patch on the canvas: illumination, equal, or central crop.",
    )
    crop: int | None = Field(
        None, ge=2, description="Side of the central crop in pixels; default half the frame."
    )
    exposure: Literal["scan", "training"] = Field(
        "scan",
        description="Normalise by this scan's own exposure, or by the training scans' (equal "
        "exposure known, or an incomplete scan).",
    )
    synchronise: bool = Field(
        True,
        description="Restore the long-range phase, which averaging groups of unknown constant "
        "phase loses, from their phase gradients.",
    )
    calibrate: bool = Field(
        True,
        description="Scale the contrast of amplitude and phase, two numbers for the whole object, "
        "so that it explains the frames best.",
    )
    anchor: Literal["object", "mean"] = Field(
        "object",
        description="Canvas pixels on the object grid, or centred on the mean position with a "
        "fractional origin as the reference does.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.crop is not None and self.weighting != "crop":
            raise ValueError(f"crop {self.crop} needs weighting crop (it is {self.weighting})")
        return self
