"""One comparison of two objects: placed, aligned by declared steps, measured, reported."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pinn.errors import InputError
from pinn.quality import image
from pinn.quality.align import TOO_FAR, Aligned, align
from pinn.quality.frames import Placed, Region, as_placed, covered_area, scan_area
from pinn.quality.frc import THRESHOLDS, FrcCurve, frc, has_variance
from pinn.quality.register import RegisterOn

BORDER = 16
Kind = Literal["truth", "reconstruction"]
KINDS: dict[str, str] = {
    "truth": "against truth",
    "reconstruction": "two reconstructions (consistency, not resolution)",
}


@dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate`.

    Attributes:
        metrics: numbers by name: `nrmse`, `amplitude_mae`, `amplitude_psnr_db`, `amplitude_ssim`,
            `phase_mae_rad`, `phase_psnr_db`, `phase_ssim`, `frc50`, `frc_1_7`, `frc_half_bit`
            (cycles per pixel, Nyquist 0.5). None: it has no meaning here; `notes` says why.
        steps: the alignment (see `pinn.quality.align.Aligned.steps`), `phase_offset_rad` besides.
        region: the compared pixels in object coordinates.
        recon: `(h, w)` complex128, aligned.
        truth: `(h, w)` complex128.
        valid: `(h, w)` bool, pixels used.
        frc: the curve, or None.
        frc_crossed: for each threshold, whether the curve falls below it at all.
        ranges: data ranges of PSNR and SSIM: `amplitude`, `phase_rad`, both of the truth.
        resolution: for each threshold the full period in `px` and, with a pixel size, in `nm`;
            empty between two reconstructions and for a constant reconstruction.
        kind: `against truth`, or two reconstructions.
        border_px: what was taken off each side of the area.
        area: what the region was made from.
        pixel_size_m: side of a pixel in metres, or None.
        notes: sentences for the user.
    """

    metrics: dict[str, float | None]
    steps: dict[str, Any]
    region: Region
    recon: np.ndarray
    truth: np.ndarray
    valid: np.ndarray
    frc: FrcCurve | None
    frc_crossed: dict[str, bool]
    ranges: dict[str, float]
    resolution: dict[str, dict[str, float]]
    kind: str
    border_px: float
    area: str
    pixel_size_m: float | None
    notes: tuple[str, ...]

    def to_dict(self, curve: bool = True) -> dict[str, Any]:
        """Everything but the images, JSON-ready (numbers that are not finite become None).

        Args:
            curve: whether the FRC curve is included.
        """
        ring: dict[str, Any] = {
            "unit": "cycles per pixel, Nyquist 0.5",
            "images": self.kind,
            "method": "complex, mean removed, Hann window, magnitude, rings one Fourier pixel wide",
            "thresholds": [*THRESHOLDS, "half-bit"],
            "crossed": self.frc_crossed,
            "resolution_full_period": self.resolution,
        }
        if curve and self.frc is not None:
            ring["frequency"] = self.frc.frequency.tolist()
            ring["correlation"] = self.frc.correlation.tolist()
            ring["count"] = self.frc.count.tolist()
        y0, y1, x0, x1 = self.region.bounds_px
        return {
            "kind": self.kind,
            "metrics": {name: _finite(value) for name, value in self.metrics.items()},
            "data_range": {"of": "the truth in the compared region", **self.ranges},
            "frc": ring,
            "steps": self.steps,
            "region_px": {"y": [y0, y1], "x": [x0, x1], "shape": list(self.region.shape)},
            "area": self.area,
            "border_px": self.border_px,
            "pixels_used": float(self.valid.mean()),
            "pixel_size_m": self.pixel_size_m,
            "notes": list(self.notes),
        }


def evaluate(
    recon: Any,
    truth: Any,
    *,
    recon_origin_px: Any = (0.0, 0.0),
    truth_origin_px: Any = (0.0, 0.0),
    positions_px: Any = None,
    region: tuple[float, float, float, float] | None = None,
    border: float | None = None,
    register: bool | RegisterOn = True,
    ramp: bool = True,
    pixel_size_m: float | None = None,
    kind: Kind | None = None,
) -> Evaluation:
    """Compare a reconstruction with a truth, or with a second reconstruction.

    Args:
        recon: `(H, W)` complex array, or an object with `object`, `origin_px` and perhaps
            `coverage`, `valid_mask`, `positions_px`, `pixel_size_m`.
        truth: likewise; its pixel grid is the grid of the comparison.
        recon_origin_px: object coordinate (y, x) of pixel `[0, 0]` of a `recon` that is an array.
        truth_origin_px: the same for `truth`.
        positions_px: `(M, 2)` scan positions (y, x) when `recon` does not carry them.
        region: `(y0, y1, x0, x1)` in object coordinates, ends excluded, compared as it is. Without
            it the bounding box of the scan positions, or else of the covered pixels, less
            `border`.
        border: pixels taken off each side; by default 16, and an eighth of the shorter side where
            that is less.
        register: whether, or on what (`modulus`, `complex`), a sub-pixel shift is found.
        ramp: whether a linear phase ramp is removed. One complex factor always is.
        pixel_size_m: side of an object pixel in metres, for resolutions in nm; by default that of
            `recon`.
        kind: what `truth` is; by default `truth` for an array and `reconstruction` for an object
            with attributes.

    Raises:
        InputError: images that cannot be compared, or an unknown option.
    """
    if register not in (True, False, "modulus", "complex"):
        raise InputError(f"register is {register!r}; use True, False, 'modulus' or 'complex'")
    if kind is not None and kind not in KINDS:
        raise InputError(f"kind is {kind!r}; use 'truth' or 'reconstruction'")
    if kind is None:
        plain = isinstance(truth, Placed) or not hasattr(truth, "object")
        kind = "truth" if plain else "reconstruction"
    first = as_placed(recon, recon_origin_px, "reconstruction", positions_px)
    second = as_placed(
        truth, truth_origin_px, "truth" if kind == "truth" else "second reconstruction"
    )
    bounds, border, area = _area(first, region, border)
    on: RegisterOn | None = "modulus" if register is True else register or None
    aligned = align(first, second, bounds, border, on, ramp)
    if pixel_size_m is None:
        pixel_size_m = first.pixel_size_m
    return measure(aligned, kind, float(border), area, pixel_size_m)


def _area(
    first: Placed, region: tuple[float, float, float, float] | None, border: float | None
) -> tuple[tuple[float, float, float, float], float, str]:
    if region is not None:
        bounds = tuple(float(value) for value in region)
        if len(bounds) != 4 or bounds[0] >= bounds[1] or bounds[2] >= bounds[3]:
            raise InputError(f"region is {region}; give (y0, y1, x0, x1) with y0 < y1 and x0 < x1")
        return bounds, 0.0, "as given"
    if first.positions_px is not None:
        bounds, area = scan_area(first.positions_px), "scan positions less border"
    else:
        bounds, area = covered_area(first), "covered pixels less border"
    if border is None:
        shorter = min(bounds[1] - bounds[0], bounds[3] - bounds[2])
        border = min(BORDER, max(shorter, 0.0) // 8)
    if not (math.isfinite(border) and border >= 0):
        raise InputError(f"border is {border}; give a number of pixels, 0 or more")
    return bounds, border, area


def measure(
    aligned: Aligned, kind: Kind, border: float, area: str, pixel_size_m: float | None
) -> Evaluation:
    """The numbers of two images that are aligned already; arguments as of `Evaluation`."""
    recon, truth, valid = aligned.recon, aligned.truth, aligned.valid
    notes = []
    registration = aligned.steps["registration"]
    if registration.get("reason") == TOO_FAR:
        y, x = registration["found_px"]
        notes.append(
            f"registration found a shift of ({y:.1f}, {x:.1f}) px, more than a quarter of the "
            "region, and was refused: compared in place, so check the origins"
        )
    if not valid.all():
        notes.append(
            f"{1 - valid.mean():.1%} of the compared region is not covered and was left out"
        )
    some = None if valid.all() else valid
    amplitude, wanted = np.abs(recon), np.abs(truth)
    phase, wanted_phase, offset = image.phase_images(recon, truth, some)
    ranges = {
        "amplitude": image.data_range(wanted, some) if has_variance(wanted, some) else 0.0,
        "phase_rad": image.data_range(wanted_phase, some),
    }
    if ranges["phase_rad"] < 1e-6:
        ranges["phase_rad"] = 0.0
    for name, value in ranges.items():
        if value == 0.0:
            notes.append(f"the truth has no range of {name.removesuffix('_rad')}: no PSNR, no SSIM")
    metrics: dict[str, float | None] = {
        "nrmse": image.nrmse(recon, truth, some),
        "amplitude_mae": image.mae(amplitude, wanted, some),
        "amplitude_psnr_db": image.psnr(amplitude - wanted, ranges["amplitude"], some),
        "amplitude_ssim": image.ssim(amplitude, wanted, ranges["amplitude"], some),
        "phase_mae_rad": image.mae(phase, wanted_phase, some),
        "phase_psnr_db": image.psnr(phase - wanted_phase, ranges["phase_rad"], some),
        "phase_ssim": image.ssim(phase, wanted_phase, ranges["phase_rad"], some),
    }
    if not np.any(recon[valid]):
        notes.append("the reconstruction is zero wherever it is compared: it has no phase")
        metrics |= dict.fromkeys(("phase_mae_rad", "phase_psnr_db", "phase_ssim"))
    curve, crossings, crossed = _correlation(aligned, some, notes)
    metrics |= crossings
    metrics = {k: None if v is None or math.isnan(v) else v for k, v in metrics.items()}
    return Evaluation(
        metrics=metrics,
        steps=aligned.steps | {"phase_offset_rad": offset},
        region=aligned.region,
        recon=recon,
        truth=truth,
        valid=valid,
        frc=curve,
        frc_crossed=crossed,
        ranges=ranges,
        resolution=(
            _resolution(metrics, pixel_size_m) if kind == "truth" and aligned.varied else {}
        ),
        kind=KINDS[kind],
        border_px=border,
        area=area,
        pixel_size_m=pixel_size_m,
        notes=tuple(notes),
    )


_FRC_NAMES = {"0.5": "frc50", "1/7": "frc_1_7", "half-bit": "frc_half_bit"}


def _correlation(
    aligned: Aligned, valid: np.ndarray | None, notes: list[str]
) -> tuple[FrcCurve | None, dict[str, float | None], dict[str, bool]]:
    if not aligned.varied and aligned.steps["ramp_rad_per_px"] is not None:
        notes.append(
            "the reconstruction has no variance; its Fourier ring correlation is that of the phase "
            "ramp fitted to it, and no resolution follows"
        )
    try:
        curve = frc(aligned.recon, aligned.truth, valid)
    except InputError as error:
        notes.append(f"no Fourier ring correlation: {error}")
        return None, dict.fromkeys(_FRC_NAMES.values()), {}
    crossings: dict[str, float | None] = {}
    crossed = {}
    for label, name in _FRC_NAMES.items():
        crossings[name], crossed[label] = curve.crossing(THRESHOLDS.get(label, label))
    missed = [label for label, fell in crossed.items() if not fell]
    if missed:
        notes.append(
            f"the Fourier ring correlation stays above {', '.join(missed)} up to Nyquist: the "
            "frequency given is the highest measured"
        )
    return curve, crossings, crossed


def _resolution(
    metrics: dict[str, float | None], pixel_size_m: float | None
) -> dict[str, dict[str, float]]:
    periods = {}
    for label, name in _FRC_NAMES.items():
        frequency = metrics[name]
        if frequency:
            periods[label] = {"px": 1.0 / frequency}
            if pixel_size_m:
                periods[label]["nm"] = pixel_size_m * 1e9 / frequency
    return periods


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
