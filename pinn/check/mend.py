"""Carrying out what a check proposes: a mask file, a corrected scan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pinn.check import Report, check, options_text
from pinn.config import ScanConfig
from pinn.data import fourier
from pinn.data.masks import and_mask
from pinn.data.scan import Scan
from pinn.errors import ConfigError, ScanError
from pinn.io.convert import check_target, write_scan
from pinn.io.extras import read_mask
from pinn.io.load import load
from pinn.progress import Progress

# Causes before what they make look wrong: the mask, pixels (which every check leaves out of what
# follows), centre, units and dose, frames, positions; how those lie comes last.
_STAGES: tuple[tuple[str, ...], ...] = (
    ("bad_pixels_polarity",),
    ("saturation",),
    ("centre", "beam_centre"),
    ("frames", "photons_per_frame"),
    ("drop_frames",),
    ("positions_unit",),
    ("frames_late",),
)
_TURNING = ("orientation", "rotation_deg", "flip_frames")
_NOT_MOVING = {"drop_frames"}  # does not change what the test of orientations found
_MOST_ROUNDS = 12
_SHOWN_BY_MENDING = ("pattern-cut", "hot-pixels", "dead-pixels")
_MOVES = ("frame_size", "beam_centre", "bin_frames", "flip_frames")


@dataclass(frozen=True, eq=False)
class Fixed:
    """What was done to a scan.

    Attributes:
        options: fields of `ScanConfig` that were changed.
        bad_pixels: bool `(N, N)`, centred, True = masked besides, or None.
    """

    options: dict[str, Any]
    bad_pixels: np.ndarray | None


def stored_bad_pixels(report: Report, scan: Scan, config: ScanConfig) -> np.ndarray:
    """The pixels a check found bad and those given, laid out as the frames of the file are.

    Returns:
        bool `(N, N)`, True = BAD: what the option `bad_pixels` should name instead of what it
        names now; all False if there are none.

    Raises:
        ConfigError: options move the frames, so that their layout is not the file's.
    """
    plain = ScanConfig()
    moved = [name for name in _MOVES if getattr(config, name) != getattr(plain, name)]
    moved += ["a crop"] if any(step["step"] == "crop" for step in scan.steps) else []
    if moved:
        raise ConfigError(
            f"a mask for the stored frames cannot be made while they are changed ({moved[0]}); "
            "leave that out, or use --fix, which writes a scan with the mask in it"
        )
    bad = np.zeros((scan.N, scan.N), bool)
    if report.bad_pixels is not None:
        corner = scan.centre == "corner"
        bad |= fourier.corner(report.bad_pixels) if corner else report.bad_pixels
    if config.bad_pixels is not None:
        bad |= read_mask(config.bad_pixels, config.bad_pixels_polarity)
    return bad


def write_fixed(
    report: Report,
    source: Path,
    config: ScanConfig,
    target: Path,
    progress: Callable[[Progress], None] | None = None,
) -> Fixed:
    """Write the scan as the errors and warnings of a report propose, one cause after the other.

    What is proposed is carried out in the order of `_STAGES`, and the scan is checked again each
    time: what a wrong mask or a wild pixel made look wrong is not "corrected".

    Args:
        report: of this scan.
        source: its file.
        config: how it was read for the report.
        target: file to write, in the format its ending tells.
        progress: called with a `Progress` while frames are written.

    Returns:
        What was done.

    Raises:
        ScanError: the corrected scan breaks the contract, or is worse than the one given.
        OutputError: the target cannot be written.
    """
    fixed, after = _settled(report, source, config)
    given = load(source, config)
    given.close()
    config = config.replace(**fixed.options)
    check_target(source, target, None, config)
    scan = load(source, config)
    try:
        worse = _worse(report, after, fixed, len(given), len(scan))
        if worse is not None:
            raise ScanError(
                f"{target} was not written, for {worse}: look at the findings one by one, and "
                f"give those options that are right ({options_text(fixed.options)} were tried)"
            )
        if fixed.bad_pixels is not None:
            scan.valid_mask = and_mask(scan.valid_mask, ~fixed.bad_pixels)
        write_scan(scan, target, None, progress)
    finally:
        scan.close()
    return fixed


def _settled(report: Report, source: Path, config: ScanConfig) -> tuple[Fixed, Report]:
    """All that is to be done, and the report on the scan once it is done but for bad pixels."""
    done: dict[str, Any] = {}
    now = report
    for _ in range(_MOST_ROUNDS):
        names = _next(now.options)
        if not names:
            break
        done |= {name: now.options[name] for name in names}
        now = check(source, config.replace(**done), orientation=False)
    else:
        raise ScanError(
            f"the corrections of {source} come to no end ({options_text(done)}, and then "
            f"{options_text(now.options)}): give those that are right as options and check again"
        )
    if report.orientation is not None and not set(done) <= _NOT_MOVING:
        # They were tried on frames that are read otherwise now.
        report = check(source, config.replace(**done), orientation=True)
    turned = {name: report.options[name] for name in _TURNING if name in report.options}
    if turned:
        done |= turned
        now = check(source, config.replace(**done), orientation=False)
    return Fixed(done, now.bad_pixels), now


def _next(options: Mapping[str, Any]) -> list[str]:
    """The options of the first stage that has some."""
    for stage in _STAGES:
        if names := [name for name in options if name in stage]:
            return names
    known = {name for stage in _STAGES for name in stage}
    return [name for name in options if name not in known and name not in _TURNING]


def _worse(report: Report, after: Report, fixed: Fixed, before: int, left: int) -> str | None:
    """What is worse about a corrected scan, or None."""
    if 2 * left < before:
        return f"{before - left} of {before} frames would be left out"
    bad = fixed.bad_pixels
    if bad is not None and 2 * bad.sum() > bad.size:
        return f"{bad.mean():.0%} of the pixels would be masked"
    old = {finding.code for finding in report.findings}
    for finding in after.findings:
        # A reversed mask hides all that is wrong besides.
        hidden = "bad_pixels_polarity" in report.options
        shown = finding.severity == "error" or (finding.severity == "warning" and not hidden)
        if shown and finding.code not in (*old, *_SHOWN_BY_MENDING):
            return f"what comes out is worse: {finding.message}"
    return None
