"""The cheap part of `pinn check`, run before work that would take long on a scan that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pinn.cli.common import Common
from pinn.config import ScanConfig
from pinn.errors import ScanError

if TYPE_CHECKING:
    from pinn.data.scan import Scan

Function = TypeVar("Function", bound=Callable[..., Any])


def check_option(function: Function) -> Function:
    """Decorator: `--check/--no-check`, as `check`."""
    return click.option(
        "--check/--no-check",
        default=True,
        show_default=True,
        help="Examine the scan first (a second) and stop where `pinn check` would find an error.",
    )(function)


def stop_at_errors(common: Common, scans: Sequence[Scan], config: ScanConfig) -> None:
    """Say what the quick check warns of, and refuse scans with errors.

    Raises:
        ScanError: the first error, with what would mend it.
    """
    from pinn.check import options_text, quick, said

    for scan in scans:
        for finding in quick(scan, config):
            if finding.severity == "error":
                remedy = ""
                if finding.options:
                    remedy = f"; try {options_text(finding.options)}"
                raise ScanError(
                    f"{scan.source or scan.name}: {finding.message}{remedy}; see pinn check, or "
                    "go on all the same with --no-check"
                )
            if finding.severity == "warning":
                common.say(f"{scan.name}: {said(finding)}")
