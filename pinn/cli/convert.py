"""`pinn convert IN OUT`."""

from __future__ import annotations

from pathlib import Path

import click

from pinn.cli.common import Common, quiet_option
from pinn.cli.options import ConfigCommand, Resolved
from pinn.cli.progress import Reporter
from pinn.config import ScanConfig
from pinn.io.formats import names


@click.command("convert", cls=ConfigCommand, configs=(ScanConfig,), needed=("source", "target"))
@click.argument("source", required=False, metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", required=False, metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--to",
    type=click.Choice(names(writable=True)),
    help="Format to write.  [default: by the ending of OUT]",
)
@quiet_option
@click.pass_obj
def command(common: Common, source: Path, target: Path, to: str | None, resolved: Resolved) -> None:
    """Write a scan in another format, or in its own, prepared: cropped, binned, split.

    The options say how IN is to be read; what they did is kept in OUT. IN is left as it is.
    """
    from pinn.cli.train import load_scans
    from pinn.io.convert import check_target, write_scan

    check_target(source, target, to, resolved.build(ScanConfig))
    (scan,) = load_scans(common, (source,), resolved)
    with Reporter(common.quiet) as report:
        write_scan(scan, target, to, report)
    common.say(f"wrote {target}: {len(scan)} frames of {scan.N} x {scan.N}, {scan.units}")
    scan.close()
