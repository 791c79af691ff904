"""`pinn refine SCAN --output DIR`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pinn.cli.check_first import check_option, stop_at_errors
from pinn.cli.common import Common, backend_options
from pinn.cli.options import ConfigCommand, Resolved
from pinn.cli.progress import Reporter
from pinn.cli.stop import StopOnSignal
from pinn.cli.train import load_scans
from pinn.config import RefineConfig, ScanConfig
from pinn.errors import ConfigError
from pinn.io.atomic import atomic_write_csv, atomic_write_json, check_writable
from pinn.progress import Progress


@click.command(
    "refine",
    cls=ConfigCommand,
    configs=(ScanConfig, RefineConfig),
    needed=("scan", "output"),
    first=(
        *("output", "model", "start", "resume", "epochs", "seconds", "likelihood"),
        *("update_probe", "probe_modes", "update_positions", "backend", "device"),
    ),
)
@click.argument("scan", required=False, metavar="SCAN", type=click.Path(path_type=Path))
@click.option(
    "--start",
    type=click.Path(path_type=Path),
    help="Result to begin with: reconstruction.h5 or its folder, also a ptychodus product; "
    "default: a flat object.",
)
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="Network that makes the start from a few frames (--start-cover): an archive, or its "
    "folder.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Folder for reconstruction.h5, pictures, history.csv and the checkpoint.  [required]",
)
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in the output folder.")
@check_option
@backend_options
@click.pass_obj
def command(
    common: Common,
    scan: Path,
    start: Path | None,
    model: Path | None,
    output: Path,
    resume: bool,
    check: bool,
    resolved: Resolved,
) -> None:
    """Refine object, probe, positions and scale by descent through the forward model.

    Begins with a network's rough picture (--model), a result (--start) or nothing, and ends by
    itself. Ctrl-C ends it after the step; what is best by then is written.
    """
    from pinn.cli.outputs import table_text, write_results

    if start is not None and model is not None:
        raise ConfigError("give --start or --model, not both: each says where to begin")
    common.select_backend()
    check_writable(output)
    reading = resolved.build(ScanConfig)
    (loaded,) = load_scans(common, (scan,), reading)
    if check:
        stop_at_errors(common, (loaded,), reading)
    config = resolved.build(RefineConfig)
    begin: Any = None
    if start is not None:
        from pinn.io.product import load_reconstruction

        begin = load_reconstruction(start)
    common.start_device()
    import pinn
    from pinn import backend

    with Reporter(common.quiet) as report, StopOnSignal() as stop:

        def watch(progress: Progress) -> None:
            report(progress)
            stop(progress)

        if model is not None:
            begin = pinn.load_model(model)
        recon = pinn.refine(loaded, begin, config, output=output, resume=resume, progress=watch)
    history = recon.statistics["history"]
    if history:
        from pinn.plots.pictures import write_loss, write_probe

        names = list(dict.fromkeys(name for row in history for name in row))
        rows = [{name: row.get(name) for name in names} for row in history]
        atomic_write_csv(output / "history.csv", rows)
        columns = {"deviance": "loss", "held_deviance": "val_loss"}
        write_loss(
            output / "loss.png",
            [
                {
                    columns.get(k, k): v
                    for k, v in row.items()
                    if v is not None and k != "lbfgs_iteration"
                }
                for row in rows
            ],
        )
        if recon.probe is not None:
            write_probe(output / "probe.png", recon.probe, recon.pixel_size_m)
    metrics = write_results(
        output,
        recon,
        loaded,
        refinement=recon.statistics["refinement"],
        hardware=backend.hardware(),
        peak_memory_mb=backend.peak_memory_mb(),
    )
    atomic_write_json(
        output / "config.json",
        {
            "scan": reading.to_dict(),
            "refine": config.to_dict(),
            "scans": [str(scan)],
            "preparation": list(loaded.steps),
            "start": None if start is None else str(start),
            "model": None if model is None else str(model),
            "sources": resolved.sources,
            "versions": backend.versions(),
        },
    )
    done = recon.statistics["refinement"]
    common.say(
        f"wrote {output}: {done['epochs']} epochs and {done['lbfgs_iterations']} iterations of "
        f"L-BFGS from {done['started_from']} in "
        f"{metrics['seconds']['total']:.1f} s; {done['ended']}"
    )
    common.say(recon.verdict)
    if metrics["evaluation"] is not None:
        common.say("against the scan's own truth:")
        common.say(table_text(metrics["evaluation"]["metrics"]))
    if stop.asked:
        common.say("--resume goes on from the last whole epoch")
        raise KeyboardInterrupt
