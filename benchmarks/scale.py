"""A scan larger than memory: loaded, checked, grouped, fed and trained on, in little memory.

    python benchmarks/scale.py --frames 100000 --backends tensorflow --output scale.json

A scan is simulated to disk in constant memory (or `--scan FILE` is used), then every stage runs
alone in a fresh process:

- load: open the file;
- statistics: the one pass over all frames that training and `check` begin with;
- quick: the part of a check that training and reconstruction run first;
- check: all of it;
- group: groups of every rule, one for each frame (positions only);
- feed: every batch of an epoch over all frames;
- train: steps of each backend, on the whole scan and on its first frames, so that what the size of
  the scan costs stands apart from what the framework takes.

Memory is anonymous memory (RssAnon: no mapped file pages), sampled every 20 ms; given is the peak
beyond what the process held before it opened the scan, with NumPy and `pinn` (in the stage train:
the framework) loaded. CPU seconds are those of the process with all its threads. The feed is
compared with the training steps of the same run.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

LIMIT_MB = 1500.0
STAGES = ("load", "statistics", "quick", "check", "group", "feed")


def anonymous_mb() -> float:
    """Anonymous resident memory of this process in MB (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return float("nan")


class Measured:
    """CPU and wall seconds and peak anonymous memory of the body of a `with`."""

    def __enter__(self) -> Measured:
        self.before = self.peak = anonymous_mb()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *error: object) -> None:
        self.wall_s = time.perf_counter() - self._wall
        self.cpu_s = time.process_time() - self._cpu
        self._done.set()
        self._thread.join()
        self.peak = max(self.peak, anonymous_mb())

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self.peak = max(self.peak, anonymous_mb())

    def figures(self, **more: Any) -> dict[str, Any]:
        return {
            "wall_s": round(self.wall_s, 2),
            "cpu_s": round(self.cpu_s, 2),
            "peak_beyond_start_mb": round(self.peak - self.before, 1),
            **more,
        }


# -- stages -------------------------------------------------------------------------------


def load(options: argparse.Namespace) -> dict[str, Any]:
    import numpy as np  # noqa: F401  (belongs to the start, as in every stage)

    from pinn.io.load import load

    with Measured() as m:
        scan = load(options.scan)
    return m.figures(frames=len(scan), N=scan.N, dtype=str(scan.frames.dtype), units=scan.units)


def statistics(options: argparse.Namespace) -> dict[str, Any]:
    from pinn.io.load import load

    with Measured() as m:
        found = load(options.scan).statistics()
    return m.figures(
        mean_counts=found.mean_counts, frames_per_cpu_second=round(found.frames / m.cpu_s)
    )


def check(options: argparse.Namespace) -> dict[str, Any]:
    from pinn.check import check
    from pinn.io.load import load

    with Measured() as m:
        found = check(load(options.scan))
    return m.figures(findings=[f"{f.severity}: {f.code}" for f in found.findings])


def quick(options: argparse.Namespace) -> dict[str, Any]:
    from pinn.check import quick
    from pinn.io.load import load

    with Measured() as m:
        found = quick(load(options.scan))
    return m.figures(findings=[f"{f.severity}: {f.code}" for f in found])


def group(options: argparse.Namespace) -> dict[str, Any]:
    from pinn.data.grouping import make_groups
    from pinn.io.load import load

    places = load(options.scan).positions_px
    rules: dict[str, dict[str, Any]] = {
        "nearest": {},
        "nearest, twice as many groups": dict(n_groups=2 * len(places)),
        "quadrants": dict(method="quadrants"),
        "quadrants, three times as many": dict(method="quadrants", n_groups=3 * len(places)),
        "half of the frames": dict(subsample=len(places) // 2),
    }
    found = {}
    with Measured() as whole:
        for name, rule in rules.items():
            with Measured() as m:
                groups = make_groups(places, options.gridsize, **rule)
            found[name] = m.figures(groups=len(groups))
            del groups
    return whole.figures(rules=found)


def feed(options: argparse.Namespace) -> dict[str, Any]:
    from pinn.data.feed import Batches
    from pinn.data.grouping import make_groups
    from pinn.io.load import load

    with Measured() as m:
        scan = load(options.scan)
        scan.statistics()
        groups = make_groups(scan.positions_px, options.gridsize)
        batches = Batches([scan], [groups], options.batch, seed=0)
        begin, cpu = time.perf_counter(), time.process_time()
        for number in range(len(batches)):
            batches.batch(number)
        wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
    return m.figures(
        groups=len(groups),
        groups_per_second=round(len(groups) / wall, 1),
        groups_per_cpu_second=round(len(groups) / cpu, 1),
    )


def train(options: argparse.Namespace) -> dict[str, Any]:
    import keras

    import pinn
    from pinn import backend
    from pinn.training import train  # noqa: F401  (the framework is in memory before we measure)

    backend.full_precision()
    marks: list[tuple[float, float]] = []

    def epoch_ends(report: Any) -> None:
        if report.loss is not None:
            marks.append((time.perf_counter(), time.process_time()))

    with Measured() as m:
        scan = pinn.load(options.scan)
        pinn.train(
            scan,
            gridsize=options.gridsize,
            batch_size=options.batch,
            n_groups=options.groups,
            validation_fraction=0.0,
            epochs=options.epochs + 1,  # the first compiles
            progress=epoch_ends,
        )
    wall, cpu = (marks[-1][i] - marks[0][i] for i in (0, 1))
    count = options.groups * options.epochs
    return m.figures(
        backend=keras.backend.backend(),
        versions=backend.versions(),
        frames=len(scan),
        groups_per_second=round(count / wall, 2),
        groups_per_cpu_second=round(count / cpu, 2),
    )


# -- the whole ----------------------------------------------------------------------------


def make_scan(options: argparse.Namespace, path: Path, frames: int) -> dict[str, Any]:
    """Simulate to disk; the figures are those of the simulation."""
    from pinn.simulate import SimulateConfig
    from pinn.simulate.recipe import simulate_to_file

    recipe = SimulateConfig(
        N=options.size,
        n_frames=frames,
        object="leaves",
        photons_per_frame=1e5,
        frames_dtype=options.dtype,
        seed=1,
    )
    with Measured() as m:
        simulate_to_file(recipe, path)
    return m.figures(frames=frames, file_mb=round(path.stat().st_size / 2**20))


def stage(name: str, options: argparse.Namespace, path: Path, **environment: str) -> dict[str, Any]:
    """Run one stage in a process of its own."""
    command = [sys.executable, __file__, "--stage", name, "--scan", str(path)]
    for key in ("frames", "size", "dtype", "gridsize", "batch", "groups", "epochs"):
        command += [f"--{key}", str(getattr(options, key))]
    folder = str(Path(__file__).resolve().parents[1])
    paths = os.pathsep.join(p for p in (folder, os.environ.get("PYTHONPATH", "")) if p)
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
    )
    lines = [x for x in done.stdout.splitlines() if x.startswith("RESULT ")]
    if not lines:
        print(done.stderr[-3000:], file=sys.stderr)
        raise SystemExit(f"stage {name} failed")
    found = json.loads(lines[0].removeprefix("RESULT "))
    print(f"{name:10s} {found['cpu_s']:8.1f} CPU s {found['peak_beyond_start_mb']:8.1f} MB", end="")
    print(f" {found.get('groups_per_second', '')}", flush=True)
    return found


def versions() -> dict[str, str]:
    import platform

    import numpy
    import scipy

    import pinn

    return {
        "python": platform.python_version(),
        "pinn": pinn.__version__,
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scan", type=Path, help="an existing scan, instead of simulating one")
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=128, help="side of a frame in pixels")
    parser.add_argument("--dtype", default="uint32", help="of the stored frames")
    parser.add_argument("--gridsize", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--groups", type=int, default=64, help="groups of an epoch of training")
    parser.add_argument("--epochs", type=int, default=2, help="epochs that are timed")
    parser.add_argument("--backends", nargs="*", default=["jax", "torch", "tensorflow"])
    parser.add_argument("--without", nargs="*", default=[], choices=STAGES, help="leave out")
    parser.add_argument("--folder", type=Path, default=Path("."), help="where the scans are put")
    parser.add_argument("--keep", action="store_true", help="leave the simulated scans")
    parser.add_argument("--output", type=Path, default=Path("scale.json"))
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        print("RESULT " + json.dumps(globals()[options.stage](options)))
        return
    made: list[Path] = []
    report: dict[str, Any] = {
        "settings": {k: str(v) for k, v in vars(options).items() if k not in ("stage", "output")},
        "versions": versions(),
        "hardware": hardware(),
        "limit_mb": LIMIT_MB,
        "stages": {},
        "train": {},
    }
    try:
        path, few = options.scan, options.folder / "scale_few.npz"
        if path is None:
            path = options.folder / f"scale_{options.frames}.npz"
            bytes_ = options.frames * options.size**2 * {"uint16": 2}.get(options.dtype, 4)
            if shutil.disk_usage(options.folder).free < 2 * bytes_:
                raise SystemExit(f"{options.folder} has too little room for {bytes_ / 1e9:.1f} GB")
            made.append(path)
            report["simulate"] = make_scan(options, path, options.frames)
        made.append(few)
        make_scan(options, few, 256)
        for name in STAGES:
            if name not in options.without:
                report["stages"][name] = stage(name, options, path)
        for backend in options.backends:
            if importlib.util.find_spec(backend) is None:
                print(f"{backend}: not installed")
                continue
            whole = stage("train", options, path, KERAS_BACKEND=backend)
            start = stage("train", options, few, KERAS_BACKEND=backend)
            whole["peak_beyond_a_small_scan_mb"] = round(
                whole["peak_beyond_start_mb"] - start["peak_beyond_start_mb"], 1
            )
            report["train"][backend] = whole
        report["verdict"] = verdict(report)
    finally:
        # what was measured is kept, also when a later stage fails
        options.output.write_text(json.dumps(report, indent=1) + "\n")
        if not options.keep:
            for path in made:
                path.unlink(missing_ok=True)
    print(json.dumps(report["verdict"], indent=1))


def verdict(report: dict[str, Any]) -> dict[str, Any]:
    fed = report["stages"]["feed"]["groups_per_cpu_second"]
    peaks = {name: s["peak_beyond_start_mb"] for name, s in report["stages"].items()}
    trained = report["train"]
    peaks |= {f"train {b}": t["peak_beyond_a_small_scan_mb"] for b, t in trained.items()}
    return {
        "largest_peak_mb": max(peaks.values()),
        "below_limit": max(peaks.values()) < LIMIT_MB,
        "feed_is_faster_than_the_step_by": {
            b: round(fed / t["groups_per_cpu_second"], 1) for b, t in trained.items()
        },
    }


def hardware() -> dict[str, Any]:
    import platform

    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(pages / 1e9, 1),
    }


if __name__ == "__main__":
    main()
