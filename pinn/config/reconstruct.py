"""Inference and stitching of one scan."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from pinn.config.base import Config


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
    likelihood: bool = Field(
        True,
        description="Judge every frame by the finished object: one more pass over the frames. Not "
        "while frames arrive.",
    )
    consistency: bool = Field(
        True,
        description="Compare the pictures from two halves of the frames: one more canvas. Not "
        "while frames arrive.",
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
