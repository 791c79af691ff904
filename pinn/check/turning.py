"""Positions turned by an angle and by half a turn more, where the orientation test tells nothing.

With little light per frame the centres of mass still tell the angle, for they add up a whole scan.
Then few hypotheses remain, and with the probe held fixed more frames can tell them apart: the given
probe with the modulus that the mean pattern has on the detector.
"""

from __future__ import annotations

import numpy as np
from scipy import fft

from pinn.check.fit import fit
from pinn.check.orientation import Angle
from pinn.check.regions import Region
from pinn.check.spread import sigmas
from pinn.check.starts import inclined, to_energy
from pinn.data.prepare import orient
from pinn.ops.forward import Instrument

SIGMAS = 4.0
_SWEEPS = 4


def weigh(
    region: Region, angle: float, given: np.ndarray, mean: np.ndarray, through: Instrument
) -> Angle:
    """The better of an angle and half a turn more, and whether it is better than none.

    Args:
        region: a large one.
        angle: degrees from +x towards +y.
        given: the probe, `(P, n, n)`, centre at index [0, 0].
        mean: the mean pattern `(n, n)`, likewise.
        through: what lies between the exit wave and the detector.
    """
    far = fft.fft2(inclined(given, mean), norm="ortho")
    bright = np.sqrt(np.sum(np.abs(far) ** 2, 0))
    far = far * (np.sqrt(mean) / np.maximum(bright, 1e-3 * bright.max()))
    probe = to_energy(fft.ifft2(far, norm="ortho"), float(region.energy.mean()))
    turns = (0.0, angle, angle - 180.0 if angle > 0 else angle + 180.0)
    tried = [region.at(orient(region.places, "+y+x", turn)) for turn in turns]
    number, seeds = np.zeros(1, int), [0] * len(turns)
    errors = fit(tried, number, probe[None], _SWEEPS, through, seeds=seeds, fixed=True).errors
    held = errors[:, 0][:, region.held]
    energy = float(region.energy[region.held].sum())
    r = np.sqrt(held.sum(1) / energy)
    best = 1 if held[1].sum() <= held[2].sum() else 2
    margin, apart = sigmas(held[0] - held[best]), sigmas(held[3 - best] - held[best])
    single = apart >= SIGMAS
    best = best if single else 1  # the smaller turn
    margin = margin if single else sigmas(held[0] - held[1])
    return Angle(turns[best], float(r[best]), float(r[0]), margin, margin >= SIGMAS, single)
