"""Training and reconstruction rates of every backend in one run, per stage, with memory.

    python benchmarks/throughput.py SCAN.npz --output throughput.json

Each backend runs alone in a fresh process. The clock covers reading the file, normalising, the
network and stitching; compilation is reported apart (the first epoch and the first batch). CPU
seconds are those of the process with all its threads. Anonymous memory (RssAnon: no mapped file
pages) is sampled before the scan is opened, after one batch, and at the end: frames that
accumulated would show as growth between the last two.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

BACKENDS = {"jax": "jax", "torch": "torch", "tensorflow": "tensorflow"}


def anonymous_mb() -> float:
    """Anonymous resident memory of this process in MB (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return float("nan")


def clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def rates(count: int, since: tuple[float, float]) -> dict[str, float]:
    wall, cpu = (now - then for now, then in zip(clocks(), since, strict=True))
    return {
        "count": count,
        "wall_s": round(wall, 3),
        "cpu_s": round(cpu, 3),
        "per_second": round(count / wall, 2),
        "per_cpu_second": round(count / cpu, 2),
    }


def measure(options: argparse.Namespace) -> dict:
    """All figures of the backend this process was started with."""
    import keras

    import pinn
    from pinn import backend
    from pinn.training import train  # noqa: F401  (the framework is in memory before we measure)

    result: dict = {"versions": backend.versions(), "hardware": backend.hardware()}
    memory = {"framework_mb": anonymous_mb()}
    scan = pinn.load(options.scan)
    marks: list[tuple[float, float]] = [clocks()]

    def epoch_ends(report) -> None:
        if report.loss is not None:
            marks.append(clocks())

    model = pinn.train(
        scan,
        gridsize=options.gridsize,
        n_filters_scale=options.filters,
        batch_size=options.batch,
        n_groups=options.groups,
        validation_fraction=0.0,
        epochs=options.epochs + 1,
        progress=epoch_ends,
    )
    groups = options.groups or len(scan)
    result["first_epoch_with_compilation"] = {
        "wall_s": round(marks[1][0] - marks[0][0], 2),
        "cpu_s": round(marks[1][1] - marks[0][1], 2),
    }
    wall, cpu = (marks[-1][i] - marks[1][i] for i in (0, 1))
    count = groups * options.epochs
    result["train_groups"] = {
        "count": count,
        "per_second": round(count / wall, 2),
        "per_cpu_second": round(count / cpu, 2),
    }
    memory["after_training_mb"] = anonymous_mb()
    pinn.reconstruct(scan, model)  # compiles
    memory["after_first_reconstruction_mb"] = anonymous_mb()
    since = clocks()
    recon = pinn.reconstruct(scan, model)
    result["reconstruct_frames"] = rates(len(scan), since)
    result["reconstruct_stages_wall_s"] = {
        k: round(v, 3) for k, v in recon.statistics["seconds"].items()
    }
    memory["after_second_reconstruction_mb"] = anonymous_mb()
    memory["peak_resident_mb"] = backend.peak_memory_mb()
    result["memory"] = {k: round(v, 1) for k, v in memory.items()}
    result["parameters"] = int(model.network.network.count_params())
    result["backend"] = keras.backend.backend()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scan", type=Path)
    parser.add_argument("--output", type=Path, default=Path("throughput.json"))
    parser.add_argument("--backends", nargs="+", default=list(BACKENDS))
    parser.add_argument("--gridsize", type=int, default=2)
    parser.add_argument("--filters", type=int, default=1)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--groups", type=int, default=512)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print("RESULT " + json.dumps(measure(options)))
        return
    settings = {k: str(v) for k, v in vars(options).items() if k not in ("child", "output")}
    report = {"settings": settings, "backends": {}}
    for backend in options.backends:
        if importlib.util.find_spec(BACKENDS[backend]) is None:
            print(f"{backend}: not installed")
            continue
        environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(
            [sys.executable, *sys.argv, "--child"], env=environment, capture_output=True, text=True
        )
        lines = [x for x in done.stdout.splitlines() if x.startswith("RESULT ")]
        if not lines:
            print(done.stderr[-3000:], file=sys.stderr)
            raise SystemExit(f"{backend} failed")
        figures = report["backends"][backend] = json.loads(lines[0].removeprefix("RESULT "))
        print(
            f"{backend:11s} train {figures['train_groups']['per_second']:8.1f} groups/s, "
            f"reconstruct {figures['reconstruct_frames']['per_second']:8.1f} frames/s, "
            f"peak {figures['memory']['peak_resident_mb']:.0f} MB"
        )
    options.output.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
