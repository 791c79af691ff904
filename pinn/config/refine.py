"""Refinement of object, probe, positions and scale by descent through the forward model."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from pinn.config.base import Config

FREE = "free"
POSITION_PARTS = ("scale", "rotation", "shear")


class RefineConfig(Config):
    """Options of the refinement of one scan."""

    sections: ClassVar[dict[str, str]] = {
        "epochs": "Run",
        "update_object": "Refined quantities",
        "position_model": "Constraints",
        "object_damping": "Steps",
    }
    keys_only: ClassVar[frozenset[str]] = frozenset(
        ("held_out", "seed", "smooth_object", "update_object")
    )

    epochs: int = Field(60, ge=1, description="Maximum number of passes over the frames.")
    seconds: float | None = Field(
        None,
        gt=0,
        description="Time limit in seconds for the whole run, start and writing included. The "
        "result is the best state so far.",
    )
    batch_size: int = Field(48, ge=1, description="Frames per step.")
    likelihood: Literal["auto", "amplitude", "poisson"] = Field(
        "auto",
        description="What is minimised: squared differences of amplitudes (robust), or the "
        "Poisson likelihood of the counts (unbiased where counts are few). auto: poisson where "
        "the numbers are counts and few, else amplitude.",
    )
    lbfgs_iterations: int = Field(
        60,
        ge=0,
        description="Maximum number of L-BFGS iterations at the end (0 = none). They refine "
        "object, probe and positions together, over all frames. Not used with tv.",
    )
    held_out: float = Field(
        0.02,
        ge=0,
        le=0.5,
        description="Fraction of the pixels of each frame that is not fitted. Their likelihood "
        "decides when to stop. With 0 the likelihood of the fitted pixels decides.",
    )
    patience: int = Field(
        5,
        ge=1,
        description="Stop after this many epochs (or twice as many L-BFGS iterations) without "
        "improvement.",
    )
    smooth_object: bool = Field(
        True,
        description="At the end, smooth the object as far as pixels that were held out become "
        "more likely. Where counts are few this takes out noise; elsewhere it changes nothing.",
    )
    split_half: bool = Field(
        True,
        description="Also refine each half of the frames from a flat object. Their Fourier ring "
        "correlation gives the resolution. Doubles the time.",
    )
    seed: int = Field(0, ge=0, description="Seed of the order of the frames.")
    update_object: bool = Field(True, description="Refine the object.")
    update_probe: bool = Field(True, description="Refine the probe.")
    probe_modes: int | None = Field(
        None,
        ge=1,
        le=32,
        description="Number of incoherent probe modes. Added modes start weak. Default: as in the "
        "scan.",
    )
    update_positions: bool = Field(False, description="Refine the positions.")
    opr_modes: int = Field(
        1,
        ge=1,
        le=16,
        description="Number of coherent OPR probe modes, with OPR weights for each frame (1 = one "
        "probe for all frames).",
    )
    update_intensities: bool = Field(
        False, description="Refine the intensity of each frame. Their mean stays 1."
    )
    background: Literal["none", "constant", "pixel"] = Field(
        "none", description="Refine a background in counts: one number, or one per pixel."
    )
    position_model: str = Field(
        FREE,
        description="Model of the position errors: free, or a sum of "
        f"{', '.join(POSITION_PARTS)}, for instance scale+rotation.",
    )
    probe_support: float | None = Field(
        None, gt=0, description="Radius in pixels outside which the probe is zero. Default: none."
    )
    tv: float = Field(0.0, ge=0, description="Weight of the total variation of the object.")
    object_damping: float = Field(
        0.05,
        gt=0,
        le=1,
        description="Damping of the object update where the illumination is weak. Near 0: fast but "
        "noisy. 1: the same step length everywhere.",
    )
    momentum: float = Field(
        0.7, ge=0, lt=1, description="Momentum of the object update (0 = none)."
    )

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
        if not any(changes) and not self.update_intensities and self.background == "none":
            raise ValueError("nothing is refined: all updates are switched off")
        if self.opr_modes > 1 and not self.update_probe:
            raise ValueError("opr_modes need update_probe")
        return self

    @property
    def restricts_object(self) -> bool:
        """The object is restricted by more than its frames, which L-BFGS does not include."""
        return self.tv > 0

    @property
    def position_parts(self) -> tuple[str, ...]:
        """Names in `position_model`, empty where positions are free."""
        if self.position_model == FREE:
            return ()
        return tuple(part.strip() for part in self.position_model.split("+"))
