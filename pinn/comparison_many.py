"""Several reconstructions against one truth: the same region, the same steps, one picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pinn.errors import InputError
from pinn.metrics.evaluate import BORDER, Evaluation, evaluate
from pinn.metrics.frames import Placed, covered_area, scan_area
from pinn.metrics.register import RegisterOn
from pinn.panels import (
    AMPLITUDE_MAP,
    RANGE_WORDS,
    dpi_for,
    draw_image,
    new_figure,
    panel_size,
    phase_colours,
    robust_range,
    save,
)

_SIDE = 3.2  # inches of the longer side of one image


def compare(
    recons: Mapping[str, Placed],
    truth: Placed,
    *,
    border: float | None = None,
    register: bool | RegisterOn = True,
    ramp: bool = True,
) -> dict[str, Evaluation]:
    """Evaluate each of several reconstructions on the region that all of them were scanned in.

    Args:
        recons: by label; the region is the common part of the boxes of their scan positions, or
            else of their covered pixels.
        truth: what is right.
        border: pixels taken off each side of it; by default 16, and an eighth of the shorter side
            where that is less.
        register, ramp: as of `pinn.evaluate`.

    Raises:
        InputError: nothing to compare, or no common region.
    """
    if not recons:
        raise InputError("there is no reconstruction to compare; name one or more")
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
    off = min(BORDER, shorter // 8) if border is None else border
    region = (float(y0 + off), float(y1 - off), float(x0 + off), float(x1 - off))
    return {
        label: evaluate(item, truth, region=region, register=register, ramp=ramp, kind="truth")
        for label, item in recons.items()
    }


def write_side_by_side(path: str | Path, found: Mapping[str, Evaluation]) -> Path:
    """The truth and each reconstruction, amplitude above phase, in the colours of the truth.

    Raises:
        InputError: an unknown format.
        OutputError: the place cannot be written.
    """
    first = next(iter(found.values()))
    middle = np.conj(np.sum(first.truth[first.valid]))
    phase = np.angle(first.truth * middle)
    span, cmap, words = phase_colours(phase[first.valid], "truth")
    size = robust_range(np.abs(first.truth)[first.valid])
    width, height = panel_size(first.truth.shape, _SIDE)
    columns = 1 + len(found)
    figure = new_figure(columns * (width + 0.3) + 1.6, 2 * (height + 0.5) + 0.6)
    grid = figure.subplots(2, columns, squeeze=False)
    images = [("truth", np.abs(first.truth), phase, first.valid)]
    for label, item in found.items():
        turn = np.exp(-1j * item.steps["phase_offset_rad"])
        images.append((label, np.abs(item.recon), np.angle(item.recon * middle * turn), item.valid))
    for column, (label, amplitude, angle, valid) in enumerate(images):
        last = column == columns - 1
        draw_image(
            figure,
            grid[0, column],
            amplitude,
            limits=size,
            cmap=AMPLITUDE_MAP,
            label=f"amplitude ({RANGE_WORDS} of truth)",
            valid=valid,
            bar=last,
        )
        draw_image(
            figure,
            grid[1, column],
            angle,
            limits=span,
            cmap=cmap,
            label=f"phase, rad ({words})",
            valid=valid,
            bar=last,
        )
        note = "" if column == 0 else f"\nnrmse {_number(found[label].metrics['nrmse'])}"
        grid[0, column].set_title(f"{label}{note}", fontsize=10)
    y0, y1, x0, x1 = first.region.bounds_px
    figure.suptitle(f"Against one truth, y {y0:g} to {y1:g}, x {x0:g} to {x1:g}", fontsize=11)
    return save(figure, path, dpi_for(first.truth.shape, _SIDE))


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
