"""What all pictures share: figures without global state, image panels, scale bars, saving.

Matplotlib is used through its objects (`Figure`, the Agg canvas): no pyplot, no backend switch, no
window, nothing kept between calls; figures may be made from several threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pinn.errors import InputError
from pinn.io.atomic import atomic_path

FORMATS = (".png", ".pdf", ".svg", ".jpg", ".jpeg", ".tif", ".tiff")
UNCOVERED = "#9a9a9a"
AMPLITUDE_MAP = "magma"
PHASE_MAP = "viridis"
CYCLIC_MAP = "twilight"
DIFFERENCE_MAP = "RdBu_r"
PERCENTILES = (0.5, 99.5)
RANGE_WORDS = f"{PERCENTILES[0]:g} to {PERCENTILES[1]:g} percentile"
DPI = 150
_WRAPPED = 0.9 * 2 * np.pi  # rad; a phase that fills more than this has wrapped
_LARGEST_SIDE = 6000  # device pixels of a picture's longer side


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of `width` x `height` inches with its own Agg canvas."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: str | Path, dpi: float = DPI) -> Path:
    """Write a figure whole or not at all; the suffix names the format.

    Raises:
        InputError: a suffix that names no format.
        OutputError: the place cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path.name} does not end in a picture format; use {', '.join(FORMATS)}")
    dpi = min(dpi, _LARGEST_SIDE / max(figure.get_size_inches()))
    _arrange(figure, dpi)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dpi)
    return path


def _arrange(figure: Figure, dpi: float) -> None:
    """Lay a figure out for good: `savefig` would draw all of it once more for that alone."""
    figure.dpi = dpi
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")


def robust_range(values: np.ndarray) -> tuple[float, float]:
    """The `PERCENTILES` of finite values, never empty."""
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values, PERCENTILES))
    if high - low <= 1e-6 * max(abs(high), abs(low), 1e-12):
        half = 0.05 * max(abs(high), 1e-3)
        return low - half, high + half
    return low, high


def phase_colours(phase: np.ndarray, where: str) -> tuple[tuple[float, float], str, str]:
    """Limits, colour map and words: cyclic over the full circle once the phase has wrapped."""
    limits = robust_range(phase)
    if limits[1] - limits[0] < 1e-5:  # rounding, not phase: do not stretch it over the colours
        middle = sum(limits) / 2
        limits = middle - 0.05, middle + 0.05
    if limits[1] - limits[0] > _WRAPPED:
        return (-np.pi, np.pi), CYCLIC_MAP, "full circle: the phase wraps"
    return limits, PHASE_MAP, f"{RANGE_WORDS} of {where}"


def draw_image(
    figure: Figure,
    axes: Axes,
    image: np.ndarray,
    *,
    limits: tuple[float, float] | None = None,
    norm: Any = None,
    cmap: str = AMPLITUDE_MAP,
    label: str = "",
    valid: np.ndarray | None = None,
    start_px: tuple[float, float] | None = None,
    bar: bool = True,
) -> Any:
    """Draw one real image; returns the artist.

    Args:
        figure: the figure.
        axes: where to.
        image: `(h, w)` real.
        limits: values at the ends of the colour map; beyond them the end colours stand, and the
            colour bar shows it by pointed ends.
        norm: a Matplotlib norm in place of `limits`.
        cmap: name of the colour map.
        label: text of the colour bar.
        valid: pixels that are False are drawn grey.
        start_px: object coordinate (y, x) of the first pixel: draws axes in pixels.
        bar: whether a colour bar is drawn.
    """
    hidden = ~np.isfinite(image) if valid is None else ~np.isfinite(image) | ~valid
    corner = (0.0, 0.0) if start_px is None else start_px
    artist = _show(axes, image, hidden, corner, limits, norm, cmap)
    if start_px is None:  # no ticks: hidden axes look the same, and are not measured
        axes.xaxis.set_visible(False)
        axes.yaxis.set_visible(False)
    else:
        axes.set_xlabel("x (px)")
        axes.set_ylabel("y (px)")
        axes.tick_params(labelsize=9)
    if not bar:
        return artist
    shown = image[~hidden]
    bottom, top = artist.get_clim()
    under, over = bool(np.any(shown < bottom)), bool(np.any(shown > top))
    extend = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}
    colours = figure.colorbar(
        artist, ax=axes, shrink=0.9, pad=0.02, extend=extend[int(under), int(over)]
    )
    colours.set_label(label, fontsize=9)
    colours.ax.tick_params(labelsize=9)
    return artist


def draw_strip(
    axes: Axes,
    images: np.ndarray,
    titles: Sequence[str] = (),
    *,
    limits: tuple[float, float] | None = None,
    norm: Any = None,
    cmap: str = AMPLITUDE_MAP,
) -> Any:
    """Draw real images `(n, h, w)` side by side in one axes, without ticks; returns the last
    artist. Axes of its own for each would take as long again to lay out."""
    n, h, w = images.shape
    step = 1.06 * w
    for number, image in enumerate(images):
        corner = (0.0, number * step)
        artist = _show(axes, image, ~np.isfinite(image), corner, limits, norm, cmap)
    for number, title in enumerate(titles):
        middle = number * step + (w - 1) / 2
        axes.text(middle, -0.5 - 0.04 * h, title, ha="center", va="bottom", fontsize=10)
    axes.set_xlim(-0.5 - 0.01 * w, (n - 1) * step + w - 0.5 + 0.01 * w)
    axes.set_ylim(h - 0.5 + 0.01 * h, -0.5 - 0.01 * h)
    axes.set_axis_off()
    return artist


def _show(
    axes: Axes,
    image: np.ndarray,
    hidden: np.ndarray,
    corner: tuple[float, float],
    limits: tuple[float, float] | None,
    norm: Any,
    cmap: str,
) -> Any:
    """One image with its first pixel at `corner` (y, x); returns the artist."""
    (h, w), (y, x) = image.shape, corner
    low, high = (None, None) if limits is None else limits
    return axes.imshow(
        np.ma.masked_array(image, hidden),
        cmap=colormaps[cmap].with_extremes(bad=UNCOVERED),
        norm=norm,
        vmin=low,
        vmax=high,
        extent=(x - 0.5, x + w - 0.5, y + h - 0.5, y - 0.5),
        interpolation="nearest" if min(h, w) <= 1000 else "auto",
    )


def scale_bar(
    axes: Axes, shape: tuple[int, int], start_px: tuple[float, float], pixel_size_m: float | None
) -> None:
    """A bar of a round length, about a fifth of the width, in px or, with a pixel size, in nm."""
    h, w = shape
    y, x = start_px
    if pixel_size_m:
        length_nm = _round_length(w * pixel_size_m * 1e9 / 5)
        length = length_nm / (pixel_size_m * 1e9)
        text = f"{length_nm / 1000:g} µm" if length_nm >= 1000 else f"{length_nm:g} nm"
    else:
        length = max(1.0, _round_length(w / 5))
        text = f"{length:g} px"
    pad = 0.03 * max(h, w)
    box = Rectangle(
        (x + pad / 2, y + h - 3.4 * pad),
        length + 2 * pad,
        2.9 * pad,
        facecolor="black",
        alpha=0.55,
        edgecolor="none",
    )
    axes.add_patch(box)
    axes.add_patch(
        Rectangle((x + 1.5 * pad, y + h - 1.35 * pad), length, pad / 3, color="white", lw=0)
    )
    axes.text(
        x + 1.5 * pad + length / 2,
        y + h - 1.6 * pad,
        text,
        color="white",
        ha="center",
        va="bottom",
        fontsize=9,
    )


def panel_size(shape: tuple[int, int], side: float) -> tuple[float, float]:
    """Inches (width, height) of a panel for an image, its longer side `side`, none too thin."""
    h, w = shape
    longest = max(h, w)
    return side * max(w / longest, 0.35), side * max(h / longest, 0.35)


def dpi_for(shape: tuple[int, int], side: float) -> float:
    """Dots per inch that give every image pixel a dot of its own, within reason."""
    return min(max(DPI, max(shape) / side), 600.0)


def _round_length(value: float) -> float:
    """The 1, 2 or 5 times a power of ten nearest below `value`."""
    power = 10.0 ** math.floor(math.log10(value))
    return power * max(step for step in (1, 2, 5) if step * power <= value * (1 + 1e-9))
