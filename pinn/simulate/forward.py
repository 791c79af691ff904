"""The forward model in NumPy float64: object, probe and position to expected counts.

Written without the model's own operations, in the plainest form, so that the two can be tested
against each other.
"""

from __future__ import annotations

import numpy as np
from scipy import fft

FOURIER_PAD = 16  # object pixels around a patch that Fourier interpolation reads
_TAPER = 8  # of which this many fade out, so that the periodic border does not ring inwards


def extract_patches(
    obj: np.ndarray, positions: np.ndarray, N: int, interpolation: str = "bilinear"
) -> np.ndarray:
    """Patches of the object at fractional positions.

    Patch pixel `(i, j)` lies over object pixel `(p_y - N/2 + i, p_x - N/2 + j)`.

    Args:
        obj: `(H, W)` complex.
        positions: `(K, 2)` float64 (y, x) in pixels of `obj`; patches must lie inside, for
            `fourier` with `FOURIER_PAD` pixels around them.
        N: side of a patch, even.
        interpolation: `bilinear` (weights of the four nearest pixels), or `fourier` (phase ramp on
            the patch and its surroundings; exact for a band-limited object). At whole pixels both
            are plain slices.

    Returns:
        `(K, N, N)` complex128.

    Raises:
        ValueError: a patch does not lie inside the object.
    """
    pad = FOURIER_PAD if interpolation == "fourier" else 0
    positions = np.asarray(positions, np.float64)
    whole = np.floor(positions).astype(np.int64)
    fraction = positions - whole
    corner = whole - N // 2 - pad
    side = N + 2 * pad + 1
    # at a whole-pixel coordinate the neighbour beyond has weight 0 and need not exist
    reach = corner + side - (fraction == 0)
    if np.any(corner < 0) or np.any(reach > obj.shape):
        worst = positions[np.argmax(np.max(np.maximum(-corner, reach - obj.shape), axis=1))]
        raise ValueError(f"the patch at {worst.tolist()} leaves the object of shape {obj.shape}")
    out = np.empty((len(positions), N, N), np.complex128)
    for k, ((y, x), (fy, fx)) in enumerate(zip(corner, fraction, strict=True)):
        block = obj[y : y + side, x : x + side].astype(np.complex128)
        if block.shape != (side, side):
            block = np.pad(block, [(0, side - block.shape[0]), (0, side - block.shape[1])])
        out[k] = _fourier(block, fy, fx, pad) if pad else _bilinear(block, fy, fx)
    return out


def far_field(exit_wave: np.ndarray) -> np.ndarray:
    """Orthonormal Fourier transform over the last two axes, zero frequency in the centre."""
    axes = (-2, -1)
    return fft.fftshift(fft.fft2(fft.ifftshift(exit_wave, axes), norm="ortho"), axes)


def diffract(patches: np.ndarray, probe: np.ndarray) -> np.ndarray:
    """Expected counts: the intensities of all modes added.

    Args:
        patches: `(K, N, N)` complex, object patches.
        probe: `(P, N, N)` or, of each frame, `(P, K, N, N)` complex, modes in square root of
            counts.

    Returns:
        `(K, N, N)` float64; each sums to `sum |P_m O|^2` over modes and pixels.
    """
    rate = np.zeros(patches.shape)
    for mode in probe:
        wave = far_field(mode * patches)
        rate += wave.real**2 + wave.imag**2
    return rate


def weighted(probe: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """The probe of each frame.

    Args:
        probe: `(V, P, N, N)` complex, coherent variations; or `(P, N, N)`.
        weights: `(K, V)`, of each variation in each frame; None: the probe is the same in all.

    Returns:
        `(P, K, N, N)` complex128, or the probe as it is.
    """
    if weights is None:
        return probe
    return np.asarray(np.moveaxis(np.tensordot(weights, probe, 1), 1, 0))


def frame_photons(patches: np.ndarray, probe: np.ndarray) -> np.ndarray:
    """Photons in each frame `(K,)`, from the exit waves (Parseval) without a transform."""
    illumination = np.sum(np.abs(probe) ** 2, axis=0)
    if illumination.ndim == 3:
        return np.einsum("kij,kij->k", patches.real**2 + patches.imag**2, illumination)
    return np.einsum("kij,ij->k", patches.real**2 + patches.imag**2, illumination)


def _bilinear(block: np.ndarray, fy: float, fx: float) -> np.ndarray:
    rows = block[:-1] if fy == 0 else (1 - fy) * block[:-1] + fy * block[1:]
    return rows[:, :-1] if fx == 0 else (1 - fx) * rows[:, :-1] + fx * rows[:, 1:]


def _fourier(block: np.ndarray, fy: float, fx: float, pad: int) -> np.ndarray:
    block = block[:-1, :-1]
    inner = slice(pad, -pad)
    if fy == 0 and fx == 0:
        return block[inner, inner]
    side = len(block)
    mean = block.mean()  # fades to the mean rather than to zero: less to ring
    edge = np.minimum(np.arange(side), np.arange(side)[::-1]) + 1
    window = np.sin(np.pi / 2 * np.clip(edge / (_TAPER + 1), 0, 1)) ** 2
    spectrum = fft.fft2((block - mean) * window[:, None] * window)
    q = fft.fftfreq(side)
    q[side // 2] = 0.0  # the Nyquist row has no sign: left unshifted, so real objects stay real
    ramp = np.exp(2j * np.pi * q[:, None] * fy) * np.exp(2j * np.pi * q * fx)
    return (fft.ifft2(spectrum * ramp) + mean)[inner, inner]
