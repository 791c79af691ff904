"""Refinement of object, probe, positions and scale by descent through the forward model."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from pinn.config.base import Config

FREE = "free"
POSITION_PARTS = ("scale", "rotation", "shear")


class RefineConfig(Config):
    """Refinement of one scan."""

    sections: ClassVar[dict[str, str]] = {
        "epochs": "One refinement",
        "update_object": "What is refined, and from which epoch on",
        "position_model": "Limits",
        "object_step": "Steps",
    }

    epochs: int = Field(60, ge=1, description="Passes over the frames, at most.")
    seconds: float | None = Field(
        None, gt=0, description="Time to spend, all in; what is best by then is the result."
    )
    batch_size: int = Field(48, ge=1, description="Frames per step.")
    likelihood: Literal["amplitude", "poisson"] = Field(
        "amplitude",
        description="What is minimised: squared differences of amplitudes (robust, fast), or the "
        "Poisson likelihood of the counts (unbiased where counts are few).",
    )
    lbfgs_iterations: int = Field(
        60,
        ge=0,
        description="Iterations of L-BFGS at the end, at most, on object, probe and positions "
        "together and over all frames at once. Not where tv or object_limit is set.",
    )
    held_out: float = Field(
        0.02,
        ge=0,
        le=0.5,
        description="Share of the detector pixels, drawn anew for each frame, that are not fitted: "
        "their likelihood says when to stop. 0: the fitted ones say it.",
    )
    patience: int = Field(
        5,
        ge=1,
        description="Stop after so many epochs (twice as many iterations of L-BFGS) without an "
        "improvement by tolerance.",
    )
    tolerance: float = Field(
        1e-3, ge=0, description="Smallest relative improvement of the likelihood that counts."
    )
    split_half: bool = Field(
        True,
        description="Refine each half of the frames besides, from a flat object, for a resolution "
        "by Fourier ring correlation; takes as long again.",
    )
    seed: int = Field(0, ge=0, description="Seed of the order of the frames.")
    start_cover: int = Field(
        1,
        ge=1,
        le=1000,
        description="Where a network makes the start: it is shown as few frames as light each "
        "pixel this often, or as often as all of them do. 1 is the cheapest.",
    )
    update_object: bool = Field(True, description="Refine the object.")
    update_probe: bool = Field(True, description="Refine the probe.")
    probe_epoch: int = Field(2, ge=1, description="First epoch that changes the probe.")
    probe_modes: int | None = Field(
        None,
        ge=1,
        le=32,
        description="Incoherent probe modes; further ones start weak. Default: as many as given.",
    )
    update_positions: bool = Field(False, description="Refine the positions.")
    positions_epoch: int = Field(4, ge=1, description="First epoch that moves positions.")
    variations: int = Field(
        1,
        ge=1,
        le=16,
        description="Coherent variations of the probe with a weight for each frame (OPR): 1 none.",
    )
    variations_epoch: int = Field(4, ge=1, description="First epoch that changes variations.")
    update_factors: bool = Field(
        False, description="Refine the intensity of each frame; their mean stays 1."
    )
    factors_epoch: int = Field(3, ge=1, description="First epoch that changes intensities.")
    background: Literal["none", "constant", "pixel"] = Field(
        "none", description="Refine a background of counts, one number or one for each pixel."
    )
    background_epoch: int = Field(2, ge=1, description="First epoch that changes the background.")
    position_model: str = Field(
        FREE,
        description="What corrections of positions may be: free, or a sum of "
        f"{', '.join(POSITION_PARTS)}, for instance scale+rotation.",
    )
    position_step_px: float = Field(
        0.5, gt=0, description="Longest move of a position in an epoch, in pixels."
    )
    position_momentum: float = Field(
        0.8, ge=0, lt=1, description="Share of a position's last move that is made again."
    )
    position_search_px: float = Field(
        3.0,
        ge=0,
        description="How far around them other positions are tried, now and then, for the tenth "
        "of the frames that is explained worst; 0: not. Only where positions are free.",
    )
    position_limit_px: float = Field(
        10.0, gt=0, description="Longest move of a position in all, in pixels."
    )
    object_limit: float | None = Field(
        None, gt=0, description="Largest modulus of the object; default: any."
    )
    probe_support: float | None = Field(
        None, gt=0, description="Radius in pixels outside which the probe is zero; default: none."
    )
    tv: float = Field(
        0.0,
        ge=0,
        description="Weight of the total variation of the object, in the units of its step.",
    )
    object_step: float = Field(
        1.0, gt=0, le=2, description="Length of an object step: 1 fits a lone frame in one."
    )
    probe_step: float = Field(1.0, gt=0, le=2, description="The same of the probe.")
    object_damping: float = Field(
        0.05,
        gt=0,
        le=1,
        description="Between division by the light on each pixel (0) and by the brightest (1).",
    )
    probe_damping: float = Field(0.5, gt=0, le=1, description="The same for the probe.")
    momentum: float = Field(
        0.7, ge=0, lt=1, description="Share of the last rounds' way that is gone again."
    )
    round: int = Field(10, ge=1, description="Steps between two uses of the momentum.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.position_model != FREE:
            parts = self.position_parts
            unknown = [part for part in parts if part not in POSITION_PARTS]
            if unknown or len(set(parts)) < len(parts):
                raise ValueError(
                    f"position_model {self.position_model!r} is neither {FREE} nor a sum of "
                    f"{', '.join(POSITION_PARTS)}"
                )
            if not self.update_positions:
                raise ValueError("position_model has no effect without update_positions")
        changes = (self.update_object, self.update_probe, self.update_positions)
        if not any(changes) and not self.update_factors and self.background == "none":
            raise ValueError("nothing is refined: every update is switched off")
        if self.variations > 1 and not self.update_probe:
            raise ValueError("variations of the probe need update_probe")
        return self

    @property
    def restricts_object(self) -> bool:
        """The object is held by more than its frames, which L-BFGS knows nothing of."""
        return bool(self.tv) or self.object_limit is not None

    @property
    def position_parts(self) -> tuple[str, ...]:
        """Names in `position_model`, empty where positions are free."""
        if self.position_model == FREE:
            return ()
        return tuple(part.strip() for part in self.position_model.split("+"))
