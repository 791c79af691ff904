"""A small scan and a quickly trained model for the tests of training and inference."""

import numpy as np
import tiny  # noqa: F401  (registers the network `test-tiny`)

import pinn
from pinn.simulate import SimulateConfig, simulate_arrays


def small_scan(seed=0, n_frames=40, **options):
    recipe = SimulateConfig(
        N=16, object="lines", n_frames=n_frames, photons_per_frame=1e5, seed=seed, **options
    )
    arrays = simulate_arrays(recipe)
    return pinn.Scan(
        arrays["counts"],
        arrays["positions_px"],
        probe=arrays["probe"],
        truth=arrays["truth"],
        name=f"small {seed}",
    )


def small_model(scan, gridsize=2, epochs=1, **options):
    options = {"architecture": "test-tiny", "batch_size": 8, "n_groups": 24, **options}
    return pinn.train(scan, gridsize=gridsize, epochs=epochs, **options)


def same(a, b, tolerance=1e-6):
    assert a.shape == b.shape
    assert np.linalg.norm(a - b) <= tolerance * np.linalg.norm(b)
