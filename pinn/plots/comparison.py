"""Pictures of evaluations: images beside their truth, and the Fourier ring correlation."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pinn.errors import InputError
from pinn.plots.panels import (
    AMPLITUDE_MAP,
    DIFFERENCE_MAP,
    PERCENTILES,
    RANGE_WORDS,
    dpi_for,
    draw_image,
    new_figure,
    panel_size,
    phase_colours,
    robust_range,
    save,
    scale_bar,
)
from pinn.quality.evaluate import Evaluation
from pinn.quality.frc import THRESHOLDS, half_bit

_SIDE = 4.6  # inches of the longer side of one image
_SIDE_MANY = 3.2  # the same of one among many


def write_comparison(path: str | Path, evaluation: Evaluation) -> Path:
    """Truth, reconstruction and difference of the compared region, with figures and steps.

    Raises:
        InputError: an unknown format.
        OutputError: the place cannot be written.
    """
    truth, recon, valid = evaluation.truth, evaluation.recon, evaluation.valid
    against = "truth" if evaluation.kind == "against truth" else "second image"
    phase = _phase(truth, evaluation)
    turn = np.exp(-1j * evaluation.steps["phase_offset_rad"])
    error = np.angle(recon * np.conj(truth) * turn)
    limits, cmap, words = phase_colours(phase[valid], against)
    size = np.abs(truth)
    width, height = panel_size(truth.shape, _SIDE)
    figure = new_figure(3 * (width + 1.6), 2 * (height + 0.9) + 0.7)
    grid = figure.subplots(2, 3)
    rows = (
        ("Amplitude", size, np.abs(recon), np.abs(recon) - size, robust_range(size[valid])),
        ("Phase", phase, _phase(recon, evaluation, turned=True), error, limits),
    )
    for row, (name, first, second, difference, span) in zip(grid, rows, strict=True):
        is_phase = name == "Phase"
        label = f"rad ({words})" if is_phase else f"{RANGE_WORDS} of {against}"
        options: dict[str, Any] = {
            "limits": span,
            "cmap": cmap if is_phase else AMPLITUDE_MAP,
            "label": label,
        }
        half = max(float(np.percentile(np.abs(difference[valid]), PERCENTILES[1])), 1e-12)
        for axes, image in zip(row, (first, second), strict=False):
            draw_image(
                figure, axes, image, valid=valid, start_px=evaluation.region.start_px, **options
            )
        draw_image(
            figure,
            row[2],
            difference,
            limits=(-half, half),
            cmap=DIFFERENCE_MAP,
            label=f"{'rad, ' if is_phase else ''}{PERCENTILES[1]:g} percentile of its size",
            valid=valid,
            start_px=evaluation.region.start_px,
        )
        row[0].set_title(f"{name}: {against}")
        row[1].set_title(f"{name}: reconstruction, aligned")
        row[2].set_title(f"{name}: reconstruction less {against}")
    scale_bar(grid[0, 0], truth.shape, evaluation.region.start_px, evaluation.pixel_size_m)
    figure.suptitle(_summary(evaluation), fontsize=12)
    _write_notes(figure, evaluation, 150)
    return save(figure, path, dpi_for(truth.shape, _SIDE))


def write_side_by_side(path: str | Path, evaluations: Mapping[str, Evaluation]) -> Path:
    """The truth and each reconstruction, amplitude above phase, in the colours of the truth.

    Args:
        path: the file; its suffix names the format.
        evaluations: by label, all on one region of one truth.

    Raises:
        InputError: an unknown format.
        OutputError: the place cannot be written.
    """
    first = next(iter(evaluations.values()))
    truth, phase = np.abs(first.truth), _phase(first.truth, first)
    span, cmap, words = phase_colours(phase[first.valid], "truth")
    width, height = panel_size(truth.shape, _SIDE_MANY)
    columns = 1 + len(evaluations)
    figure = new_figure(columns * (width + 0.3) + 1.6, 2 * (height + 0.5) + 0.6)
    grid = figure.subplots(2, columns, squeeze=False)
    images = [("truth", truth, phase, first.valid)]
    for label, item in evaluations.items():
        number = _number(item, "nrmse", ".4f")
        title, angle = f"{label}\nnrmse {number}", _phase(item.recon, item, turned=True)
        images.append((title, np.abs(item.recon), angle, item.valid))
    sizes: dict[str, Any] = {
        "limits": robust_range(truth[first.valid]),
        "cmap": AMPLITUDE_MAP,
        "label": f"amplitude ({RANGE_WORDS} of truth)",
    }
    phases: dict[str, Any] = {"limits": span, "cmap": cmap, "label": f"phase, rad ({words})"}
    for (upper, lower), (title, amplitude, angle, valid) in zip(grid.T, images, strict=True):
        last = lower is grid[1, -1]
        draw_image(figure, upper, amplitude, valid=valid, bar=last, **sizes)
        draw_image(figure, lower, angle, valid=valid, bar=last, **phases)
        upper.set_title(title, fontsize=10)
    y0, y1, x0, x1 = first.region.bounds_px
    figure.suptitle(f"Against one truth, y {y0:g} to {y1:g}, x {x0:g} to {x1:g}", fontsize=11)
    return save(figure, path, dpi_for(truth.shape, _SIDE_MANY))


def write_frc(path: str | Path, evaluation: Evaluation) -> Path:
    """The Fourier ring correlation with its thresholds and where it crosses them.

    Raises:
        InputError: the evaluation has no curve, or an unknown format.
        OutputError: the place cannot be written.
    """
    curve = evaluation.frc
    if curve is None:
        raise InputError("there is no Fourier ring correlation to draw; see the evaluation's notes")
    figure = new_figure(7.5, 5.2)
    axes = figure.subplots()
    axes.plot(curve.frequency, curve.correlation, color="black", lw=1.6, label="correlation")
    names = {"0.5": "frc50", "1/7": "frc_1_7", "half-bit": "frc_half_bit"}
    for index, (label, name) in enumerate(names.items()):
        level = THRESHOLDS.get(label)
        heights = half_bit(curve.count) if level is None else np.full(len(curve.count), level)
        place = evaluation.metrics[name]
        text = f"{label}: not crossed up to Nyquist"
        if place is not None and evaluation.frc_crossed[label]:
            text = f"{label}: {place:.4f} cycles/px"
            period = evaluation.resolution.get(label, {})
            if "nm" in period:
                text += f" (period {period['nm']:.4g} nm)"
            elif "px" in period:
                text += f" (period {period['px']:.3g} px)"
            axes.plot(place, np.interp(place, curve.frequency, heights), "o", color=f"C{index}")
        axes.plot(curve.frequency, heights, "--", color=f"C{index}", lw=1, label=text)
    axes.set(xlim=(0, 0.5), ylim=(0, 1.03), ylabel="Fourier ring correlation")
    axes.set_xlabel("spatial frequency (cycles per pixel, Nyquist 0.5)")
    if evaluation.pixel_size_m:
        per_um = 1e-6 / evaluation.pixel_size_m
        ways = (lambda values: values * per_um, lambda values: values / per_um)
        other = axes.secondary_xaxis("top", functions=ways)
        other.set_xlabel("cycles per µm")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=9)
    figure.suptitle(f"Fourier ring correlation, {evaluation.kind}")
    _write_notes(figure, evaluation, 100)
    return save(figure, path)


def _write_notes(figure: Figure, evaluation: Evaluation, width: int) -> None:
    """What the reader must know, under the picture: it may travel without its report."""
    lines = [line for note in evaluation.notes for line in textwrap.wrap(f"Note: {note}.", width)]
    if lines:
        figure.supxlabel("\n".join(lines), fontsize=9)


def _phase(image: np.ndarray, evaluation: Evaluation, turned: bool = False) -> np.ndarray:
    """Phase of an image about the mean of the truth, in rad.

    Args:
        image: complex, on the compared region.
        evaluation: of which it is.
        turned: the constant phase between the two images is taken off.
    """
    offset = evaluation.steps["phase_offset_rad"] if turned else 0.0
    mean = np.sum(evaluation.truth[evaluation.valid])
    return np.asarray(np.angle(image * np.conj(mean) * np.exp(-1j * offset)))


def _number(evaluation: Evaluation, name: str, form: str) -> str:
    value = evaluation.metrics[name]
    return "none" if value is None else format(value, form)


def _summary(evaluation: Evaluation) -> str:
    """Two lines: the figures, and how the images were brought together."""
    steps = evaluation.steps
    y0, y1, x0, x1 = evaluation.region.bounds_px
    ramp = steps["ramp_rad_per_px"]
    ramped = (
        "no ramp removed" if ramp is None else f"ramp ({ramp[0]:.3g}, {ramp[1]:.3g}) rad/px off"
    )
    re, im = steps["complex_factor"]
    shift = steps["shift_px"]
    n = partial(_number, evaluation)
    return (
        f"{evaluation.kind}: nrmse {n('nrmse', '.4f')}, amplitude PSNR "
        f"{n('amplitude_psnr_db', '.2f')} dB, phase MAE {n('phase_mae_rad', '.4f')} rad, "
        f"SSIM {n('amplitude_ssim', '.3f')} / {n('phase_ssim', '.3f')}, FRC 0.5 at "
        f"{n('frc50', '.4f')} cycles/px\n"
        f"y {y0:g} to {y1:g}, x {x0:g} to {x1:g}; shift ({shift[0]:.2f}, {shift[1]:.2f}) px, "
        f"{ramped}, factor {abs(complex(re, im)):.4g} at {np.angle(complex(re, im)):.3f} rad"
    )
