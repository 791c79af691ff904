"""Pictures of results, made to be read without the program that made them.

Every picture says in words what it shows, over which range (pointed colour bar ends: values lie
beyond it) and about what the phase is measured; pixels that no frame covered are grey. Files are
written whole or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm

from pinn.errors import InputError
from pinn.metrics.evaluate import Evaluation
from pinn.metrics.frames import (
    Placed,
    Region,
    as_placed,
    common_region,
    covered_area,
    cut,
    scan_area,
)
from pinn.metrics.frc import THRESHOLDS, half_bit
from pinn.metrics.register import find_ramp, remove_ramp
from pinn.panels import (
    AMPLITUDE_MAP,
    CYCLIC_MAP,
    DIFFERENCE_MAP,
    PERCENTILES,
    PHASE_MAP,
    dpi_for,
    draw_image,
    new_figure,
    panel_size,
    robust_range,
    save,
    scale_bar,
)

_SIDE = 7.0  # inches of the longer side of a picture of one object
_RANGE = f"{PERCENTILES[0]:g} to {PERCENTILES[1]:g} percentile"
_WRAPPED = 0.9 * 2 * np.pi  # rad; a phase that fills more than this has wrapped


def write_amplitude(path: str | Path, recon: Any, title: str = "") -> Path:
    """The modulus of an object.

    Args:
        path: the file; its suffix names the format.
        recon: an object with `object`, `origin_px`, `coverage`, ..., or a plain `(H, W)` array.
        title: heading; by default what it is and the scan's name.

    Raises:
        InputError: nothing is covered, or an unknown format.
        OutputError: the place cannot be written.
    """
    view = _View(recon)
    label = f"amplitude (colours: {_RANGE} of {view.where})"
    limits = robust_range(np.abs(view.image[view.core]))
    heading = title or view.heading("Amplitude")
    return view.write(path, np.abs(view.image), limits, AMPLITUDE_MAP, label, heading)


def write_phase(
    path: str | Path, recon: Any, title: str = "", remove_phase_ramp: bool = False
) -> Path:
    """The phase of an object about its mean, in radians; the heading says what was taken off.

    Args:
        path: the file; its suffix names the format.
        recon: an object with `object`, `origin_px`, `coverage`, ..., or a plain `(H, W)` array.
        title: heading; what was removed is added to it.
        remove_phase_ramp: takes off the linear phase ramp, which ptychography leaves undetermined.

    Raises:
        InputError: nothing is covered, or an unknown format.
        OutputError: the place cannot be written.
    """
    view = _View(recon)
    image, removed = view.image, "mean phase removed"
    if remove_phase_ramp:
        ramp = find_ramp(image, np.ones(image.shape), view.core)
        image = remove_ramp(image, ramp)
        removed = f"mean phase and ramp ({ramp[0]:.3g}, {ramp[1]:.3g}) rad/px (y, x) removed"
    phase = np.angle(image * np.conj(np.sum(image[view.core])))
    limits, cmap, words = _phase_colours(phase[view.core], view.where)
    heading = f"{title or view.heading('Phase')}\n{removed}"
    return view.write(path, phase, limits, cmap, f"phase in rad ({words})", heading)


def write_loss(
    path: str | Path, history: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]]
) -> Path:
    """Losses and metrics by epoch, log scale where all values are positive.

    Args:
        path: the file; its suffix names the format.
        history: one list for each name, or one mapping for each epoch (`epoch`, `loss`,
            `val_loss`, ...); learning rate, times and words are left out.

    Raises:
        InputError: no number to show, or an unknown format.
        OutputError: the place cannot be written.
    """
    columns = _columns(history)
    epochs = columns.pop("epoch", None)
    names = [name for name in columns if not name.startswith("val_")]
    names = sorted(names, key=lambda name: name != "loss")[:4]
    if not names:
        raise InputError("the history holds no loss; train for at least one epoch")
    figure = new_figure(7.5, 1.0 + 2.9 * len(names))
    for axes, name in zip(figure.subplots(len(names), 1, squeeze=False)[:, 0], names, strict=True):
        positive = True
        for key, words, style in ((name, "training", "o-"), (f"val_{name}", "validation", "s--")):
            values = columns.get(key)
            if values is None:
                continue
            steps = np.arange(1, len(values) + 1) if epochs is None else epochs[: len(values)]
            last = values[np.isfinite(values)][-1:]
            words += f" (last {last[0]:.4g})" if len(last) else ""
            axes.plot(steps, values, style, markersize=4, label=words)
            positive &= bool(np.all(values[np.isfinite(values)] > 0))
        axes.set_yscale("log" if positive else "linear")
        axes.set_ylabel(f"{name} ({'log' if positive else 'linear'} scale)")
        axes.grid(alpha=0.3, which="both")
        axes.legend(frameon=False)
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("epoch")
    figure.suptitle("Training history")
    return save(figure, path)


def write_samples(
    path: str | Path, frames: np.ndarray, patches: np.ndarray, columns: int = 5
) -> Path:
    """Input diffraction and predicted patches, one column for each.

    Args:
        path: the file; its suffix names the format.
        frames: `(n, N, N)` normalised amplitude, -1 at masked pixels.
        patches: `(n, N, N)` complex.
        columns: how many to show, spread evenly over the n.

    Raises:
        InputError: shapes that do not fit, or an unknown format.
        OutputError: the place cannot be written.
    """
    frames, patches = np.asarray(frames), np.asarray(patches)
    if frames.ndim != 3 or frames.shape != patches.shape or not len(frames):
        raise InputError(
            f"frames have shape {frames.shape} and patches {patches.shape}; give (n, N, N) twice"
        )
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(columns, len(frames))).astype(int))
    frames, patches = frames[chosen].astype(np.float64), patches[chosen]
    lit = frames[frames > 0]
    top = float(lit.max()) if lit.size else 1.0
    bottom = max(float(lit.min()) if lit.size else top / 10, top * 1e-4)
    norm = LogNorm(min(bottom, 0.5 * top), top, clip=False)
    phases = np.angle(patches)
    phase_limits, cmap, _ = _phase_colours(phases, "")
    rows = (
        (np.where(frames < 0, np.nan, np.maximum(frames, bottom)), "amplitude at detector (log)"),
        (np.abs(patches), f"amplitude\n({_RANGE})"),
        (phases, "phase in rad, as predicted"),
    )
    settings: tuple[dict[str, Any], ...] = (
        {"norm": norm, "cmap": "inferno"},
        {"limits": robust_range(np.abs(patches)), "cmap": AMPLITUDE_MAP},
        {"limits": phase_limits, "cmap": cmap},
    )
    figure = new_figure(1.4 + 2.2 * len(chosen), 7.2)
    grid = figure.subplots(3, len(chosen), squeeze=False)
    for row, (images, label), kind in zip(grid, rows, settings, strict=True):
        for axes, image in zip(row, images, strict=True):
            artist = draw_image(figure, axes, image, bar=False, **kind)
        colours = figure.colorbar(artist, ax=list(row), shrink=0.9, pad=0.01)
        colours.set_label(label, fontsize=9)
    for axes, index in zip(grid[0], chosen, strict=True):
        axes.set_title(f"frame {index}", fontsize=10)
    figure.suptitle("Measured frames (top) and what the network makes of them; grey: masked")
    return save(figure, path)


def write_probe(path: str | Path, probe: np.ndarray, pixel_size_m: float | None = None) -> Path:
    """The modes of a probe, amplitude above phase, with each mode's share of the power.

    Args:
        path: the file; its suffix names the format.
        probe: `(N, N)`, `(P, N, N)` or `(V, P, N, N)` complex (the first variation is shown).
        pixel_size_m: for the scale bar.

    Raises:
        InputError: another shape, or an unknown format.
        OutputError: the place cannot be written.
    """
    probe = np.asarray(probe)
    if probe.ndim not in (2, 3, 4) or probe.shape[-1] != probe.shape[-2] or probe.size == 0:
        raise InputError(f"the probe has shape {probe.shape}; give (P, N, N)")
    modes = probe[0] if probe.ndim == 4 else probe if probe.ndim == 3 else probe[None]
    power = np.sum(np.abs(modes) ** 2, (1, 2))
    share = power / power.sum() if power.sum() > 0 else power
    shown = modes[:6]
    figure = new_figure(1.2 + 3.6 * len(shown), 7.0)
    grid = figure.subplots(2, len(shown), squeeze=False)
    for index, mode in enumerate(shown):
        size = np.abs(mode)
        peak = float(size.max()) or 1.0
        upper, lower = grid[:, index]
        draw_image(figure, upper, size, limits=(0.0, peak), label="amplitude")
        scale_bar(upper, mode.shape, (0.0, 0.0), pixel_size_m)
        upper.set_title(f"mode {index + 1} of {len(modes)}: {share[index]:.1%} of the power")
        draw_image(
            figure,
            lower,
            np.angle(mode),
            limits=(-np.pi, np.pi),
            cmap=CYCLIC_MAP,
            label="phase in rad (grey: amplitude below 2 %)",
            valid=size > 0.02 * peak,
        )
    figure.suptitle("Probe" + (", first variation" if probe.ndim == 4 else ""))
    return save(figure, path)


def write_comparison(path: str | Path, evaluation: Evaluation) -> Path:
    """Truth, reconstruction and difference of the compared region, with figures and steps.

    Raises:
        InputError: an unknown format.
        OutputError: the place cannot be written.
    """
    truth, recon, valid = evaluation.truth, evaluation.recon, evaluation.valid
    against = "truth" if evaluation.kind == "against truth" else "second"
    middle = np.conj(np.sum(truth[valid]))
    phase = np.angle(truth * middle)
    turn = np.exp(-1j * evaluation.steps["phase_offset_rad"])
    error = np.angle(recon * np.conj(truth) * turn)
    limits, cmap, words = _phase_colours(phase[valid], against)
    size = np.abs(truth)
    width, height = panel_size(truth.shape, 4.6)
    figure = new_figure(3 * (width + 1.0), 2 * (height + 0.5) + 1.1)
    grid = figure.subplots(2, 3)
    rows = (
        ("Amplitude", size, np.abs(recon), np.abs(recon) - size, robust_range(size[valid])),
        ("Phase", phase, np.angle(recon * middle * turn), error, limits),
    )
    for row, (name, first, second, difference, span) in zip(grid, rows, strict=True):
        is_phase = name == "Phase"
        label = f"rad ({words})" if is_phase else f"{_RANGE} of {against}"
        options = {"limits": span, "cmap": cmap if is_phase else AMPLITUDE_MAP, "label": label}
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
    figure.suptitle(_summary(evaluation), fontsize=10)
    return save(figure, path, dpi_for(truth.shape, 4.6))


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
                text += f" (period {period['nm']:.3g} nm)"
            elif "px" in period:
                text += f" (period {period['px']:.3g} px)"
            axes.plot(place, np.interp(place, curve.frequency, heights), "o", color=f"C{index}")
        axes.plot(curve.frequency, heights, "--", color=f"C{index}", lw=1, label=text)
    axes.set(xlim=(0, 0.5), ylim=(0, 1.03), ylabel="Fourier ring correlation")
    axes.set_xlabel("spatial frequency (cycles per pixel, Nyquist 0.5)")
    if evaluation.pixel_size_m:
        per_um = 1e-6 / evaluation.pixel_size_m
        other = axes.secondary_xaxis("top", functions=(lambda f: f * per_um, lambda f: f / per_um))
        other.set_xlabel("cycles per µm")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=9)
    figure.suptitle(f"Fourier ring correlation, {evaluation.kind}")
    return save(figure, path)


class _View:
    """The covered part of an object and the pixels that set the colours."""

    def __init__(self, recon: Any) -> None:
        placed: Placed = as_placed(recon)
        bounds = covered_area(placed)
        low = [bounds[0], bounds[2]]
        shape = (round(bounds[1] - bounds[0]), round(bounds[3] - bounds[2]))
        self.region = Region((low[0], low[1]), shape)
        self.image, self.valid = cut(placed, self.region)
        self.core, self.where = self.valid, "covered pixels"
        self.pixel_size_m = placed.pixel_size_m
        self.name = str(getattr(recon, "scan_name", "") or "")
        if placed.positions_px is not None:
            # Beyond the scan area only the rims of few frames meet: noise there sets no colours.
            try:
                area = common_region(placed, placed, scan_area(placed.positions_px))
            except InputError:
                return
            core = np.zeros(shape, bool)
            y, x = (round(s - o) for s, o in zip(area.start_px, low, strict=True))
            core[max(y, 0) : y + area.shape[0], max(x, 0) : x + area.shape[1]] = True
            core &= self.valid
            if core.any():
                self.core, self.where = core, "the scan area"

    def heading(self, what: str) -> str:
        return f"{what} of {self.name}" if self.name else f"{what} of the reconstruction"

    def write(
        self,
        path: str | Path,
        image: np.ndarray,
        limits: tuple[float, float],
        cmap: str,
        label: str,
        heading: str,
    ) -> Path:
        width, height = panel_size(image.shape, _SIDE)
        figure = new_figure(width + 1.9, height + 0.9)
        axes = figure.subplots()
        draw_image(
            figure,
            axes,
            image,
            limits=limits,
            cmap=cmap,
            label=label,
            valid=self.valid,
            start_px=self.region.start_px,
        )
        scale_bar(axes, image.shape, self.region.start_px, self.pixel_size_m)
        if not self.valid.all():
            heading += "\ngrey: not covered by any frame"
        axes.set_title(heading, fontsize=11)
        return save(figure, path, dpi_for(image.shape, _SIDE))


def _phase_colours(phase: np.ndarray, where: str) -> tuple[tuple[float, float], str, str]:
    """Limits, colour map and words: cyclic over the full circle once the phase has wrapped."""
    limits = robust_range(phase)
    if limits[1] - limits[0] > _WRAPPED:
        return (-np.pi, np.pi), CYCLIC_MAP, "full circle: the phase wraps"
    return limits, PHASE_MAP, f"{_RANGE} of {where}"


def _columns(
    history: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]],
) -> dict[str, np.ndarray]:
    if not isinstance(history, Mapping):
        names = dict.fromkeys(name for row in history for name in row)
        history = {name: [row.get(name, np.nan) for row in history] for name in names}
    left_out = ("learning_rate", "seconds", "groups_per_second", "backend", "lr", "time")
    columns = {}
    for name, values in history.items():
        if name in left_out:
            continue
        try:
            numbers = np.array([np.nan if v is None else float(v) for v in values])
        except (TypeError, ValueError):
            continue
        if np.isfinite(numbers).any():
            columns[name] = numbers
    return columns


def _summary(evaluation: Evaluation) -> str:
    """Two lines: the figures, and how the images were brought together."""
    values = evaluation.metrics

    def number(name: str, form: str) -> str:
        value = values[name]
        return "none" if value is None else format(value, form)

    steps = evaluation.steps
    y0, y1, x0, x1 = evaluation.region.bounds_px
    ramp = steps["ramp_rad_per_px"]
    ramped = (
        "no ramp removed" if ramp is None else f"ramp ({ramp[0]:.3g}, {ramp[1]:.3g}) rad/px off"
    )
    re, im = steps["complex_factor"]
    shift = steps["shift_px"]
    return (
        f"{evaluation.kind}: nrmse {number('nrmse', '.4f')}, amplitude PSNR "
        f"{number('amplitude_psnr_db', '.2f')} dB, phase MAE {number('phase_mae_rad', '.4f')} rad, "
        f"SSIM {number('amplitude_ssim', '.3f')} / {number('phase_ssim', '.3f')}, FRC 0.5 at "
        f"{number('frc50', '.4f')} cycles/px\n"
        f"y {y0:g} to {y1:g}, x {x0:g} to {x1:g}; shift ({shift[0]:.2f}, {shift[1]:.2f}) px, "
        f"{ramped}, factor {abs(complex(re, im)):.4g} at {np.angle(complex(re, im)):.3f} rad"
    )
