"""Positions: units, overlap, strays, canvas."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from pinn.check.exposures import named, without
from pinn.check.report import Finding
from pinn.config import ScanConfig
from pinn.data.geometry import LENGTH_UNITS, following_pixel_m, probe_diameter_px
from pinn.data.scan import Scan
from pinn.data.subset import SAME_PLACE_PX

NEIGHBOURS = 6  # of the area overlap, as the reference defines it
_STRAY = 6.0  # steps to the nearest other cell that count as connected
_STRAY_SHARE = 0.02
_STRAYS_SHARE = 0.1  # of all frames; more are no strays but how the scan is laid out
_NEAR = 0.01  # probe diameters within which exposures are of one place
_APART = 5.0  # such distances between places
_SPARSE, _DENSE = 0.3, 0.98  # linear overlap
_UNUSUAL = 0.9  # where another unit would make it usual


@dataclass(frozen=True)
class Layout:
    """What the positions amount to.

    Attributes:
        step: mean distance in pixels to the nearest other place of the same scan, exposures within
            a hundredth of the probe taken for one place; 0 for a single place.
        span: (y, x) in pixels.
        canvas: (rows, columns) of the object that the frames cover.
        diameter: of the probe in pixels (4 sigma), or None.
        linear: overlap `1 - step/diameter`, or None.
        area: mean overlap of discs of that diameter with their six nearest neighbours, or None.
        places: number of different ones, to a thousandth of a pixel.
    """

    step: float
    span: tuple[float, float]
    canvas: tuple[int, int]
    diameter: float | None
    linear: float | None
    area: float | None
    places: int


def area_overlap(distance: np.ndarray, diameter: float) -> np.ndarray:
    """Share of a disc's area that another one covers, at centres this far apart.

    `[2 R^2 acos(d / 2R) - (d/2) sqrt(4 R^2 - d^2)] / (pi R^2)`, 0 from d = 2R on.
    """
    x = np.minimum(np.asarray(distance, np.float64) / diameter, 1.0)
    return np.asarray(2 / math.pi * (np.arccos(x) - x * np.sqrt(1 - x**2)))


def layout(scan: Scan) -> Layout:
    """Measure the positions of a scan."""
    diameter = None if scan.probe is None else probe_diameter_px(scan.probe)
    reach = diameter or scan.N / 2
    distances = [_distances(scan.positions_px[rows], reach) for rows in _scans(scan)]
    distances = [distance for distance in distances if distance.shape[1]]
    step = float(np.concatenate([d[:, 0] for d in distances]).mean()) if distances else 0.0
    every = np.concatenate([d.ravel() for d in distances]) if distances else np.empty(0)
    known = diameter is not None and diameter > 0 and len(every) > 0
    span = np.ptp(scan.positions_px, axis=0)
    canvas = np.ceil(span).astype(int) + scan.N
    return Layout(
        step=step,
        span=(float(span[0]), float(span[1])),
        canvas=(int(canvas[0]), int(canvas[1])),
        diameter=diameter,
        linear=1 - step / diameter if known and diameter else None,
        area=float(area_overlap(every, diameter).mean()) if known and diameter else None,
        places=len(_different(scan.positions_px)),
    )


def _different(positions: np.ndarray) -> np.ndarray:
    """One of each place, to a thousandth of a pixel."""
    keys = np.rint((positions - positions.min(0)) / SAME_PLACE_PX)
    return positions[np.unique(keys, axis=0, return_index=True)[1]]


def _scans(scan: Scan) -> list[np.ndarray]:
    """Numbers of the frames of each scan of the file."""
    if scan.scan_index is None:
        return [np.arange(len(scan))]
    order = np.argsort(scan.scan_index, kind="stable")
    cuts = np.flatnonzero(np.diff(scan.scan_index[order])) + 1
    return np.split(order, cuts)


def _distances(positions: np.ndarray, reach: float) -> np.ndarray:
    """Distances from each place to its nearest others, `(n, k)`, k up to `NEIGHBOURS`."""
    places = _apart(_different(positions), _NEAR * reach)
    if len(places) < 2:
        return np.zeros((len(places), 0))
    count = min(NEIGHBOURS, len(places) - 1)
    return np.asarray(cKDTree(places).query(places, k=count + 1)[0][:, 1:])


def _apart(places: np.ndarray, near: float) -> np.ndarray:
    """Exposures nearer than this as one place, their mean.

    Positions that lie that close all over, as lengths taken for pixels do, stay as they are: only
    places well apart from each other can have several exposures each.
    """
    if len(places) < 2:
        return places
    owner = _clusters(places, near)
    number = np.bincount(owner)
    means = np.stack([np.bincount(owner, places[:, k]) / number for k in (0, 1)], 1)
    if len(means) < 2:
        return places
    step = cKDTree(means).query(means, k=2)[0][:, 1].mean()
    return means if step >= _APART * near else places


def _clusters(positions: np.ndarray, near: float) -> np.ndarray:
    """Group of each position `(M,)`: they are put into cells, and cells that touch are connected.

    Cells and not pairs, so that the work grows with the number of positions, however dense.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    cells, member = np.unique(
        np.floor((positions - positions.min(0)) / near), axis=0, return_inverse=True
    )
    pairs = cKDTree(cells).query_pairs(1.5, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), (len(cells),) * 2)
    return np.asarray(connected_components(graph, directed=False)[1][member.reshape(-1)])


def position_findings(scan: Scan, config: ScanConfig, found: Layout) -> list[Finding]:
    """What is wrong with the positions."""
    findings = _units(scan, config, found)
    line = [axis for axis, span in zip("yx", found.span, strict=True) if span < 1.0]
    if len(line) == 1 and found.places > 2:
        findings.append(
            Finding(
                "warning",
                "line-scan",
                f"the positions move along one axis only: {line[0]} spans "
                f"{min(found.span):.3g} px; check that the columns were read right",
            )
        )
    repeats = len(scan) - found.places
    if repeats:
        findings.append(
            Finding(
                "remark",
                "same-place",
                f"{repeats} of {len(scan)} frames lie at a place that another one has",
                {"duplicates": "drop"},
            )
        )
    return findings + _stray_findings(scan, config, found) + _indices(scan)


def _units(scan: Scan, config: ScanConfig, found: Layout) -> list[Finding]:
    """Whether the steps are of a size that makes sense."""
    if found.step == 0:
        return []
    reach = found.diameter or scan.N / 2
    tell = f"neighbouring positions are {found.step:.3g} px apart"
    probe = (
        f"the probe is {found.diameter:.3g} px across" if found.diameter else f"N is {scan.N} px"
    )
    guess = _guessed_unit(scan, config, found, reach)
    if max(found.span) < 2.0 or found.step < 0.002 * reach:
        return [
            Finding(
                "error",
                "positions-unit",
                f"{tell} and span {max(found.span):.3g} px, while {probe}: they are not in object "
                f"pixels, or the pixel size is wrong{_advice(guess, scan)}",
                guess,
            )
        ]
    if found.step > scan.N:
        return [
            Finding(
                "error",
                "positions-unit",
                f"{tell}, further than a frame is wide ({scan.N} px), so that no frame meets "
                f"another: they are not in object pixels, or the pixel size is "
                f"wrong{_advice(guess, scan)}",
                guess,
            )
        ]
    if found.linear is not None and found.linear < _SPARSE:
        word = "do not overlap" if found.linear <= 0 else f"overlap by {found.linear:.0%} only"
        return [
            Finding(
                "warning",
                "overlap-low",
                f"{tell}, {probe}: neighbours {word} (linear); either the scan is sparse, or the "
                f"pixel size is too small by a factor of about "
                f"{max(1.0, found.step / (0.4 * reach)):.2g}{_hint(guess)}",
            )
        ]
    if found.linear is not None and found.linear > _DENSE:
        return [
            Finding(
                "warning",
                "overlap-high",
                f"{tell}, {probe}: an overlap of {found.linear:.1%} is hardly ever meant; the "
                f"pixel size may be too large, or the unit of the positions wrong{_hint(guess)}",
            )
        ]
    if found.linear is not None and found.linear > _UNUSUAL and guess:
        return [
            Finding(
                "remark",
                "overlap-high",
                f"{tell}, {probe}: an overlap of {found.linear:.1%} is rare{_hint(guess)}",
            )
        ]
    return []


def _hint(guess: dict[str, Any]) -> str:
    """Words and no option: an unusual overlap is no proof, for scans may be meant so.

    A wrong unit would scale the whole object, which nobody sees in the reconstruction.
    """
    if not guess:
        return ""
    return (
        f"; in {guess['positions_unit']} they would overlap as usual: give --positions-unit only "
        "if you know that"
    )


def known_pixel_m(scan: Scan) -> float | None:
    """The object pixel in metres: stated, or from energy, distance and detector pixel."""
    if scan.pixel_size_m is not None:
        return scan.pixel_size_m
    return following_pixel_m(
        scan.energy_ev,
        scan.particle,
        scan.distance_m,
        scan.N,
        scan.detector_pixel_m,
        scan.propagation,
    )


def _guessed_unit(scan: Scan, config: ScanConfig, found: Layout, reach: float) -> dict[str, Any]:
    """The unit that would make neighbours overlap by a usual amount, if one does."""
    pixel = known_pixel_m(scan)
    if pixel is None or scan.positions_from_m or config.positions_unit not in ("auto", "px"):
        return {}
    fitting = []
    for unit, metres in LENGTH_UNITS.items():
        ratio = found.step * metres / pixel / reach
        if 0.03 <= ratio <= 0.8:
            fitting.append((abs(math.log(ratio / 0.3)), unit))
    return {"positions_unit": min(fitting)[1]} if fitting else {}


def _advice(guess: dict[str, Any], scan: Scan) -> str:
    if guess:
        return f"; in {guess['positions_unit']} they would overlap as usual"
    if known_pixel_m(scan) is None:
        return (
            "; if they are lengths, give --positions-unit and the pixel size (--pixel-size-m, or "
            "--energy-ev, --distance-m and --detector-pixel-m)"
        )
    return ""


def strays(scan: Scan, reach: float) -> np.ndarray:
    """Numbers of the frames far from all others of their scan, in order.

    Args:
        scan: the scan.
        reach: diameter of the illumination in pixels, or what is known of it.
    """
    each = [np.empty(0, np.int64)]
    for own in _scans(scan):
        places = scan.positions_px[own]
        distance = _distances(places, reach)
        if distance.shape[1]:
            # Not the mean: in a small scan a single stray would make the steps look wide.
            step = float(np.quantile(distance[:, 0], 0.75))
            each.append(own[stray_positions(places, step)])
    return np.sort(np.concatenate(each))


def _stray_findings(scan: Scan, config: ScanConfig, found: Layout) -> list[Finding]:
    """Few positions far from all others, which make the canvas large."""
    rows = strays(scan, found.diameter or scan.N / 2)
    if not len(rows):
        return []
    rest = np.delete(scan.positions_px, rows, axis=0)
    canvas = np.ceil(np.ptp(rest, axis=0)).astype(int) + scan.N
    ratio = math.prod(found.canvas) / math.prod(canvas.tolist())
    options = without(scan, config, rows)
    frames = named(scan, config, rows)
    return [
        Finding(
            "error" if ratio > 20 else "warning",
            "stray-positions",
            f"{len(rows)} positions (frames {frames}) lie far from all others; without them the "
            f"canvas is {canvas[0]} x {canvas[1]} instead of {found.canvas[0]} x {found.canvas[1]} "
            "px",
            options,
        )
    ]


def stray_positions(positions: np.ndarray, step: float) -> np.ndarray:
    """Numbers of the frames in small groups far away from the rest.

    Positions are put into cells some steps wide; cells that touch are connected; groups of cells
    with few of the frames are strays. If those are more than a small part of the scan, there are
    none: it is made of separate fields then.
    """
    if step <= 0 or len(positions) < 8:
        return np.empty(0, np.int64)
    owner = _clusters(positions, _STRAY * step)
    sizes = np.bincount(owner)
    few = sizes <= min(max(2.0, _STRAY_SHARE * len(positions)), len(positions) / 4)
    rows = np.flatnonzero(few[owner])
    return rows if len(rows) <= max(2, _STRAYS_SHARE * len(positions)) else rows[:0]


def _indices(scan: Scan) -> list[Finding]:
    """Scans of the file that are too small to group."""
    if scan.scan_index is None:
        return []
    values, counts = np.unique(scan.scan_index, return_counts=True)
    small = values[counts < 4]
    if not len(small):
        return []
    return [
        Finding(
            "warning",
            "small-scans",
            f"{len(small)} of {len(values)} scans of the file have fewer than 4 frames, the first "
            f"is number {small[0]}: no group of 2 x 2 can be made in them (--gridsize 1 needs "
            "none)",
        )
    ]
