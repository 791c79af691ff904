"""A small scan file in the PtychoPINN contract, made here or written by our writer."""

import numpy as np

M, N = 12, 16


def contract(**changes):
    """The arrays by key; a change to None leaves the key out."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:N, :N] - N / 2
    spot = 30 * np.exp(-((y / 3) ** 2 + (x / 2) ** 2) / 2) + 0.3
    counts = rng.poisson(spot * rng.uniform(0.5, 1.5, (M, 1, 1)))
    arrays = {
        "diff3d": np.sqrt(counts).astype(np.float32),
        "xcoords": rng.uniform(30, 60, M),
        "ycoords": rng.uniform(20, 90, M),
        "probeGuess": rng.standard_normal((N, N)) + 1j * rng.standard_normal((N, N)),
        "objectGuess": rng.standard_normal((110, 80)) + 1j * rng.standard_normal((110, 80)),
        "scan_index": np.zeros(M, np.int64),
    }
    arrays.update(changes)
    return {key: value for key, value in arrays.items() if value is not None}


def write(path, compressed=False, **changes):
    """Write a file with NumPy and return its path."""
    (np.savez_compressed if compressed else np.savez)(path, **contract(**changes))
    return path


def write_npz(path, frames, positions_px, *, frames_units, metadata=None, compress=False, **arrays):
    """Write a whole scan with our writer; `arrays` as for `scan_arrays`. Returns the path."""
    from pinn.io.formats import npz_writer

    npz_writer.write_npz(
        path,
        [np.asarray(frames)],
        np.shape(frames)[:2],
        np.asarray(frames).dtype,
        npz_writer.scan_arrays(positions_px, **arrays),
        metadata,
        frames_units=frames_units,
        compress=compress,
    )
    return path
