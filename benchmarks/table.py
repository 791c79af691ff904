"""`pinn refine` at default options beside pty-chi's solvers, on thirteen unlike scans.

    python benchmarks/table.py --data FOLDER --output table              # runs what is missing
    python benchmarks/table.py --data FOLDER --output table --report     # of what there is
    python benchmarks/table.py --data FOLDER --output table --pictures 6 8

FOLDER holds lines64_test.npz, lines64_train.npz, siemens_star.npz and cryo_em_4dstem.npz; the other
scans are simulated into OUTPUT. How to install pty-chi is in the head of solvers.py.

Each scan goes through `pinn check --fix` first, once; where that finds something to correct, every
solver gets the file it wrote, and otherwise the scan as it is.

Scans of even number had a part in choosing the defaults of `pinn refine`, themselves or one of
their kind; those of odd number had none. Every solver begins with the probe of that file and an
object of ones, refines both, and leaves the positions as they are stated, as its own defaults do.
Each runs in a process and thread of its own, until its clock is beyond the last mark or it ends.
The clock counts CPU-seconds from the data in memory on, with set-up and compilation, without
imports. Read at a mark: the last state that was ready by then.

Error: nrmse against the truth over lit pixels (see solvers.py). Scans without a truth: Poisson
deviance per pixel at 2 percent of the detector pixels, hidden from every solver, less what Poisson
noise alone would have.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import solver_adapters as adapters
import solvers

WORSE = 1.05  # than the better of the others: an exception, which is named
# batch and step of LSQML and the last one as in pty-chi's own tests, but for smaller batches
# "network" is trained on the scan until the last mark, and "from network" refines what it makes
SOLVERS: dict[str, dict[str, Any]] = {
    "pinn": {"engine": "pinn"},
    "network": {"engine": "network"},
    "from network": {"engine": "pinn", "from": "network"},
    "LSQML": {"engine": "lsqml", "batch": 32, "step": 1.0},
    "autodiff": {"engine": "ad", "batch": 32, "step": 1.0},
    "autodiff-0.1": {"engine": "ad", "batch": 32, "step": 0.1},
}
OURS = ("pinn", "network", "from network")
BASE = {"N": 64, "n_frames": 144, "object": "leaves", "probe": "defocused", "overlap": 0.75}


@dataclass(frozen=True)
class Kind:
    """A scan: a file of FOLDER and how it is read, or what differs from `BASE` in its recipe."""

    name: str
    recipe: dict[str, Any] = field(default_factory=dict)
    file: str | None = None
    reading: dict[str, Any] = field(default_factory=dict)


STRONG = {"object": "demo", "phase_min": -2.0, "phase_max": 2.0, "contrast": 0.5}
WEAK = {"object": "polyhedra", "contrast": 0.1, "probe": "zernike", "pattern": "fermat"}
BRIGHT = {"object": "procedural", "photons_per_frame": 1e9, "pattern": "spiral"}
DENSE = {"object": "star", "probe_diameter": 0.6, "overlap": 0.9, "n_frames": 225}
DIM = {"object": "grf", "photons_per_frame": 1e3}
SCANS: dict[int, Kind] = {
    1: Kind("strong object, phases over 2 rad", STRONG),
    2: Kind("lines64_test, 400 frames", file="lines64_test.npz", reading={"first": 400}),
    3: Kind("weak object, contrast .1", WEAK),
    4: Kind("lines64_train, 400 frames", file="lines64_train.npz", reading={"first": 400}),
    5: Kind("1e9 photons per frame", BRIGHT),
    6: Kind("Siemens star, measured, 200 frames", file="siemens_star.npz", reading={"first": 200}),
    7: Kind("overlap 50 %", {"overlap": 0.5, "n_frames": 100}),
    8: Kind("electrons, measured, 400 frames", file="cryo_em_4dstem.npz", reading={"first": 400}),
    9: Kind("overlap 90 %", DENSE),
    10: Kind("1e3 photons per frame", DIM),
    11: Kind("start probe 30 % out of focus", {"object": "polyhedra", "probe_error": 0.3}),
    12: Kind("1e5 photons per frame", {"object": "lines", "photons_per_frame": 1e5}),
    13: Kind("positions off by 1 px", {"object": "procedural", "position_error": 1.0}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("table"))
    parser.add_argument("--scans", type=int, nargs="+", default=list(SCANS))
    parser.add_argument("--solvers", nargs="+", default=list(SOLVERS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of simulated scans")
    parser.add_argument("--marks", type=float, nargs="+", default=[15.0, 30.0])
    parser.add_argument("--options", default="{}", help="of pinn.refine, JSON; for trials")
    parser.add_argument("--report", action="store_true", help="of what there is, without runs")
    parser.add_argument("--pictures", type=int, nargs="+", default=[], metavar="SCAN")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    if options.one:
        run_one(options)
        return
    for number in [] if options.report or options.pictures else options.scans:
        for seed in options.seeds if SCANS[number].file is None else [0]:
            for solver in options.solvers:
                run(options, number, seed, solver)
    for number in options.pictures:
        picture(options, number)
    write(options)


def scan_file(options: argparse.Namespace, number: int, seed: int) -> Path:
    """The scan's file; a simulated one is written unless it is there."""
    import pinn

    kind = SCANS[number]
    if kind.file is not None:
        return Path(options.data) / kind.file
    recipe = pinn.SimulateConfig(**{**BASE, **kind.recipe, "seed": 100 * number + seed})
    path = Path(options.output) / f"scan{number}_{seed}.npz"
    if not pinn.simulate.check_reusable(recipe, path):
        pinn.simulate.simulate_to_file(recipe, path)
    return path


def checked_file(options: argparse.Namespace, number: int, seed: int) -> Path:
    """What `pinn check --fix` makes of the scan, or the scan where there is nothing to correct."""
    given = scan_file(options, number, seed)
    fixed = options.output / f"fixed{number}_{seed}.npz"
    said = options.output / f"checked{number}_{seed}.txt"
    if not said.exists():
        print(f"{number} {SCANS[number].name}, seed {seed}: check", flush=True)
        command = [sys.executable, "-m", "pinn", "check", str(given), "--fix", str(fixed)]
        done = subprocess.run(command, capture_output=True, text=True)
        said.write_text(f"exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return fixed if fixed.exists() else given


def rows_file(options: argparse.Namespace, number: int, seed: int, solver: str) -> Path:
    return Path(options.output) / f"{number}_{seed}_{solver}.jsonl"


def run(options: argparse.Namespace, number: int, seed: int, solver: str) -> None:
    """One solver on one scan in a process of its own, unless its rows are there."""
    rows = rows_file(options, number, seed, solver)
    wanted = {max(options.marks)} if solver == "network" else set(options.marks)
    if {row["mark"] for row in read(rows)} >= wanted:
        return
    checked_file(options, number, seed)
    command = [sys.executable, __file__, "--one", "--data", str(options.data)]
    command += ["--output", str(options.output), "--scans", str(number), "--seeds", str(seed)]
    command += ["--solvers", solver, "--options", options.options]
    command += ["--marks", *map(str, options.marks)]
    environment = os.environ | dict.fromkeys(solvers.SEVERAL, "1")
    threads = "--xla_cpu_multi_thread_eigen=false "
    environment["XLA_FLAGS"] = threads + os.environ.get("XLA_FLAGS", "")
    print(f"{number} {SCANS[number].name}, seed {seed}: {solver}", flush=True)
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr[-2000:], flush=True)


class Enough(Exception):
    """All marks are read."""


class Reader:
    """Rows at the marks of the clock: the last state that was ready by then.

    Args:
        case: what the solver has.
        clock: its clock.
        marks: in CPU-seconds.
        rows: file that the rows are written to; the last state goes beside it.
        stop: raised when all marks are read.
    """

    def __init__(
        self,
        case: adapters.Case,
        clock: adapters.Clock,
        marks: list[float],
        rows: Path,
        stop: type[Exception],
    ) -> None:
        self.case, self.clock, self.marks, self.path = case, clock, sorted(marks), rows
        self.stop, self.rows = stop, list[dict[str, Any]]()
        self.last: tuple[int, float, adapters.Snapshot] | None = None

    def watch(self, epoch: int, snap: adapters.Snapshot) -> None:
        now = self.clock.total
        while self.marks and self.last is not None and now > self.marks[0]:
            self._read(ended=False)
        if not self.marks:
            raise self.stop
        own = {name: np.array(getattr(snap, name)) for name in ("object", "probe", "positions")}
        self.last = (
            epoch,
            now,
            adapters.Snapshot(origin=snap.origin, fractions=snap.fractions, **own),
        )
        if not np.isfinite(own["object"]).all():
            self.end()
            raise self.stop

    def end(self) -> None:
        """The solver has ended: its last state counts at the marks that are left."""
        while self.marks:
            self._read(ended=True)
        assert self.last is not None
        snap = self.last[2]
        np.savez(
            self.path.with_suffix(".npz"), object=snap.object, origin=snap.origin, probe=snap.probe
        )
        self.path.write_text("".join(json.dumps(row) + "\n" for row in self.rows))

    def _read(self, ended: bool) -> None:
        assert self.last is not None
        epoch, now, snap = self.last
        row: dict[str, Any] = {"mark": self.marks.pop(0), "epoch": epoch, "cpu_s": now}
        if self.rows and self.rows[-1]["epoch"] == epoch:
            row = self.rows[-1] | row
        elif np.isfinite(snap.object).all():
            row |= adapters.measure(snap, self.case)
        self.rows.append(row | {"ended": ended, "load": os.getloadavg()[0]})


def run_one(options: argparse.Namespace) -> None:
    """In the process of the solver."""
    from pinn.progress import StopRequested

    (number,), (seed,), (solver,) = options.scans, options.seeds, options.solvers
    file, how = checked_file(options, number, seed), dict(SOLVERS[solver])
    case = adapters.load_case(str(file), 1, None, refine_probe=True, **SCANS[number].reading)
    clock, ours = adapters.Clock(), how["engine"] == "pinn"
    rows = rows_file(options, number, seed, solver)
    reader = Reader(case, clock, options.marks, rows, StopRequested if ours else Enough)
    many = 100_000
    if ours:
        import pinn

        default = pinn.RefineConfig()
        plain = {"lbfgs_iterations": default.lbfgs_iterations, **json.loads(options.options)}
        epochs = plain.pop("epochs", default.epochs)
        model = None
        if "from" in how:
            model = str(rows_file(options, number, seed, how["from"]).with_suffix(""))
        with contextlib.suppress(StopRequested):
            adapters.run_pinn(case, epochs, reader.watch, clock, print, model, plain)
    elif how["engine"] == "network":
        folder = rows.with_suffix("")
        reader.last = adapters.run_network(case, max(options.marks), folder)
        reader.marks = [max(options.marks)]
    else:
        with contextlib.suppress(Enough):
            adapters.run_ptychi(case, many, reader.watch, clock, print, **how)
    reader.end()


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def error(row: dict[str, Any] | None) -> float | None:
    """Against the truth, or above the noise; infinite where values were not finite."""
    if row is None:
        return None
    if "deviance" in row:
        return float(row["deviance"] - row["deviance_floor"])
    return float(row.get("nrmse") or math.inf)


def write(options: argparse.Namespace) -> None:
    """Table and JSON of the rows that there are."""
    heads = [f"{name}, {mark:g} s" for mark in options.marks for name in SOLVERS]
    lines = ["| | scan | seed | " + " | ".join(heads) + " | pinn / better of the others |"]
    lines += ["|---" * (len(heads) + 4) + "|"]
    kept = []
    for number, kind in SCANS.items():
        for seed in options.seeds if kind.file is None else [0]:
            found = {
                s: {row["mark"]: row for row in read(rows_file(options, number, seed, s))}
                for s in SOLVERS
            }
            if not any(found.values()):
                continue
            kept.append({"scan": number, "name": kind.name, "seed": seed, "rows": found})
            cells = [str(number), kind.name, str(seed)]
            ratios = []
            for mark in options.marks:
                values = {s: error(found[s].get(mark)) for s in SOLVERS}
                cells += [shown(value) for value in values.values()]
                others = [v for s, v in values.items() if s not in OURS and v is not None]
                if others and values["pinn"] is not None:
                    ratio = values["pinn"] / min(others)
                    ratios.append(f"**{ratio:.2f}**" if ratio > WORSE else f"{ratio:.2f}")
            lines.append("| " + " | ".join([*cells, ", ".join(ratios)]) + " |")
    print("\n".join(lines))
    (options.output / "table.md").write_text("\n".join(lines) + "\n")
    whole = {"date": time.strftime("%Y-%m-%d"), "marks": options.marks, "solvers": SOLVERS}
    whole |= {"versions": solvers.versions(), "options": json.loads(options.options)}
    whole |= {"recipes": {n: {**BASE, **k.recipe} for n, k in SCANS.items() if k.file is None}}
    (options.output / "table.json").write_text(json.dumps(whole | {"scans": kept}) + "\n")


def shown(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if math.isfinite(value) else "not finite"


def picture(options: argparse.Namespace, number: int) -> None:
    """Phase and amplitude of all solvers at the last mark, and the truth."""
    import matplotlib.pyplot as plt

    case = adapters.load_case(
        str(checked_file(options, number, 0)), 1, None, **SCANS[number].reading
    )
    places, fields = case.positions, {}
    for solver in SOLVERS:
        path = rows_file(options, number, 0, solver).with_suffix(".npz")
        if path.exists():
            state = np.load(path)
            fields[solver] = (state["object"], state["origin"])
    if case.scan.truth is not None:
        fields["truth"] = (case.scan.truth, np.asarray(case.scan.truth_origin_px))
    fig, axes = plt.subplots(2, len(fields), figsize=(4.5 * len(fields), 9), squeeze=False)
    for column, (name, (field_, origin)) in zip(axes.T, fields.items(), strict=True):
        low = np.maximum(np.rint(places.min(0) - origin).astype(int), 0)
        high = np.rint(places.max(0) - origin).astype(int)
        part = field_[low[0] : high[0], low[1] : high[1]]
        part = part * np.exp(-1j * np.angle(part.sum()))
        for ax, values, what in zip(
            column, (np.angle(part), np.abs(part)), ("phase", "amplitude"), strict=True
        ):
            seen = values[np.abs(part) > 0]  # of what is lit, not of the empty rest
            low_, high_ = np.quantile(seen, (0.02, 0.98))
            ax.imshow(values, cmap="gray", vmin=low_, vmax=high_)
            ax.set_title(f"{name}, {what}")
            ax.set_axis_off()
    fig.tight_layout()
    fig.savefig(options.output / f"picture{number}.png", dpi=80)
    plt.close(fig)


if __name__ == "__main__":
    main()
