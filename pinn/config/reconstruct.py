"""Inference and stitching of one scan."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from pinn.config.base import Config


class ReconstructConfig(Config):
    """Inference and stitching of one scan."""

    batch_size: int = Field(32, ge=1, description="Groups per step.")
    weighting: Literal["probe", "uniform", "crop"] = Field(
        "probe",
        description="Weights of the patches on the canvas: illumination, equal, or equal inside a "
        "central crop.",
    )
    crop: int | None = Field(
        None, ge=2, description="Side of the central crop in pixels. Default: half the frame."
    )
    exposure: Literal["scan", "training"] = Field(
        "scan",
        description="Exposure for the normalisation of the frames: that of this scan, or that of "
        "the training scans (for equal exposures or an incomplete scan).",
    )
    synchronise: bool = Field(
        True,
        description="Restore the long-range phase from the phase gradients of the groups. It is "
        "lost when groups with unknown constant phases are averaged.",
    )
    calibrate: bool = Field(
        True,
        description="Scale the contrast of amplitude and phase by two factors fitted to the "
        "frames.",
    )
    likelihood: bool = Field(
        True,
        description="Compute the likelihood of each frame under the final object. Costs one more "
        "pass over the frames. Not available for a stream.",
    )
    consistency: bool = Field(
        True,
        description="Compare the reconstructions of two halves of the frames. Costs one more "
        "canvas. Not available for a stream.",
    )
    stages: int | None = Field(
        None,
        ge=1,
        le=256,
        description="unrolled: number of times that the object is corrected. Default: until "
        "more explain the frames hardly better, and 24 at most.",
    )
    anchor: Literal["object", "mean"] = Field(
        "object",
        description="Grid of the canvas: object pixels, or centred on the mean position with a "
        "fractional origin as in PtychoPINN.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.crop is not None and self.weighting != "crop":
            raise ValueError(f"crop {self.crop} needs weighting crop (it is {self.weighting})")
        return self
