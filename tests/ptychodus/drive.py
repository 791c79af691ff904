"""Drives the real ptychodus 1.7 without a display, each step in a process of its own.

    python drive.py simulate IN                    diffraction.h5, product.h5 and truth.h5
    python drive.py scan SCAN.npz IN               the same from a measured scan (no truth)
    python drive.py export IN                      train_data.npz, test_data.npz
    python drive.py train IN OUT                   model.zip (or .wts.h5.zip) in OUT
    python drive.py reconstruct IN OUT             product.h5 in OUT, with the model in OUT

`--engine ptychopinn` goes through ptychodus' own PtychoPINN engine, unmodified; `--engine pinn`
through `pinn.interop.ptychodus`. `--set Group.Name=value` sets what a settings file would.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

WAVELENGTH_EV, DISTANCE_M, DETECTOR_PIXEL_M = 8000.0, 1.5, 1.72e-4


# ------------------------------------------------------------------------------ files


def product_of(array, positions_px, probe, pixel_m, name, centre=(0.0, 0.0)):
    """A product; positions (y, x) in pixels from the middle of the object."""
    from ptychodus.api.geometry import PixelGeometry
    from ptychodus.api.object import Object, ObjectCenter
    from ptychodus.api.probe import ProbeSequence
    from ptychodus.api.probe_positions import ProbePosition, ProbePositionSequence
    from ptychodus.api.product import Product, ProductMetadata

    pixel = PixelGeometry(width_m=pixel_m, height_m=pixel_m)
    y, x = np.asarray(positions_px, np.float64).T * pixel_m
    points = [
        ProbePosition(i, x_m=centre[1] + b, y_m=centre[0] + a)
        for i, (a, b) in enumerate(zip(y, x, strict=True))
    ]
    metadata = ProductMetadata(
        name=name,
        comments="",
        detector_distance_m=DISTANCE_M,
        photon_energy_eV=WAVELENGTH_EV,
        probe_photon_count=float(np.sum(np.abs(probe) ** 2)),
        exposure_time_s=1.0,
        mass_attenuation_m2_per_kg=0.0,
        tomography_angle_deg=0.0,
    )
    return Product(
        metadata=metadata,
        probe_positions=ProbePositionSequence(points),
        probes=ProbeSequence(probe, None, pixel),
        object_=Object(array, pixel, ObjectCenter(x_m=centre[1], y_m=centre[0])),
        losses=[],
    )


def pixel_of(n):
    """Side of an object pixel in metres."""
    return 1.239841984e-6 / WAVELENGTH_EV * DISTANCE_M / (n * DETECTOR_PIXEL_M)


def focused(n, modes=1):
    """A defocused beam about 0.35 n across (4 sigma), `(modes, n, n)`."""
    axis = np.fft.fftfreq(n) * n
    square = axis[:, None] ** 2 + axis[None, :] ** 2
    pupil = np.exp(-((square / (0.22 * n) ** 2) ** 4)) * np.exp(2.7j * square / n)
    field = np.fft.fftshift(np.fft.ifft2(pupil))
    ramp = np.linspace(-1, 1, n)
    rest = [field * ramp[:, None], field * ramp[None, :]][: modes - 1]
    shares = [1.0, 0.35, 0.25]
    parts = [s * f / np.linalg.norm(f) for s, f in zip(shares, [field, *rest], strict=False)]
    return np.stack(parts).astype(complex)


def simulate(folder, n, side, step, photons, seed, modes, bad, centre_m):
    """A raster with jitter over an object of overlapping discs, counts by ptychodus itself."""
    from ptychodus.api.assemble import AssembledDiffractionData
    from ptychodus.api.io import save_diffraction_data, save_product
    from ptychodus.api.object import ObjectGeometry
    from ptychodus.api.simulate.diffraction import generate_diffraction_data
    from ptychodus.api.simulate.object import generate_dead_leaves_object

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    grid = np.stack(np.mgrid[:side, :side], -1).reshape(-1, 2) - (side - 1) / 2
    positions = step * (grid + rng.uniform(-0.25, 0.25, grid.shape))
    height, width = (int(np.ceil(np.ptp(positions[:, a]))) + n + 4 for a in (0, 1))
    pixel_m = pixel_of(n)
    geometry = ObjectGeometry(width, height, pixel_m, pixel_m, centre_m[1], centre_m[0])
    truth = generate_dead_leaves_object(
        rng,
        geometry,
        leaf_radius_lower_px=3.0,
        leaf_radius_upper_px=0.4 * n,
        leaf_radius_power_law_exponent=2.0,
        leaf_amplitude_lower=0.6,
        leaf_amplitude_upper=1.0,
        leaf_phase_lower_tr=0.0,
        leaf_phase_upper_tr=0.3,
    ).get_array()
    # the middle of the scan is the middle of the object, as ptychodus makes them
    positions -= (positions.max(0) + positions.min(0)) / 2
    probe = focused(n, modes)
    counted = product_of(truth, positions, probe, pixel_m, "truth", centre_m)
    noise_free = generate_diffraction_data(counted)
    factor = photons / noise_free.get_patterns().sum((1, 2)).mean()
    patterns = rng.poisson(noise_free.get_patterns() * factor).astype(np.int32)
    mask = np.zeros((n, n), bool)
    if bad:
        side = n // 4  # in the middle, each another one
        rows, columns = np.divmod(rng.choice(side**2, bad, replace=False), side)
        mask[rows + n // 2 - n // 8, columns + n // 2 - n // 8] = True
        patterns[:, mask] = np.iinfo(np.int32).max // 4  # hot
    probe = probe * np.sqrt(photons / np.sum(np.abs(probe) ** 2))
    data = AssembledDiffractionData(
        np.arange(len(positions)), patterns, noise_free.get_pixel_geometry(), mask
    )
    save_diffraction_data(folder / "diffraction.h5", data)
    save_product(
        folder / "truth.h5", product_of(truth, positions, probe, pixel_m, "truth", centre_m)
    )
    save_product(
        folder / "product.h5",
        product_of(np.ones_like(truth), positions, probe, pixel_m, "scan", centre_m),
    )


def measured(path, folder):
    """diffraction.h5 and product.h5 from an NPZ file of amplitudes or counts."""
    from ptychodus.api.assemble import AssembledDiffractionData
    from ptychodus.api.geometry import PixelGeometry
    from ptychodus.api.io import save_diffraction_data, save_product

    folder.mkdir(parents=True, exist_ok=True)
    with np.load(path) as npz:
        frames, probe = npz["diff3d"], npz["probeGuess"].astype(complex)
        # of patch index N/2 in the file; ptychodus speaks of (N - 1)/2, everywhere alike
        positions = np.stack([npz["ycoords"], npz["xcoords"]], axis=1)
        counts = "frames_units" in npz and str(npz["frames_units"]) == "counts"
    if not counts:
        frames = np.rint(frames.astype(np.float64) ** 2)
    frames = frames.astype(np.int32)
    n = frames.shape[-1]
    positions = positions - (positions.max(0) + positions.min(0)) / 2
    sides = np.ceil(np.ptp(positions, axis=0)).astype(int) + n + 4
    pixel = PixelGeometry(width_m=DETECTOR_PIXEL_M, height_m=DETECTOR_PIXEL_M)
    data = AssembledDiffractionData(np.arange(len(frames)), frames, pixel, np.zeros((n, n), bool))
    save_diffraction_data(folder / "diffraction.h5", data)
    product = product_of(np.ones(tuple(sides), complex), positions, probe, pixel_of(n), "scan")
    save_product(folder / "product.h5", product)


# ------------------------------------------------------------------------------ ptychodus


class Driven:
    """A running ptychodus with one product opened."""

    def __init__(self, options):
        from ptychodus.model import ModelCore

        self.core = ModelCore(log_level=options.log_level)
        if options.engine == "pinn":
            from pinn.interop.ptychodus import register

            register(self.core)
        for text in options.set:
            name, value = text.split("=", 1)
            group, key = name.split(".")
            self.core.settings_registry[group].parameters()[key].set_value_from_string(value)
        self.algorithm = f"{options.engine}_{options.mode.casefold()}"
        self.folder = options.folder

    def __enter__(self):
        self.core.__enter__()
        workflow = self.core.workflow_api
        assert self.algorithm in set(workflow.available_reconstructors()), self.algorithm
        data = workflow.load_assembled_diffraction_data(self.folder / "diffraction.h5")
        self.product = workflow.load_product(self.folder / "product.h5", diffraction=data)
        self.api = self.core.processing_core.processing_api
        self.api.set_reconstructor_if_provided(self.algorithm)
        self.extension = self.api.get_model_file_extension()
        return self

    def __exit__(self, *error):
        self.core.__exit__(*error)


def export(options):
    """Training and test data, as the PtychoPINN engine looks for them."""
    with Driven(options) as driven:
        for name in ("train_data", "test_data"):
            driven.product.export_training_data(
                options.folder / f"{name}.npz", algorithm=driven.algorithm
            )


def train(options):
    """Train on the exported files and save the model."""
    options.output.mkdir(parents=True, exist_ok=True)
    with Driven(options) as driven:
        watched = []
        monitor = driven.api.task_monitor
        tell = monitor.update_progress
        monitor.update_progress = lambda n, goal: (watched.append([n, goal]), tell(n, goal))
        driven.product.train_reconstructor_local(
            options.folder, options.output, algorithm=driven.algorithm, block=True
        )
        driven.api.save_model_to_file(options.output / f"model{driven.extension}")
    return {"progress": watched[-1], "steps": len(watched)}


def reconstruct(options):
    """Open the saved model, reconstruct, save the product."""
    options.output.mkdir(parents=True, exist_ok=True)
    with Driven(options) as driven:
        if options.mode.casefold() not in ("fit", "refine"):
            driven.api.load_model_from_file(options.output / f"model{driven.extension}")
        result = driven.product.reconstruct_local(algorithm=driven.algorithm, block=True)
        driven.core.run_tasks()  # the result is put into the product in the foreground
        result.save_product(options.output / "product.h5", file_type="HDF5")
        product = result.get_product()
    return {"object": product.object_.get_array().shape, "losses": len(product.losses)}


def main():
    """Run one step; the last line says what came out, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=["simulate", "scan", "export", "train", "reconstruct"])
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--engine", choices=["ptychopinn", "pinn"], default="ptychopinn")
    parser.add_argument("--mode", default="PINN")
    parser.add_argument("--set", action="append", default=[], metavar="GROUP.NAME=VALUE")
    parser.add_argument("--log-level", type=int, default=20)
    parser.add_argument("--n", type=int, default=64)
    parser.add_argument("--side", type=int, default=20)
    parser.add_argument("--step-px", type=float, default=6.0)
    parser.add_argument("--photons", type=float, default=1e6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--modes", type=int, default=1)
    parser.add_argument("--bad", type=int, default=0)
    parser.add_argument("--centre-m", type=float, nargs=2, default=(0.0, 0.0))
    options = parser.parse_args()
    begun, found = time.perf_counter(), None
    if options.step == "simulate":
        simulate(
            options.paths[0],
            options.n,
            options.side,
            options.step_px,
            options.photons,
            options.seed,
            options.modes,
            options.bad,
            options.centre_m,
        )
    elif options.step == "scan":
        measured(*options.paths)
    else:
        options.folder = options.paths[0]
        options.output = options.paths[-1]
        found = {"export": export, "train": train, "reconstruct": reconstruct}[options.step](
            options
        )
    seconds = round(time.perf_counter() - begun, 1)
    print(json.dumps({"step": options.step, "seconds": seconds, **(found or {})}))


if __name__ == "__main__":  # children of ptychodus import this module again
    main()
