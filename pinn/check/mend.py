"""Carrying out what a check proposes: a mask file, a corrected scan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from pinn.check.look import look
from pinn.check.pixels import find_bad
from pinn.check.report import Report
from pinn.config import ScanConfig
from pinn.data import fourier
from pinn.data.frames import DerivedFrames
from pinn.data.scan import Scan
from pinn.errors import ConfigError
from pinn.io.convert import check_target, write_scan
from pinn.io.extras import read_mask
from pinn.io.load import load
from pinn.progress import Progress

_MOVES = ("frame_size", "beam_centre", "bin_frames", "flip_frames")


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
) -> Path:
    """Write the scan as the errors and warnings of a report propose.

    Args:
        report: of this scan.
        source: its file.
        config: how it was read for the report.
        target: file to write, in the format its ending tells.
        progress: called with a `Progress` while frames are written.

    Raises:
        ScanError: the corrected scan breaks the contract.
        OutputError: the target cannot be written.
    """
    config = config.replace(**report.options)
    check_target(source, target, None, config)
    bad = None
    if report.bad_pixels is not None:
        # Found again, for the proposals may have moved the frames.
        scan = load(source, config)
        bad = find_bad(look(scan), scan.statistics().photons_known).any
        scan.close()
    scan = load(source, config)
    try:
        if bad is not None:
            add_mask(scan, ~bad)
        return write_scan(scan, target, None, progress)
    finally:
        scan.close()


def add_mask(scan: Scan, valid: np.ndarray) -> None:
    """Leave out pixels of a scan in all frames.

    Args:
        scan: changed; before its statistics are asked for.
        valid: bool `(N, N)`, centred, True = use.
    """
    before = scan.valid_mask
    if before is None:
        scan.valid_mask = valid
    elif isinstance(before, np.ndarray):
        scan.valid_mask = before & valid
    else:
        scan.valid_mask = DerivedFrames(before, lambda rows, numbers: rows & valid)
