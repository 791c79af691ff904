"""Verdicts on right and wrong refinements and reconstructions, against the truth.

    KERAS_BACKEND=torch python benchmarks/verdicts.py --output FOLDER
    KERAS_BACKEND=torch python benchmarks/verdicts.py --output FOLDER --data DATA  # measured scans
    KERAS_BACKEND=torch python benchmarks/verdicts.py --output FOLDER --table
    KERAS_BACKEND=torch python benchmarks/verdicts.py --output FOLDER --alarms

Each base is a simulated scan with known truth. Its right cases state the facts as they are; its
wrong cases state one fact wrongly, or leave out most of the frames. The rule, fixed before any
verdict was looked at: a picture is wrong where its error against the truth is more than twice that
of the same scan with the right facts (and .03 more, so that tiny errors do not count), or where its
correlation with the truth falls below a half at half the frequency that the verdict claims. The
reference of a right case is the refinement that starts from the truth. A wrong fact that does no
harm makes a right case.

Bases with an even number chose the limits; those with an odd number had no part in it. One line of
JSON for each case in FOLDER/rows.jsonl, with the facts a verdict is made from, so that `--table`
judges them anew without a run. Cases that are there are not made again, nor are networks in
FOLDER/networks. DATA holds siemens_star.npz and cryo_em_4dstem.npz, which have no truth: `JUDGED`
says which of their pictures are right, by looking at them beside what is known of the samples.

`--alarms` runs `pinn check` on the right scan of each base instead, and counts the scans that get
an error or a warning though nothing is wrong with them: a false alarm. One line of JSON for each
scan in FOLDER/alarms.jsonl; what is there is not checked again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, Any]

BASES: tuple[dict[str, Any], ...] = (
    {"object": "lines", "probe": "defocused", "photons_per_frame": 1e6, "overlap": 0.8},
    {"object": "leaves", "probe": "zernike", "photons_per_frame": 1e5, "overlap": 0.7},
    {"object": "demo", "probe": "defocused", "photons_per_frame": 1e7, "overlap": 0.75},
    {"object": "grf", "probe": "zernike", "photons_per_frame": 1e4, "overlap": 0.8},
    {"object": "polyhedra", "probe": "gaussian", "photons_per_frame": 1e6, "overlap": 0.75},
    {"object": "procedural", "probe": "defocused", "photons_per_frame": 1e3, "overlap": 0.85},
    {"object": "star", "probe": "zone_plate", "photons_per_frame": 1e5, "overlap": 0.8},
    {"object": "lines", "probe": "disc", "photons_per_frame": 1e9, "overlap": 0.8},
    {"object": "leaves", "probe": "defocused", "photons_per_frame": 1e8, "overlap": 0.6},
    {"object": "grf", "probe": "defocused", "photons_per_frame": 1e6, "overlap": 0.7,
     "contrast": 0.15},
    {"object": "procedural", "probe": "zernike", "photons_per_frame": 1e7, "overlap": 0.9,
     "pattern": "fermat"},
    {"object": "demo", "probe": "zernike", "photons_per_frame": 1e5, "overlap": 0.5},
    {"object": "leaves", "probe": "gaussian", "photons_per_frame": 1e4, "overlap": 0.85,
     "contrast": 0.3},
    {"object": "star", "probe": "defocused", "photons_per_frame": 1e3, "overlap": 0.8},
    {"object": "polyhedra", "probe": "zone_plate", "photons_per_frame": 1e2, "overlap": 0.85,
     "pattern": "random"},
    {"object": "lines", "probe": "zernike", "photons_per_frame": 1e7, "overlap": 0.8,
     "probe_modes": 2},
    {"object": "demo", "probe": "gaussian", "photons_per_frame": 1e2, "overlap": 0.9},
    {"object": "procedural", "probe": "zone_plate", "photons_per_frame": 1e8, "overlap": 0.7,
     "pattern": "spiral"},
    {"object": "grf", "probe": "disc", "photons_per_frame": 1e5, "overlap": 0.75},
    {"object": "leaves", "probe": "defocused", "photons_per_frame": 1e6, "overlap": 0.8,
     "pattern": "random", "frames": "amplitude"},
)  # fmt: skip
COMMON = {"N": 64, "n_frames": 64}
HARMLESS = 0.03  # of nrmse
RIGHT = "right"


# -- wrong facts --------------------------------------------------------------------------


def _turned(degrees: float) -> Callable[[Arrays], None]:
    def change(made: Arrays) -> None:
        a = np.deg2rad(degrees)
        middle = made["positions_px"].mean(0)
        matrix = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
        made["positions_px"] = (made["positions_px"] - middle) @ matrix.T + middle

    return change


def _scaled(factor: float) -> Callable[[Arrays], None]:
    def change(made: Arrays) -> None:
        middle = made["positions_px"].mean(0)
        made["positions_px"] = (made["positions_px"] - middle) * factor + middle

    return change


def _jittered(pixels: float) -> Callable[[Arrays], None]:
    def change(made: Arrays) -> None:
        noise = np.random.default_rng(7).normal(0, pixels, made["positions_px"].shape)
        made["positions_px"] = made["positions_px"] + noise

    return change


def _frames(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[Arrays], None]:
    def change(made: Arrays) -> None:
        made["counts"] = np.ascontiguousarray(function(made["counts"]))
        if made["valid_mask"] is not None:
            made["valid_mask"] = None

    return change


def _shuffled(made: Arrays) -> None:
    order = np.random.default_rng(8).permutation(len(made["positions_px"]))
    made["positions_px"] = made["positions_px"][order]


def _swapped(made: Arrays) -> None:
    made["positions_px"] = made["positions_px"][:, ::-1].copy()


def _defocused(made: Arrays) -> None:
    """The probe propagated on: a quadratic phase of two radians at the rim of its spectrum."""
    probe = made["probe"]
    spectrum = np.fft.fft2(probe)
    f = np.fft.fftfreq(probe.shape[-1])
    r2 = f[:, None] ** 2 + f[None] ** 2
    weight = np.sum(np.abs(spectrum) ** 2, axis=tuple(range(probe.ndim - 2)))
    rim = 2 * np.sum(weight * r2) / weight.sum()
    made["probe"] = np.fft.ifft2(spectrum * np.exp(2j * r2 / rim)).astype(np.complex64)


def _of_another_scan(made: Arrays) -> None:
    other = made["other"]()
    M = len(made["counts"])
    middle = slice(2 * M // 5, 3 * M // 5)
    made["counts"] = made["counts"].copy()
    made["counts"][middle] = other["counts"][middle]


def _mask_inverted(made: Arrays) -> None:
    N = made["counts"].shape[-1]
    axis = np.arange(N) - N // 2
    made["valid_mask"] = (
        np.hypot(axis[:, None], axis) > N / 4
    )  # the mask of what is dark, not of what is lit


def _squared(made: Arrays) -> None:
    made["units"] = "amplitude"


def _first(count: int) -> Callable[[Arrays], None]:
    def change(made: Arrays) -> None:
        for name in ("counts", "positions_px"):
            made[name] = made[name][:count]

    return change


WRONG: dict[str, Callable[[Arrays], None]] = {
    "frames transposed": _frames(lambda frames: frames.transpose(0, 2, 1)),
    "frames upside down": _frames(lambda frames: np.roll(frames[:, ::-1], 1, axis=1)),
    "axes of positions swapped": _swapped,
    "positions shuffled": _shuffled,
    "positions off by 2 px": _jittered(2.0),
    "pixel size 10 % too small": _scaled(1.1),
    "pixel size 10 % too large": _scaled(0.9),
    "pixel size 30 % too small": _scaled(1.3),
    "another defocus": _defocused,
    "frames one place late": _frames(lambda frames: np.roll(frames, 1, axis=0)),
    "a fifth of another scan": _of_another_scan,
    "centre off by 3 px": _frames(lambda frames: np.roll(frames, (3, -2), axis=(1, 2))),
    "mask inverted": _mask_inverted,
    "counts read as amplitudes": _squared,
    "turned by 15 degrees": _turned(15.0),
    "turned by 120 degrees": _turned(120.0),
    "one frame": _first(1),
    "two frames": _first(2),
    "four frames": _first(4),
    "one epoch": lambda made: made["options"].update(epochs=1),
}
MEASURED: dict[str, dict[str, Any]] = {
    "star": {"file": "siemens_star.npz", "frames": 200, "reading": {}},
    "electrons": {"file": "cryo_em_4dstem.npz", "frames": 400, "reading": {"rotation_deg": 122.0}},
}
FOR_MEASURED = (
    RIGHT, "three modes", "frames transposed", "positions shuffled", "positions off by 2 px",
    "pixel size 10 % too small", "frames one place late", "turned by 120 degrees", "four frames",
)  # fmt: skip
JUDGED: dict[str, str] = {
    "star right": "right: straight spokes and the arc gaps",
    "star three modes": "right, with sharper edges",
    "star frames transposed": "wrong: two fans of stripes across each other",
    "star positions shuffled": "wrong: noise",
    "star positions off by 2 px": "right, with rough edges",
    "star pixel size 10 % too small": "wrong: a tenth too large, broad edges",
    "star frames one place late": "wrong: broken spokes",
    "star turned by 120 degrees": "wrong: no spokes",
    "star four frames": "wrong: four spots",
}
PER_BASE = 3  # wrong facts tried on each base, in turn
FOR_NETWORKS = [n for n in WRONG if n not in ("one frame", "two frames", "one epoch")]


@dataclass(frozen=True)
class Case:
    """One run: a base, what is wrong about it, and what makes the picture."""

    base: int | str
    wrong: str
    by: str

    @property
    def key(self) -> str:
        return f"{self.by} {self.base} {self.wrong}"


def cases() -> Iterator[Case]:
    """All cases, right ones first."""
    names = list(WRONG)
    for base in range(len(BASES)):
        for wrong in ("from the truth", RIGHT):
            yield Case(base, wrong, "refine")
        for n in range(PER_BASE):
            yield Case(base, names[(base * PER_BASE + n) % len(names)], "refine")
    for number, base in enumerate(NETWORKS):
        for wrong in (RIGHT, "another object", "an eighth of the dose"):
            yield Case(base, wrong, "network")
        for n in range(9):
            yield Case(base, FOR_NETWORKS[(number * 5 + n) % len(FOR_NETWORKS)], "network")
        for other in NETWORKS:
            if other != base:
                yield Case(base, f"network of base {other}", "network")
        yield Case(base, "one epoch of training", "network")


def measured_cases() -> Iterator[Case]:
    """Refinements of measured scans."""
    for base in MEASURED:
        for wrong in FOR_MEASURED:
            yield Case(base, wrong, "refine")


NETWORKS = (0, 1, 2, 3, 4, 9)  # bases that have a network


# -- running ------------------------------------------------------------------------------


def simulated(base: int, **changes: Any) -> Arrays:
    """Arrays of a base; the probe has a seed of its own."""
    from pinn.simulate import SimulateConfig, simulate_arrays

    recipe = {**COMMON, **BASES[base], "seed": 10 + base, **changes}
    if recipe["probe"] in ("zernike", "defocused"):
        recipe["probe_seed"] = base
    made = dict(simulate_arrays(SimulateConfig(**recipe)))
    made["counts"], made["units"] = made["frames"], made["frames_units"]
    made["other"] = lambda: simulated(base, seed=900 + base)
    made["options"] = {}
    return made


def measured(base: str, data: Path) -> Arrays:
    """Arrays of a measured scan."""
    import pinn

    kind = MEASURED[base]
    scan = pinn.load(data / kind["file"], pinn.ScanConfig(**kind["reading"]))
    rows = np.arange(kind["frames"])
    amplitude, valid = scan.read(rows)
    return {
        "counts": np.square(amplitude, dtype=np.float64),
        "positions_px": scan.positions_px[rows],
        "probe": scan.probe,
        "valid_mask": valid.all(0),
        "truth": None,
        "units": "counts",
        "options": {},
    }


def scan_of(made: Arrays, name: str) -> Any:
    import pinn

    return pinn.Scan(
        made["counts"],
        made["positions_px"],
        probe=made["probe"],
        valid_mask=made["valid_mask"],
        truth=made["truth"],
        units=made["units"],
        name=name,
    )


def run(case: Case, folder: Path, data: Path | None = None) -> dict[str, Any]:
    """The row of a case."""
    import pinn
    from pinn.errors import PinnError
    from pinn.quality.facts import facts_of

    simulates = not isinstance(case.base, str)
    dose = BASES[case.base]["photons_per_frame"] if simulates else 0.0
    changes = {
        "another object": {"object_seed": 500 + case.base if simulates else 0},
        "an eighth of the dose": {"photons_per_frame": dose / 8},
    }.get(case.wrong, {})
    if case.by == "network":
        changes = {"seed": 700 + case.base, **changes}
    if isinstance(case.base, str):
        assert data is not None
        made = measured(case.base, data)
    else:
        made = simulated(case.base, **changes)
    if case.wrong == "three modes":
        made["options"]["probe_modes"] = 3
    if case.wrong in WRONG:
        WRONG[case.wrong](made)
    row: dict[str, Any] = {"key": case.key, **asdict(case)}
    clock = time.process_time()
    try:
        scan = scan_of(made, case.key)
        if case.by == "network":
            recon = pinn.reconstruct(scan, network(case, folder))
        else:
            start = None
            if case.wrong == "from the truth":
                start = of_truth(scan, made)
            recon = pinn.refine(scan, start, **made["options"])
    except PinnError as error:
        return row | {"refused": str(error)}
    row["cpu_s"] = time.process_time() - clock
    facts = facts_of(recon)
    row["facts"] = asdict(facts)
    row["verdict"] = recon.verdict
    row["likelihood"] = recon.statistics.get("likelihood")
    row["unlike"] = recon.statistics.get("unlike_training")
    if simulates:
        row |= against_truth(recon, simulated(case.base, **changes)["truth"], facts.agreement)
    (folder / "results").mkdir(exist_ok=True)
    recon.save(folder / "results" / f"{case.key.replace(' ', '_')}.h5")
    return row


def of_truth(scan: Any, made: Arrays) -> Any:
    """The truth as a result to start from."""
    import pinn

    truth = np.asarray(scan.truth)
    return pinn.Reconstruction(
        object=truth,
        origin_px=np.zeros(2),
        coverage=np.ones(truth.shape),
        valid_mask=np.ones(truth.shape, bool),
        positions_px=scan.positions_px,
        frame_indices=np.arange(len(scan)),
    )


def against_truth(recon: Any, truth: np.ndarray, claimed: float | None) -> dict[str, Any]:
    import pinn
    from pinn.errors import PinnError

    try:
        found = pinn.evaluate(recon, truth)
    except PinnError as error:
        return {"nrmse": None, "at_half_of_claim": None, "note": str(error)}
    half = None
    if found.frc is not None and claimed:
        half = float(np.interp(claimed / 2, found.frc.frequency, found.frc.correlation))
    return {"nrmse": found.metrics["nrmse"], "at_half_of_claim": half,
            "frc50": found.metrics["frc50"]}  # fmt: skip


def network(case: Case, folder: Path) -> Any:
    """The network of a case, trained on another scan of its base, or from the folder."""
    import pinn

    words = case.wrong.split()
    base = int(words[-1]) if case.wrong.startswith("network of base") else case.base
    epochs = 1 if case.wrong == "one epoch of training" else 16
    path = folder / "networks" / f"{base}_{epochs}"
    if not (path / "model.pinn").exists() and not path.exists():
        scans = [
            scan_of(simulated(base, seed=300 + base + n, n_frames=400), f"{n}") for n in (0, 1)
        ]
        pinn.train(scans, epochs=epochs, seed=0, output=path)
    return pinn.load_model(path)


# -- judging ------------------------------------------------------------------------------


def is_wrong(row: dict[str, Any], rows: dict[str, dict[str, Any]]) -> bool:
    """The rule at the top."""
    of = "from the truth" if row["wrong"] == RIGHT and row["by"] == "refine" else RIGHT
    reference = rows[f"{row['by']} {row['base']} {of}"]["nrmse"]
    if row["by"] == "network" and row["wrong"] in (RIGHT, "another object"):
        reference = max(reference, 0.1)
    if row["nrmse"] is None:
        return True
    if row["nrmse"] > max(2 * reference, reference + HARMLESS):
        return True
    return row["at_half_of_claim"] is not None and row["at_half_of_claim"] < 0.5


def table(rows: dict[str, dict[str, Any]]) -> str:
    """The confusion of verdicts and pictures, and every case that was missed."""
    lines, missed = [], []
    for by in ("refine", "network"):
        for part, words in ((0, "chose the limits"), (1, "had no part")):
            count = {True: [0, 0], False: [0, 0]}
            for row in rows.values():
                if row["by"] != by or isinstance(row["base"], str):
                    continue
                if row["base"] % 2 != part or row["wrong"] == "from the truth":
                    continue
                if "refused" in row:
                    continue
                said = said_of(row)
                wrong, doubted = is_wrong(row, rows), not said.startswith("Nothing")
                count[wrong][doubted] += 1
                if wrong != doubted:
                    missed.append(f"{'WRONG' if wrong else 'right'} {row['key']}: nrmse "
                                  f"{row['nrmse']}: {said}")  # fmt: skip
            lines.append(
                f"{by}, {words}: wrong {sum(count[True])}, of which a doubt is said on "
                f"{count[True][1]}; right {sum(count[False])}, of which doubted {count[False][1]}"
            )
    for row in rows.values():
        if isinstance(row["base"], str):
            judged = JUDGED.get(f"{row['base']} {row['wrong']}", "not judged")
            lines.append(f"{row['key']}: {judged}: {row.get('refused') or said_of(row)}")
    return "\n".join([*lines, "", *missed])


def said_of(row: dict[str, Any]) -> str:
    """The verdict by today's rules."""
    from pinn.quality.facts import Facts
    from pinn.quality.verdict import verdict

    return verdict(Facts(**row["facts"]))


# -- false alarms of the check ------------------------------------------------------------


def alarms_of(base: int) -> dict[str, Any]:
    """The row of a base: what the check says against its right scan."""
    from pinn.check import check

    clock = time.process_time()
    found = check(scan_of(simulated(base), f"base {base}"))
    said = [asdict(one) for one in found.findings if one.severity in ("error", "warning")]
    cpu_s = round(time.process_time() - clock, 1)
    decided = found.orientation is not None and found.orientation.decided
    return {"base": base, "alarms": said, "orientation_decided": decided, "cpu_s": cpu_s}


def count_alarms(path: Path) -> None:
    """Check the bases that are not in the file, and print each false alarm and their number."""
    rows = {row["base"]: row for row in _lines(path)}
    for base in range(len(BASES)):
        if base not in rows:
            rows[base] = alarms_of(base)
            _append(path, rows[base])
        for said in rows[base]["alarms"]:
            print(base, said["severity"], said["code"], said["message"], flush=True)
    count = sum(bool(row["alarms"]) for row in rows.values())
    print(f"{count} of {len(rows)} right scans get an error or a warning")


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _append(path: Path, row: dict[str, Any]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(row, default=str) + "\n")


def main() -> None:
    """Make what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="folder of the measured scans: these alone")
    parser.add_argument("--table", action="store_true", help="judge what is there, no more")
    parser.add_argument("--only", help="cases whose name contains this")
    parser.add_argument("--alarms", action="store_true", help="count false alarms of pinn check")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    if options.alarms:
        count_alarms(options.output / "alarms.jsonl")
        return
    path = options.output / "rows.jsonl"
    rows = {row["key"]: row for row in _lines(path)}
    chosen = cases() if options.data is None else measured_cases()
    for case in [] if options.table else chosen:
        if case.key in rows or (options.only and options.only not in case.key):
            continue
        row = run(case, options.output, options.data)
        rows[case.key] = row
        _append(path, row)
        print(row["key"], row.get("nrmse"), row.get("verdict", row.get("refused")), flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
