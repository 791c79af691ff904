"""`pinn reconstruct SCAN --output DIR`, with the model of the package or `--model DIR`."""

from __future__ import annotations

from pathlib import Path

import click

import pinn
from pinn.cli.advice import after_reconstruction
from pinn.cli.common import PATH, Common, backend_options
from pinn.cli.interim import Interim
from pinn.cli.options import ConfigCommand, Resolved
from pinn.cli.outputs import say_quality, write_config, write_results
from pinn.cli.progress import Reporter
from pinn.cli.scans import begin, check_option
from pinn.cli.stop import StopOnSignal
from pinn.config import ReconstructConfig, ScanConfig
from pinn.io.archive import PRETRAINED, PRETRAINED_PATH


@click.command(
    "reconstruct",
    cls=ConfigCommand,
    configs=(ScanConfig, ReconstructConfig),
    needed=("scan", "output"),
    first=("model", "output", "stages", "exposure", "batch_size", "check", "backend", "device"),
)
@click.argument("scan", required=False, metavar="SCAN", type=PATH)
@click.option(
    "--model",
    type=PATH,
    help="Model archive, or the folder that holds wts.h5.zip. Default: pretrained, the model of "
    "the package.",
)
@click.option(
    "--output",
    type=PATH,
    help="Folder for reconstruction.h5, amplitude.png, phase.png, trust.png and metrics.json.  "
    "[required]",
)
@check_option
@backend_options
@click.pass_obj
def command(
    common: Common, scan: Path, model: Path | None, output: Path, check: bool, resolved: Resolved
) -> None:
    """Reconstruct a whole scan with a network: that of the package, or your own.

    Ctrl-C stops it after the current batch and writes what there is by then, marked unfinished.
    """
    reading = resolved.build(ScanConfig)
    (loaded,) = begin(common, output, (scan,), reading, check)
    common.start_device()
    trained = pinn.load_model(PRETRAINED_PATH if model is None else model)
    config = resolved.build(ReconstructConfig)
    interim = Interim(output, soon=False)
    told = interim.told(common.say)
    with told, Reporter(common.quiet) as report, StopOnSignal(report) as stop:
        recon = pinn.reconstruct(loaded, trained, config, progress=stop, watch=interim)
    metrics = write_results(output, recon, loaded)
    configs = {"scan": reading, "reconstruct": config}
    facts = {"model": str(model or PRETRAINED), "archive_sha256": trained.archive_sha256}
    write_config(output, loaded, scan, resolved, configs, **facts)
    (rows, columns), done = recon.object.shape, recon.statistics["frames"]
    which = "the package's own model" if model is None else str(model)
    if trained.network.unrolled:
        how, so_far = f"{recon.statistics['stages']} stages of {which}", "some stages were not made"
    else:
        how = (
            f"exposure: {config.exposure}, ratio to the training scans "
            f"{metrics['exposure_ratio']:.3g}"
        )
        so_far = f"{done} of {len(loaded)} frames are in the picture"
    common.say(
        f"wrote {output}: object {rows} x {columns} px from {done} frames in "
        f"{metrics['seconds']['total']:.1f} s; {how}"
    )
    say_quality(common, recon, metrics)
    if recon.statistics.get("stopped"):
        common.say(f"{so_far}; run it again for all")
        raise KeyboardInterrupt
    if advice := after_reconstruction(common, scan, output, recon, loaded, resolved):
        common.say(advice)
