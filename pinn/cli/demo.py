"""`pinn demo`: the whole chain on a scan that the program makes itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

import pinn
from pinn.cli.common import PATH, Common, backend_options
from pinn.cli.demo_report import write_report
from pinn.cli.outputs import write_results
from pinn.cli.progress import Reporter
from pinn.data.scan import Scan
from pinn.io.atomic import check_writable
from pinn.plots.comparison import write_side_by_side
from pinn.progress import Progress, StopRequested
from pinn.quality.compare import compare
from pinn.quality.frames import as_placed

# The recipe: small enough for minutes on one processor core, with an object one recognises.
SCAN: dict[str, Any] = {
    "object": "demo",
    "spokes": 12,
    "amplitude_min": 0.5,
    "probe": "disc",
    "n_frames": 900,
    "overlap": 0.55,
    "photons_per_frame": 1e6,
}
# A network learns the object's large parts soon, and its detail slowly: refinement makes that.
TRAINING: dict[str, Any] = {"epochs": 4, "batch_size": 8}
REFINEMENT: dict[str, Any] = {"split_half": False}
# Both stop early on a slow machine, so that everything together takes minutes.
TRAINING_SECONDS, REFINEMENT_SECONDS = 90, 90


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
    help="Number of passes over the groups in training.",
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
    """Simulate a scan, train on it, reconstruct it, refine the result and compare with the truth.

    Takes about two minutes on one processor core. Writes pictures and a report.
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
        network = pinn.reconstruct(scan, model, progress=report)
        clock.lap("reconstruct")
        refined = pinn.refine(
            scan, network, progress=report, seconds=REFINEMENT_SECONDS, **REFINEMENT
        )
        clock.lap("refine")
    network.save(output / "network.h5")
    metrics = write_results(output, refined, scan)
    beside = _side_by_side(output, {"network": network, "refined": refined}, scan)
    clock.lap("compare and draw")
    facts = {
        "simulation": simulated.metadata(),
        "overlap": simulated.overlap,
        "photons_per_frame": float(simulated.photons.mean()),
        "epochs": len(model.history),
        "epochs_asked": epochs,
        "last": model.history[-1],
        "refinement": refined.statistics["refinement"],
        "verdicts": {"network": network.verdict, "refined": refined.verdict},
        "beside": beside,
        "seconds": clock.seconds,
        "metrics": metrics,
    }
    page = write_report(output, facts)
    for name, found in beside.items():
        common.say(f"{name}: normalised error {found['nrmse']:.3f} against the truth")
    common.say(refined.verdict)
    common.say(f"done in {sum(clock.seconds.values()):.0f} s; look at {page}")


def _side_by_side(
    output: Path, recons: Mapping[str, Any], scan: Scan
) -> dict[str, dict[str, float | None]]:
    """Draw the results beside the truth; returns their metrics on the pixels they share."""
    assert scan.truth is not None  # it was simulated
    truth = as_placed(scan.truth, scan.truth_origin_px, "truth")
    found = compare({name: as_placed(recon) for name, recon in recons.items()}, truth)
    write_side_by_side(output / "side_by_side.png", found)
    return {name: item.metrics for name, item in found.items()}


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
