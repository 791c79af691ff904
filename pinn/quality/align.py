"""The steps of an alignment in their order, each of them reported."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from pinn.errors import InputError
from pinn.quality.frames import Placed, Region, common_region, cut, sample
from pinn.quality.frc import has_variance
from pinn.quality.register import (
    RegisterOn,
    find_factor,
    find_ramp,
    find_shift,
    remove_ramp,
    similarity,
)

PASSES = 4
SETTLED = 0.015  # px; the peak search steps by 0.01
TOO_FAR = "the shift found exceeds a quarter of the region"


@dataclass(frozen=True)
class Aligned:
    """Two images on one grid after the declared steps.

    Attributes:
        recon: `(h, w)` complex128, moved, ramp removed, multiplied by the factor.
        truth: `(h, w)` complex128, as given.
        valid: `(h, w)` bool: covered in both.
        region: what was compared.
        steps: the steps, JSON-ready: `shift_px` (y, x) added to the reconstruction's coordinates;
            `registration` (how the shift was found, or why there is none); `resampling`;
            `ramp_rad_per_px` (y, x), the phase ramp taken off, about the centre of the region;
            `complex_factor` [re, im] multiplied afterwards.
        varied: whether the reconstruction had any variance before the steps.
    """

    recon: np.ndarray
    truth: np.ndarray
    valid: np.ndarray
    region: Region
    steps: dict[str, Any]
    varied: bool


@dataclass(frozen=True)
class _Fit:
    """One candidate place: the images there and, when asked for, the ramp between them."""

    region: Region
    recon: np.ndarray
    truth: np.ndarray
    valid: np.ndarray
    ramped: bool

    @cached_property
    def ramp(self) -> tuple[float, float]:
        return find_ramp(self.recon, self.truth, self.valid) if self.ramped else (0.0, 0.0)

    @cached_property
    def flat(self) -> np.ndarray:
        return remove_ramp(self.recon, self.ramp)


def align(
    recon: Placed,
    truth: Placed,
    bounds: tuple[float, float, float, float],
    border: float = 0.0,
    register: RegisterOn | None = "modulus",
    ramp: bool = True,
) -> Aligned:
    """Bring a reconstruction onto a truth.

    The shift is kept only where the aligned images then agree better (complex correlation): on a
    modulus without features the peak is chance.

    Args:
        recon: what is moved.
        truth: what stays.
        bounds: `(y0, y1, x0, x1)`, the area to compare in object coordinates.
        border: pixels taken off every side of `bounds`.
        register: what the shift is found on, or None for no registration.
        ramp: whether a linear phase ramp is removed.

    Raises:
        InputError: too few common pixels, or none that both cover.
    """

    def fit(shift: tuple[float, float]) -> _Fit:
        moved = replace(recon, origin_px=recon.origin_px + np.asarray(shift))
        region = common_region(moved, truth, bounds, border)
        image, inside = sample(moved, region)
        target, there = cut(truth, region)
        valid = inside & there
        if not valid.any():
            raise InputError(
                f"no pixel of the compared region {region.bounds_px} is covered in both images; "
                "check the origins"
            )
        return _Fit(region, image, target, valid, ramp)

    best, shift, record = _registered(fit, register)
    flat = best.flat
    factor = find_factor(flat, best.truth, best.valid)
    offset = np.asarray(best.region.start_px) - recon.origin_px - np.asarray(shift)
    whole = bool(np.all(np.abs(offset - np.round(offset)) < 1e-6))
    steps = {
        "shift_px": [float(shift[0]), float(shift[1])],
        "registration": record,
        "resampling": "none (whole pixels)" if whole else "quintic spline of real and imaginary",
        "ramp_rad_per_px": [float(best.ramp[0]), float(best.ramp[1])] if ramp else None,
        "complex_factor": [factor.real, factor.imag],
    }
    return Aligned(
        flat * factor,
        best.truth,
        best.valid,
        best.region,
        steps,
        has_variance(best.recon, best.valid),
    )


def _registered(
    fit: Callable[[tuple[float, float]], _Fit], register: RegisterOn | None
) -> tuple[_Fit, tuple[float, float], dict[str, Any]]:
    """The better of the place as given and the registered one, its shift, and the record."""
    first = fit((0.0, 0.0))
    nothing = (0.0, 0.0)
    if register is None:
        return first, nothing, {"on": None, "applied": False, "reason": "not asked for"}
    record: dict[str, Any] = {"on": register, "applied": False}
    current, shift = first, nothing
    for _ in range(PASSES):
        step = find_shift(
            current.flat if register == "complex" else current.recon,
            current.truth,
            register,
            current.valid,
        )
        if step is None:
            record["reason"] = f"an image has no variance of the {register}"
            return first, nothing, record
        if math.hypot(*step) < SETTLED:
            break
        shift = (shift[0] + step[0], shift[1] + step[1])
        if max(abs(shift[0]), abs(shift[1])) > min(first.region.shape) / 4:
            record |= {"found_px": list(shift)}
            record["reason"] = TOO_FAR
            return first, nothing, record
        current = fit(shift)
    record["found_px"] = list(shift)
    if shift == nothing:
        return first, nothing, record | {"applied": True, "reason": "in place already"}
    before = similarity(first.flat, first.truth, first.valid)
    after = similarity(current.flat, current.truth, current.valid)
    record |= {"correlation_before": before, "correlation_after": after}
    if after <= before:
        return first, nothing, record | {"reason": "the shift found makes the images agree less"}
    return current, shift, record | {"applied": True}
