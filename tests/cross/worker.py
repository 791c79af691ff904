"""Does tasks on the backend of KERAS_BACKEND, one after the other; see conftest.py.

Each line of standard input is a task, `[NAME, FOLDER, ARGUMENT...]` in JSON; the answer is a line
of standard output: `null`, or the traceback.
"""

import json
import os
import sys
import traceback
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

N = 64


def _model(folder: Path):
    from pinn.config import ModelConfig
    from pinn.networks.model import PtychoModel

    model = PtychoModel(ModelConfig(N=N, gridsize=2, n_filters_scale=1), canvas=N + 12)
    with np.load(folder / "start.npz") as start:
        model.load_arrays(dict(start))
    return model


def start(folder: Path) -> None:
    """Write initial weights and batches, once, for every backend."""
    from pinn.config import ModelConfig
    from pinn.networks.initialise import initialise
    from pinn.networks.model import PtychoModel

    model = PtychoModel(ModelConfig(N=N, gridsize=2, n_filters_scale=1), canvas=N + 12)
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:N, :N] - N // 2
    probe = np.exp(-((y - 2) ** 2 + x**2) / 150) * np.exp(1j * (0.004 * y * x + 0.002 * x**2))
    model.probe.set_probe(probe)
    model.scale.set_from_exposure([0.02])
    initialise(model.network, 0)
    np.savez(folder / "start.npz", **model.named_arrays())
    shape = (200, 190)
    # Weak: predicted and measured light lie in the same place. Where a pixel counted and next to
    # no rate is predicted the gradient is a ratio of roundings, on any backend.
    weak = 1 + 0.1 * (rng.standard_normal(shape) + 1j * rng.standard_normal(shape))
    # Smooth, as samples are: for a run of steps, which noise would make chaotic.
    real, imaginary = (gaussian_filter(rng.normal(0, 5, shape), 3) for _ in range(2))
    for name, canvas in (("weak", weak), ("smooth", 1 + real + 1j * imaginary)):
        np.savez(folder / f"{name}.npz", **_batches(rng, probe, canvas))


def _batches(rng, probe, canvas) -> dict[str, np.ndarray]:
    positions = rng.integers(N // 2, 120, (20, 8, 4, 2))
    positions[..., 1:, :] = positions[..., :1, :] + rng.integers(-4, 5, (20, 8, 3, 2))
    positions = np.clip(positions, N // 2, 150)
    frames = np.zeros((20, 8, N, N, 4), np.float32)
    for index in np.ndindex(20, 8, 4):
        py, px = positions[index] - N // 2
        wave = np.fft.fft2(np.fft.ifftshift(probe * canvas[py : py + N, px : px + N]))
        amplitude = np.sqrt(rng.poisson(np.abs(np.fft.fftshift(wave)) ** 2))
        frames[index[0], index[1], :, :, index[2]] = amplitude
    frames *= (N / 2) / np.sqrt(np.mean(np.sum(frames.astype(float) ** 2, (2, 3))))
    offsets = positions - positions.mean(2, keepdims=True)
    return {"frames": frames, "offsets": offsets.astype(np.float32)}


def steps(folder: Path, *runs: str) -> None:
    """Runs such as `sgd:1` (its update is the gradient) or `adam:20`; each from the start."""
    for run in runs:
        kind, count = run.split(":")
        _steps(folder, kind, count)


def _steps(folder: Path, kind: str, count: str) -> None:
    import keras

    from pinn.config import TrainConfig
    from pinn.training.optimisation import equip

    model = _model(folder)
    if kind == "sgd":
        model.compile(optimizer=keras.optimizers.SGD(1.0))
    else:
        # As `pinn train` uses it, but for the rate: at 1e-3 the first steps of phase retrieval
        # double a rounding with each step, whatever the backend.
        equip(model, TrainConfig(learning_rate=2e-4, epochs=40), 61)
    before = model.named_arrays()
    losses = []
    with np.load(folder / ("weak.npz" if count == "1" else "smooth.npz")) as batches:
        frames, offsets = batches["frames"], batches["offsets"]
    if count != "1":
        model.normalise.set_statistics(frames.mean((0, 1, 4)))
    for step in range(int(count)):
        batch = {
            "frames": frames[step],
            "offsets": offsets[step],
            "scale": np.full(8, 0.02, np.float32),
            "scan": np.zeros(8, np.int32),
            "weight": np.ones(8, np.float32),
        }
        model.reset_metrics()
        losses.append(float(model.train_on_batch(batch, return_dict=True)["loss"]))
    after = model.named_arrays()
    change = {f"change/{k}": after[k] - before[k] for k in after}
    name = f"{kind}_{count}_{keras.backend.backend()}.npz"
    np.savez(folder / name, losses=losses, **change, **{f"after/{k}": v for k, v in after.items()})


def unrolled(folder: Path) -> None:
    """Gradient of an unrolled network, and what the pretrained one makes of a simulated scan."""
    import keras

    import pinn
    from pinn.config import ModelConfig
    from pinn.networks.initialise import initialise
    from pinn.networks.model import PtychoModel
    from pinn.simulate import SimulateConfig, simulate_arrays

    config = ModelConfig(N=N, gridsize=2, architecture="unrolled", stages=3)
    model = PtychoModel(config, canvas=N + 12)
    initialise(model.network, 0)
    last = model.network.get_layer("out").kernel  # it starts at zero: no gradient would pass it
    last.assign(np.random.default_rng(1).normal(0, 0.02, last.shape))
    # A probe with light at all angles: where a flat object sends none, what is missing there is a
    # ratio of roundings, on any backend.
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:N, :N] - N // 2
    probe = np.exp(-((y - 2) ** 2 + x**2) / 150 + 2j * gaussian_filter(rng.normal(0, 4, (N, N)), 1))
    model.probe.set_probe(probe)
    model.scale.set_from_exposure([0.02])
    # so large a step that rounded weights show the gradient
    model.compile(optimizer=keras.optimizers.SGD(1e3))
    before = model.named_arrays()
    weak = 1 + 0.1 * (rng.standard_normal((200, 190)) + 1j * rng.standard_normal((200, 190)))
    batch = {name: array[0] for name, array in _batches(rng, probe, weak).items()}
    batch |= {"scale": np.full(8, 0.02, np.float32), "scan": np.zeros(8, np.int32)}
    batch["weight"] = np.ones(8, np.float32)
    loss = float(model.train_on_batch(batch, return_dict=True)["loss"])
    after = model.named_arrays()
    found = {f"change/{k}": after[k] - before[k] for k in after}
    arrays = simulate_arrays(SimulateConfig(N=32, n_frames=80, object="leaves", probe="defocused"))
    scan = pinn.Scan(arrays["counts"], arrays["positions_px"], probe=arrays["probe"])
    recon = pinn.reconstruct(scan, stages=4)
    known = np.where(recon.coverage > 0.1, recon.object, 0)
    name = f"unrolled_{keras.backend.backend()}.npz"
    np.savez(folder / name, losses=[loss], object=known, likelihood=recon.frame_likelihood, **found)


def train(folder: Path, epochs: str) -> None:
    """Train on FOLDER/scan.npz into FOLDER/<backend>."""
    import os

    import pinn

    scan = pinn.load(folder / "scan.npz")
    pinn.train(
        scan,
        n_filters_scale=1,
        epochs=int(epochs),
        n_groups=32,
        batch_size=8,
        output=folder / os.environ["KERAS_BACKEND"],
    )


def predict(folder: Path, *archives: str) -> None:
    """Object patches of fixed frames with each archive, and the reconstruction of the scan."""
    import keras

    import pinn

    scan = pinn.load(folder / "scan.npz")
    with np.load(folder / "frames.npz") as stored:
        frames = stored["frames"]
    for archive in archives:
        model = pinn.load_model(folder / archive)
        patches = keras.ops.convert_to_numpy(model.network.object_patches(frames))
        recon = pinn.reconstruct(scan, model)
        name = f"predicted_{archive}_{keras.backend.backend()}.npz"
        np.savez(folder / name, patches=patches, object=recon.object, origin=recon.origin_px)


def read(folder: Path, *archives: str) -> None:
    """What another backend does with each archive: predict, and go on."""
    predict(folder, *archives)
    resume(folder, 4, *archives)


def resume(folder: Path, epochs: int, *archives: str) -> None:
    """Continue each run FOLDER/<archive> in a copy of its folder; weights after one epoch."""
    import shutil

    import keras

    import pinn

    scan = pinn.load(folder / "scan.npz")
    for archive in archives:
        copy = folder / f"resumed_{archive}_{keras.backend.backend()}"
        shutil.copytree(folder / archive, copy)
        before = pinn.load_model(copy).network.named_arrays()
        after = []

        def look(model, after=after):
            after.append(model.network.named_arrays())

        pinn.train(scan, epochs=epochs, output=copy, resume=True, watch=look)
        arrays = {f"{number:04d}": after[0][name] for number, name in enumerate(before)}
        moved = {f"moved_{i:04d}": after[0][n] - before[n] for i, n in enumerate(before)}
        np.savez(copy / "epoch.npz", **arrays, **moved)


def relay(folder: Path, name: str, epochs: str) -> None:
    """Begin the run FOLDER/<name> on this backend, or go on with it, up to so many epochs."""
    import pinn

    options = dict(n_filters_scale=1, n_groups=32, batch_size=8, schedule="constant")
    begun = (folder / name).exists()
    pinn.train(
        pinn.load(folder / "scan.npz"),
        epochs=int(epochs),
        output=folder / name,
        resume=begun,
        **({} if begun else options),
    )


def refine(folder: Path) -> None:
    """Refine a simulated scan from flat, once by first-order steps and once polished."""
    import keras

    import pinn
    from pinn.simulate import SimulateConfig, simulate_arrays

    arrays = simulate_arrays(
        SimulateConfig(N=32, n_frames=120, object="leaves", probe="defocused", probe_modes=2)
    )
    scan = pinn.Scan(arrays["counts"], arrays["positions_px"], probe=arrays["probe"])
    found = {}
    for name, options in {
        "plain": {
            "epochs": 8,
            "lbfgs_iterations": 0,
            "update_positions": True,
            "background": "pixel",
        },
        "polished": {"epochs": 6, "lbfgs_iterations": 25, "update_probe": False},
    }.items():
        recon = pinn.refine(scan, split_half=False, **options)
        found |= {
            f"{name}/object": np.where(recon.coverage > 0.1, recon.object, 0),
            f"{name}/probe": recon.probe,
            f"{name}/positions": recon.positions_px,
            f"{name}/likelihood": recon.frame_likelihood,
        }
    np.savez(folder / f"refined_{keras.backend.backend()}.npz", **found)


def small(folder: Path) -> None:
    """The training and the reconstruction of tests/helpers/remote_parts.py; what they load."""
    import remote_parts

    remote_parts.main(folder)
    names = sorted({name.split(".")[0] for name in sys.modules})
    (folder / "loaded.json").write_text(json.dumps(names))


def serve() -> None:
    """Answer tasks until there are no more; what frameworks print goes to the error stream."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        task, folder, *arguments = json.loads(line)
        try:
            globals()[task](Path(folder), *arguments)
            answer = None
        except Exception:
            answer = traceback.format_exc()
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve()
