"""The whole way through the real ptychodus, each step in a process of its own.

ptychodus drives its own PtychoPINN engine, which finds our `ptycho` in place of PtychoPINN, and the
algorithms of `pinn.interop.ptychodus`. The object must match the truth, and what `pinn` alone
makes of the same frames.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pinn
from pinn.metrics import evaluate

HERE = Path(__file__).parent
BACKENDS = [name for name in ("jax", "torch", "tensorflow") if importlib.util.find_spec(name)]
STAR = HERE.parent / "goldens" / "siemens_star_part.npz"

# What of the settings both engines have, by their own names.
ENGINES = {
    "ptychopinn": ("PtychoPINNTraining.NumEpochs", "PtychoPINNModel.GridSize"),
    "pinn": ("Pinn.NumEpochs", "Pinn.GridSize"),
}


def drive(step, *paths, backend=None, **options):
    """Run a step of `drive.py`; returns what it says."""
    command = [sys.executable, "-P", str(HERE / "drive.py"), step, *map(str, paths)]
    for name, value in options.items():
        for one in value if isinstance(value, list) else [value]:
            command += [f"--{name.replace('_', '-')}", str(one)]
    variables = {**os.environ, **({"KERAS_BACKEND": backend} if backend else {})}
    done = subprocess.run(command, capture_output=True, text=True, env=variables, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1]), done.stdout


def through(folder, out, engine, mode, epochs, gridsize=2, backend=None):
    """Export, train and, in a fresh process, reconstruct; returns the product as a result."""
    names = ENGINES[engine]
    settings = [f"{name}={value}" for name, value in zip(names, (epochs, gridsize), strict=True)]
    how = {"engine": engine, "mode": mode, "set": settings, "backend": backend}
    drive("export", folder, **how)
    drive("train", folder, out, **how)
    told = drive("reconstruct", folder, out, **how)[0]
    return pinn.load_reconstruction(out / "product.h5"), told


def correlation(recon, truth):
    """Of complex images on the area of the scan, aligned, their means taken off; 0 if flat."""
    found = evaluate(recon, truth)
    a, b = found.recon[found.valid], found.truth[found.valid]
    a, b = a - a.mean(), b - b.mean()
    return abs(np.vdot(a, b)) / (np.linalg.norm(a) * np.linalg.norm(b))


def alone(folder, epochs, gridsize=2):
    """What `pinn` makes of product and diffraction file by itself."""
    scan = pinn.load(folder / "product.h5")
    model = pinn.train(scan, epochs=epochs, gridsize=gridsize)
    return pinn.reconstruct(scan, model)


@pytest.fixture(scope="session")
def simulated(tmp_path_factory):
    """196 positions, 32 x 32 pixels, 1e6 photons, counts by ptychodus' own simulator."""
    folder = tmp_path_factory.mktemp("simulated")
    drive("simulate", folder, n=32, side=14, step_px=3)
    return folder


@pytest.fixture(scope="session")
def truth(simulated):
    return pinn.load_reconstruction(simulated / "truth.h5")


@pytest.fixture(scope="session")
def ours(simulated):
    return alone(simulated, 20)


def report(record, what, with_truth, with_ours=None):
    """Into the report of the tests; both figures are the prize of this folder."""
    record(f"correlation {what}", f"truth {with_truth:.3f}, pinn alone {with_ours}")


@pytest.mark.parametrize("backend", BACKENDS)
def test_pinn_through_the_engine_for_ptychopinn(
    simulated, truth, ours, tmp_path, backend, record_property
):
    found, _ = through(simulated, tmp_path, "ptychopinn", "PINN", 20, backend=backend)
    with_truth, with_ours = correlation(found, truth), correlation(found, ours)
    report(record_property, backend, with_truth, with_ours)
    assert with_truth >= 0.8 and with_ours >= 0.8


def test_supervised_through_the_engine_for_ptychopinn(simulated, truth, tmp_path, record_property):
    """Learns from a known object, which here is the one it then infers."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "diffraction.h5").symlink_to(simulated / "diffraction.h5")
    (folder / "product.h5").symlink_to(simulated / "truth.h5")
    found, _ = through(folder, tmp_path / "out", "ptychopinn", "Supervised", 20)
    with_truth = correlation(found, truth)
    report(record_property, "supervised", with_truth)
    assert with_truth >= 0.8


@pytest.mark.parametrize("mode", ["PINN", "Fit"])
def test_the_better_door(simulated, truth, ours, tmp_path, mode, record_property):
    if mode == "PINN":
        found, told = through(simulated, tmp_path, "pinn", mode, 20)
    else:
        settings = ["Pinn.NumEpochs=20", "Pinn.GridSize=2", "Pinn.PictureEvery=10"]
        told, _ = drive("reconstruct", simulated, tmp_path, engine="pinn", mode=mode, set=settings)
        found = pinn.load_reconstruction(tmp_path / "product.h5")
    with_truth, with_ours = correlation(found, truth), correlation(found, ours)
    report(record_property, f"adapter {mode}", with_truth, with_ours)
    assert told["losses"] == 20
    assert with_truth >= 0.8 and with_ours >= 0.8


def test_the_object_lies_where_the_truth_lies(simulated, truth, ours):
    """Not only after alignment: half a pixel costs more than a tenth of the correlation."""
    found = evaluate(ours, truth, register=False)
    here = found.metrics["nrmse"]
    for shift in ([0.5, 0.5], [-0.5, -0.5]):
        moved = evaluate(
            ours.object,
            truth.object,
            recon_origin_px=ours.origin_px + shift,
            truth_origin_px=truth.origin_px,
            positions_px=ours.positions_px,
            register=False,
        )
        assert moved.metrics["nrmse"] > here


def test_batch_mode(tmp_path):
    """`python -m pinn.interop.ptychodus -b reconstruct`, its algorithm named by the settings."""
    drive("simulate", tmp_path, n=16, side=6, step_px=3, modes=2, bad=3)
    (tmp_path / "settings.ini").write_text(
        "[Processing]\nAlgorithm = pinn_fit\n[Pinn]\nNumEpochs = 2\nPictureEvery = 1\n"
    )
    command = [sys.executable, "-P", "-m", "pinn.interop.ptychodus", "-b", "reconstruct"]
    command += ["-i", str(tmp_path), "-o", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["product.000001.h5", "product.000002.h5"]
    found = [pinn.load_reconstruction(tmp_path / "out" / name) for name in names]
    assert [len(one.losses) for one in found] == [1, 2]
    assert found[1].probe.shape == (2, 16, 16)


@pytest.mark.full
@pytest.mark.parametrize("engine", ["ptychopinn", "pinn"])
def test_the_scan_of_the_issue(tmp_path, engine, record_property):
    """400 positions, 64 x 64 pixels, 1e6 photons."""
    drive("simulate", tmp_path)
    found, _ = through(tmp_path, tmp_path / engine, engine, "PINN", 40)
    with_truth = correlation(found, pinn.load_reconstruction(tmp_path / "truth.h5"))
    report(record_property, f"400 positions, {engine}", with_truth)
    assert with_truth >= 0.8


@pytest.mark.full
def test_a_measured_scan(tmp_path, record_property):
    """A part of the Siemens star: no truth; compared with `pinn` alone."""
    drive("scan", STAR, tmp_path)
    found, _ = through(tmp_path, tmp_path / "out", "ptychopinn", "PINN", 20)
    with_ours = correlation(found, alone(tmp_path, 20))
    report(record_property, "Siemens star", float("nan"), with_ours)
    assert with_ours >= 0.8
