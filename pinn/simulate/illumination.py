"""What changes in the illumination from frame to frame: OPR probe modes and intensity."""

from __future__ import annotations

import math

import numpy as np

from pinn.errors import ConfigError
from pinn.simulate.config import SimulateConfig
from pinn.simulate.options import DRIFT_MODES
from pinn.simulate.probes import polynomials

_RATIO = 0.5  # power of each variation over that of the one before


def drifting(config: SimulateConfig, modes: np.ndarray, seed: np.random.SeedSequence) -> np.ndarray:
    """The probe and its coherent variations, the OPR probe modes.

    A variation is a polynomial times the strongest mode, orthogonal to all modes and to the other
    variations, with a phase of its own: tilts, shifts and changes of size are such. The weaker
    modes do not vary.

    Args:
        config: states their number D and the power of all of them together over that of the
            modes, where their weights have mean square 1.
        modes: `(P, N, N)` complex, orthogonal.
        seed: of the phases.

    Returns:
        `(1 + D, P, N, N)` complex128; the first are the modes.
    """
    P, N = len(modes), modes.shape[-1]
    count = config.probe_drift_modes or DRIFT_MODES
    columns = polynomials(modes[0], P + count)[1:]  # the first is the mode itself
    matrix = np.concatenate([modes.reshape(P, -1).T, columns.T], 1)
    q = np.linalg.qr(matrix / np.linalg.norm(matrix, axis=0))[0][:, P : P + count]
    powers = _RATIO ** np.arange(count)
    strength = np.sqrt(config.probe_drift * np.sum(np.abs(modes) ** 2) * powers / powers.sum())
    out = np.zeros((1 + count, P, N, N), np.complex128)
    out[0] = modes
    phases = np.exp(1j * np.random.default_rng(seed).uniform(0, math.tau, count))
    out[1:, 0] = (q * strength * phases).T.reshape(count, N, N)
    return out


def opr_weights(config: SimulateConfig, M: int) -> np.ndarray:
    """Weight of probe and variations in each frame: a slow drift from first to last.

    That of the probe is 1; those of the variations are half waves, one, two and so on over the
    scan, of mean 0 and mean square 1, orthogonal to each other.

    Returns:
        `(M, 1 + D)` float64.

    Raises:
        ConfigError: not more frames than variations.
    """
    count = config.probe_drift_modes or DRIFT_MODES
    if count >= M:
        raise ConfigError(
            f"{M} frames cannot have {count} independent variations; lower probe_drift_modes"
        )
    time = (np.arange(M) + 0.5) / M
    waves = np.sqrt(2.0) * np.cos(np.pi * time[:, None] * np.arange(1, count + 1))
    return np.concatenate([np.ones((M, 1)), waves], 1)


def intensity_factors(M: int, rms: float, rng: np.random.Generator) -> np.ndarray:
    """Factor on the intensity of each frame: log-normal, divided by the mean over the scan.

    Returns:
        `(M,)` float64 of mean 1 and expected standard deviation `rms`.
    """
    factors = np.exp(math.sqrt(math.log1p(rms**2)) * rng.standard_normal(M))
    return np.asarray(factors / factors.mean())
