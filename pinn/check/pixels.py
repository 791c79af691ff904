"""Detector pixels that are dead, hot or saturated, and the place and reach of the pattern."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from pinn.check.look import Look, look, masked
from pinn.check.report import Finding
from pinn.config import ScanConfig
from pinn.data.frame_values import HOT, raw_pixels, second_neighbour
from pinn.data.masks import mask_rows, measured
from pinn.data.scan import Scan

_SURE = 25.0  # counts in all frames looked at
_FAINT = 1e-5  # of the power of a frame, where counts are not known
_LIT = 20.0
_STUCK, _STUCK_FRAMES, _STUCK_SHARE = 0.1, 16, 0.05
_ROUNDS = 3  # of looking again without the worst
_CONSTANT = 1e-12  # variance over squared mean
_PLATEAU = 0.5  # of the pixels at most hold a mark
_TIES, _FULL = 5, 255
_HALF = 0.5  # of the brightest, at the edge of a disc
_EVEN = 0.6  # of the brightest parts of a disc over the dimmest
_ROUND = 0.04  # of its radius that its edge may be off a circle
_RIM, _SMALLEST_DISC = 24, 6.0  # pixels
_POLARITY_FRAMES = 32
_OFF_PX, _FAR_OFF_PX = 1.0, 2.5


@dataclass(frozen=True, eq=False)
class Bad:
    """Pixels that no mask covers yet: bool `(N, N)` each; `hot` are stuck ones too."""

    dead: np.ndarray
    hot: np.ndarray

    @property
    def any(self) -> np.ndarray | None:
        """Both, or None if there are none."""
        both = self.dead | self.hot
        return both if both.any() else None


def find_bad(seen: Look, photons: bool) -> Bad:
    """Dead and hot pixels, by their neighbours in the mean frame.

    A hot pixel is brighter than four times the second brightest of its eight neighbours, which
    even a single wild neighbour does not hide and no sampled diffraction pattern does; the middle
    of the frame is left out. A pixel that varies far less than photons do is stuck. A dead region
    has no count although nearly all its rim is lit; one with a corner of the frame is the darkness
    around the pattern.

    Args:
        seen: the look at the frames.
        photons: the numbers are counts, so that their noise is known.
    """
    total = float(seen.mean.sum())
    number = np.maximum(seen.used, 1)
    sure = _SURE / number if photons else np.full(seen.mean.shape, _FAINT * total)
    lit = _LIT / number if photons else np.full(seen.mean.shape, _FAINT * total)
    second = second_neighbour(np.where(seen.valid, seen.mean, 0.0))
    hot = seen.valid & (seen.mean > HOT * second + sure)
    half = len(hot) // 2
    hot[half - 1 : half + 2, half - 1 : half + 2] = False
    stuck = seen.valid & (seen.used >= _STUCK_FRAMES) & (seen.mean > 0)
    stuck &= seen.variance < (_STUCK * seen.mean if photons else _CONSTANT * seen.mean**2)
    if stuck.mean() < _STUCK_SHARE:  # else it is the frames that do not change
        hot |= stuck & (seen.mean > lit)
    # The largest value of all, always and in many pixels: a gap that an unknown number marks.
    marked = seen.tied & (seen.used >= _STUCK_FRAMES)
    marked &= seen.variance <= _CONSTANT * seen.mean**2
    if marked.sum() > 1 and marked.mean() < _PLATEAU:
        hot |= marked & (seen.mean > lit)
    dead = np.zeros_like(hot)
    labels, _ = ndimage.label(seen.valid & (seen.mean == 0), np.ones((3, 3)))
    dark = set(labels[:: len(labels) - 1, :: len(labels) - 1].ravel())  # at a corner: no light
    for label, place in enumerate(ndimage.find_objects(labels), 1):
        if label in dark:
            continue
        around = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in place)
        inside = labels[around] == label
        rim = ndimage.binary_dilation(inside, np.ones((3, 3))) & ~inside & seen.valid[around]
        if not rim.any():
            continue
        if float(np.quantile(seen.mean[around][rim] - lit[around][rim], 0.25)) > 0:
            dead[around] |= inside
    return Bad(dead, hot)


def find_all_bad(scan: Scan, seen: Look, frames: int | None) -> tuple[Bad, Scan, Look]:
    """Bad pixels, those found once the worst are left out too; the scan and the look without them.

    Args:
        scan: as read.
        seen: the look at it.
        frames: how many it was to look at.
    """
    bad = Bad(np.zeros_like(seen.valid), np.zeros_like(seen.valid))
    for _ in range(_ROUNDS):
        found = find_bad(seen, scan.statistics().photons_known)
        bad = Bad(bad.dead | found.dead, bad.hot | found.hot)
        # Of a scan without light nothing else could be told.
        if not found.hot.any() or not seen.mean[~found.hot].any():
            break
        scan = masked(scan, found.hot | found.dead)
        seen = look(scan, frames)
    return bad, scan, seen


def pixel_findings(scan: Scan, config: ScanConfig, seen: Look, bad: Bad) -> list[Finding]:
    """What is wrong with single pixels."""
    found = []
    if bad.hot.any():
        share = float(seen.mean[bad.hot].sum() / seen.mean.sum())
        found.append(
            Finding(
                "warning",
                "hot-pixels",
                f"{_pixels(bad.hot)} far brighter than all around in the mean frame or stuck, with "
                f"{share:.1%} of the counts: mask them (--write-bad-pixels FILE writes the mask, "
                "--bad-pixels FILE uses it, --fix does both)",
            )
        )
    if bad.dead.any():
        found.append(
            Finding(
                "warning",
                "dead-pixels",
                f"{_pixels(bad.dead)} without a count although the pattern is lit around: mask "
                "them, or they are taken for darkness (--write-bad-pixels FILE writes the mask, "
                "--bad-pixels FILE uses it, --fix does both)",
            )
        )
    count, places = seen.ties, int(np.count_nonzero(seen.tied & ~bad.hot))
    binned = config.bin_frames > 1
    if config.saturation is None and binned:
        found.append(
            Finding(
                "remark",
                "saturation-untested",
                f"saturation was not tested, for {config.bin_frames} x {config.bin_frames} pixels "
                "are added up: check the scan without --bin-frames too, and give --saturation if "
                "that finds some",
            )
        )
    if (
        config.saturation is None
        and not binned
        and count >= _TIES
        and places > 1
        and seen.largest >= _FULL
    ):
        found.append(
            Finding(
                "warning",
                "saturated",
                f"the largest value {seen.largest:g} occurs {count} times in {places} pixels of "
                f"{len(seen.rows)} frames, as if the detector was saturated",
                {"saturation": seen.largest},
            )
        )
    stats = scan.statistics()
    kinds = {
        "not finite": stats.nonfinite_pixels,
        "negative": stats.negative_pixels,
        "sentinels or saturated": stats.sentinel_pixels,
    }
    told = ", ".join(f"{number} {kind}" for kind, number in kinds.items() if number)
    if told:
        found.append(
            Finding("remark", "unusable-values", f"stored values that are not used: {told}")
        )
    share = stats.masked_pixels / (len(scan) * raw_pixels(scan.frames))
    if share > 0.5:
        found.append(
            Finding(
                "warning",
                "mask-large",
                f"{share:.0%} of all pixels are masked; if that is the wrong way round, say so",
            )
        )
    return found


def reversed_mask(scan: Scan, config: ScanConfig) -> Finding | None:
    """Whether the mask of an option covers most pixels and most of the light.

    Everything else is judged on the pixels that are used, so that this comes first. Light is what
    changes from frame to frame, sentinels and pixels far brighter than all around left out.

    Args:
        scan: its statistics are not asked for, for it may be all dark.
        config: how it was read.
    """
    given = config.bad_pixels is not None or config.mask_path is not None
    if scan.valid_mask is None or not given:
        return None
    rows = np.unique(np.linspace(0, len(scan) - 1, min(len(scan), _POLARITY_FRAMES)).astype(int))
    mask = np.asarray(mask_rows(scan.valid_mask, rows))
    used = mask.astype(float) if mask.ndim == 2 else mask.mean(0)
    if used.mean() >= 0.5:
        return None
    values, _ = measured(scan.frames.read(rows), scan.saturation, scan.units)
    values = values.astype(np.float64)
    light = (values**2 if scan.units == "amplitude" else values).std(0)
    light = np.minimum(light, HOT * second_neighbour(light))
    inside, outside = float((light * used).sum()), float((light * (1 - used)).sum())
    if inside >= outside:
        return None
    return Finding(
        "error",
        "mask-large",
        f"{1 - used.mean():.0%} of all pixels are masked, and {outside / (inside + outside):.0%} "
        "of the light: the mask is the wrong way round; what else is wrong can be told when it is "
        "not",
        {"bad_pixels_polarity": _other(config)},
    )


def _other(config: ScanConfig) -> str:
    return "good" if config.bad_pixels_polarity == "bad" else "bad"


def _pixels(mask: np.ndarray) -> str:
    places = np.argwhere(mask)
    first = ", ".join(f"[{y}, {x}]" for y, x in places[:3])
    more = ", ..." if len(places) > 3 else ""
    return (
        f"pixel {first} is"
        if len(places) == 1
        else f"{len(places)} pixels ({first}{more}, row and column of the centred frame) are"
    )


def centre_of_pattern(seen: Look) -> tuple[float, float]:
    """Offset (y, x) of the mean pattern's centre from `[N/2, N/2]` in pixels.

    Of a disc of even light, as of a bright field, the centre of the circle through its edge, even
    where the frame or a mask cuts it; of any other pattern the centre of mass.
    """
    return _centre_of_disc(seen) or centre_of_mass(seen)


def _centre_of_disc(seen: Look) -> tuple[float, float] | None:
    """The centre of a bright disc, or None if the pattern is none."""
    valid, N = seen.valid, len(seen.mean)
    if not valid.any():
        return None
    image = ndimage.median_filter(np.where(valid, seen.mean, 0.0), 3)  # without hot pixels
    dark, bright = np.quantile(image[valid], (0.02, 0.99))
    above = valid & (image > dark + _HALF * (bright - dark))
    labels, _ = ndimage.label(above)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    disc = ndimage.binary_fill_holes(labels == int(np.argmax(sizes)))
    known = valid & ~np.pad(np.zeros((N - 2, N - 2), bool), 1, constant_values=True)
    around = ndimage.binary_erosion(known, np.ones((3, 3)))  # no edge that a mask or frame makes
    rim = disc & ~ndimage.binary_erosion(disc) & around
    places = np.argwhere(rim) - N // 2
    if len(places) < _RIM:
        return None
    # |p|^2 = 2 c.p + (r^2 - |c|^2), by least squares.
    system = np.column_stack([2.0 * places, np.ones(len(places))])
    y, x, rest = np.linalg.lstsq(system, (places**2).sum(1).astype(float), rcond=None)[0]
    radius = math.sqrt(max(0.0, float(rest + y * y + x * x)))
    off = np.hypot(places[:, 0] - y, places[:, 1] - x) - radius
    spread = np.ptp(np.sort(np.arctan2(places[:, 0] - y, places[:, 1] - x)))
    index = np.indices((N, N)) - N // 2
    distance = np.hypot(index[0] - y, index[1] - x)
    inside, outside = valid & (distance < 0.9 * radius), valid & (distance > radius + 2)
    if (
        radius < _SMALLEST_DISC
        or math.sqrt(float(np.mean(off**2))) > max(1.0, _ROUND * radius)
        or spread < math.pi
        or not inside.any()
        or not outside.any()
    ):
        return None
    low, high = np.quantile(image[inside], (0.05, 0.95))
    if low - dark < _EVEN * (high - dark):
        return None
    return float(y), float(x)


def centre_of_mass(seen: Look) -> tuple[float, float]:
    """Offset (y, x) of the mean pattern's centre of intensity from `[N/2, N/2]` in pixels.

    Only pixels whose image through the centre is used too: a gap on one side draws nothing.
    """
    N = len(seen.mean)
    index = np.arange(N) - N // 2
    centre = np.zeros(2)
    for _ in range(3):
        # Weights symmetric about the estimate: the fold by whole pixels, the rest by the mean.
        whole = np.rint(centre).astype(int)
        mean = np.roll(seen.mean * seen.valid, -whole, (0, 1))
        valid = np.roll(seen.valid, -whole, (0, 1))
        both = valid & np.roll(valid[::-1, ::-1], 1, (0, 1))
        counts = mean * both
        counts = np.maximum(counts - np.median(counts[both]), 0.0) if both.any() else counts
        total = counts.sum()
        if total <= 0:
            return 0.0, 0.0
        centre = whole + np.array([counts.sum(1) @ index, counts.sum(0) @ index]) / total
        if np.all(np.rint(centre) == whole):
            break
    return float(centre[0]), float(centre[1])


def pattern_findings(scan: Scan, config: ScanConfig, seen: Look) -> list[Finding]:
    """Whether the pattern lies in the middle of the frame and ends before its edge."""
    found = []
    # The block of the zero frequency begins at it: a pattern in its place lies half a block, less
    # half a stored pixel, before the middle of that block.
    b = config.bin_frames
    row, column = centre_of_pattern(seen)
    off = (row + (b - 1) / (2 * b), column + (b - 1) / (2 * b))
    distance = math.hypot(*off)
    if distance > _OFF_PX:
        options = _beam(scan, config, off)
        found.append(
            Finding(
                "warning" if distance > max(_FAR_OFF_PX, scan.N / 32) else "remark",
                "off-centre",
                f"the centre of the mean pattern is {_signed(off[0])} rows and {_signed(off[1])} "
                f"columns off [{scan.N // 2}, {scan.N // 2}], which puts a phase ramp of "
                f"{2 * math.pi * distance / scan.N:.2g} rad per pixel on the object",
                options,
            )
        )
    edge = edge_level(seen)
    if edge > 0.1:
        found.append(
            Finding(
                "warning" if edge > 0.4 else "remark",
                "pattern-cut",
                f"the outermost pixels of the frame are {edge:.0%} as bright as the average "
                "pixel: the pattern is cut off by the detector, or there is background; "
                "detail finer than a pixel is lost either way",
            )
        )
    return found


def _signed(value: float) -> str:
    return f"{round(value, 1) + 0.0:+.1f}"


def edge_level(seen: Look) -> float:
    """Mean of the outermost ring of used pixels over the mean of all; the median side of four."""
    N = len(seen.mean)
    width = max(1, N // 64)
    mean = float(seen.mean[seen.valid].mean())
    sides = []
    for rows, columns in (
        (slice(0, width), slice(None)),
        (slice(N - width, N), slice(None)),
        (slice(None), slice(0, width)),
        (slice(None), slice(N - width, N)),
    ):
        use = seen.valid[rows, columns]
        if use.any():
            sides.append(float(seen.mean[rows, columns][use].mean()))
    return float(np.median(sides)) / mean if sides and mean > 0 else 0.0


def _beam(scan: Scan, config: ScanConfig, off: tuple[float, float]) -> dict[str, Any]:
    """The pixel of the stored frames that the beam hits, or nothing if it does not move.

    Args:
        off: in prepared pixels, from the zero frequency and not from the middle of its block.
    """
    records = {str(step["step"]): step for step in scan.steps}
    if scan.centre == "corner" or config.centre == "corner":
        return {}
    crop = records.get("crop")
    if crop is not None and config.frame_size is None and config.beam_centre is None:
        return {}  # made when the file was written, or by the file's own beam centre
    factor = config.bin_frames
    side = scan.N * factor
    before = (side // 2, side // 2) if crop is None else (int(crop["row"]), int(crop["column"]))
    signs = {"none": (1, 1), "ud": (-1, 1), "lr": (1, -1), "both": (-1, -1)}[config.flip_frames]
    beam = [b + s * factor * o for b, s, o in zip(before, signs, off, strict=True)]
    pixel = [int(np.rint(value)) for value in beam]
    if pixel == list(before) or min(pixel) < 0:
        return {}
    return {"beam_centre": f"{pixel[0]},{pixel[1]}"}
