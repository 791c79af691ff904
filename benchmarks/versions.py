"""Two checkouts of pinn side by side: what a CPU-second and a megabyte buy in each.

    python benchmarks/versions.py OLD NEW SCAN.npz --model DIR --output versions.json

OLD and NEW are folders that hold a package `pinn`; DIR holds an archive that both can read. Every
measurement runs in a fresh process, old and new in turn, `--repeats` times; the smallest number of
CPU seconds of each is kept, for what else the machine does only adds to it. CPU seconds are those
of the process and its children. The first epoch, the first batch and the first round compile, and
are left out of rates; from the command line everything counts, imports and pictures included.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BACKENDS = {"jax": "jax", "torch": "torch", "tensorflow": "tensorflow"}
TASKS = ("train", "reconstruct", "refine", "command")


def cpu() -> float:
    """CPU seconds of this process and of its children that have ended."""
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Clock:
    """CPU seconds from the first report of a second pass to the last report of all."""

    def __init__(self) -> None:
        self.marks: list[tuple[float, int, int]] = []

    def __call__(self, report) -> None:
        self.marks.append((cpu(), report.epoch or 0, report.done))


def train(options: argparse.Namespace) -> dict:
    import pinn

    clock = Clock()
    scan = pinn.load(options.scan)
    pinn.train(scan, epochs=4, n_groups=256, validation="none", seed=1, progress=clock)
    last_of = {epoch: seconds for seconds, epoch, _ in clock.marks}
    epochs = sorted(last_of)
    spent = last_of[epochs[-1]] - last_of[epochs[0]]
    return {"groups_per_cpu_second": 256 * (len(epochs) - 1) / spent}


def reconstruct(options: argparse.Namespace) -> dict:
    import pinn

    scan, model = pinn.load(options.scan), pinn.load_model(options.model)
    scan.statistics()
    pinn.reconstruct(scan, model)  # compiles
    since = cpu()
    recon = pinn.reconstruct(scan, model)
    spent = cpu() - since
    found = {"frames_per_cpu_second": len(scan) / spent}
    if scan.truth is not None:
        found["nrmse"] = pinn.evaluate(recon, scan.truth).metrics["nrmse"]
    return found


def refine(options: argparse.Namespace) -> dict:
    import pinn

    clock = Clock()
    scan = pinn.load(options.scan)
    polish = {"polish": 0} if options.old else {"lbfgs_iterations": 0}
    pinn.refine(scan, epochs=5, split_half=False, patience=1000, progress=clock, **polish)
    last_of = {epoch: seconds for seconds, epoch, _ in clock.marks}
    epochs = sorted(last_of)
    spent = last_of[epochs[-1]] - last_of[epochs[0]]
    return {"epochs_per_cpu_second": (len(epochs) - 1) / spent}


def command(options: argparse.Namespace) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        since = cpu()
        line = [sys.executable, "-m", "pinn", "reconstruct", options.scan, "--model", options.model,
                "--output", f"{folder}/out", "--quiet"]  # fmt: skip
        subprocess.run(line, check=True)
        spent = cpu() - since
        frames = json.loads(Path(folder, "out", "metrics.json").read_text())["frames"]
    return {"cpu_seconds": spent, "frames_per_cpu_second": frames / spent}


def one(options: argparse.Namespace) -> None:
    """Measure one task in this process and print the figures."""
    since = time.perf_counter()
    found = globals()[options.task](options)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    found["peak_mb"] = peak if options.task == "command" else peak_mb()
    print(json.dumps({**found, "wall_s": time.perf_counter() - since}))


def measured(
    options: argparse.Namespace, checkout: Path, old: bool, backend: str, task: str
) -> dict:
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(checkout.resolve())}
    line = [sys.executable, __file__, str(options.old), str(options.new), str(options.scan),
            "--model", str(options.model), "--task", task]  # fmt: skip
    line += ["--is-old"] if old else []
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"failed": done.stderr[-400:]}
    return json.loads(done.stdout.splitlines()[-1])


def better(first: dict | None, second: dict) -> dict:
    """Of two measurements the one with the higher rate."""
    if first is None or "failed" in first:
        return second
    rate = next(name for name in first if name.endswith("per_cpu_second"))
    return second if second.get(rate, 0.0) > first[rate] else first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("scan")
    parser.add_argument("--model", required=True)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--backends", nargs="+", default=list(BACKENDS))
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    parser.add_argument("--is-old", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        options.old = options.is_old
        one(options)
        return
    rows = []
    for backend in options.backends:
        if importlib.util.find_spec(BACKENDS[backend]) is None:
            continue
        for task in options.tasks:
            best: dict[str, dict | None] = {"old": None, "new": None}
            for _ in range(options.repeats):
                for name, checkout in (("old", options.old), ("new", options.new)):
                    best[name] = better(
                        best[name], measured(options, checkout, name == "old", backend, task)
                    )
            row = {"backend": backend, "task": task, **best}
            rate = next((n for n in best["old"] if n.endswith("per_cpu_second")), None)
            if rate and rate in best["new"]:
                row["ratio"] = best["new"][rate] / best["old"][rate]
                row["peak_ratio"] = best["new"]["peak_mb"] / best["old"]["peak_mb"]
            rows.append(row)
            print(json.dumps(row), flush=True)
    if options.output:
        options.output.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
