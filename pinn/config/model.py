"""The network and the physics around it: what an archive is built from again."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from pinn.config.base import Config


class ModelConfig(Config):
    """Options of the network and of the physics around it. Stored in the archive."""

    sections: ClassVar[dict[str, str]] = {"N": "Network and physics"}
    keys_only: ClassVar[frozenset[str]] = frozenset(
        (
            *("input_transform", "head", "amp_activation"),
            *("fno_modes", "fno_width", "fno_blocks", "fno_refine_blocks", "fno_shared_weights"),
            "stages",
            *("object_big", "pad_object", "probe_big", "ring_activation", "merge"),
            *("probe_support", "scale_trainable", "propagation", "detector_response"),
        )
    )

    N: int = Field(64, ge=16, le=1024, description="Side of a pattern and of a patch in pixels.")
    gridsize: int = Field(
        2,
        ge=1,
        le=5,
        description="Square root of the number of frames in a group (1 = single frames, no overlap "
        "constraint).",
    )
    architecture: str = Field("lean", description="Name of the network.")
    n_filters_scale: int = Field(
        1, ge=1, le=16, description="Factor on all network widths (PtychoPINN's networks have 2)."
    )
    stages: int = Field(
        4,
        ge=1,
        le=64,
        description="unrolled: number of times that training corrects the object of a group.",
    )
    input_transform: Literal["mean", "standard", "none"] = Field(
        "mean",
        description="Input of the network: the deviation of the amplitude from the mean training "
        "pattern, that deviation in units of its spread, or the amplitude.",
    )
    head: Literal["polar", "rectangular"] = Field(
        "polar",
        description="Output of the network: amplitude and phase, or real and imaginary part.",
    )
    amp_activation: Literal["softplus", "sigmoid", "swish", "relu", "sigmoid2"] = Field(
        "softplus",
        description="Activation of the amplitude (head polar). softplus is 1 at zero input and "
        "unbounded above. sigmoid2 spans 0 to 2. The others are PtychoPINN's.",
    )
    fno_modes: int | None = Field(
        None,
        ge=1,
        le=512,
        description="fno, ffno: number of frequencies per axis and sign. Default: 12, at most N/2.",
    )
    fno_width: int = Field(32, ge=1, le=1024, description="fno, ffno: number of channels.")
    fno_blocks: int | None = Field(
        None,
        ge=1,
        le=64,
        description="fno, ffno: number of spectral blocks. Default: 4 (fno), 24 (ffno).",
    )
    fno_refine_blocks: int = Field(
        2,
        ge=0,
        le=64,
        description="fno, ffno: number of convolution blocks after the spectral blocks.",
    )
    fno_shared_weights: bool = Field(
        True, description="ffno: all spectral blocks have the same weights."
    )
    object_big: bool = Field(
        True,
        description="Predict one patch per frame and merge the patches of a group, instead of one "
        "patch per group.",
    )
    pad_object: bool = Field(
        True, description="cnn: predict only the central half of a patch at full width."
    )
    probe_big: bool = Field(
        True, description="cnn with pad_object: a small branch predicts the ring around the centre."
    )
    ring_activation: Literal["head", "swish"] = Field(
        "head", description="cnn: activation of the ring. swish is for converted archives."
    )
    merge: Literal["probe", "uniform", "legacy"] = Field(
        "probe",
        description="Weights of the patches in a merged group: illumination, equal, or "
        "PtychoPINN's rule (for converted archives).",
    )
    probe_trainable: bool = Field(False, description="Train the probe with the network.")
    probe_modes: int = Field(1, ge=1, le=32, description="Number of incoherent probe modes.")
    probe_support: float | None = Field(
        None, gt=0, description="Radius in pixels outside which the probe is zero. Default: none."
    )
    scale_trainable: bool = Field(
        True, description="Train the count scale of each scan with the network."
    )
    positions_trainable: bool = Field(
        False,
        description="Train the positions of the frames with the network. Needs gridsize 2 or more.",
    )
    propagation: str = Field("far", description="Propagation of the scans.")
    detector_response: str = Field("none", description="Detector response of the scans.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.N % 2:
            raise ValueError(
                f"N must be even, but the frames are {self.N} pixels wide; crop or pad them"
            )
        if self.positions_trainable and self.gridsize == 1:
            raise ValueError(
                "positions_trainable compares the frames of a group, but with gridsize 1 there is "
                "one frame in a group; take gridsize 2 or leave it out"
            )
        return self
