"""Refinement of simulated scans with known errors, against the truth.

    KERAS_BACKEND=jax python benchmarks/refinement.py --output FOLDER
    KERAS_BACKEND=jax python benchmarks/refinement.py --output FOLDER --pictures

Leaves under a defocused probe, 64 x 64 pixels, 400 frames, 1e6 photons, 80 percent linear
overlap, if the scan says nothing else. Three rows for each case: the network alone, its picture
refined, a flat object refined. The network `base` has learned from eight scans of other objects at
other positions under the same probe; those of other names went on from it, each on eight scans of
its own kind. No network has seen the object, the positions or the noise it is judged by.

One line of JSON for each row in FOLDER/rows.jsonl; rows that are there are not made again, nor are
networks in FOLDER/networks. The object is compared by `pinn.evaluate`, the probe by `probe_error`.
Positions: RMS of a coordinate after the mean error is taken off, and how many are further off than
half a pixel.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

BASE = {"N": 64, "n_frames": 400, "object": "leaves", "probe": "defocused", "overlap": 0.8}
SEEDS = range(1, 9)  # of the scans that networks learn from
EPOCHS = {"base": 5}  # of training; other networks go on from `base` for so many:
MORE_EPOCHS = 1
FIXED = {"split_half": False, "update_probe": False}
FREE = {"split_half": False}
LONG = {**FREE, "epochs": 100}
METRICS = ("nrmse", "amplitude_psnr_db", "phase_mae_rad", "frc_half_bit")
COLOURS = {"amplitude": "gray", "phase": "viridis"}
STARTS = ("network", "network, refined", "flat, refined")


@dataclass(frozen=True)
class Kind:
    """A kind of scan.

    Attributes:
        recipe: what differs from `BASE`.
        network: which one reconstructs it.
        stated: how much of its probe is stated: so many modes, and no variations.
        runs: options of each refinement by its name.
    """

    recipe: dict[str, Any]
    network: str
    runs: dict[str, dict[str, Any]]
    stated: int | None = None


MODES = {"probe_modes": 3}
GAP = {"bad_pixels": 0.05, "gap_width": 4, "gap_row": 20}
KINDS: dict[str, Kind] = {
    "plain": Kind({}, "base", {"object": FIXED, "object and probe": FREE}),
    "three modes, stated": Kind(MODES, "modes", {"object and probe": FREE}),
    "three modes, one stated": Kind(
        MODES,
        "one mode",
        {"one mode": FREE, "three modes": {**LONG, "probe_modes": 3}},
        stated=1,
    ),
    "5 % dead pixels and a gap": Kind(GAP, "gap", {"object": FIXED}),
    "beamstop": Kind({"beamstop": 3.0}, "beamstop", {"object": FIXED}),
    "overlap 60 %": Kind({"overlap": 0.6}, "base", {"object": FIXED}),
    "defocus 30 % off": Kind(
        {"probe_error": 0.3}, "defocus", {"object": FIXED, "object and probe": LONG}
    ),
    "1e3 photons": Kind(
        {"photons_per_frame": 1e3},
        "1e3",
        {"amplitude": FIXED, "poisson": {**FIXED, "likelihood": "poisson"}},
    ),
    "1e4 photons": Kind(
        {"photons_per_frame": 1e4},
        "1e4",
        {"amplitude": FIXED, "poisson": {**FIXED, "likelihood": "poisson"}},
    ),
    "1e5 photons": Kind({"photons_per_frame": 1e5}, "base", {"amplitude": FIXED}),
    "1e7 photons": Kind({"photons_per_frame": 1e7}, "base", {"amplitude": FIXED}),
    "1e8 photons": Kind({"photons_per_frame": 1e8}, "base", {"amplitude": FIXED}),
    "drifting probe": Kind(
        {"probe_drift": 0.05},
        "base",
        {"one probe": FREE, "two OPR modes": {**LONG, "opr_modes": 2}},
        stated=1,
    ),
    "intensity fluctuates by 10 %": Kind(
        {"intensity_fluctuation": 0.1},
        "base",
        {"object": FIXED, "object and intensities": {**FIXED, "update_intensities": True}},
    ),
    "background of 20 counts": Kind(
        {"background": 20.0},
        "base",
        {
            "object": FIXED,
            "and a constant": {**FIXED, "background": "constant"},
            "and each pixel": {**FIXED, "background": "pixel"},
        },
    ),
    "positions 3 % too far, turned by 2 degrees": Kind(
        {"position_scale_error": 0.03, "position_rotation_deg": 2.0},
        "base",
        {
            "object": FIXED,
            "and scale+rotation": {
                **FIXED,
                "epochs": 100,
                "update_positions": True,
                "position_model": "scale+rotation",
            },
        },
    ),
    "positions off by up to 3 px": Kind(
        {"position_error_limit": 3.0},
        "base",
        {
            "object": FIXED,
            "and positions": {**FIXED, "epochs": 100, "update_positions": True},
            "and positions, poisson": {
                **FIXED,
                "epochs": 100,
                "update_positions": True,
                "likelihood": "poisson",
            },
        },
    ),
}
LEARNED_FROM = {"base": "plain"} | {
    kind.network: name for name, kind in KINDS.items() if kind.network != "base"
}
SHOWN = {
    "three modes, stated": "object and probe",
    "5 % dead pixels and a gap": "object",
    "beamstop": "object",
    "1e3 photons": "poisson",
    "overlap 60 %": "object",
    "defocus 30 % off": "object and probe",
}


@dataclass
class Known:
    """Rows in a file, and networks in a folder."""

    output: Path
    rows: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for folder in ("networks", "results", "pictures"):
            (self.output / folder).mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            for row in map(json.loads, self.path.read_text().splitlines()):
                self.rows[key_of(row)] = row

    @property
    def path(self) -> Path:
        return self.output / "rows.jsonl"

    def add(self, row: dict[str, Any]) -> None:
        self.rows[key_of(row)] = row
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)

    def result(self, kind: str, run: str, start: str) -> Path:
        stem = f"{kind} {run} {start}".strip()
        stem = "".join(c if c.isalnum() else "_" for c in stem)
        return self.output / "results" / f"{stem}.h5"


def key_of(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["scan"], row["refined"], row["start"]


def main() -> None:
    """Make what is missing, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--scans", nargs="*", default=list(KINDS))
    parser.add_argument("--pictures", action="store_true", help="draw what is there, no more")
    options = parser.parse_args()
    known = Known(options.output)
    if options.pictures:
        pictures(known)
        return
    for name in options.scans:
        measure(name, known)
    print(tables(list(known.rows.values())))


def measure(name: str, known: Known) -> None:
    """All rows of one kind of scan."""
    import pinn
    from pinn.io.product import load_reconstruction

    kind = KINDS[name]
    wanted = [(name, "", STARTS[0])]
    wanted += [(name, run, start) for run in kind.runs for start in STARTS[1:]]
    if all(key in known.rows for key in wanted):
        return
    scan, truth = scan_of(kind)
    first = known.result(name, "", STARTS[0])
    if wanted[0] not in known.rows:
        model, seconds = network(kind.network, known)
        clock = time.process_time()
        recon = pinn.reconstruct(scan, model)
        cpu = time.process_time() - clock
        recon.save(first)
        row = {"network": kind.network, "training_cpu_s": seconds, "cpu_s": cpu}
        known.add(
            {"scan": name, "refined": "", "start": STARTS[0], **row, **judged(recon, scan, truth)}
        )
    guess = load_reconstruction(first)
    for run, refine in kind.runs.items():
        for start in STARTS[1:]:
            if (name, run, start) in known.rows:
                continue
            clock = time.process_time()
            recon = pinn.refine(scan, None if start == STARTS[2] else guess, **refine)
            cpu = time.process_time() - clock
            recon.save(known.result(name, run, start))
            about = recon.statistics["refinement"]
            row = {"scan": name, "refined": run, "start": start, "cpu_s": cpu}
            row |= {key: about[key] for key in ("epochs", "ended", "rejected_epochs")}
            row |= judged(recon, scan, truth)
            if refine.get("update_probe", True):
                row["probe"] = probe_error(recon, truth)
                row["probe"]["stated"] = probe_error(scan, truth)["total"]
            known.add(row)


def scan_of(kind: Kind, seed: int = 0) -> tuple[Any, dict[str, Any]]:
    """A scan as its file would state it, and what made it; the probe is that of seed 0."""
    import pinn
    from pinn.simulate import SimulateConfig, simulate_arrays

    made = simulate_arrays(SimulateConfig(**{**BASE, **kind.recipe, "seed": seed, "probe_seed": 0}))
    probe, weights = made["probe"], made.get("probe_weights")
    if kind.stated is not None:
        if weights is not None:
            probe, weights = probe[0], None
        probe = probe[: kind.stated] if probe.ndim == 3 else probe
    scan = pinn.Scan(
        made["counts"],
        made["positions_px"],
        probe=probe,
        probe_weights=weights,
        valid_mask=made["valid_mask"],
        truth=made["truth"],
        units="counts",
        name=f"seed {seed}",
    )
    return scan, made


def network(name: str, known: Known) -> tuple[Any, float]:
    """A trained model, from the folder or by training, and the CPU-seconds of its training."""
    import pinn

    folder = known.output / "networks" / name.replace(" ", "_")
    note = folder / "seconds.json"
    if note.exists():
        return pinn.load_model(folder), json.loads(note.read_text())
    before = None if name == "base" else network("base", known)[0]
    scans = [scan_of(KINDS[LEARNED_FROM[name]], seed)[0] for seed in SEEDS]
    clock = time.process_time()
    options = {} if before is None else {"calibrate_start": True}
    model = pinn.train(
        scans, before, epochs=EPOCHS.get(name, MORE_EPOCHS), output=folder, seed=0, **options
    )
    note.write_text(json.dumps(time.process_time() - clock))
    return model, json.loads(note.read_text())


def judged(recon: Any, scan: Any, truth: dict[str, Any]) -> dict[str, Any]:
    """Object, likelihood and positions against the truth."""
    import pinn

    found = pinn.evaluate(recon, scan.truth, border=16)
    row = {key: found.metrics[key] for key in METRICS}
    curve = found.frc
    row["frc_fine"] = float(curve.correlation[curve.frequency >= 0.25].mean())
    row["deviance"] = float(np.median(recon.frame_likelihood))
    row["noise_floor"] = recon.statistics["likelihood"]["noise_floor"]
    true = truth["positions_true_px"]
    off = recon.positions_px - true[recon.frame_indices]
    if np.any(truth["positions_px"] != true):
        off = off - off.mean(0)
        row["position_rms_px"] = float(np.sqrt(np.mean(off**2)))
        row["position_outliers"] = int(np.sum(np.linalg.norm(off, axis=1) > 0.5))
    if recon.frame_factors is not None:
        factors = truth["intensity_true"][recon.frame_indices]
        row["intensity_rms"] = float(np.std(recon.frame_factors / factors))
    if recon.background is not None:
        row["background"] = float(np.median(recon.background))
    return row


def probe_error(found: Any, truth: dict[str, Any]) -> dict[str, Any]:
    """Distance of a probe from the true one.

    What no frame depends on is taken off: a common shift and a phase ramp, which the object has
    as well, one complex factor, and a unitary mix of the modes.

    Args:
        found: has `probe` `(P, N, N)`, and perhaps `probe_variations` and `probe_weights`.
        truth: the simulation's arrays.

    Returns:
        `total`, relative L2 distance of all modes; where there are several, for each of the true
        ones `modes`, the distance of the one found in its place after a factor of its own, and
        `shares` of the power, found and true. Of a probe that varies `total` is that of the
        probes of the frames.
    """
    from scipy.optimize import minimize

    true, weights = truth.get("probe_true", truth["probe"]), truth.get("probe_weights")
    N, variations = true.shape[-1], true
    true = true if weights is None else true[0]
    true = true.reshape(-1, N, N).astype(np.complex128)
    probe = found.probe.reshape(-1, N, N).astype(np.complex128)
    cycles = np.fft.fftfreq(N)
    axis = np.arange(N) - N // 2

    def placed(images: np.ndarray, way: np.ndarray) -> np.ndarray:
        shift = np.exp(-2j * np.pi * (cycles[:, None] * way[0] + cycles * way[1]))
        ramp = np.exp(0.1j * (axis[:, None] * way[2] + axis * way[3]))
        return np.fft.ifft2(np.fft.fft2(images) * shift) * ramp

    def product(way: np.ndarray) -> np.ndarray:
        return placed(probe, way).reshape(len(probe), -1) @ true.reshape(len(true), -1).conj().T

    def nuclear(matrix: np.ndarray) -> float:
        return float(np.linalg.svd(matrix, compute_uv=False).sum())

    size = np.linalg.norm(probe) * np.linalg.norm(true)
    way = minimize(lambda w: -nuclear(product(w)) / size, np.zeros(4), method="BFGS").x
    row: dict[str, Any] = {"total": _distance(nuclear(product(way)) / size)}
    if len(true) > 1:
        mine = np.linalg.svd(placed(probe, way).reshape(len(probe), -1), full_matrices=False)
        power = mine[1] ** 2
        row["modes"] = [
            _likeness_of(mine[2][k], true[k]) if k < len(power) else None for k in range(len(true))
        ]
        right = np.sum(np.abs(true) ** 2, axis=(1, 2))
        row["shares"] = [(p / p.sum()).tolist() for p in (power, right)]
    if weights is not None:
        own = getattr(found, "probe_variations", None)
        own, shares = (
            (found.probe[None], np.ones((len(weights), 1)))
            if own is None
            else (own, found.probe_weights)
        )
        own = placed(own[:, 0].astype(np.complex128), way).reshape(len(own), -1)
        right = variations.reshape(len(variations), -1)
        here, there = shares @ own, weights @ right
        # one factor for all frames, the phase of each frame is free
        cross = np.abs(np.sum(here.conj() * there, axis=1)).sum()
        row["total"] = _distance(cross / (np.linalg.norm(here) * np.linalg.norm(there)))
    return row


def _likeness_of(one: np.ndarray, other: np.ndarray) -> float:
    return _distance(abs(np.vdot(one, other)) / (np.linalg.norm(one) * np.linalg.norm(other)))


def _distance(correlation: float) -> float:
    """Relative distance of two vectors after the factor that fits best."""
    return float(np.sqrt(max(1.0 - correlation**2, 0.0)))


def tables(rows: list[dict[str, Any]]) -> str:
    """Objects, then probes, then the rest, as Markdown."""
    order = [
        (name, run, start)
        for name, kind in KINDS.items()
        for run, start in [
            ("", STARTS[0]),
            *((run, start) for run in kind.runs for start in STARTS[1:]),
        ]
    ]
    rows = sorted(rows, key=lambda row: order.index(key_of(row)))
    lines = [
        "| scan | refined | start | nrmse | amplitude PSNR (dB) | phase MAE (rad) | fine FRC | "
        "deviance / noise | epochs | CPU-s |",
        "|---" * 10 + "|",
    ]
    lines += [
        f"| {row['scan']} | {row['refined'] or '-'} | {row['start']} | {row['nrmse']:.4f} | "
        f"{row['amplitude_psnr_db']:.1f} | {row['phase_mae_rad']:.4f} | "
        f"{row['frc_fine']:.3f} | {row['deviance'] / row['noise_floor']:.2f} | "
        f"{row.get('epochs', '')} | {row['cpu_s']:.0f} |"
        for row in rows
    ]
    lines += [
        "",
        "| scan | refined | start | probe as stated | probe refined | each mode | "
        "power shares (true) |",
        "|---" * 7 + "|",
    ]
    for row in rows:
        if "probe" not in row:
            continue
        probe = row["probe"]
        modes = ", ".join("-" if m is None else f"{m:.3f}" for m in probe.get("modes", []))
        shares = [" ".join(f"{s:.3f}" for s in part) for part in probe.get("shares", [])]
        lines.append(
            f"| {row['scan']} | {row['refined']} | {row['start']} | {probe['stated']:.4f} | "
            f"{probe['total']:.4f} | {modes} | {' ('.join(shares)}{')' if shares else ''} |"
        )
    lines += ["", "| scan | refined | start | found |", "|---" * 4 + "|"]
    for row in rows:
        found = []
        if "position_rms_px" in row:
            found.append(
                f"positions {row['position_rms_px']:.3f} px, {row['position_outliers']} further "
                "off than half a pixel"
            )
        if "intensity_rms" in row:
            found.append(f"intensities to {row['intensity_rms']:.4f}")
        if "background" in row:
            found.append(f"background {row['background']:.2f} counts (median)")
        if found:
            label = f"| {row['scan']} | {row['refined'] or '-'} | {row['start']} | "
            lines.append(label + f"{'; '.join(found)} |")
    return "\n".join(lines)


def pictures(known: Known) -> None:
    """Amplitude and phase of the shown scans, each alone and all phases in one figure."""
    from matplotlib.figure import Figure
    from PIL import Image

    import pinn
    from pinn.io.product import load_reconstruction

    whole = Figure(figsize=(8.2, 2.1 * len(SHOWN)), layout="constrained")
    grid = whole.subplots(len(SHOWN), 4)
    for line, (name, run) in zip(grid, SHOWN.items(), strict=True):
        scan, _ = scan_of(KINDS[name])
        found = [
            pinn.evaluate(
                load_reconstruction(known.result(name, "" if start == STARTS[0] else run, start)),
                scan.truth,
                border=16,
            )
            for start in STARTS
        ]
        images = [*(f.recon for f in found), found[0].truth]
        titles = [f"{s}\n{f.metrics['nrmse']:.3f}" for s, f in zip(STARTS, found, strict=True)]
        titles.append("truth")
        turn = np.exp(-1j * np.angle(np.mean(found[0].truth)))
        views = {"amplitude": [np.abs(image) for image in images]}
        views["phase"] = [np.angle(image * turn) for image in images]
        alone = Figure(figsize=(14, 7.6), layout="constrained")
        for panels, (what, views_of) in zip(alone.subplots(2, 4), views.items(), strict=True):
            low, high = np.percentile(views_of[-1], (0.5, 99.5))
            for axes, image, title in zip(panels, views_of, titles, strict=True):
                shown = axes.imshow(image, cmap=COLOURS[what], vmin=low, vmax=high)
                axes.set_title(title, fontsize=10)
                axes.set_axis_off()
            alone.colorbar(shown, ax=list(panels), label=what)
        alone.suptitle(f"{name}, refined: {run}")
        stem = known.result(name, run, "").stem
        alone.savefig(known.output / "pictures" / f"{stem}.png", dpi=70)
        for axes, image, title in zip(line, views["phase"], titles, strict=True):
            axes.imshow(image, cmap=COLOURS["phase"], vmin=low, vmax=high)
            axes.set_title(title if line[0] is grid[0, 0] else title.split("\n")[-1], fontsize=8)
            axes.set_xticks([])
            axes.set_yticks([])
        line[0].set_ylabel(name, fontsize=8)
    path = known.output / "pictures" / "refine_phases.png"
    whole.savefig(path, dpi=60)
    with Image.open(path) as image:
        image.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
