"""Probes to start the orientation test from."""

from __future__ import annotations

import numpy as np
from scipy import fft

from pinn.check.regions import coarser
from pinn.check.symmetry import Choice, alike, members, probe_of
from pinn.data.fourier import corner
from pinn.data.pattern_probe import out_of_focus, spread

MODES = 4
_WEAK_MODE = 0.02  # of the power
SAME = 0.98  # overlap above which two starts lead to the same place
_SPREADS = (0.15, 0.3, 0.45)  # radius of the out-of-focus spot over the frame side


def given_probe(probe: np.ndarray, side: int) -> np.ndarray:
    """The strongest modes of a scan's probe on frames of this side, complex `(P, side, side)`.

    Where the probe lies in its array and how it is inclined is no property of the geometry, for
    the object can shift and take up a ramp: both centres of intensity, of the probe and of its far
    field, are moved to index [0, 0].
    """
    power = np.sum(np.abs(probe) ** 2, (-1, -2))
    strongest = np.argsort(-power, kind="stable")[:MODES]
    kept = strongest[power[strongest] >= _WEAK_MODE * power.sum()]
    modes = coarser(probe[kept].astype(np.complex128), side)
    modes = corner(modes)
    far = fft.fft2(modes, norm="ortho")
    offset = centre_of(np.sum(np.abs(modes) ** 2, 0))
    modes = fft.ifft2(far * _ramp(side, offset), norm="ortho")  # to index [0, 0]
    tilt = centre_of(np.sum(np.abs(far) ** 2, 0))
    return np.asarray(modes * _ramp(side, -tilt))


def centre_of(intensity: np.ndarray) -> np.ndarray:
    """Centre of intensity `(2,)` of an image `(n, n)` relative to index [0, 0], within +-n/2."""
    n = len(intensity)
    index = fft.fftfreq(n, 1 / n)
    return np.array([intensity.sum(1 - axis) @ index for axis in (0, 1)]) / intensity.sum()


def inclined(probe: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """A probe `(P, n, n)` whose far field has its centre of intensity where the mean pattern has.

    Both with index [0, 0] in the middle.
    """
    far = np.sum(np.abs(fft.fft2(probe)) ** 2, 0)
    return np.asarray(probe * _ramp(len(mean), centre_of(mean) - centre_of(far)))


def _ramp(n: int, shift: np.ndarray) -> np.ndarray:
    """Factor in one space that shifts by `shift` pixels forward in the Fourier transform's."""
    cycles = fft.fftfreq(n)
    return np.exp(2j * np.pi * (shift[0] * cycles[:, None] + shift[1] * cycles))


def distinct(choices: list[Choice], probe: np.ndarray, limit: float) -> list[np.ndarray]:
    """The probes that belong to these choices, leaving out those that are like an earlier one."""
    probes: list[np.ndarray] = []
    for choice in choices:
        candidate = probe_of(choice, probe)
        if all(alike(candidate, other) < limit for other in probes):
            probes.append(candidate)
    return probes


def from_pattern(mean: np.ndarray) -> list[np.ndarray]:
    """Probes with the modulus of the mean pattern on the detector, in focus and out of it.

    Args:
        mean: mean counts `(n, n)`, zero frequency at index [0, 0].

    Returns:
        Complex `(1, n, n)` each.
    """
    n, radius = len(mean), spread(mean)
    probes = []
    for share in (0.0, *_SPREADS):
        for sign in (1, -1) if share else (1,):
            # A ray of frequency q lands at (d phase / d q) / 2 pi = curvature q.
            curvature = sign * share * n / (2 * radius)
            probes.append(out_of_focus(mean, curvature)[None])
    return probes


def to_energy(probe: np.ndarray, counts: float) -> np.ndarray:
    """The probe with this sum of `|P|^2`."""
    return np.asarray(probe * np.sqrt(counts / np.sum(np.abs(probe) ** 2)))


def starts(
    number: int, probe: np.ndarray | None, mean: np.ndarray, counts: float
) -> list[np.ndarray]:
    """Where to start from for one class: the given probe as each member has it, and guesses.

    Args:
        number: of the class.
        probe: of `given_probe`, or None.
        mean: mean counts `(n, n)` of the frames as the class has them, middle at index [0, 0].
        counts: mean counts of a frame.
    """
    given = [] if probe is None else distinct(members(number), probe, SAME)
    given = [inclined(start, mean) for start in given]
    return [to_energy(start, counts) for start in (*given, *from_pattern(mean))]
