"""Functions for a worker process to call, and a training to compare one with."""

import json
import logging
import os
import sys
from pathlib import Path

import numpy as np

OPTIONS = {
    "architecture": "test-tiny",
    "gridsize": 2,
    "batch_size": 8,
    "n_groups": 24,
    "epochs": 2,
    "seed": 3,
    "deterministic": True,
}


def scan(n_frames=40):
    """Two modes, bad pixels, and positions with fractions."""
    import pinn
    from pinn.simulate import SimulateConfig, simulate_arrays

    recipe = SimulateConfig(
        N=16, object="lines", n_frames=n_frames, photons_per_frame=1e5, seed=4, probe_modes=2
    )
    arrays = simulate_arrays(recipe)
    mask = np.ones((16, 16), bool)
    mask[3, 5:9] = False
    return pinn.Scan(
        arrays["counts"],
        arrays["positions_px"],
        probe=arrays["probe"],
        valid_mask=mask,
        truth=arrays["truth"],
        name="asked for",
    )


def double(values, more=0.0):
    return {"values": 2 * values + more, "pid": np.array(os.getpid())}


def speak(text):
    logging.getLogger("pinn").warning("%s, %s", text, "100 %")
    logging.getLogger("ptycho.workflows").info("%s from ptycho", text)
    logging.getLogger("elsewhere").error("not for the caller")
    return {}


def make_noise():
    print("noise by print")
    os.write(1, b'{"done": {"noise": 1}}\n')
    os.write(2, b"noise on the error stream\n")
    return {"input": np.array(len(sys.stdin.read()))}


def fail(text):
    raise LookupError(text)


def leave(status):
    os.write(2, b"some words\nthe last words\n")
    os._exit(status)


def wrong():
    return 3


def main(folder):
    """The training of OPTIONS in this process."""
    import tiny  # noqa: F401

    import pinn

    told = []
    model = pinn.train(scan(), output=folder, progress=told.append, **OPTIONS)
    pinn.reconstruct(scan(), model).save(folder / "reconstruction.h5")
    (folder / "told.json").write_text(json.dumps([[p.done, p.epoch, p.loss] for p in told]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
