"""Whether the positions are off by a factor: a wrong pixel size, a wrong unit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pinn.check.fit import fit
from pinn.check.orientation import Scale
from pinn.check.regions import Region
from pinn.check.spread import sigmas
from pinn.ops.forward import Instrument

FACTORS = (0.5, 0.71, 0.84, 1.0, 1.19, 1.41, 2.0)
_CLOSER = ((0.84, 1.0, 1.19), (0.92, 1.0, 1.09))  # around the best so far
_FRAMES, _SWEEPS = 50, 20
_BETTER = 0.85  # of the R factor as given; right scans gain up to a tenth (docs/check.md)
_SIGMAS = 4.0


def scaled(region: Region, factor: float) -> Region:
    """The region with its positions multiplied."""
    return region.at(region.places * factor)


def compact(region: Region, count: int) -> Region:
    """The frames of a region that lie nearest to its middle."""
    distance = ((region.places - region.places.mean(0)) ** 2).sum(1)
    kept = np.sort(np.argsort(distance, kind="stable")[:count])
    return replace(
        region,
        amplitude=region.amplitude[:, kept],
        valid=region.valid[:, kept],
        corners=region.corners[kept],
        fractions=region.fractions[kept],
        held=region.held[kept],
        rows=region.rows[kept],
    )


def rank_scales(
    regions: list[Region], number: int, probe: np.ndarray, through: Instrument
) -> Scale:
    """Try positions that are larger and smaller.

    Fit and prediction count equally. Prediction alone favours small factors, for frames that
    overlap more are easier to predict; the fit alone favours large ones, for frames that overlap
    less are easier to fit. Factors are tried on few frames, and the best of them is compared with
    1 on all.

    Args:
        regions: of the orientation test.
        number: class the frames belong to.
        probe: to start from, `(P, n, n)`.
        through: what lies between the exit wave and the detector.
    """
    few = compact(regions[0], _FRAMES)

    def errors(tried: list[Region], seeds: list[int]) -> np.ndarray:
        """Weighted errors `(len(tried), F)`."""
        plain = fit(tried, np.array([number]), probe[None], _SWEEPS, through, seeds=seeds).errors[
            :, 0
        ]
        held = np.stack([region.held for region in tried])
        fraction = held.mean(1, keepdims=True)
        return plain * np.where(held, 0.5 / fraction, 0.5 / (1 - fraction))

    def best_of(factors: list[float]) -> float:
        means = errors([scaled(few, factor) for factor in factors], [0] * len(factors)).mean(1)
        return factors[int(np.argmin(means))]

    factor = best_of(list(FACTORS))
    if factor == 1.0:
        return Scale(1.0, None, None, None)
    for closer in _CLOSER:
        factor = best_of([factor * f for f in closer])
    seeds = list(range(len(regions)))
    given, other = (
        errors([scaled(region, f) for region in regions], seeds).reshape(-1) for f in (1.0, factor)
    )
    energy = sum(float(region.energy.sum()) for region in regions)
    r_given, r_other = (float(np.sqrt(e.sum() / energy)) for e in (given, other))
    margin = sigmas(given - other)
    if margin < _SIGMAS or r_other > _BETTER * r_given:
        return Scale(1.0, r_given, r_given, margin)
    return Scale(factor, r_other, r_given, margin)
