"""`pinn refine SCAN --output DIR`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import pinn
from pinn.cli.advice import after_refinement, to_resume
from pinn.cli.common import PATH, Common, backend_options
from pinn.cli.interim import Interim
from pinn.cli.options import ConfigCommand, Resolved
from pinn.cli.outputs import further_panels, say_quality, write_config, write_results
from pinn.cli.progress import Reporter
from pinn.cli.scans import begin, check_option
from pinn.cli.stop import StopOnSignal
from pinn.config import RefineConfig, ScanConfig
from pinn.errors import ConfigError
from pinn.io.atomic import atomic_write_csv
from pinn.io.product import Reconstruction, load_reconstruction
from pinn.plots.pictures import write_loss, write_probe
from pinn.progress import Deadline


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
@click.argument("scan", required=False, metavar="SCAN", type=PATH)
@click.option(
    "--start",
    type=PATH,
    help="Result to start from: reconstruction.h5, its folder, or a ptychodus product. Default: a "
    "flat object.",
)
@click.option(
    "--model",
    type=PATH,
    help="Network to start from: an archive or its folder. It reconstructs a few frames first.",
)
@click.option(
    "--output",
    type=PATH,
    help="Folder for reconstruction.h5, pictures, history.csv and the checkpoint.  [required]",
)
@click.option("--resume", is_flag=True, help="Continue from the checkpoint in the output folder.")
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
    """Refine object, probe and positions through the forward model.

    Starts from a network's first reconstruction (--model), a result (--start) or a flat object.
    Stops when the likelihood no longer improves. Ctrl-C stops it after the current step and writes
    the best state so far.
    """
    if start is not None and model is not None:
        raise ConfigError("give --start or --model, not both")
    reading, config = resolved.build(ScanConfig), resolved.build(RefineConfig)
    (loaded,) = begin(common, output, (scan,), reading, check)
    first: Any = None if start is None else load_reconstruction(start)
    common.start_device()
    at = None if config.seconds is None else common.began + config.seconds
    deadline = Deadline(at)
    interim = Interim(output, True, _write_history, deadline, further_panels(loaded))
    told = interim.told(common.say)
    with told, Reporter(common.quiet) as report, StopOnSignal(report) as stop:
        if model is not None:
            first = pinn.load_model(model)
        recon = pinn.refine(
            loaded, first, config, output=output, resume=resume, progress=stop, watch=interim,
            deadline=deadline,
        )  # fmt: skip
    _write_history(output, recon)
    done = recon.statistics["refinement"]
    metrics = write_results(output, recon, loaded, interim.time_for, refinement=done)
    configs = {"scan": reading, "refine": config}
    facts = {"start": start and str(start), "model": model and str(model)}
    write_config(output, loaded, scan, resolved, configs, **facts)
    common.say(
        f"wrote {output}: {done['epochs']} epochs and {done['lbfgs_iterations']} iterations of "
        f"L-BFGS from {done['started_from']} in "
        f"{metrics['seconds']['total']:.1f} s; {_ended(done, len(recon.positions_px))}"
    )
    say_quality(common, recon, metrics)
    run = {"start": start, "model": model, "output": output, **({} if check else {"check": False})}
    if stop.asked:
        command = to_resume(common, scan, resolved, run)
        if done["epochs"]:
            common.say(f"--resume goes on from the last whole epoch:\n  {command}")
        else:
            made = "made from a part of the first" if _begun(done) else "made from the start"
            common.say(f"no epoch was finished: the picture is {made}; again:\n  {command}")
        raise KeyboardInterrupt
    if advice := after_refinement(common, scan, recon, resolved, run):
        common.say(advice)


def _begun(done: dict[str, Any]) -> bool:
    """Whether it ended within an epoch, after some frames of it."""
    return done["cut"] is not None and done["cut"]["frames"] > 0


def _ended(done: dict[str, Any], frames: int) -> str:
    """Why the refinement ended, and where within an epoch."""
    cut = done["cut"]
    if not _begun(done):
        return str(done["ended"])
    kept = "" if done["epochs"] else ", which the picture is made from"
    return (
        f"{done['ended']}, after {cut['frames']} of {frames} frames of epoch {cut['epoch']}{kept}"
    )


def _write_history(output: Path, recon: Reconstruction) -> None:
    """Write `history.csv`, `loss.png` and `probe.png`, unless nothing was refined."""
    history = recon.statistics["history"]
    if not history:
        return
    atomic_write_csv(output / "history.csv", history)
    renamed = {"deviance": "loss", "held_deviance": "val_loss"}
    curves = [
        {
            renamed.get(name, name): value
            for name, value in row.items()
            if value is not None and name != "lbfgs_iteration"
        }
        for row in history
    ]
    write_loss(output / "loss.png", curves)
    if recon.probe is not None:
        write_probe(output / "probe.png", recon.probe, recon.pixel_size_m)
