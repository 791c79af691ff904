"""Whether frames and positions are out of step: a trigger that was lost, a frame too many.

Each shift is judged as the orientation test judges a class, on other frames: those whose positions
are neighbours once they are shifted. So the errors are compared frame by frame relative to their
counts, and not in pairs.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pinn.check.fit import fit
from pinn.check.orientation import Late
from pinn.check.regions import Region, choose_frames, read_region
from pinn.check.starts import starts
from pinn.check.symmetry import CLASS_MATRICES, act
from pinn.data.scan import Scan
from pinn.ops.forward import Instrument

SHIFTS = (-2, -1, 1, 2)
_FRAMES = 60
_ROUNDS = ((4, 2), (12, 1))  # sweeps, and how many starts go on
_BETTER = 0.7  # of the R factor as given
_SIGMAS = 4.0


def rank_lateness(
    scan: Scan,
    numbers: np.ndarray,
    usable: np.ndarray,
    good: np.ndarray,
    number: int,
    given: np.ndarray | None,
    pattern: np.ndarray,
    through: Instrument,
) -> Late | None:
    """The shift at which frames are explained far better than as they are; None if there is none.

    Args:
        scan: as read.
        numbers: that its frames have in the file, `(M,)`.
        usable: frames to choose from.
        good: bool `(N, N)`, pixels to use of those that are valid.
        number: of the likeliest class, which is tried besides the positions as given.
        given: probe of `given_probe`, or None.
        pattern: mean counts `(n, n)`, middle at index [0, 0].
        through: what lies between the exit wave and the detector.
    """

    def error(late: int) -> np.ndarray | None:
        """Of held-out frames, relative to their counts."""
        rows, places = _partners(numbers, late)
        kept = np.isin(rows, usable)
        if np.count_nonzero(kept) < _FRAMES // 2:
            return None
        moved = replace(
            scan.select(rows[kept]), positions_px=scan.positions_px[places[kept]], notes=()
        )
        chosen = choose_frames(moved, np.arange(len(moved)), _FRAMES, 1)[0]
        region = read_region(moved, chosen, len(pattern), 0, good)
        return _predicted(region, sorted({0, number}), given, pattern, through)

    found = {late: error(late) for late in (0, *SHIFTS)}
    errors = {late: e for late, e in found.items() if e is not None}
    if 0 not in errors:
        return None
    best = min(errors, key=lambda late: float(errors[late].mean()))
    as_given, other = errors[0], errors[best]
    r_given, r_best = (float(np.sqrt(e.mean())) for e in (as_given, other))
    spread = np.sqrt(sum(e.var(ddof=1) / len(e) for e in (as_given, other)))
    margin = float((as_given.mean() - other.mean()) / max(spread, 1e-300))
    if best == 0 or r_best > _BETTER * r_given or margin < _SIGMAS:
        return None
    return Late(best, r_best, r_given, margin)


def _partners(numbers: np.ndarray, late: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of frames, and rows of the positions that belong to them."""
    _, frames, places = np.intersect1d(numbers, numbers + late, return_indices=True)
    return frames, places


def _predicted(
    region: Region,
    classes: list[int],
    given: np.ndarray | None,
    pattern: np.ndarray,
    through: Instrument,
) -> np.ndarray:
    """Errors of the held-out frames with the start and the class that lead furthest."""
    counts = float(region.energy.mean())
    tried = [
        (k, probe)
        for k in classes
        for probe in starts(k, given, act(CLASS_MATRICES[k], pattern), counts)
    ]
    for sweeps, kept in _ROUNDS:
        probes = np.stack([probe[:1] for _, probe in tried])
        which = np.array([k for k, _ in tried])
        errors = fit([region], which, probes, sweeps, through, seeds=[0]).errors[0][:, region.held]
        order = np.argsort(errors.mean(1), kind="stable")[:kept]
        tried = [tried[k] for k in order]
    return np.asarray(errors[order[0]] / region.energy[region.held])
