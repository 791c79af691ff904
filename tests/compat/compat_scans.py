"""A small scan as callers of the original hand it over."""

import numpy as np

from pinn.simulate import SimulateConfig, simulate_arrays

N = 16


def arrays(n_frames=40, seed=0, probe_modes=1, **options):
    found = simulate_arrays(
        SimulateConfig(
            N=N, object="lines", n_frames=n_frames, photons_per_frame=1e5, seed=seed, **options
        )
    )
    places = found["positions_px"]
    probe = np.asarray(found["probe"]).reshape(-1, N, N)
    if probe_modes == 2:  # a second mode that is no multiple of the first
        weaker = 0.3 * probe[0] * np.linspace(-1, 1, N)
        probe = np.stack([probe[0], weaker])
    return {
        "xcoords": places[:, 1],
        "ycoords": places[:, 0],
        "diff3d": found["counts"],
        "probeGuess": probe if probe_modes > 1 else probe[0],
        "objectGuess": found["truth"],
        "scan_index": np.zeros(len(places), int),
    }


def write(path, found, **more):
    start = {"xcoords_start": found["xcoords"], "ycoords_start": found["ycoords"]}
    np.savez(path, **found, **start, **more)
    return path


def raw_of(found):
    from ptycho.raw_data import RawData

    return RawData.from_coords_without_pc(**found)
