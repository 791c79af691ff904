"""`pinn simulate OUT`."""

from __future__ import annotations

from pathlib import Path

import click

from pinn.cli.common import PATH, Common, quiet_option
from pinn.cli.options import ConfigCommand, Resolved
from pinn.cli.progress import Reporter
from pinn.simulate import SimulateConfig, SimulatedScan, check_reusable, simulate_to_file


@click.command(
    "simulate",
    cls=ConfigCommand,
    configs=(SimulateConfig,),
    needed=("out",),
    first=(
        *("N", "seed", "object", "probe", "pattern", "n_frames", "overlap"),
        *("photons_per_frame", "poisson", "frames", "force", "quiet"),
    ),
)
@click.argument("out", required=False, metavar="OUT", type=PATH)
@click.option("--force", is_flag=True, help="Overwrite a file that another recipe made.")
@quiet_option
@click.pass_obj
def command(common: Common, out: Path, force: bool, resolved: Resolved) -> None:
    """Write a synthetic scan with known truth to the NPZ file OUT.

    The same options give the same file, byte for byte. If OUT was made with the same options, it is
    kept. Any other file is overwritten only with --force.
    """
    config = resolved.build(SimulateConfig)
    if not force and check_reusable(config, out):
        common.say(f"kept {out}: this recipe made it already")
        return
    with Reporter(common.quiet) as report:
        scan = simulate_to_file(config, out, report)
    common.say(_wrote(out, scan))


def _wrote(path: Path, scan: SimulatedScan) -> str:
    N = scan.config.N
    overlap = "" if scan.overlap is None else f", overlap {scan.overlap:.0%}"
    return (
        f"wrote {path}: {len(scan)} frames of {N} x {N}{overlap} (linear, probe diameter "
        f"{scan.diameter_px:.3g} px), {scan.photons.mean():.3g} photons per frame"
    )
