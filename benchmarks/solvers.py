"""Iterative solvers and `pinn.refine` on the same scans: error against CPU-seconds.

    pip install -c constraints.txt -e ".[all]"
    pip install -c constraints.txt pandas scikit-learn
    pip install --no-deps ptychi
    python benchmarks/solvers.py lines64_test.npz siemens_star.npz siemens_star.npz:3 \
        --model lines64_test=MODEL --output solvers

Each solver runs in a process of its own, one after the other, one thread each, on the same scan,
from the same probe and an object of ones (or a network's, whose inference counts); its curve is a
file of JSON lines in OUTPUT, and a finished one is not made again. The clock counts CPU-seconds of
the process; set-up and what the first epoch takes beyond the median of the others (compilation,
first calls) are given apart, metrics are made outside it. pty-chi is installed without its
dependencies because it asks for a torchvision that does not load beside a CPU build of PyTorch, and
for test tools. ptypy is on no package index and is not run.

A scan with a truth (its probe is known and fixed): metrics of `pinn evaluate`, border 16, over
pixels with a hundredth of the brightest one's light, and over all (what a solver has in a hole
between random positions is not a result, but sets the PSNR). Without
one (probe refined; `:3` after the file: three modes): R-factor and Poisson deviance per pixel at 2
percent of the detector pixels, masked for every solver, and Fourier ring correlation of two
runs, on frames of even and of odd number.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import solver_adapters as adapters

# batch and step: those of pty-chi's own tests (96, and 1 for LSQML, 0.1 for the others), and others
# that were found better here; all are run, none is left out
SOLVERS: dict[str, dict[str, Any]] = {
    "pty-chi LSQML, batch 16": {"engine": "lsqml", "batch": 16, "step": 1.0},
    "pty-chi LSQML, batch 32": {"engine": "lsqml", "batch": 32, "step": 1.0},
    "pty-chi LSQML, batch 96": {"engine": "lsqml", "batch": 96, "step": 1.0},
    "pty-chi ePIE, batch 32, step 1": {"engine": "epie", "batch": 32, "step": 1.0},
    "pty-chi ePIE, batch 96, step 0.1": {"engine": "epie", "batch": 96, "step": 0.1},
    "pty-chi autodiff, batch 32, step 1": {"engine": "ad", "batch": 32, "step": 1.0},
    "pty-chi autodiff, batch 32, step 0.5": {"engine": "ad", "batch": 32, "step": 0.5},
    "pty-chi autodiff, batch 96, step 0.1": {"engine": "ad", "batch": 96, "step": 0.1},
    # the scans of the reference's simulator were made by interpolating the object bilinearly, as
    # pinn does; pty-chi shifts the probe in Fourier space unless told otherwise (autodiff only)
    "pty-chi autodiff, batch 32, step 1, object interpolated": {
        "engine": "ad",
        "batch": 32,
        "step": 1.0,
        "interpolate": True,
    },
    "pty-chi DM": {"engine": "dm"},
    "pinn, flat start": {"engine": "pinn"},
    # ten iterations of L-BFGS after the epochs, counted as further ones
    "pinn, flat start, polished": {"engine": "pinn", "lbfgs_iterations": 10},
    "pinn, network start": {"engine": "pinn", "network": True},
    # with more frames seen by the network than the default; in the end all
    "pinn, network start, cover 2": {"engine": "pinn", "network": True, "start_cover": 2},
    "pinn, network start, cover 4": {"engine": "pinn", "network": True, "start_cover": 4},
    "pinn, network start, all frames": {"engine": "pinn", "network": True, "start_cover": 1000},
}
SHOWN = (1, 2, 5, 10, 20, 30, 40, 60, 100)  # epochs in the table
REFERENCE = "pty-chi LSQML"
REFERENCE_EPOCHS = 10
TARGETS = (("nrmse",), ("amplitude_psnr_db",), ("nrmse", "amplitude_psnr_db"))
COLUMNS = {
    "nrmse": ("nrmse", 4),
    "amplitude_psnr_db": ("amplitude PSNR (dB)", 1),
    "phase_mae_rad": ("phase MAE (rad)", 4),
    "frc50": ("FRC50", 3),
    "nrmse_box": ("nrmse, unlit pixels too", 4),
    "amplitude_psnr_db_box": ("PSNR, unlit pixels too", 1),
    "r_factor": ("held-out R", 4),
    "deviance": ("held-out deviance per pixel", 3),
    "r_fitted": ("fitted R", 4),
    "r_factor_common": ("R, common model", 4),
    "frc50_half": ("split-half FRC, last 0.5 (cycles/px)", 3),
    "frc_mean_half": ("its mean", 3),
}
SEVERAL = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scans", nargs="+", help="FILE or FILE:MODES")
    parser.add_argument("--output", type=Path, default=Path("solvers"))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--solvers", nargs="+", default=list(SOLVERS), metavar="NAME")
    parser.add_argument("--model", action="append", default=[], help="SCAN=ARCHIVE")
    parser.add_argument("--options", default="{}", help="of pinn.refine, JSON")
    parser.add_argument("--seconds", type=float, nargs="+", default=[2, 5, 10, 20])
    parser.add_argument("--report", action="store_true", help="of what there is, without runs")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--half", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--curve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        run_one(options)
        return
    options.output.mkdir(parents=True, exist_ok=True)
    cases = {}
    for scan in options.scans:
        for name in options.solvers:
            curves = {half: run(options, scan, name, half) for half in wanted(scan)}
            if curves[None]:
                entry = result(curves, scan)
                cases.setdefault(title(scan), {})[name] = entry
    write(options, cases)


def split(scan: str) -> tuple[str, int]:
    file, _, modes = scan.partition(":")
    return file, int(modes or 1)


def title(scan: str) -> str:
    file, modes = split(scan)
    return Path(file).stem + (f", {modes} modes" if modes > 1 else "")


def wanted(scan: str) -> tuple[int | None, ...]:
    """The whole, and halves where there is no truth."""
    import pinn

    return (None,) if pinn.load(split(scan)[0]).truth is not None else (None, 0, 1)


def model_of(options: argparse.Namespace, scan: str) -> str | None:
    return dict(m.split("=", 1) for m in options.model).get(Path(split(scan)[0]).stem)


def run(options: argparse.Namespace, scan: str, name: str, half: int | None) -> Path | None:
    """The curve of one solver, made in a process of its own unless it is there."""
    how = SOLVERS[name]
    if how.get("network") and model_of(options, scan) is None:
        return None
    key = f"{title(scan)} {name}" + ("" if half is None else f" half {half}")
    curve = options.output / ("".join(c if c.isalnum() else "_" for c in key) + ".jsonl")
    if curve.exists() and '"kind": "end"' in curve.read_text():
        return curve
    if options.report:
        return None
    command = [sys.executable, __file__, scan, "--one", name, "--curve", str(curve)]
    command += ["--epochs", str(options.epochs), "--options", options.options]
    command += [part for m in options.model for part in ("--model", m)]
    command += [] if half is None else ["--half", str(half)]
    environment = os.environ | dict.fromkeys(SEVERAL, "1")
    environment["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false " + os.environ.get(
        "XLA_FLAGS", ""
    )
    print(key, flush=True)
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr[-2000:], flush=True)
        return None
    return curve


def run_one(options: argparse.Namespace) -> None:
    """In the process of the solver: its epochs as JSON lines."""
    file, modes = split(options.scans[0])
    case = adapters.load_case(file, modes, options.half)
    how = dict(SOLVERS[options.one])
    clock = adapters.Clock()
    with options.curve.open("w") as stream:

        def report(row: dict[str, Any]) -> None:
            stream.write(json.dumps(row) + "\n")
            stream.flush()

        def watch(epoch: int, snap: adapters.Snapshot) -> None:
            row = {"kind": "epoch", "epoch": epoch, "cpu_s": clock.total}
            every = case.scan.truth is not None
            if every or epoch in SHOWN or epoch >= options.epochs:
                row |= adapters.measure(snap, case)
            if not every and (epoch in SHOWN or epoch >= options.epochs):
                np.savez(
                    options.curve.with_suffix(f".{epoch}.npz"),
                    object=snap.object,
                    origin=snap.origin,
                    probe=snap.probe,
                )
            report(row)

        report({"kind": "versions", **versions(), "load": os.getloadavg()})
        if how.pop("engine") == "pinn":
            model = model_of(options, options.scans[0]) if how.get("network") else None
            more = {k: v for k, v in how.items() if k != "network"} | json.loads(options.options)
            adapters.run_pinn(case, options.epochs, watch, clock, report, model, more)
        else:
            adapters.run_ptychi(case, options.epochs, watch, clock, report, **SOLVERS[options.one])
        report({"kind": "end", "load": os.getloadavg()})


def versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in ("ptychi", "torch", "numpy", "scipy", "keras", "jax", "pinn-ptycho"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found | {"backend": os.environ.get("KERAS_BACKEND", "default")}


def result(curves: dict[int | None, Path], scan: str) -> dict[str, Any]:
    """One solver on one scan: set-up, and CPU-seconds and metrics by epoch."""
    rows = [json.loads(line) for line in curves[None].read_text().splitlines()]
    kinds = {row["kind"]: row for row in rows}
    epochs = [row for row in rows if row["kind"] == "epoch"]
    setup = kinds.get("set-up", {}).get("cpu_s", 0.0)
    start = kinds.get("start", {})
    lengths = np.diff([setup, *(row["cpu_s"] for row in epochs)])
    usual = statistics.median(lengths[1:]) if len(lengths) > 2 else float(lengths[-1])
    first = max(0.0, float(lengths[0]) - usual)
    found = []
    for row in epochs:
        values = {k: v for k, v in row.items() if k != "kind"}
        values["cpu_s"] = round(row["cpu_s"] - setup - first + start.get("cpu_s", 0.0), 3)
        if curves.get(0) and curves.get(1):
            values |= halves([curves[h].with_suffix(f".{row['epoch']}.npz") for h in (0, 1)], scan)
        found.append(values)
    return {
        "set_up_cpu_s": round(setup + first, 2),
        "network_cpu_s": start.get("cpu_s"),
        "network_first_call_cpu_s": start.get("first_call_cpu_s"),
        "network": kinds.get("network"),
        "network_frames": start.get("frames"),
        "epoch_cpu_s": round(usual, 3),
        "epochs": found,
        "load": [kinds["versions"]["load"], kinds["end"]["load"]],
        "versions": {k: v for k, v in kinds["versions"].items() if k not in ("kind", "load")},
    }


def halves(files: list[Path], scan: str) -> dict[str, float]:
    """Fourier ring correlation of the objects of two halves of the frames.

    The highest frequency with 0.5, and the mean over all coefficients: the first crossing says
    little, because the curves dip at low frequencies, where solvers are slow, and rise again.
    """
    import pinn
    from pinn.quality.evaluate import evaluate

    if not all(file.exists() for file in files):
        return {}
    one, other = (np.load(file) for file in files)
    if not all(np.isfinite(half["object"]).all() for half in (one, other)):
        return {}  # a solver that has lost itself
    places = pinn.load(split(scan)[0]).positions_px
    low, high = places.min(0) + 16, places.max(0) - 16
    curve = evaluate(
        one["object"],
        other["object"],
        recon_origin_px=one["origin"],
        truth_origin_px=other["origin"],
        region=(low[0], high[0], low[1], high[1]),
        kind="reconstruction",
    ).frc
    if curve is None:
        return {}
    above = curve.frequency[curve.correlation >= 0.5]
    mean = np.average(curve.correlation[1:], weights=curve.count[1:])
    return {"frc50_half": float(above[-1]), "frc_mean_half": float(mean)}


def first_at(
    entry: dict[str, Any], goal: dict[str, Any], keys: tuple[str, ...]
) -> dict[str, Any] | None:
    """The first epoch that is as good as `goal` in all of `keys`."""
    for row in entry["epochs"]:
        gains = [(goal[k] - row[k]) * (-1 if k == "amplitude_psnr_db" else 1) for k in keys]
        if min(gains) >= 0:
            return row
    return None


def write(options: argparse.Namespace, cases: dict[str, dict[str, Any]]) -> None:
    """Table, JSON and figure."""
    lines = []
    for name, entries in cases.items():
        lines += ["", f"## {name}", "", *table(entries), ""]
        lines += [*targets(entries), "", *times(entries, options.seconds)]
        figure(name, entries, options.output)
    text = "\n".join(lines).strip() + "\n"
    (options.output / "solvers.md").write_text(text)
    stamp = time.strftime("%Y-%m-%d")
    whole = {"date": stamp, "epochs": options.epochs, "options": json.loads(options.options)}
    whole |= {"cores": os.cpu_count(), "solvers": SOLVERS, "scans": cases}
    (options.output / "solvers.json").write_text(json.dumps(whole, indent=1) + "\n")
    print(text)


def number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def shown(entries: dict[str, Any]) -> dict[str, tuple[str, int]]:
    seen = {key for e in entries.values() for row in e["epochs"] for key in row}
    return {key: value for key, value in COLUMNS.items() if key in seen}


def table(entries: dict[str, Any]) -> list[str]:
    columns = shown(entries)
    heads = ["solver", "epoch", "CPU-s", *(head for head, _ in columns.values()), "set-up (CPU-s)"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, entry in entries.items():
        last = entry["epochs"][-1]["epoch"]
        if entry["network"]:
            values = [number(entry["network"].get(k), d) for k, (_, d) in columns.items()]
            label = [name.replace(" start", " alone"), "", number(entry["network_cpu_s"], 1)]
            label += [*values, number(entry["network_first_call_cpu_s"], 1)]
            lines.append("| " + " | ".join(label) + " |")
        for row in entry["epochs"]:
            if row["epoch"] in SHOWN or row["epoch"] == last:
                values = [number(row.get(k), d) for k, (_, d) in columns.items()]
                label = [name, str(row["epoch"]), number(row["cpu_s"], 1)]
                lines.append("| " + " | ".join([*label, *values, ""]) + " |")
        lines[-1] = lines[-1][:-2] + number(entry["set_up_cpu_s"], 1) + " |"
    return lines


def targets(entries: dict[str, Any]) -> list[str]:
    """Time to what ten epochs of LSQML reach, in nrmse and PSNR both."""
    lines = []
    for reference, entry in entries.items():
        goal = next((r for r in entry["epochs"] if r["epoch"] == REFERENCE_EPOCHS), None)
        if not reference.startswith(REFERENCE) or goal is None or "nrmse" not in goal:
            continue
        parts = []
        for name, other in entries.items():
            reached = [first_at(other, goal, keys) for keys in TARGETS]
            values = [
                "-" if r is None else f"{r['cpu_s']:.1f} ({r['cpu_s'] / goal['cpu_s']:.2f})"
                for r in reached
            ]
            parts.append("| " + " | ".join([name, *values]) + " |")
        lines += [
            "",
            f"CPU-seconds to what {REFERENCE_EPOCHS} epochs of {reference} reach in "
            f"{goal['cpu_s']:.1f} (nrmse {goal['nrmse']:.4f}, "
            f"PSNR {goal['amplitude_psnr_db']:.1f} dB), and as a share of these:",
            "",
            "| solver | nrmse | PSNR | both |",
            "|---|---|---|---|",
            *parts,
        ]
    return lines


def times(entries: dict[str, Any], seconds: list[float]) -> list[str]:
    """Error of the last epoch that was over by then."""
    key = next((k for k in ("nrmse", "r_factor") if k in shown(entries)), None)
    if key is None:
        return []
    head = COLUMNS[key][0]
    lines = [f"{head} at a time (CPU-seconds, set-up apart):", ""]
    lines += ["| solver | " + " | ".join(f"{s:g}" for s in seconds) + " |"]
    lines += ["|---" * (len(seconds) + 1) + "|"]
    for name, entry in entries.items():
        values = []
        for limit in seconds:
            by = [row for row in entry["epochs"] if row["cpu_s"] <= limit and key in row]
            over = entry["epochs"][-1]["cpu_s"] < limit
            values.append(number(by[-1][key], 4) + (" (ended)" if over else "") if by else "-")
        lines.append("| " + " | ".join([name, *values]) + " |")
    return lines


def figure(name: str, entries: dict[str, Any], folder: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    keys = [
        k for k in ("nrmse", "amplitude_psnr_db", "r_factor", "deviance") if k in shown(entries)
    ]
    fig, axes = plt.subplots(1, len(keys), figsize=(6.5 * len(keys), 5), squeeze=False)
    for key, ax in zip(keys, axes[0], strict=True):
        for index, (solver, entry) in enumerate(entries.items()):
            rows = [r for r in entry["epochs"] if r.get(key) is not None]
            style = "-" if solver.startswith("pinn") else "--"
            ax.plot(
                [r["cpu_s"] for r in rows],
                [r[key] for r in rows],
                style,
                marker="os^vDP*X<>p"[index % 11],
                color=plt.cm.tab20(index % 20),
                markersize=4,
                label=solver,
            )
        ax.set_xscale("log")
        if key != "amplitude_psnr_db":
            ax.set_yscale("log")
        ax.set_xlabel("CPU-seconds (network inference included, set-up apart)")
        ax.set_ylabel(COLUMNS[key][0])
        ax.grid(alpha=0.3, which="both")
    axes[0, 0].legend(fontsize=7)
    fig.suptitle(name)
    fig.tight_layout()
    stem = "".join(c if c.isalnum() else "_" for c in name)
    fig.savefig(folder / f"solvers_{stem}.png", dpi=110)
    plt.close(fig)


if __name__ == "__main__":
    main()
