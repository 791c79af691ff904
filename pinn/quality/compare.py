"""Several reconstructions against one truth: the same region, the same steps."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pinn.errors import InputError
from pinn.quality.align import Aligned, align
from pinn.quality.evaluate import BORDER, Evaluation, measure
from pinn.quality.frames import (
    SMALLEST_SIDE,
    Placed,
    Region,
    as_placed,
    covered_area,
    scan_area,
)
from pinn.quality.register import RegisterOn, find_factor, find_ramp, remove_ramp

_SAME_PIXEL = 1e-3  # relative; a pixel in a thousand is lost by this
_AREA = "common to all, less border"


def compare(
    recons: Mapping[str, Placed],
    truth: Placed,
    *,
    border: float | None = None,
    register: bool | RegisterOn = True,
    ramp: bool = True,
) -> dict[str, Evaluation]:
    """Evaluate each of several reconstructions on the pixels that all of them have.

    Each is aligned with the truth by itself; then all are cut to the pixels that every one covers,
    where ramp and factor are fitted once more, so that the numbers are of the same pixels.

    Args:
        recons: by label; the region is the common part of the boxes of their scan positions, or
            else of their covered pixels.
        truth: what is right.
        border: pixels taken off each side of it; by default 16, and an eighth of the shorter side
            where that is less.
        register, ramp: as of `pinn.evaluate`.

    Raises:
        InputError: nothing to compare, no common region, or pixels of different sizes.
    """
    if not recons:
        raise InputError("there is no reconstruction to compare; name one or more")
    _check_pixels([*recons.items(), ("the truth", truth)])
    boxes = np.array(
        [
            covered_area(item) if item.positions_px is None else scan_area(item.positions_px)
            for item in recons.values()
        ]
    )
    y0, x0 = boxes[:, [0, 2]].max(0)
    y1, x1 = boxes[:, [1, 3]].min(0)
    shorter = float(min(y1 - y0, x1 - x0))
    if shorter <= 0:
        raise InputError(
            "the reconstructions have no region in common; compare those of one scan, or of "
            "scans that overlap"
        )
    off = float(min(BORDER, shorter // 8) if border is None else border)
    if border is not None and shorter - 2 * off < SMALLEST_SIDE <= shorter:
        raise InputError(
            f"border {off:g} leaves {max(shorter - 2 * off, 0):g} of {shorter:g} pixels, and at "
            f"least {SMALLEST_SIDE} are needed; give {(shorter - SMALLEST_SIDE) // 2:g} or less"
        )
    bounds = (float(y0), float(y1), float(x0), float(x1))
    on: RegisterOn | None = "modulus" if register is True else register or None
    right = as_placed(truth, what="truth")
    aligned = {
        label: align(as_placed(item), right, bounds, off, on, ramp)
        for label, item in recons.items()
    }
    return {
        label: measure(item, "truth", off, _AREA, recons[label].pixel_size_m)
        for label, item in _on_common_pixels(aligned).items()
    }


def _check_pixels(items: Sequence[tuple[str, Placed]]) -> None:
    known = [(label, item.pixel_size_m) for label, item in items if item.pixel_size_m]
    for (one, first), (other, second) in itertools.pairwise(known):
        if first and second and abs(first / second - 1) > _SAME_PIXEL:
            raise InputError(
                f"{one} has pixels of {first * 1e9:.4g} nm and {other} of {second * 1e9:.4g} nm; "
                "compare reconstructions with pixels of one size"
            )


def _on_common_pixels(aligned: Mapping[str, Aligned]) -> dict[str, Aligned]:
    """All on one region of the truth's grid, with one mask.

    Raises:
        InputError: they have no pixels in common, or too few.
    """
    boxes = np.array([item.region.bounds_px for item in aligned.values()])
    start, end = boxes[:, [0, 2]].max(0), boxes[:, [1, 3]].min(0)
    h, w = (int(n) for n in np.round(end - start))
    if min(h, w) < SMALLEST_SIDE:
        raise InputError(
            f"only {max(h, 0)} x {max(w, 0)} pixels are common to all reconstructions and the "
            f"truth; at least {SMALLEST_SIDE} are needed along each side: check the origins"
        )
    region = Region((float(start[0]), float(start[1])), (h, w))
    parts = {label: _cut(item, region) for label, item in aligned.items()}
    valid = np.logical_and.reduce([item.valid for item in parts.values()])
    if not valid.any():
        raise InputError("no pixel is covered by all reconstructions; compare fewer of them")
    return {
        label: part
        if aligned[label].region == region and np.array_equal(part.valid, valid)
        else _fitted(replace(part, valid=valid))
        for label, part in parts.items()
    }


def _cut(item: Aligned, region: Region) -> Aligned:
    y, x = (round(a - b) for a, b in zip(region.start_px, item.region.start_px, strict=True))
    part = (slice(y, y + region.shape[0]), slice(x, x + region.shape[1]))
    steps = dict(item.steps)
    if steps["ramp_rad_per_px"] is not None:  # it is about the centre, which is another now
        moved = np.subtract(_centre(region), _centre(item.region))
        turn = np.exp(-1j * float(np.dot(steps["ramp_rad_per_px"], moved)))
        factor = complex(*steps["complex_factor"]) * complex(turn)
        steps["complex_factor"] = [factor.real, factor.imag]
    return replace(
        item,
        steps=steps,
        recon=item.recon[part],
        truth=item.truth[part],
        valid=item.valid[part],
        region=region,
    )


def _centre(region: Region) -> list[float]:
    return [s + (n - 1) / 2 for s, n in zip(region.start_px, region.shape, strict=True)]


def _fitted(item: Aligned) -> Aligned:
    """Ramp and factor fitted on these pixels, after what was done already."""
    recon, steps = item.recon, dict(item.steps)
    if steps["ramp_rad_per_px"] is not None:
        more = find_ramp(recon, item.truth, item.valid)
        recon = remove_ramp(recon, more)
        known = steps["ramp_rad_per_px"]
        steps["ramp_rad_per_px"] = [a + b for a, b in zip(known, more, strict=True)]
    factor = find_factor(recon, item.truth, item.valid)
    whole = complex(*steps["complex_factor"]) * factor
    steps["complex_factor"] = [whole.real, whole.imag]
    return replace(item, recon=recon * factor, steps=steps)
