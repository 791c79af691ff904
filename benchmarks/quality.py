"""Quality on the reference-made scans: train on 512 groups, reconstruct the whole other scan.

    KERAS_BACKEND=tensorflow python benchmarks/quality.py lines64_train.npz lines64_test.npz \
        --output quality --seeds 3

Metrics are those of `pinn evaluate` (registration on the modulus, linear ramp and one complex
factor removed, box of the scan positions less 16 pixels; PSNR with the truth's own range; FRC50 in
cycles per pixel). CPU seconds are those of the process. Resumable: a finished run is one line of
OUTPUT/results.jsonl.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

# Published figures of the reference network on the same scans (two contended cores).
REFERENCE = {
    "reference, gridsize 1, epoch 30": (0.150, 21.9, 0.076, 0.046),
    "reference, gridsize 2, epoch 10": (0.139, 23.8, 0.084, 0.044),
}
METRICS = ("nrmse", "amplitude_psnr_db", "phase_mae_rad", "frc50")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--output", type=Path, default=Path("quality"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--gridsize", type=int, default=2)
    parser.add_argument("--filters", type=int, default=None, help="n_filters_scale")
    parser.add_argument("--architecture", default=None)
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--batch", type=int, default=None)
    parser.add_argument("--rate", type=float, default=None, help="learning_rate")
    parser.add_argument("--groups", type=int, default=512)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    log = options.output / "results.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    import keras

    import pinn
    from pinn.quality.evaluate import evaluate

    given = {"n_filters_scale": options.filters, "epochs": options.epochs}
    given |= {"batch_size": options.batch, "learning_rate": options.rate}
    given |= {"architecture": options.architecture}
    given = {k: v for k, v in given.items() if v is not None}
    for seed in options.seeds:
        key = {"backend": keras.backend.backend(), "seed": seed, "gridsize": options.gridsize}
        key |= {"groups": options.groups, "asked": given}
        if any(key.items() <= row.items() for row in rows):
            continue
        folder = options.output / f"{key['backend']}_gs{options.gridsize}_seed{seed}"
        clock = time.process_time()
        model = pinn.train(
            pinn.load(options.train),
            gridsize=options.gridsize,
            n_groups=options.groups,
            seed=seed,
            output=folder,
            **given,
        )
        trained = time.process_time() - clock
        test = pinn.load(options.test)
        clock = time.process_time()
        recon = pinn.reconstruct(test, model)
        reconstructed = time.process_time() - clock
        recon.save(folder / "reconstruction.h5")
        plain = pinn.reconstruct(test, model, synchronise=False, calibrate=False)
        dull = pinn.reconstruct(test, model, calibrate=False)
        row = {
            **key,
            **_measure(evaluate, recon, test),
            "contrast": recon.statistics["contrast"],
            "without_calibrate": _measure(evaluate, dull, test),
            "without_both": _measure(evaluate, plain, test),
            "train_cpu_s": round(trained, 1),
            "reconstruct_cpu_s": round(reconstructed, 1),
            "epochs": len(model.history),
            "parameters": int(model.network.network.count_params()),
            "loss": model.history[-1]["loss"],
        }
        rows.append(row)
        with log.open("a") as stream:
            stream.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)
    for name, values in REFERENCE.items():
        print(f"{name:40s}", *(f"{v:8.3f}" for v in values))
    print(f"{'median of ' + str(len(rows)) + ' runs':40s}", end="")
    print(*(f" {statistics.median(row[m] for row in rows):8.3f}" for m in METRICS))


def _measure(evaluate, recon, scan) -> dict[str, float]:
    metrics = evaluate(recon, scan.truth, border=16).metrics
    return {name: round(metrics[name], 4) for name in METRICS}


if __name__ == "__main__":
    main()
