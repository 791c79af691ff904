"""`pinn demo`: the whole chain on a scan that the program makes itself."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

import pinn
from pinn.cli.common import PATH, Common, backend_options
from pinn.cli.demo_report import write_report
from pinn.cli.outputs import write_results
from pinn.cli.progress import Reporter
from pinn.io.atomic import check_writable
from pinn.progress import Progress, StopRequested

# The recipe: small enough for minutes on two processor cores, with an object one recognises.
# Features of the object are several times the resolution that minutes of training reach.
SCAN: dict[str, Any] = {
    "object": "demo",
    "spokes": 12,
    "amplitude_min": 0.5,
    "probe": "disc",
    "n_frames": 900,
    "overlap": 0.55,
    "photons_per_frame": 1e6,
}
TRAINING: dict[str, Any] = {"epochs": 16, "batch_size": 8}
# Training stops early on a slow machine, so that everything together stays under five minutes.
TRAINING_SECONDS = 200


@click.command("demo")
@click.option(
    "--output",
    type=PATH,
    default=Path("pinn-demo"),
    show_default=True,
    help="Folder for everything the demo writes.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of the scan and of the training.",
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    default=TRAINING["epochs"],
    show_default=True,
    help="Number of passes over the groups.",
)
@click.option(
    "--n-frames",
    type=click.IntRange(min=16),
    default=SCAN["n_frames"],
    show_default=True,
    help="Number of frames in the scan.",
)
@backend_options
@click.pass_obj
def command(common: Common, output: Path, seed: int, epochs: int, n_frames: int) -> None:
    """Simulate a scan, train on it, reconstruct it and compare with the truth.

    Takes at most about five minutes on two processor cores. Writes pictures and a report.
    """
    common.select_backend()
    check_writable(output)
    common.start_device()
    clock = _Clock()
    recipe = pinn.SimulateConfig(**{**SCAN, "seed": seed, "n_frames": n_frames})
    with Reporter(common.quiet) as report:
        simulated = pinn.simulate.simulate_to_file(recipe, output / "scan.npz", report)
        clock.lap("simulate")
        scan = pinn.load(output / "scan.npz")
        limit = _Limit(report, TRAINING_SECONDS)
        options = {**TRAINING, "epochs": epochs, "seed": seed}
        model = pinn.train(scan, output=output, progress=limit, **options)
        clock.lap("train")
        recon = pinn.reconstruct(scan, model, progress=report)
        clock.lap("reconstruct")
    metrics = write_results(output, recon, scan)
    clock.lap("compare and draw")
    facts = {
        "simulation": simulated.metadata(),
        "overlap": simulated.overlap,
        "photons_per_frame": float(simulated.photons.mean()),
        "epochs": len(model.history),
        "epochs_asked": epochs,
        "last": model.history[-1],
        "seconds": clock.seconds,
        "metrics": metrics,
    }
    page = write_report(output, facts)
    common.say(f"done in {sum(clock.seconds.values()):.0f} s; look at {page}")


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self._since = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = now - self._since
        self._since = now


class _Limit:
    """Passes progress on and stops training after some seconds, but not in the first epoch."""

    def __init__(self, report: Reporter, seconds: float) -> None:
        self._report, self._end = report, time.perf_counter() + seconds

    def __call__(self, progress: Progress) -> None:
        self._report(progress)
        first = progress.epoch == 1 and progress.loss is None
        if not first and time.perf_counter() > self._end:
            raise StopRequested
