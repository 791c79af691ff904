"""The picture of how far a result can be trusted: disagreement, coverage, likelihood."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from pinn.io.product import Reconstruction
from pinn.plots.panels import draw_image, new_figure, panel_size, save, scale_bar

_SIDE = 4.6  # inches of the longer side of a panel
_TOP = 99.0  # percentile at which the colours of the disagreement end
_WIDTH = 64  # letters of the verdict in a line, for each panel
_MARKS = 2.2e4  # square points of all markers together


def write_trust(path: str | Path, recon: Reconstruction) -> Path:
    """Disagreement of the patches, coverage, and deviance of each frame at its position.

    Args:
        path: the file; its suffix names the format.
        recon: what is not known of it is left out.

    Raises:
        InputError: an unknown format.
        OutputError: the place cannot be written.
    """
    values = recon.frame_likelihood
    judged = values is not None and bool(np.any(np.isfinite(values) & (values > 0)))
    panels = 1 + (recon.disagreement is not None) + judged
    width, height = panel_size(recon.object.shape, _SIDE)
    title = textwrap.wrap(recon.verdict or "No verdict.", _WIDTH * panels)
    figure = new_figure(panels * (width + 1.5), height + 0.8 + 0.22 * len(title))
    axes = list(np.ravel(figure.subplots(1, panels)))
    start = float(recon.origin_px[0]), float(recon.origin_px[1])
    if recon.disagreement is not None:
        known = recon.valid_mask & (recon.disagreement > 0)
        shown = recon.disagreement[known]
        top = float(np.percentile(shown, _TOP)) if shown.size else 1.0
        place = axes.pop(0)
        draw_image(
            figure,
            place,
            recon.disagreement,
            limits=(0.0, max(top, 1e-6)),
            label=f"standard deviation, units of the object (0 to {_TOP:g} percentile)",
            valid=known,
            start_px=start,
        )
        scale_bar(place, recon.object.shape, start, recon.pixel_size_m)
        place.set_title("Disagreement of overlapping patches\ngrey: fewer than two", fontsize=10)
    place = axes.pop(0)
    draw_image(
        figure,
        place,
        recon.coverage,
        limits=(0.0, max(float(recon.coverage.max()), 1e-6)),
        cmap="cividis",
        label="sum of the weights of the patches",
        valid=recon.valid_mask,
        start_px=start,
    )
    place.set_title("Coverage\ngrey: not covered by any frame", fontsize=10)
    if judged:
        _frames(figure, axes.pop(0), recon, start)
    figure.suptitle("\n".join(title), fontsize=10)
    return save(figure, path)


def _frames(figure: Figure, axes: Axes, recon: Reconstruction, start: tuple[float, float]) -> None:
    assert recon.frame_likelihood is not None
    values = recon.frame_likelihood.astype(np.float64)
    known = np.isfinite(values) & (values > 0)
    order = np.flatnonzero(known)[np.argsort(values[known])]  # the worst on top
    y, x = recon.positions_px[order].T
    low, high = float(values[order[0]]), float(values[order[-1]])
    artist = axes.scatter(
        x,
        y,
        c=values[order],
        s=float(np.clip(_MARKS / len(order), 2.0, 60.0)),
        cmap="viridis",
        norm=LogNorm(low, max(high, 1.01 * low)),
        linewidths=0,
    )
    numbers = recon.statistics.get("likelihood") or {}
    flagged = np.isin(recon.frame_indices, np.array(numbers.get("flagged", ()), np.int64))
    title = "Deviance of each frame at its position"
    if flagged.any():
        y, x = recon.positions_px[flagged].T
        axes.scatter(x, y, s=90, facecolors="none", edgecolors="red", linewidths=1.5)
        title += f"\nred: {np.count_nonzero(flagged)} out of line"
    floor = numbers.get("noise_floor")
    title += "" if floor is None else f"\ncounting noise alone: {floor:.3g}"
    axes.set_title(title, fontsize=10)
    colours = figure.colorbar(artist, ax=axes, shrink=0.9, pad=0.02)
    colours.set_label("Poisson deviance per valid pixel (log)", fontsize=9)
    height, width = recon.object.shape
    axes.set_xlim(start[1] - 0.5, start[1] + width - 0.5)
    axes.set_ylim(start[0] + height - 0.5, start[0] - 0.5)
    axes.set_aspect("equal")
    axes.set_xlabel("x (px)")
    axes.set_ylabel("y (px)")
    axes.tick_params(labelsize=9)
