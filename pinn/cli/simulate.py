"""`pinn simulate OUT`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pinn.cli.common import Common, quiet_option
from pinn.cli.options import ConfigCommand, Resolved
from pinn.cli.progress import Reporter
from pinn.simulate.config import SimulateConfig

if TYPE_CHECKING:
    from pinn.simulate import SimulatedScan


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
@click.argument("out", required=False, metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--n-objects",
    type=click.IntRange(min=1),
    help="Simulate this many objects under every probe, into the folder OUT.",
)
@click.option(
    "--n-probes",
    type=click.IntRange(min=1),
    help="Simulate every object under this many probes, into the folder OUT.",
)
@click.option("--force", is_flag=True, help="Overwrite what another recipe made.")
@quiet_option
@click.pass_obj
def command(
    common: Common,
    out: Path,
    n_objects: int | None,
    n_probes: int | None,
    force: bool,
    resolved: Resolved,
) -> None:
    """Write a synthetic scan with known truth to the NPZ file OUT.

    The same options give the same file, byte for byte. A file that the same options made already
    is kept, and one that they did not make is not overwritten without --force. With --n-objects
    or --n-probes, OUT is a folder that gets one file for each pair.
    """
    from pinn.simulate import check_reusable, simulate_many, simulate_to_file

    config = resolved.build(SimulateConfig)
    if n_objects is not None or n_probes is not None:
        with Reporter(common.quiet) as report:
            files = simulate_many(config, out, n_objects or 1, n_probes or 1, report, force=force)
        for file in files:
            common.say(_kept(file.path) if file.scan is None else _wrote(file.path, file.scan))
        return
    if not force and check_reusable(config, out):
        common.say(_kept(out))
        return
    with Reporter(common.quiet) as report:
        scan = simulate_to_file(config, out, report)
    common.say(_wrote(out, scan))


def _kept(path: Path) -> str:
    return f"kept {path}: this recipe made it already"


def _wrote(path: Path, scan: SimulatedScan) -> str:
    N = scan.config.N
    overlap = "" if scan.overlap is None else f", overlap {scan.overlap:.0%}"
    return (
        f"wrote {path}: {len(scan)} frames of {N} x {N}{overlap} (linear, probe diameter "
        f"{scan.diameter_px:.3g} px), {scan.photons.mean():.3g} photons per frame"
    )
