"""What the counts of a scan decide: the likelihood that is minimised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pinn.config.refine import RefineConfig
from pinn.data.scan import Scan

FEW_COUNTS = 30.0  # per pixel where the light is: amplitudes are biased by 1 / (4 x 30), a percent
_FRAMES = 64  # spread over the scan


@dataclass(frozen=True)
class Choice:
    """A configuration with its likelihood decided, and a sentence on why ("" if it was stated)."""

    config: RefineConfig
    note: str


def choose_likelihood(scan: Scan, rows: np.ndarray, config: RefineConfig) -> Choice:
    """Decide `likelihood="auto"` by the counts.

    The mean of a square root of Poisson counts lies below the square root of their mean, by
    `1 / (8 n)` of it for n counts: a fit of amplitudes is biased where counts are few, a fit by
    the Poisson likelihood is not.

    Args:
        scan: the measurement.
        rows: numbers of the frames that are used.
        config: of the refinement.
    """
    if config.likelihood != "auto":
        return Choice(config, "")
    if not scan.statistics().photons_known:
        note = "the dose is not known: amplitudes are fitted"
        return Choice(config.replace(likelihood="amplitude"), note)
    counts = counts_per_pixel(scan, rows)
    few = counts < FEW_COUNTS
    note = (
        f"{counts:.3g} counts per pixel where the light is: "
        f"{'the Poisson likelihood' if few else 'squared differences of amplitudes'} minimised"
    )
    return Choice(config.replace(likelihood="poisson" if few else "amplitude"), note)


def counts_per_pixel(scan: Scan, rows: np.ndarray) -> float:
    """Mean counts of a pixel, weighted by its counts: of where the light is.

    Args:
        scan: the measurement.
        rows: numbers of frames, of which some are looked at.
    """
    few = rows[np.unique(np.linspace(0, len(rows) - 1, _FRAMES).astype(int))]
    amplitude, valid = scan.read(few)
    counts = np.where(valid, amplitude.astype(np.float64) ** 2, 0.0)
    mean = counts.sum(0) / np.maximum(valid.sum(0), 1)
    return float(np.sum(mean**2) / max(float(mean.sum()), 1e-30))
