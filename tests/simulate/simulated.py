"""Simulated scans and objects that several tests look at: each is made once."""

import functools

import numpy as np

from pinn.simulate import SimulateConfig, simulate
from pinn.simulate.objects import make_object


@functools.cache
def scan_of(config):
    """The scan of a recipe without files; not to be changed."""
    return simulate(config)


@functools.cache
def obj_of(size=160, field=110.0, seed=0, **options):
    """The object of a recipe alone; not to be changed."""
    config = SimulateConfig(**options)
    return make_object(config, size, field, np.random.SeedSequence(seed))


def written_out(truth, positions, probe, weights=None, intensity=None):
    """Expected frames from the definitions: bilinear patches, one DFT matrix, modes as intensities.

    Without the simulator's own functions. Probe `(P, N, N)`, or `(V, P, N, N)` with weights.
    """
    N = probe.shape[-1]
    q = np.arange(N) - N // 2
    kernel = np.exp(-2j * np.pi * np.outer(q, q) / N) / np.sqrt(N)
    frames = []
    for k, (y, x) in enumerate(positions):
        iy, ix = int(np.floor(y)), int(np.floor(x))
        rows, columns = iy + q[:, None], ix + q
        fy, fx = y - iy, x - ix
        patch = (1 - fy) * (1 - fx) * truth[rows, columns] + fy * fx * truth[rows + 1, columns + 1]
        patch += fy * (1 - fx) * truth[rows + 1, columns] + (1 - fy) * fx * truth[rows, columns + 1]
        modes = probe if weights is None else np.tensordot(weights[k], probe, 1)
        frame = sum(np.abs(kernel @ (mode * patch) @ kernel.T) ** 2 for mode in modes)
        frames.append(frame if intensity is None else frame * intensity[k])
    return np.array(frames)
