"""Numbers that are whole multiples of one: then that one is a photon, and the dose is known.

This is the one place that decides it. `pinn check` tells what it says; training, reconstruction
and refinement take it as if `photons_per_frame` had been stated.
"""

from __future__ import annotations

import numpy as np

from pinn.data.masks import mask_rows, measured
from pinn.data.scan import Scan

_STEPS = 60.0  # quanta up to which values must be whole multiples
_ENOUGH = 30  # values that must be there to tell
_SHARE = 0.995
_TOLERANCE = 0.02  # of a quantum
_EXACT = 1e-3  # by which a quantum may miss 1
_FRAMES, _PIXELS = 16, 2 << 20  # looked at


def stored_values(scan: Scan, rows: np.ndarray | None = None) -> np.ndarray:
    """Stored values of used pixels `(k,)` of a few frames, of `rows` or spread over the scan."""
    rows = np.arange(len(scan)) if rows is None else rows
    few = max(1, min(_FRAMES, _PIXELS // scan.N**2))
    chosen = rows[:: max(1, len(rows) // few)][:few]
    values, good = measured(scan.frames.read(chosen), scan.saturation, scan.units)
    allowed = mask_rows(scan.valid_mask, chosen)
    if allowed is not None:
        good = good & allowed
    return np.asarray(values[good], np.float64)


def quantum(values: np.ndarray) -> float | None:
    """The number all small values are whole multiples of, or None.

    Args:
        values: `(k,)`, of which those above zero are looked at.
    """
    positive = np.sort(values[values > 0])
    if len(positive) < _ENOUGH:
        return None
    # The smallest value may be two or three quanta, and a single odd one must not spoil it.
    smallest = float(positive[min(2, len(positive) - 1)])
    for divisor in (1, 2, 3):
        step = smallest / divisor
        small = positive[(positive > step / 2) & (positive < _STEPS * step)]
        if len(small) < _ENOUGH or len(np.unique(np.rint(small / step))) < 3:
            continue
        multiples = small / step
        whole = np.abs(multiples - np.rint(multiples)) < _TOLERANCE
        if whole.mean() >= _SHARE:
            # More exactly: from all of them at once.
            number = np.rint(multiples[whole])
            return float((small[whole] @ number) / (number @ number))
    return None


def found_quantum(scan: Scan, values: np.ndarray | None = None) -> float | None:
    """Counts are the stored numbers (squared, of amplitudes) over this; None where that is not
    told by the numbers, or needs no telling.

    Args:
        scan: as read.
        values: of `stored_values`, if they are known already.
    """
    if scan.units == "counts" or scan.photons_per_frame is not None or scan.dose is not None:
        return None
    values = stored_values(scan) if values is None else values
    step = quantum(values**2 if scan.units == "amplitude" else values)
    return 1.0 if step is not None and abs(step - 1) < _EXACT else step


def said_of_quantum(scan: Scan, step: float, photons: float) -> str:
    """What a quantum tells, as a sentence."""
    what = "squares of the amplitudes" if scan.units == "amplitude" else "intensities"
    exact = "whole numbers" if step == 1.0 else f"whole multiples of {step:.4g}"
    return f"the {what} are {exact}, so photons were counted: {photons:.3g} per frame"


def counted(scan: Scan) -> Scan:
    """The scan as if its dose had been stated, where its numbers tell it; else itself.

    Frames that are computed from become counts. What the scan is recognised by stays the same.
    """
    step = found_quantum(scan)
    if step is None:
        return scan
    photons = scan.statistics().mean_counts / step
    return scan.with_quantum(step, said_of_quantum(scan, step, photons))
