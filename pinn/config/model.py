"""The network and the physics around it: what an archive is built from again."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from pinn.config.base import Config


class ModelConfig(Config):
    """The network and the physics around it. Stored in the archive."""

    sections: ClassVar[dict[str, str]] = {
        "N": "The network and the physics around it",
        "encoder_attention": "Parts of some networks",
        "object_big": "Object, probe and scale",
    }

    N: int = Field(64, ge=16, le=1024, description="Side of a frame and a patch in pixels (even).")
    gridsize: int = Field(
        2, ge=1, le=5, description="Frames in a group = gridsize squared; 1 = no overlap term."
    )
    architecture: str = Field("lean", description="Name of the network in the registry.")
    n_filters_scale: int = Field(
        1, ge=1, le=16, description="Multiplies every network width (the reference uses 2)."
    )
    input_transform: Literal["mean", "standard", "none"] = Field(
        "mean",
        description="What the network sees: the amplitude's deviation from the mean training "
        "frame, that deviation in units of its spread, or the amplitude itself.",
    )
    head: Literal["polar", "rectangular"] = Field(
        "polar",
        description="What the network predicts: amplitude and phase, or real and imaginary part.",
    )
    amp_activation: Literal["softplus", "sigmoid", "swish", "relu", "sigmoid2"] = Field(
        "softplus",
        description="Amplitude of head polar; softplus is scaled to 1 at zero input and is "
        "unbounded above, sigmoid2 spans 0 to 2, the others are the reference's.",
    )
    encoder_attention: Literal["none", "cbam", "eca"] = Field(
        "none", description="cnn: attention after the convolutions of each encoder stage."
    )
    bottleneck_attention: Literal["none", "cbam", "eca"] = Field(
        "none", description="cnn: attention between encoder and decoders."
    )
    decoder_attention: Literal["none", "cbam", "eca", "spatial"] = Field(
        "none", description="cnn: attention after the convolutions of each decoder stage."
    )
    shared_decoder: bool = Field(
        False, description="cnn: one decoder for both parts of the object instead of two."
    )
    fno_modes: int | None = Field(
        None,
        ge=1,
        le=512,
        description="fno, ffno: frequencies kept per axis and sign, from zero up and at most N/2; "
        "default 12, or N/2 where that is less.",
    )
    fno_width: int = Field(32, ge=1, le=1024, description="fno, ffno: channels.")
    fno_blocks: int | None = Field(
        None, ge=1, le=64, description="fno, ffno: spectral blocks; default 4 (fno), 24 (ffno)."
    )
    fno_refine_blocks: int = Field(
        2, ge=0, le=64, description="fno, ffno: convolution blocks after the spectral ones."
    )
    fno_shared_weights: bool = Field(
        True, description="ffno: all spectral blocks use the same weights per frequency."
    )
    object_big: bool = Field(
        True, description="Predict one patch per frame and merge the group (False: one per group)."
    )
    pad_object: bool = Field(
        True,
        description="cnn: predict only the central half of the patch with the full-width decoder.",
    )
    probe_big: bool = Field(
        True, description="cnn: with pad_object, a light branch fills the ring around the centre."
    )
    ring_activation: Literal["head", "swish"] = Field(
        "head", description="cnn: activation of the ring: as the head, or swish (old archives)."
    )
    merge: Literal["probe", "uniform", "legacy"] = Field(
        "probe",
        description="Weights that merge a group: illumination, equal, or the reference's rule "
        "(old archives only).",
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
    positions_trainable: bool = Field(
        False,
        description="Refine the positions of the frames within their groups while training; needs "
        "gridsize 2 or more.",
    )
    positions_limit: float = Field(
        5.0,
        gt=0,
        le=64,
        description="positions_trainable: largest displacement of a coordinate in pixels, before "
        "the mean over the scan is taken off.",
    )
    propagation: str = Field("far", description="Of the scans, see there.")
    detector_response: str = Field("none", description="Of the scans, see there.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.N % 2:
            raise ValueError(
                f"N must be even, but the frames are {self.N} pixels wide; crop or pad them"
            )
        if self.positions_trainable and self.gridsize == 1:
            raise ValueError(
                "positions_trainable compares the frames of a group, which gridsize 1 has but one "
                "of; take gridsize 2 or leave it out"
            )
        return self
