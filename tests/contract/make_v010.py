"""Writes the files in `v010` and `v010/expected.npz`; run once, by version 0.1.0 on JAX.

They stand for the archives, results and interrupted runs that people have. No later version can
write them again, so they change only by a page in docs/decisions; run this for nothing else::

    KERAS_BACKEND=jax PYTHONPATH=. python tests/contract/make_v010.py
"""

import os
import shutil
from pathlib import Path

import numpy as np
import subject

import pinn
from pinn.io.formats.registry import for_writing
from pinn.simulate import SimulateConfig, simulate_arrays
from pinn.training import watcher

V010 = Path("tests/contract/v010")  # relative: files must not know where they were written


def write_scan() -> None:
    """Fifty frames of 16 x 16 pixels, positions a little off, so that their refinement moves."""
    recipe = SimulateConfig(
        N=16, object="leaves", n_frames=50, photons_per_frame=1e5, overlap=0.7,
        probe="defocused", probe_modes=2, seed=11,
    )  # fmt: skip
    made = simulate_arrays(recipe)
    places = made["positions_px"]
    off = np.random.default_rng(12).uniform(-0.4, 0.4, places.shape)
    scan = pinn.Scan(
        made["counts"].astype(np.uint16), places + off, probe=made["probe"], truth=made["truth"],
        pixel_size_m=2e-8, name="scan",
    )  # fmt: skip
    for_writing(V010 / "scan.npz", None).write_scan(V010 / "scan.npz", scan)


def keep(folder: Path, *names: str) -> None:
    """Leave only these files in a folder: pictures are no part of the contract."""
    for path in folder.iterdir():
        if path.name not in names:
            path.unlink()


def main() -> None:
    """Write everything anew."""
    assert pinn.__version__ == "0.1.0" and os.environ["KERAS_BACKEND"] == "jax"
    shutil.rmtree(V010, ignore_errors=True)
    V010.mkdir(parents=True)
    watcher._EVERY = 0.0  # training reports every batch: the stop comes after one of an epoch
    write_scan()
    scan = pinn.load(V010 / "scan.npz")

    model = pinn.train(scan, output=V010 / "run", epochs=2, **subject.SMALLEST)
    keep(V010 / "run", "wts.h5.zip", "config.json", "history.csv")
    picture = pinn.reconstruct(scan, pinn.load_model(V010 / "run"))
    picture.save(V010 / "reconstruction.h5")
    refined = pinn.refine(scan, picture, **subject.ALL_REFINED)
    refined.save(V010 / "refined.h5")

    pinn.train(
        scan, output=V010 / "training", epochs=3, progress=subject.stop_in(2), **subject.SMALLEST
    )
    keep(V010 / "training", "wts.h5.zip", "config.json", "history.csv")
    pinn.refine(
        scan, output=V010 / "refinement", progress=subject.stop_in(3), **subject.SMALL_REFINEMENT
    )
    keep(V010 / "refinement", "refinement.h5")

    expected = {f"run/{name}": a for name, a in subject.weights_of(model).items()}
    for name, result in (("reconstruction", picture), ("refined", refined)):
        expected |= {f"{name}/{k}": a for k, a in subject.arrays_of_result(result).items()}
    work = V010 / "work"
    shutil.copytree(V010 / "training", work / "training")
    shutil.copytree(V010 / "refinement", work / "refinement")
    trained = pinn.train(scan, output=work / "training", resume=True)
    expected |= {f"training/{k}": a for k, a in subject.columns(trained.history).items()}
    ended = pinn.refine(scan, output=work / "refinement", resume=True, **subject.SMALL_REFINEMENT)
    expected |= {f"refinement/{k}": a for k, a in subject.arrays_of_result(ended).items()}
    expected |= {
        f"refinement/{k}": a for k, a in subject.columns(ended.statistics["history"]).items()
    }
    shutil.rmtree(work)
    np.savez_compressed(V010 / "expected.npz", **expected)


if __name__ == "__main__":
    main()
