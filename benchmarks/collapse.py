"""Seed battery at N = 128: does training ever end in a flat picture?

Trains on a simulated `lines` scan (recipe below) from ten seeds at two doses and compares the
reconstruction with the truth. Collapsed means: correlation of the modulus with the truth below
0.3, or relative spread (standard deviation over mean) of the modulus below a tenth of the truth's.

    KERAS_BACKEND=tensorflow python benchmarks/collapse.py --output collapse

Resumable: every finished run is one line of OUTPUT/results.jsonl and is not repeated. Lines without
an architecture are of `cnn`, the default when they were written.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

SIDE = 128
RECIPE = {"object": "lines", "N": SIDE, "probe": "disc", "pattern": "random", "n_frames": 1000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("collapse"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--counts", type=float, nargs="+", default=[100.0, 1000.0])
    parser.add_argument("--groups", type=int, default=512)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--gridsize", type=int, default=1)
    parser.add_argument("--architecture", help="default: that of the package")
    parser.add_argument("--filters", type=int, default=None, help="n_filters_scale")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    log = options.output / "results.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    done = [{"architecture": "cnn"} | json.loads(line) for line in lines]

    import pinn
    from pinn.config import ModelConfig
    from pinn.simulate import SimulateConfig, simulate_to_file

    architecture = options.architecture or ModelConfig().architecture
    for seed in range(options.seeds):
        for counts in options.counts:
            path = options.output / f"lines_{counts:g}.npz"
            if not path.exists():
                recipe = SimulateConfig(**RECIPE, photons_per_frame=counts * SIDE**2, seed=1)
                simulate_to_file(recipe, path)
            key = {
                "architecture": architecture,
                "counts": counts,
                "seed": seed,
                "gridsize": options.gridsize,
                "epochs": options.epochs,
                "groups": options.groups,
                "asked_filters": options.filters,
            }
            if any(key.items() <= row.items() for row in done):
                continue
            scan = pinn.load(path)
            extra = {} if options.filters is None else {"n_filters_scale": options.filters}
            clock = time.process_time()
            model = pinn.train(
                scan,
                architecture=architecture,
                gridsize=options.gridsize,
                epochs=options.epochs,
                n_groups=options.groups,
                seed=seed,
                **extra,
            )
            trained = time.process_time() - clock
            recon = pinn.reconstruct(scan, model)
            row = {**key, **measure(scan, recon), "cpu_seconds": round(trained)}
            row["loss"] = model.history[-1]["loss"]
            row["filters"] = model.config.n_filters_scale
            done.append(row)
            with log.open("a") as stream:
                stream.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)
    same = [row for row in done if row["architecture"] == architecture]
    collapsed = [row for row in same if row["collapsed"]]
    print(f"{architecture}: {len(same)} runs, {len(collapsed)} collapsed")


def measure(scan, recon) -> dict[str, float | bool]:
    """Correlation and spread of the modulus inside the box of the scan positions."""
    low = np.ceil(scan.positions_px.min(0)).astype(int)
    high = np.floor(scan.positions_px.max(0)).astype(int)
    origin = recon.origin_px.astype(int)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    shifted = tuple(slice(a - o, b - o) for a, b, o in zip(low, high, origin, strict=True))
    truth, ours = np.abs(scan.truth[box]), np.abs(recon.object[shifted])
    correlation = float(np.corrcoef(truth.ravel(), ours.ravel())[0, 1])
    spread = float(ours.std() / ours.mean()) / float(truth.std() / truth.mean())
    return {
        "correlation": round(correlation, 4),
        "relative_spread": round(spread, 4),
        "collapsed": bool(correlation < 0.3 or spread < 0.1),
    }


if __name__ == "__main__":
    main()
