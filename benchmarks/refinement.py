"""Refinement of simulated scans with known errors, against the truth.

    KERAS_BACKEND=jax python benchmarks/refinement.py --output FOLDER

Leaves under a defocused probe, 64 x 64 pixels, 400 frames, 1e6 photons, 80 percent linear
overlap, if the case says nothing else. One line of JSON for each case in FOLDER/cases.jsonl; cases
that are there are not made again. Positions: RMS of both coordinates after the median error is
taken off, and how many are further off than half a pixel.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

BASE = {"N": 64, "n_frames": 400, "object": "leaves", "probe": "defocused", "overlap": 0.8}
FIXED = {"split_half": False, "update_probe": False}
FREE = {"split_half": False}
CASES: dict[str, tuple[dict, dict]] = {
    "plain": ({}, FIXED),
    "plain, probe refined": ({}, FREE),
    "three modes, right probe": ({"probe_modes": 3}, FREE),
    "three modes, one assumed": ({"probe_modes": 3}, {**FREE, "probe_modes": 1}),
    "positions off by up to 3 px": ({"position_error_limit": 3.0}, FIXED),
    "the same, refined": (
        {"position_error_limit": 3.0},
        {**FIXED, "update_positions": True, "epochs": 100},
    ),
    "5 % dead pixels and a gap": ({"bad_pixels": 0.05, "gap_width": 4, "gap_row": 20}, FIXED),
    "beamstop": ({"beamstop": 3.0}, FIXED),
    "overlap 60 %": ({"overlap": 0.6}, FIXED),
    "defocus 30 % off": ({"probe_error": 0.3}, FIXED),
    "the same, probe refined": ({"probe_error": 0.3}, {**FREE, "epochs": 100}),
    "drifting probe": ({"probe_drift": 0.05}, FREE),
    "the same, two variations": ({"probe_drift": 0.05}, {**FREE, "variations": 2, "epochs": 100}),
    "intensity fluctuates by 10 %": ({"intensity_fluctuation": 0.1}, FIXED),
    "the same, refined ": (
        {"intensity_fluctuation": 0.1},
        {**FIXED, "update_factors": True},
    ),
    "background of 20 counts": ({"background": 20.0}, FIXED),
    "the same, constant refined": ({"background": 20.0}, {**FIXED, "background": "constant"}),
    "the same, by pixel": ({"background": 20.0}, {**FIXED, "background": "pixel"}),
}
for _exponent in range(3, 9):
    for _likelihood in ("amplitude", "poisson"):
        CASES[f"1e{_exponent} photons, {_likelihood}"] = (
            {"photons_per_frame": 10.0**_exponent},
            {**FIXED, "likelihood": _likelihood},
        )


def main() -> None:
    """Make what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--cases", nargs="*", default=list(CASES))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "cases.jsonl"
    known = {}
    if path.exists():
        known = {row["case"]: row for row in map(json.loads, path.read_text().splitlines())}
    for name in options.cases:
        if name in known:
            continue
        known[name] = {"case": name, **_case(*CASES[name], options.output)}
        with path.open("a") as file:
            file.write(json.dumps(known[name]) + "\n")
        print(known[name], flush=True)
    print(_table([known[name] for name in options.cases]))


def _case(recipe: dict, refine: dict, folder: Path) -> dict:
    import pinn
    from pinn.pictures import write_phase
    from pinn.simulate import SimulateConfig, simulate_to_file

    file = folder / "scan.npz"
    file.unlink(missing_ok=True)
    simulate_to_file(SimulateConfig(**{**BASE, **recipe}), file)
    scan = pinn.load(file)
    clock = time.process_time()
    recon = pinn.refine(scan, **refine)
    cpu = time.process_time() - clock
    write_phase(folder / "last.png", recon, remove_phase_ramp=True)
    found = pinn.evaluate(
        recon, scan.truth, truth_origin_px=scan.truth_origin_px, border=16
    ).metrics
    row = {
        **{k: found[k] for k in ("nrmse", "amplitude_psnr_db", "phase_mae_rad", "frc50")},
        "deviance": float(np.median(recon.frame_likelihood)),
        "noise_floor": recon.statistics["likelihood"]["noise_floor"],
        "epochs": recon.statistics["refinement"]["epochs"],
        "cpu_s": cpu,
    }
    with np.load(file) as stored:
        if "positions_true" in stored.files:
            off = recon.positions_px - stored["positions_true"]
            off = off - np.median(off, axis=0)
            row["position_rms_px"] = float(np.sqrt(np.mean(off**2)))
            row["position_outliers"] = int(np.sum(np.linalg.norm(off, axis=1) > 0.5))
    return row


def _table(rows: list[dict]) -> str:
    lines = [
        "| case | nrmse | amplitude PSNR (dB) | phase MAE (rad) | FRC50 (cycles/px) | "
        "deviance / its noise floor | epochs | CPU-s | positions: RMS (px), outliers |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        places = "-"
        if "position_rms_px" in row:
            places = f"{row['position_rms_px']:.3f}, {row['position_outliers']}"
        lines.append(
            f"| {row['case']} | {row['nrmse']:.4f} | {row['amplitude_psnr_db']:.1f} | "
            f"{row['phase_mae_rad']:.4f} | {row['frc50']:.3f} | "
            f"{row['deviance'] / row['noise_floor']:.2f} | {row['epochs']} | {row['cpu_s']:.0f} | "
            f"{places} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
