"""Every network of the registry in one table: size, arithmetic, time and, given scans, quality.

    KERAS_BACKEND=tensorflow python benchmarks/networks.py --output networks
    KERAS_BACKEND=tensorflow python benchmarks/networks.py --output networks \
        --scans lines64_train.npz lines64_test.npz --epochs 40

Operations are those of `pinn.networks.flops`. Times are CPU seconds of the process per group, the
least of several repeats: `forward` the network alone, `step` a training step of the network alone
(squared error of its patches), `whole step` one of `pinn.train` with physics, likelihood and
optimiser. Ratios are to `cnn` at `n_filters_scale` 2, measured in the same run. Quality is as in
`benchmarks/quality.py`, at equal epochs for all. Resumable: what is in OUTPUT/results.jsonl is not
repeated; what an old line leaves out (scans, groups, batch, N) counts as the same. The table has
what was measured under the options given, and quality where scans are given.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

BASE = ("cnn", 2)
METRICS = ("nrmse", "amplitude_psnr_db", "phase_mae_rad", "frc50")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("networks"))
    parser.add_argument("--networks", nargs="+", help="NAME or NAME:SCALE; default: all, and cnn:2")
    parser.add_argument("--N", type=int, default=64)
    parser.add_argument("--gridsize", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--scans", type=Path, nargs=2, metavar=("TRAIN", "TEST"))
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--groups", type=int, default=512)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)

    from pinn.networks.registry import names

    chosen = options.networks or [f"{BASE[0]}:{BASE[1]}", *names()]
    pairs = [(n.split(":")[0], int(n.split(":")[1]) if ":" in n else 1) for n in chosen]
    log = options.output / "results.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def once(key: dict[str, Any], measure: Callable[[], dict[str, Any]]) -> None:
        if any(fits(row, key) for row in rows):
            return
        rows.append({**key, **measure()})
        with log.open("a") as stream:
            stream.write(json.dumps(rows[-1]) + "\n")
        print(json.dumps(rows[-1]), flush=True)

    import keras

    common = {
        "backend": keras.backend.backend(),
        "gridsize": options.gridsize,
        "batch": options.batch,
    }
    costs, qualities = {**common, "kind": "cost", "N": options.N}, None
    if options.scans:
        import pinn

        qualities = {
            **common,
            "kind": "quality",
            "N": pinn.load(options.scans[0]).N,
            "scans": [path.name for path in options.scans],
            "groups": options.groups,
            "epochs": options.epochs,
        }
    for name, scale in pairs:
        key = {"network": name, "scale": scale}
        once(
            {**key, **costs},
            lambda n=name, s=scale: cost(n, s, options),
        )
        for seed in options.seeds if qualities else ():
            once(
                {**key, **qualities, "seed": seed},
                lambda n=name, s=scale, k=seed: quality(n, s, k, options),
            )
    print(table(rows, costs, qualities))


def fits(row: dict[str, Any], key: dict[str, Any]) -> bool:
    """Whether a line is of this key; what it does not say, it does not contradict."""
    return all(row.get(name, value) == value for name, value in key.items())


def cost(name: str, scale: int, options: argparse.Namespace) -> dict[str, Any]:
    """Parameters, operations per group, CPU milliseconds per group."""
    import pinn
    from pinn.config import ModelConfig
    from pinn.networks.flops import TRAINING_FACTOR, flops
    from pinn.networks.initialise import initialise
    from pinn.networks.registry import build_network
    from pinn.simulate import SimulateConfig, simulate_to_file

    N, B = options.N, options.batch
    config = ModelConfig(N=N, gridsize=options.gridsize, architecture=name, n_filters_scale=scale)
    network = build_network(config)
    initialise(network, 0)
    # of an unrolled network: all its stages, each on a canvas as large as a frame
    passes = config.stages if getattr(network, "unrolled", False) else 1
    forward = passes * flops(network, N)
    row = {
        "parameters": int(network.count_params()),
        "mflop_forward": round(forward / 1e6, 1),
        "mflop_step": round(TRAINING_FACTOR * forward / 1e6, 1),
    }
    rng = np.random.default_rng(0)
    shapes = (
        [N if length is None else length for length in shape[1:]]
        for shape in (network.input_shape, network.output_shape)
    )
    given, made = ((B, *shape) for shape in shapes)
    frames = rng.normal(0, 0.1, given).astype("float32")
    target = np.zeros(made, "float32")
    network.compile(optimizer="sgd", loss="mse")
    row["forward_ms"] = passes * least(lambda: network.predict_on_batch(frames)) / B
    row["step_ms"] = passes * least(lambda: network.train_on_batch(frames, target)) / B
    path = options.output / f"lines_{N}.npz"
    if not path.exists():
        recipe = SimulateConfig(N=N, object="lines", n_frames=200, photons_per_frame=1e6, seed=0)
        simulate_to_file(recipe, path)
    marks: list[float] = []
    groups = 8 * B
    pinn.train(
        pinn.load(path),
        config,
        batch_size=B,
        n_groups=groups,
        epochs=4,
        validation_fraction=0.0,
        progress=lambda r: marks.append(time.process_time()) if r.loss is not None else None,
    )
    epoch = min(b - a for a, b in itertools.pairwise(marks))
    row["whole_step_ms"] = 1e3 * epoch / groups
    return {k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}


def least(call: Callable[[], Any], repeats: int = 8) -> float:
    """CPU milliseconds of the quickest call; two before it compile."""
    spent = []
    for _ in range(repeats + 2):
        clock = time.process_time()
        call()
        spent.append(1e3 * (time.process_time() - clock))
    return min(spent[2:])


def quality(name: str, scale: int, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train on the first scan, reconstruct the second by the network alone."""
    import pinn
    from pinn.quality.evaluate import evaluate

    train, test = (pinn.load(path) for path in options.scans)
    clock = time.process_time()
    model = pinn.train(
        train,
        architecture=name,
        n_filters_scale=scale,
        gridsize=options.gridsize,
        batch_size=options.batch,
        n_groups=options.groups,
        epochs=options.epochs,
        seed=seed,
    )
    trained = time.process_time() - clock
    clock = time.process_time()
    recon = pinn.reconstruct(test, model)
    spent = time.process_time() - clock
    metrics = evaluate(recon, test.truth, border=16).metrics
    last = model.history[-1]
    return {
        **{m: None if metrics[m] is None else round(metrics[m], 4) for m in METRICS},
        "train_cpu_s": round(trained, 1),
        "reconstruct_cpu_s": round(spent, 1),
        "loss": last["loss"],
        "held_out": last.get("val_loss"),
    }


def table(
    rows: list[dict[str, Any]], cost_key: dict[str, Any], quality_key: dict[str, Any] | None
) -> str:
    """Markdown: one line per network, quality as the median of the seeds.

    Args:
        rows: lines of the results.
        cost_key: what lines of cost must say to be of this table.
        quality_key: the same of quality; None: none of them.
    """
    costs = [r for r in rows if fits(r, cost_key)]
    base = next((r for r in costs if (r["network"], r["scale"]) == BASE), None)
    lines = [
        "| network | parameters | MFLOP forward | forward / step / whole step, CPU-ms | "
        "less than cnn:2: FLOP, forward, step, whole | nrmse | PSNR (dB) | phase MAE | FRC50 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    measured = ("mflop_forward", "forward_ms", "step_ms", "whole_step_ms")
    for row in sorted(costs, key=lambda r: r["whole_step_ms"]):
        name, scale = row["network"], row["scale"]
        times = " / ".join(f"{row[m]:.2f}" for m in measured[1:])
        ratios = ", ".join(f"{base[m] / row[m]:.1f}" for m in measured) if base else ""
        key = {"network": name, "scale": scale}
        runs = [r for r in rows if quality_key and fits(r, {**key, **quality_key})]
        known = [[r[m] for r in runs if r[m] is not None] for m in METRICS]
        marks = [f"{np.median(values):.4g}" if values else "" for values in known]
        lines.append(
            f"| {name}:{scale} | {row['parameters']} | {row['mflop_forward']} | {times} | "
            f"{ratios} | {' | '.join(marks)} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
