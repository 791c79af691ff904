"""A probe for a scan that has none, from its frames alone.

The mean pattern has the modulus of the probe on the detector, as far as the object spreads it
little. Its phase is guessed as a defocus: several are tried, and the one that predicts frames best
is fitted on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pinn.check.fit import fit
from pinn.check.regions import central, central_side, choose_frames, finer, read_region
from pinn.check.starts import from_pattern, to_energy
from pinn.check.usable import SMALLEST_SCAN, usable_frames
from pinn.data.fourier import centre, corner
from pinn.data.pattern_probe import mean_pattern
from pinn.data.scan import Scan
from pinn.ops.forward import instrument

_FRAMES, _FAST_SIDE = 100, 96  # of the fit; of wider frames fewer are taken
_FIRST, _SECOND, _LAST = 4, 10, 20  # sweeps
_KEPT = 2


@dataclass(frozen=True, eq=False)
class FirstProbe:
    """A probe from the frames.

    Attributes:
        probe: complex64 `(1, N, N)`, centred, in square root of counts.
        r_factor: root of the squared amplitude error over the power, of frames that were not
            fitted; None where there were too few frames to fit anything.
        note: a sentence on where it comes from.
    """

    probe: np.ndarray
    r_factor: float | None
    note: str


def first_probe(scan: Scan) -> FirstProbe:
    """Make a probe from the frames of a scan.

    Args:
        scan: as read; its own probe is not looked at.

    Raises:
        ScanError: all frames are dark.
    """
    usable = usable_frames(scan)
    mean = mean_pattern(scan, usable)
    side = central_side(mean)
    pattern = corner(central(mean, side))
    counts = float(mean.sum())
    tried = np.stack([to_energy(probe, counts) for probe in from_pattern(pattern)])
    if len(usable) < SMALLEST_SCAN:
        note = (
            "the scan has no probe: one was made from the mean pattern, in focus, for there are "
            "too few frames to find out how far it is out of focus"
        )
        return FirstProbe(_whole(tried[0], scan.N), None, note)
    through = instrument(scan.propagation, scan.detector_response)
    frames = max(2 * SMALLEST_SCAN, int(_FRAMES * min(1.0, (_FAST_SIDE / side) ** 2)))
    rows = choose_frames(scan, usable, frames, 1)[0]
    region = read_region(scan, rows, side, 0, np.ones(mean.shape, bool))
    for sweeps, kept in ((_FIRST, _KEPT), (_SECOND, 1)):
        as_given = np.zeros(len(tried), int)
        errors = fit([region], as_given, tried, sweeps, through, seeds=[0]).errors[0]
        best = np.argsort(errors[:, region.held].mean(1), kind="stable")[:kept]
        tried = tried[best]
    errors, fitted = fit([region], np.zeros(1, int), tried, _LAST, through, seeds=[0])
    held = errors[0, 0][region.held]
    r_factor = float(np.sqrt(held.sum() / region.energy[region.held].sum()))
    note = (
        f"the scan has no probe: one was fitted to {len(rows)} of its frames, from the mean "
        f"pattern (R factor {r_factor:.3f}); a measured one (--probe FILE) may serve better"
    )
    return FirstProbe(_whole(to_energy(fitted[0, 0], counts), scan.N), r_factor, note)


def _whole(probe: np.ndarray, N: int) -> np.ndarray:
    """A probe `(P, n, n)`, centre at index [0, 0], on the pixels of the whole frames, centred."""
    return finer(centre(probe), N).astype(np.complex64)
