"""Figures of a study: one for each metric, error bars the spread, figures of others beside."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.axes import Axes

from pinn.plots.panels import new_figure, save

_COLUMNS = 4
_WIDTH, _HEIGHT = 4.6, 3.9  # inches of a panel
_MARKERS = "osD^vP*X"
_WIDE_FROM = 20.0
# Between the error bars of neighbouring lines, or those of equal place would hide each other: a
# share of the axis, and places of an axis of names.
_DODGE, _DODGE_NAMES = 0.012, 0.12
_FEW, _NEAR = 10, 1000.0  # values that are ticks themselves: not many, not too far apart


@dataclass(frozen=True)
class Line:
    """Points of one line, in the order of the axis.

    Attributes:
        label: values of the axes that make the line.
        x: place of each point on the axis.
        median, low, high: of each point.
        values: the single values behind each point.
    """

    label: str
    x: list[float] = field(default_factory=list)
    median: list[float] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    values: list[tuple[float, ...]] = field(default_factory=list)


@dataclass(frozen=True)
class Mark:
    """A figure of others: at one place of the axis, or (x None) for all of it."""

    label: str
    x: float | None
    value: float


@dataclass(frozen=True)
class Panel:
    """One pair of axes of a figure.

    Attributes:
        title: test scan and values of the axes that are neither along it nor lines.
        lines, marks: what is in it.
    """

    title: str
    lines: list[Line]
    marks: list[Mark]


@dataclass(frozen=True)
class Curves:
    """A figure of one metric.

    Attributes:
        title: of the figure.
        x_label, y_label: of the axes.
        log_x: whether the axis along it is logarithmic.
        wide_y: the metric may span powers of ten, so that a logarithmic axis makes sense.
        ticks: places and texts of an axis of names; None for one of numbers.
        panels: side by side.
        caption: what medians and bars are; may be empty.
    """

    title: str
    x_label: str
    y_label: str
    log_x: bool
    wide_y: bool
    ticks: list[tuple[float, str]] | None
    panels: list[Panel]
    caption: str = ""

    @property
    def shown(self) -> list[float]:
        """All medians; a figure without one shows nothing."""
        return [value for panel in self.panels for line in panel.lines for value in line.median]


def draw(path: Path, curves: Curves) -> Path:
    """Draw one figure.

    Raises:
        OutputError: the place cannot be written.
    """
    columns = min(len(curves.panels), _COLUMNS)
    rows = -(-len(curves.panels) // columns)
    figure = new_figure(_WIDTH * columns + 1.2, _HEIGHT * rows + 1.0)
    every = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for axes, panel in zip(every, curves.panels, strict=False):
        _draw_panel(axes, panel, curves)
        axes.set_title(panel.title, fontsize=10)
    for axes in every[len(curves.panels) :]:
        axes.set_visible(False)
    lowest, highest = min(curves.shown), max(curves.shown)
    if curves.wide_y and lowest > 0 and highest / lowest >= _WIDE_FROM:
        every[0].set_yscale("log")
    for axes in every[::columns]:
        axes.set_ylabel("\n".join(textwrap.wrap(curves.y_label, 40)))
    figure.suptitle(curves.title, fontsize=12)
    figure.supxlabel("\n".join(textwrap.wrap(curves.caption, 75 * columns)), fontsize=9)
    return save(figure, path)


def _draw_panel(axes: Axes, panel: Panel, curves: Curves) -> None:
    if curves.log_x:
        axes.set_xscale("log")
    places = [x for line in panel.lines for x in line.x]
    count = len(panel.lines)
    for index, line in enumerate(panel.lines):
        x = _beside(line.x, index - (count - 1) / 2, places, curves)
        bars = [
            [m - low for m, low in zip(line.median, line.low, strict=True)],
            [high - m for m, high in zip(line.median, line.high, strict=True)],
        ]
        colour = f"C{index % 10}"
        axes.errorbar(
            x,
            line.median,
            yerr=bars,
            color=colour,
            marker=_MARKERS[index % len(_MARKERS)],
            ls="none" if curves.ticks is not None else "-",
            ms=5.5,
            lw=1.4,
            capsize=3,
            label=line.label or None,
        )
        for place, values in zip(x, line.values, strict=True):
            axes.plot([place] * len(values), values, ".", color=colour, alpha=0.4, ms=5)
    for index, mark in enumerate(panel.marks):
        colour, label = f"{0.2 + 0.2 * (index % 3)}", "\n".join(textwrap.wrap(mark.label, 34))
        if mark.x is None:
            axes.axhline(
                mark.value, color=colour, ls=("--", ":", "-.")[index % 3], lw=1, label=label
            )
        else:
            axes.plot(mark.x, mark.value, "x", color=colour, ms=8, mew=2, label=label)
    _draw_ticks(axes, curves, sorted(set(places)))
    axes.set_xlabel(curves.x_label)
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(frameon=False, fontsize=8)


def _beside(x: list[float], step: float, places: list[float], curves: Curves) -> list[float]:
    """The places of a line, moved a little so that the bars of all lines are seen."""
    if not x:  # nothing of this line is known yet
        return []
    if curves.ticks is not None:
        return [value + step * _DODGE_NAMES for value in x]
    if curves.log_x:
        span = max(places) / min(places)
        return [value * span ** (step * _DODGE) for value in x]
    width = max(places) - min(places)
    return [value + step * _DODGE * width for value in x]


def _draw_ticks(axes: Axes, curves: Curves, places: list[float]) -> None:
    if curves.ticks is not None:
        texts = [text for _, text in curves.ticks]
        long = max(map(len, texts)) > 10
        axes.set_xticks([place for place, _ in curves.ticks])
        axes.set_xticklabels(texts, rotation=25 if long else 0, ha="right" if long else "center")
        axes.set_xlim(-0.5, len(curves.ticks) - 0.5)
    elif curves.log_x and 0 < len(places) <= _FEW and max(places) / min(places) <= _NEAR:
        axes.set_xticks(places, [f"{place:g}" for place in places])
        axes.minorticks_off()
