"""From one scan format to another, prepared on the way: `convert` and `write_scan`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pinn.config import ScanConfig
from pinn.data.scan import Scan
from pinn.errors import OutputError
from pinn.io.formats.registry import Report, for_writing, recognise
from pinn.io.load import load

_INPUTS = ("probe", "diffraction", "bad_pixels")


def convert(
    source: str | Path,
    target: str | Path,
    to: str | None = None,
    config: ScanConfig | None = None,
    progress: Report | None = None,
    **options: Any,
) -> Path:
    """Read a scan file, prepare it by the options, and write it in a format. Frames pass in pieces.

    Masks, truth, units, several scans, energy and distance go along as far as the target's format
    has a place for them; NPZ has one for all, and for the record of the steps taken.

    Args:
        source: scan file of any known format.
        target: what to write; it appears when it is whole.
        to: format to write; default: by the file extension of `target`.
        config: how to read; `options` override its fields.
        progress: called with a `Progress` about a hundred times.

    Returns:
        The file written.

    Raises:
        ScanError: see `pinn.load`.
        ConfigError: an unknown option or format.
        OutputError: the target is one of the inputs, or cannot be written.
    """
    source, target = Path(source), Path(target)
    config = (config or ScanConfig()).replace(**options)
    check_target(source, target, to, config)
    scan = load(source, config)
    try:
        return write_scan(scan, target, to, progress)
    finally:
        scan.close()


def check_target(source: Path, target: Path, to: str | None, config: ScanConfig) -> None:
    """Make sure, before anything is read, that a conversion would not overwrite what it reads.

    Raises:
        ScanError: the source is no scan.
        ConfigError: an unknown format.
        OutputError: the target's file extension tells no format, or it is one of the inputs.
    """
    inputs = recognise(source, config).files(source)
    inputs += [path for name in _INPUTS if (path := getattr(config, name)) is not None]
    _keep(inputs, for_writing(target, to).files(target))


def write_scan(
    scan: Scan, path: str | Path, format: str | None = None, progress: Report | None = None
) -> Path:
    """Write a scan to a file of any format that is written.

    Args:
        scan: what to write.
        path: the file; it appears when it is whole.
        format: its name; default: by the file extension of `path`.
        progress: called with a `Progress` about a hundred times.

    Raises:
        ConfigError: no such format.
        OutputError: the path, or one that is written with it, is a file the scan is read from; or
            it cannot be written.
    """
    path = Path(path)
    known = for_writing(path, format)
    inputs = list(scan.files) if scan.source is None else [scan.source, *scan.files]
    _keep(inputs, known.files(path))
    known.write_scan(path, scan, progress)
    return path


def _keep(inputs: list[Path], targets: list[Path]) -> None:
    for target in targets:
        for path in inputs:
            if _same(path, target):
                raise OutputError(
                    f"cannot write {target}: it is one of the files that are read; name another "
                    "output"
                )


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):  # one of them does not exist
        return False
