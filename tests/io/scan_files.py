"""A small scan and its forward model, in NumPy and by no code of ours, for tests of formats."""

import numpy as np
import pytest

from pinn.errors import ScanError

M, N = 11, 16
PIXEL, ENERGY, DISTANCE = 2e-8, 8000.0, 1.5
WAVELENGTH = 6.62607015e-34 * 299792458.0 / (ENERGY * 1.602176634e-19)
DETECTOR = WAVELENGTH * DISTANCE / (N * PIXEL)


def scene(seed=0, modes=2):
    """Object, probe modes and whole-pixel positions [y, x] of patch index N/2; all asymmetric."""
    rng = np.random.default_rng(seed)
    shape = (61, 74)
    truth = (1 + 0.1 * rng.normal(size=shape)) * np.exp(1j * rng.normal(size=shape))
    y, x = np.mgrid[:N, :N] - N / 2
    envelope = np.exp(-((y / 3) ** 2 + (x / 2) ** 2) / 2) * np.exp(0.2j * x + 0.1j * y)
    probe = np.stack([20 * envelope * (1 + k * x) / (1 + k) ** 2 for k in range(modes)])
    positions = np.stack([rng.integers(12, 45, M), rng.integers(20, 60, M)], 1).astype(float)
    return truth, probe, positions


def far_field(truth, probe, positions, origin=(0, 0)):
    """Counts `(M, N, N)`; patch index N/2 over truth index position - origin."""
    found = []
    for row, column in np.rint(positions - np.asarray(origin)).astype(int) - N // 2:
        psi = probe * truth[row : row + N, column : column + N]
        field = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(psi, axes=(1, 2))), axes=(1, 2)) / N
        found.append((np.abs(field) ** 2).sum(0))
    return np.array(found)


def counts(seed=0, modes=2):
    """Poisson counts, uint16."""
    truth, probe, positions = scene(seed, modes)
    return np.random.default_rng(1).poisson(far_field(truth, probe, positions)).astype(np.uint16)


def refusal(action, *args, **kwargs):
    """The one sentence of a refusal."""
    with pytest.raises(ScanError) as caught:
        action(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message and message[0] not in " ." and len(message) < 800
    return message
