"""Small scans for the tests of refinement, and the parts of one."""

import numpy as np

import pinn
from pinn.config import RefineConfig
from pinn.data.kept_frames import Frames
from pinn.refinement.descent import counts_per_unit
from pinn.refinement.engine import Engine
from pinn.refinement.start import begin
from pinn.simulate import SimulateConfig, simulate_arrays
from pinn.simulate.forward import diffract, extract_patches

QUICK = {"batch_size": 16, "split_half": False, "epochs": 6, "lbfgs_iterations": 0}


def arrays_of(**options):
    recipe = {
        "N": 16, "object": "leaves", "n_frames": 150, "photons_per_frame": 1e6, "overlap": 0.68,
        "probe": "defocused", **options,
    }  # fmt: skip
    return simulate_arrays(SimulateConfig(**recipe))


def scan_of(arrays, **changes):
    values = {
        "frames": arrays["counts"], "positions_px": arrays["positions_px"],
        "probe": arrays["probe"], "truth": arrays["truth"], **changes,
    }  # fmt: skip
    return pinn.Scan(values.pop("frames"), values.pop("positions_px"), **values)


def error(recon, scan):
    return pinn.evaluate(recon, scan.truth, border=2).metrics["nrmse"]


def built(scan, **options):
    config = RefineConfig(**{"batch_size": 16, **options})
    rows = np.arange(len(scan))
    frames = Frames(scan, rows)
    state = begin(scan, config, None, rows, frames.factor)
    return Engine(frames, config, counts_per_unit(frames.factor)[1], state), state, frames


def rates(state, frames):
    """Expected counts in float64, by the simulation's own forward model."""
    patches = extract_patches(state.object, state.positions - state.origin, frames.N)
    return diffract(patches, state.probe[0].astype(complex) / frames.factor)
