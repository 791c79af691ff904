"""`pinn reconstruct SCAN --model DIR --output DIR`."""

from __future__ import annotations

from pathlib import Path

import click

from pinn.cli.check_first import check_option, stop_at_errors
from pinn.cli.common import Common, backend_options
from pinn.cli.options import ConfigCommand, Resolved
from pinn.cli.progress import Reporter
from pinn.cli.train import load_scans
from pinn.config import ReconstructConfig, ScanConfig
from pinn.io.atomic import atomic_write_json, check_writable


@click.command(
    "reconstruct",
    cls=ConfigCommand,
    configs=(ScanConfig, ReconstructConfig),
    needed=("scan", "model", "output"),
    first=("model", "output", "exposure", "batch_size", "check", "backend", "device"),
)
@click.argument("scan", required=False, metavar="SCAN", type=click.Path(path_type=Path))
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="Archive, or the folder that holds wts.h5.zip.  [required]",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Folder for reconstruction.h5, amplitude.png, phase.png, trust.png and metrics.json.  "
    "[required]",
)
@check_option
@backend_options
@click.pass_obj
def command(
    common: Common, scan: Path, model: Path, output: Path, check: bool, resolved: Resolved
) -> None:
    """Reconstruct a whole scan: network inference and stitching."""
    from pinn.cli.outputs import table_text, write_results

    common.select_backend()
    check_writable(output)
    reading = resolved.build(ScanConfig)
    (loaded,) = load_scans(common, (scan,), reading)
    if check:
        stop_at_errors(common, (loaded,), reading)
    common.start_device()
    import pinn
    from pinn import backend

    trained = pinn.load_model(model)
    config = resolved.build(ReconstructConfig)
    with Reporter(common.quiet) as report:
        recon = pinn.reconstruct(loaded, trained, config, progress=report)
    metrics = write_results(
        output,
        recon,
        loaded,
        hardware=backend.hardware(),
        peak_memory_mb=backend.peak_memory_mb(),
    )
    atomic_write_json(
        output / "config.json",
        {
            "scan": reading.to_dict(),
            "reconstruct": config.to_dict(),
            "scans": [str(scan)],
            "preparation": list(loaded.steps),
            "model": str(model),
            "archive_sha256": trained.archive_sha256,
            "sources": resolved.sources,
            "versions": backend.versions(),
        },
    )
    rows, columns = recon.object.shape
    common.say(
        f"wrote {output}: object {rows} x {columns} px from {len(loaded)} frames in "
        f"{metrics['seconds']['total']:.1f} s; exposure: {config.exposure}, "
        f"ratio to the training scans {metrics['exposure_ratio']:.3g}"
    )
    common.say(recon.verdict)
    if metrics["evaluation"] is not None:
        common.say("against the scan's own truth:")
        common.say(table_text(metrics["evaluation"]["metrics"]))
