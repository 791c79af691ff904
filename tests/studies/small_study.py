"""A small study, and the records that finished runs would leave: for tests without a network."""

from __future__ import annotations

import copy
import json
import os
from importlib.util import find_spec

import numpy as np

from pinn.backend.selection import BACKENDS
from pinn.studies.run import Study

# one that is installed: nothing is computed here, but a study refuses others
BACKEND = os.environ.get("KERAS_BACKEND") or next(name for name in BACKENDS if find_spec(name))

CONTENT = {
    "name": "small",
    "recipe": {
        "lines": {"object": "lines", "N": 16, "n_frames": 40, "overlap": 0.5},
        "other": {"like": "lines", "seed": 1},
        "leaves": {"like": "lines", "object": "leaves", "seed": 2},
    },
    "data": {"train": "lines", "test": {"same": "other", "leaves": "leaves"}},
    "options": {"epochs": 2},
    "sweep": {"n_groups": [8, 64], "gridsize": [1, 2], "seed": [0, 1, 2]},
    "report": {"metrics": ["nrmse", "amplitude_psnr_db", "train_cpu_s"]},
}


def content(**changes):
    """The small study with whole tables replaced; None takes one away."""
    found = copy.deepcopy(CONTENT)
    for key, value in changes.items():
        if value is None:
            found.pop(key)
        else:
            found[key] = value
    return found


def small_study(folder, **changes):
    return Study(content(**changes), folder, backend=BACKEND)


def write_training(run, status="done", **values):
    run.folder.mkdir(parents=True, exist_ok=True)
    record = {
        "status": status,
        "error": "it went wrong",
        "values": {"train_cpu_s": 10.0, "parameters": 7, **values},
        "versions": {"keras": "3.x"},
        "resolved": run.learning["resolved"],
    }
    (run.folder / "training.json").write_text(json.dumps(record))


def write_test(run, id, status="done", **metrics):
    path = run.folder / "tests" / f"{id}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {
        "status": status,
        "error": "no comparison",
        "metrics": metrics,
        "values": {"reconstruct_cpu_s": 1.5},
        "evaluation": {"data_range": {"of": "the truth", "amplitude": 0.75, "phase_rad": 1.25}},
        "resolved": run.tests[id]["resolved"],
    }
    path.write_text(json.dumps(record))


def finish(run, number):
    """Records of a whole run; its numbers follow from `number` and the test alone."""
    write_training(run, train_cpu_s=100.0 + number)
    for index, id in enumerate(run.tests):
        write_test(run, id, **numbers(number, index))


def numbers(number, index):
    rng = np.random.default_rng([number, index])
    return {
        "nrmse": float(rng.uniform(0.1, 0.9)),
        "amplitude_psnr_db": float(rng.uniform(10, 30)),
    }
