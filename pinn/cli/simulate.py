"""`pinn simulate OUT`."""

from __future__ import annotations

from pathlib import Path

import click

from pinn.cli.common import Common, quiet_option
from pinn.cli.options import ConfigCommand, Resolved
from pinn.cli.progress import Reporter
from pinn.simulate.config import SimulateConfig


@click.command("simulate", cls=ConfigCommand, configs=(SimulateConfig,), needed=("out",))
@click.argument("out", required=False, metavar="OUT", type=click.Path(path_type=Path))
@quiet_option
@click.pass_obj
def command(common: Common, out: Path, resolved: Resolved) -> None:
    """Write a synthetic scan with known truth to the NPZ file OUT.

    The same options give the same file, byte for byte.
    """
    from pinn.simulate import simulate_to_file

    with Reporter(common.quiet) as report:
        scan = simulate_to_file(resolved.build(SimulateConfig), out, report)
    N = scan.config.N
    overlap = "" if scan.overlap is None else f", overlap {scan.overlap:.0%}"
    common.say(
        f"wrote {out}: {len(scan)} frames of {N} x {N}{overlap} (linear, probe diameter "
        f"{scan.diameter_px:.3g} px), {scan.photons.mean():.3g} photons per frame"
    )
