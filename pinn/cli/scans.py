"""Scans read for a command, with the cheap part of `pinn check` before work that takes long."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

import pinn
from pinn.check import options_text, quick, said
from pinn.cli.common import Common
from pinn.config import ScanConfig
from pinn.data.scan import Scan
from pinn.errors import ScanError
from pinn.io.atomic import check_writable
from pinn.io.lock import held

check_option = click.option(
    "--check/--no-check",
    default=True,
    show_default=True,
    help="Check the scan first (takes a second) and stop if `pinn check` would find an error.",
)


def begin(
    common: Common, output: Path, paths: Sequence[Path], config: ScanConfig, check: bool
) -> list[Scan]:
    """Refuse a wrong backend, output or scan before any work, and load the scans.

    The output folder is held against other runs until the command ends.

    Args:
        common: backend and silence.
        output: folder that will be written to.
        paths: files of the scans.
        config: how to read them.
        check: examine them.
    """
    common.select_backend()
    check_writable(output)
    click.get_current_context().with_resource(held(output))
    scans = load_scans(common, paths, config)
    if check:
        stop_at_errors(common, scans, config)
    return scans


def load_scans(common: Common, paths: Sequence[Path], config: ScanConfig) -> list[Scan]:
    """Load scans and pass on what was assumed about them."""
    scans = []
    for path in paths:
        scan = pinn.load(path, config)
        for note in scan.notes:
            common.say(f"{path.name}: {note}")
        scans.append(scan)
    return scans


def stop_at_errors(common: Common, scans: Sequence[Scan], config: ScanConfig) -> None:
    """Say what the quick check warns of, and refuse scans with errors.

    Raises:
        ScanError: the first error, with what would mend it.
    """
    for scan in scans:
        for finding in quick(scan, config):
            if finding.severity == "error":
                remedy = ""
                if finding.options:
                    remedy = f"; try {options_text(finding.options)}"
                raise ScanError(
                    f"{scan.source or scan.name}: {finding.message}{remedy}; see pinn check, or "
                    "continue anyway with --no-check"
                )
            if finding.code == "dose-found":
                common.say(f"{scan.name}: {finding.message}; it is used")
            if finding.severity == "warning":
                common.say(f"{scan.name}: {said(finding)}")
