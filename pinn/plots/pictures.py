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
from matplotlib.ticker import MaxNLocator

from pinn.data.masks import decode
from pinn.errors import InputError
from pinn.plots.panels import (
    AMPLITUDE_MAP,
    CYCLIC_MAP,
    RANGE_WORDS,
    dpi_for,
    draw_image,
    draw_strip,
    new_figure,
    panel_size,
    phase_colours,
    robust_range,
    save,
    scale_bar,
)
from pinn.quality.frames import (
    Placed,
    Region,
    as_placed,
    common_region,
    covered_area,
    cut,
    scan_area,
)
from pinn.quality.register import find_ramp, remove_ramp

_SIDE = 7.0  # inches of the longer side of a picture of one object


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
    label = f"amplitude (colours: {RANGE_WORDS} of {view.where})"
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
    limits, cmap, words = phase_colours(phase[view.core], view.where)
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
        positive, last_step = True, 1.0
        for key, words, style in ((name, "training", "o-"), (f"val_{name}", "validation", "s--")):
            values = columns.get(key)
            if values is None:
                continue
            steps = np.arange(1, len(values) + 1) if epochs is None else epochs[: len(values)]
            last_step = max(last_step, float(steps[-1]))
            last = values[np.isfinite(values)][-1:]
            words += f" (last {last[0]:.4g})" if len(last) else ""
            axes.plot(steps, values, style, markersize=4, label=words)
            positive &= bool(np.all(values[np.isfinite(values)] > 0))
        axes.set_yscale("log" if positive else "linear")
        axes.set_ylabel(f"{name} ({'log' if positive else 'linear'} scale)")
        axes.grid(alpha=0.3, which="both")
        axes.legend(frameon=False)
        axes.set_xlim(0.5, last_step + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
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
    frames, valid = decode(frames)
    lit = frames[frames > 0]
    top = float(lit.max()) if lit.size else 1.0
    bottom = max(float(lit.min()) if lit.size else top / 10, top * 1e-4)
    norm = LogNorm(min(bottom, 0.5 * top), top, clip=False)
    phases = np.angle(patches)
    phase_limits, cmap, words = phase_colours(phases, "all")
    rows = (
        (np.where(valid, np.maximum(frames, bottom), np.nan), "amplitude at detector (log)"),
        (np.abs(patches), f"amplitude\n({RANGE_WORDS} of all)"),
        (phases, f"phase in rad, as predicted\n({words})"),
    )
    settings: tuple[dict[str, Any], ...] = (
        {"norm": norm, "cmap": "inferno"},
        {"limits": robust_range(np.abs(patches)), "cmap": AMPLITUDE_MAP},
        {"limits": phase_limits, "cmap": cmap},
    )
    figure = new_figure(1.4 + 2.2 * len(chosen), 7.2)
    names = [f"frame {index}" for index in chosen]
    strips = zip(figure.subplots(3, 1), rows, settings, (names, (), ()), strict=True)
    for axes, (images, label), kind, titles in strips:
        artist = draw_strip(axes, images, titles, **kind)
        ends = "both" if "limits" in kind and kind["cmap"] != CYCLIC_MAP else "neither"
        colours = figure.colorbar(artist, ax=axes, shrink=0.9, pad=0.01, extend=ends)
        colours.set_label(label, fontsize=9)
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
        self.unfinished = str(getattr(recon, "statistics", {}).get("unfinished", ""))
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
        if self.unfinished:
            heading += f"\nunfinished, {self.unfinished}"
        if not self.valid.all():
            heading += "\ngrey: not covered by any frame"
        axes.set_title(heading, fontsize=11)
        return save(figure, path, dpi_for(image.shape, _SIDE))


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
