"""Drives ptychodus 1.2 or 1.4.2 without a display; the same steps as `drive.py`.

    python drive_old.py simulate IN            diffraction.h5, product.h5, truth.h5
    python drive_old.py export IN              train_data.npz, test_data.npz
    python drive_old.py train IN OUT           the model in OUT
    python drive_old.py reconstruct IN OUT     product.h5 in OUT, with the model in OUT

These versions run `ptycho` in their own process, and have another workflow interface than 1.7.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import time
from pathlib import Path

import h5py
import numpy as np

WAVELENGTH_EV, DISTANCE_M, DETECTOR_PIXEL_M = 8000.0, 1.5, 1.72e-4
VERSION = tuple(int(part) for part in importlib.metadata.version("ptychodus").split(".")[:2])


def simulate(folder, n, side, step, photons, seed):
    """Counts by `pinn`; files in the layout that all of these versions read."""
    from pinn.simulate import SimulateConfig, simulate_arrays

    folder.mkdir(parents=True, exist_ok=True)
    found = simulate_arrays(
        SimulateConfig(
            N=n,
            object="leaves",
            n_frames=side**2,
            step=step,
            photons_per_frame=photons,
            seed=seed,
        )
    )
    truth, probe = np.asarray(found["truth"]), np.asarray(found["probe"]).reshape(-1, n, n)
    probe = probe * np.sqrt(photons / np.sum(np.abs(probe) ** 2))
    places = np.asarray(found["positions_px"]) - np.array(truth.shape) / 2
    pixel = 1.239841984e-6 / WAVELENGTH_EV * DISTANCE_M / (n * DETECTOR_PIXEL_M)
    with h5py.File(folder / "diffraction.h5", "w") as h5:
        patterns = h5.create_dataset("patterns", data=found["counts"].astype(np.int32))
        patterns.attrs["detector_pixel_width_m"] = DETECTOR_PIXEL_M
        patterns.attrs["detector_pixel_height_m"] = DETECTOR_PIXEL_M
        h5["indexes"] = np.arange(len(places))
        h5["bad_pixels"] = np.zeros((n, n), bool)
    for name, image in (("truth", truth), ("product", np.ones_like(truth))):
        with h5py.File(folder / f"{name}.h5", "w") as h5:
            h5.attrs["name"], h5.attrs["comments"] = name, ""
            h5.attrs["detector_object_distance_m"] = DISTANCE_M
            h5.attrs["photon_energy_eV"] = h5.attrs["probe_energy_eV"] = WAVELENGTH_EV
            h5.attrs["probe_photon_count"], h5.attrs["exposure_time_s"] = photons, 1.0
            h5.attrs["mass_attenuation_m2_kg"] = h5.attrs["tomography_angle_deg"] = 0.0
            h5["probe_position_indexes"] = np.arange(len(places))
            h5["probe_position_y_m"], h5["probe_position_x_m"] = places.T * pixel
            h5["probe"], h5["object"] = probe[None], image[None].astype(complex)
            for part in ("probe", "object"):
                h5[part].attrs["pixel_width_m"] = h5[part].attrs["pixel_height_m"] = pixel
            h5["object"].attrs["center_x_m"] = h5["object"].attrs["center_y_m"] = 0.0
            h5["object_layer_spacing_m"] = np.zeros(0)
            h5["loss_epochs"] = h5["loss_values"] = np.zeros(0)


class Driven:
    """A running ptychodus with one product opened; what differs between the versions is here."""

    def __init__(self, options):
        from ptychodus.model import ModelCore

        self.core, self.folder = ModelCore(log_level=20), options.folder
        for text in options.set:
            name, value = text.split("=", 1)
            group, key = name.split(".")
            self.core.settings_registry[group].parameters()[key].set_value_from_string(value)
        old, new = f"PtychoPINN/{options.mode}", f"ptychopinn_{options.mode.casefold()}"
        self.algorithm = old if VERSION < (1, 3) else new

    def __enter__(self):
        self.core.__enter__()
        workflow = self.core.workflow_api
        if VERSION < (1, 3):
            workflow.import_assembled_patterns(self.folder / "diffraction.h5")
            self.product = workflow.open_product(self.folder / "product.h5", file_type="HDF5")
            workflow.set_reconstructor(self.algorithm)
            chosen = self.core.reconstructor_core.presenter.get_reconstructor()
            assert chosen == self.algorithm, chosen
            self.api = self.core.reconstructor_core.reconstructor_api
            self.open_model = self.api.open_model
        else:
            workflow.load_assembled_diffraction_data(self.folder / "diffraction.h5")
            self.product = workflow.load_product(self.folder / "product.h5", file_type="HDF5")
            self.api = self.core.processing_core.processing_api
            # an unknown name would silently choose one that does nothing
            assert self.algorithm in set(workflow.available_reconstructors())
            self.api.set_reconstructor_if_provided(self.algorithm)
            self.open_model = self.api.load_model_from_file
        return self

    def __exit__(self, *error):
        self.core.__exit__(*error)

    def train(self, output):
        """Train; the model is `wts.h5.zip` (1.2) or, saved by hand, `model.zip` in `output`."""
        if VERSION < (1, 3):
            settings = self.core.settings_registry["PtychoPINNTraining"].parameters()
            settings["OutputDir"].set_value(output)
            self.core.workflow_api.train_reconstructor(self.folder, output)
        else:
            self.product.train_reconstructor_local(self.folder, output, block=True)
            self.api.save_model_to_file(output / "model.zip")

    def reconstruct(self, output):
        """Open the model of `output` and reconstruct."""
        self.open_model(output / ("wts.h5.zip" if VERSION < (1, 3) else "model.zip"))
        result = self.product.reconstruct_local(block=True)
        self.core.run_tasks() if hasattr(self.core, "run_tasks") else None
        result.save_product(output / "product.h5", file_type="HDF5")


def main():
    """Run one step; the last line says what came out, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=["simulate", "export", "train", "reconstruct"])
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--mode", default="PINN")
    parser.add_argument("--set", action="append", default=[], metavar="GROUP.NAME=VALUE")
    parser.add_argument("--n", type=int, default=64)
    parser.add_argument("--side", type=int, default=20)
    parser.add_argument("--step-px", type=float, default=6.0)
    parser.add_argument("--photons", type=float, default=1e6)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    begun = time.perf_counter()
    options.folder, output = options.paths[0], options.paths[-1]
    if options.step == "simulate":
        simulate(
            options.folder,
            options.n,
            options.side,
            options.step_px,
            options.photons,
            options.seed,
        )
    else:
        output.mkdir(parents=True, exist_ok=True)
        with Driven(options) as driven:
            if options.step == "export":
                for name in ("train_data.npz", "test_data.npz"):
                    driven.product.export_training_data(options.folder / name)
            else:
                getattr(driven, options.step)(output)
    print(json.dumps({"step": options.step, "seconds": round(time.perf_counter() - begun, 1)}))


if __name__ == "__main__":
    main()
