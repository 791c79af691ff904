"""Options of a synthetic scan: what its file states wrongly, or does not state at all."""

from __future__ import annotations

from pydantic import Field

from pinn.config import Config

DRIFT_MODES = 1


class ErrorOptions(Config):
    """Known errors, for studies of what finds them again."""

    position_error_limit: float = Field(
        0.0,
        ge=0,
        le=50,
        description="Further error of each coordinate in the file, uniform up to this many pixels "
        "either way.",
    )
    position_scale_error: float = Field(
        0.0,
        ge=-0.2,
        le=0.2,
        description="Systematic error: the file's positions are this much too far from their "
        "middle, 0.01 for 1 percent.",
    )
    position_rotation_deg: float = Field(
        0.0,
        ge=-45,
        le=45,
        description="Systematic error: the file's positions are turned by this angle in degrees "
        "about their middle, from +x towards +y.",
    )
    position_shear: float = Field(
        0.0,
        ge=-0.5,
        le=0.5,
        description="Systematic error: this times the distance in y from their middle is added to "
        "x of the file's positions, before they are turned and scaled.",
    )
    probe_error: float | None = Field(
        None,
        ge=-1,
        le=5,
        description="Relative error of the defocus of the probe in the file, 0.3 for 30 percent "
        "too much; the frames come from the right one (probe_true).",
    )
    probe_drift: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Power of the coherent variations of the strongest probe mode over the scan, "
        "mean over the frames, relative to that of all modes.",
    )
    probe_drift_modes: int | None = Field(
        None,
        ge=1,
        le=16,
        description=f"Number of variations; default {DRIFT_MODES}.",
    )
    intensity_fluctuation: float = Field(
        0.0,
        ge=0,
        le=2,
        description="Relative RMS of the intensity of the light from frame to frame (log-normal).",
    )
    background_uneven: float = Field(
        0.0,
        ge=0,
        le=1e6,
        description="Mean counts per pixel of a smooth background that is not even, the same in "
        "all frames, besides background.",
    )
    gap_width: int | None = Field(
        None,
        ge=1,
        le=512,
        description="Width in pixels of the gaps between detector modules, which read 0; needs "
        "gap_row, gap_column or both.",
    )
    gap_row: int | None = Field(
        None, ge=0, description="First dead row of a gap between detector modules."
    )
    gap_column: int | None = Field(
        None, ge=0, description="First dead column of a gap between detector modules."
    )
