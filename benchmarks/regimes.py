"""Where a network wins: lean, the model of the package and refinement, by dose and overlap.

    python benchmarks/regimes.py --output regimes

Scans are simulated (leaves, a defocused probe, 225 frames of 64 x 64). `lean` is trained on the
scan itself for a number of CPU-seconds, refinement has as many, and the model of the package takes
what it takes. What is there is not measured again.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

BASE: dict[str, Any] = {
    "object": "leaves",
    "probe": "defocused",
    "n_frames": 225,
    "overlap": 0.7,
    "photons_per_frame": 1e6,
    "seed": 5,
}
DOSES = (1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8)
OVERLAPS = (0.2, 0.4, 0.6, 0.8, 0.9)
SOLVERS = ("lean", "package", "refinement")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("regimes"))
    parser.add_argument("--seconds", type=float, default=20, help="CPU-seconds of lean's training")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "regimes.json"
    rows = json.loads(path.read_text()) if path.exists() else []
    kinds = [{"photons_per_frame": dose} for dose in DOSES]
    kinds += [{"overlap": overlap} for overlap in OVERLAPS]
    for kind in kinds:
        for solver in SOLVERS:
            if any(row["kind"] == kind and row["solver"] == solver for row in rows):
                continue
            row = {"kind": kind, "solver": solver} | measured(kind, solver, options)
            rows.append(row)
            path.write_text(json.dumps(rows, indent=1) + "\n")
            print(row, flush=True)
    picture(rows, options.output / "regimes.png")


def measured(kind: dict[str, Any], solver: str, options: argparse.Namespace) -> dict[str, Any]:
    """Error and CPU-seconds."""
    import pinn
    from pinn.quality.compare import compare
    from pinn.quality.frames import as_placed

    (name, value), *_ = kind.items()
    scan_path = options.output / f"{name}_{value:g}.npz"
    if not scan_path.exists():
        pinn.simulate.simulate_to_file(pinn.SimulateConfig(**{**BASE, **kind}), scan_path)
    scan, began = pinn.load(scan_path), time.process_time()
    if solver == "lean":
        model = pinn.train(scan, epochs=200, progress=until(began + options.seconds))
        recon = pinn.reconstruct(scan, model)
    elif solver == "refinement":
        recon = pinn.refine(scan, progress=until(began + options.seconds))
    else:
        recon = pinn.reconstruct(scan, consistency=False)
    spent = time.process_time() - began
    truth = as_placed(scan.truth, scan.truth_origin_px, "truth")
    found = compare({"made": as_placed(recon)}, truth)["made"].metrics
    short = {key: float(found[key]) for key in ("nrmse", "amplitude_psnr_db", "phase_mae_rad")}
    return {**short, "cpu_s": spent, "verdict": recon.verdict}


def before_training(model: Any) -> Any:
    """A model with the weights that its network begins with: plain steps with momentum."""
    import pinn
    from pinn.networks.initialise import initialise
    from pinn.networks.model import PtychoModel

    fresh = PtychoModel(model.config, model.config.N)
    initialise(fresh.network, 0)
    return pinn.Model(model.config, fresh, model.statistics)


def until(end: float) -> Any:
    """Asks for the end when this process has used so much time of the processor."""
    from pinn.progress import StopRequested

    def progress(report: Any) -> None:
        if time.process_time() > end:
            raise StopRequested

    return progress


def picture(rows: list[dict[str, Any]], path: Path) -> None:
    """Error by dose and by overlap."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    for axis, name in zip(axes, ("photons_per_frame", "overlap"), strict=True):
        for solver in SOLVERS:
            points = sorted(
                (row["kind"][name], row["nrmse"])
                for row in rows
                if row["solver"] == solver and name in row["kind"]
            )
            axis.plot(*zip(*points, strict=True), marker="o", label=solver)
        axis.set(xlabel=name.replace("_", " "), yscale="log")
    axes[0].set(ylabel="nrmse", xscale="log")
    axes[1].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main()
