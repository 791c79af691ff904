"""What can be said of a reconstruction by a network: likelihood, consistency, likeness, verdict."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np

from pinn.data.continuation import continued
from pinn.data.masks import decode
from pinn.io.product import Reconstruction
from pinn.ops.forward import Instrument
from pinn.quality.facts import facts_of
from pinn.quality.halves import correlate
from pinn.quality.likelihood import Explanation, Judge, ReadFrames
from pinn.quality.likeness import Comparison
from pinn.quality.noise import (
    fit_of,
    intensity_ratio,
    mean_expected_deviance,
    outliers,
)
from pinn.quality.verdict import UNLIKE, unfinished, verdict
from pinn.reconstruction.canvas import Canvas

_SAMPLE_PIXELS = 1 << 19
_NAMED = 10
_TOLERANCE = 1e-4  # of the phase of halves: what is left is far below their difference


def with_likelihood(
    recon: Reconstruction,
    read: ReadFrames,
    scale: float,
    batch_size: int,
    through: Instrument,
    counted: bool,
) -> Reconstruction:
    """Add the likelihood of every frame under the final object.

    Brought to the mean intensity of the frames by one factor for all of them, the median of
    measured over predicted counts in a sample: the network does not know the absolute brightness
    of a scan. Where the object is not covered it is continued by the nearest pixel that is.

    Args:
        recon: with its probe in square root of counts.
        read: numbers of its positions to frames: amplitude, -1 at masked pixels.
        scale: counts per squared unit of the frames.
        batch_size: frames per step.
        through: what lies between the exit wave and the detector.
        counted: the squares of the frames are counts of photons; others have no noise floor.
    """
    probe, positions = recon.probe, recon.positions_px
    assert probe is not None
    if not len(positions) or not recon.valid_mask.any():
        return recon
    clock = time.perf_counter()
    made = Explanation(
        continued(recon.object, recon.valid_mask),
        recon.origin_px,
        probe,
        positions,
        instrument=through,
    )
    judge = Judge(made, batch_size)
    count = min(len(positions), max(16, _SAMPLE_PIXELS // probe.shape[-1] ** 2))
    rows = np.unique(np.linspace(0, len(positions) - 1, count).astype(int))
    amplitude, valid = decode(read(rows))
    counts = np.square(amplitude, dtype=np.float64) * scale
    rates = judge.rates(rows).astype(np.float64)
    ratio = intensity_ratio(counts, rates, valid)
    values = judge.deviance(read, scale, ratio)
    fit = fit_of(counts, rates * ratio, valid, counted)
    bad = recon.frame_indices[outliers(values)]
    finite = values[np.isfinite(values)]
    numbers = {
        "median_deviance": float(np.median(finite)) if len(finite) else None,
        "noise_floor": mean_expected_deviance(rates * ratio, valid) if counted else None,
        "fit": None if fit is None else dataclasses.asdict(fit),
        "intensity_ratio": ratio,
        "flagged": [int(number) for number in bad],
    }
    notes = recon.notes
    if len(bad):
        named = ", ".join(map(str, bad[:_NAMED])) + (", ..." if len(bad) > _NAMED else "")
        notes = (
            *notes,
            f"{len(bad)} of {len(positions)} frames are explained far worse than most: {named}; "
            "look at them, or leave them out",
        )
    return dataclasses.replace(
        recon,
        frame_likelihood=values,
        notes=notes,
        statistics=_timed(recon, "likelihood", clock) | {"likelihood": numbers},
    )


def with_consistency(
    recon: Reconstruction, one: Canvas, other: Canvas, synchronise: bool, shared: bool
) -> Reconstruction:
    """Add how alike the objects from two halves of the scan are.

    Args:
        one, other: canvases of the patches of either half.
        synchronise: see `ReconstructConfig`.
        shared: groups of either half hold frames of the other.
    """
    clock = time.perf_counter()
    halves = [
        _on_grid_of(recon, *canvas.result(synchronise=synchronise, tolerance=_TOLERANCE))
        for canvas in (one, other)
        if not canvas.empty
    ]
    numbers = None
    if len(halves) == 2:
        (first, covered), (second, also) = halves
        numbers = correlate(first, second, covered & also & recon.valid_mask)
    if numbers is not None:
        numbers["halves"] = "every second frame along a space-filling curve" + (
            "; groups reach into the other half" if shared else ""
        )
    return dataclasses.replace(
        recon, statistics=_timed(recon, "consistency", clock) | {"consistency": numbers}
    )


def with_likeness(
    recon: Reconstruction, comparison: Comparison, trained: bool, since: float
) -> Reconstruction:
    """Add the comparison with training.

    Args:
        trained: the model was trained on this very scan, which cannot be unlike itself.
        since: when it was begun, by `time.perf_counter`.
    """
    notes = recon.notes
    if comparison.ratio > UNLIKE and not trained:
        notes = (
            *notes,
            "the scan is unlike those the model was trained on: beyond counting noise, "
            f"{comparison.scan:.2g} of what its object does to the frames of a group is not "
            f"explained, and {comparison.training:.2g} was at the end of training; train on scans "
            "like this one, or refine without the network",
        )
    numbers = _timed(recon, "likeness", since)
    numbers["unlike_training"] = {**dataclasses.asdict(comparison), "trained": trained}
    return dataclasses.replace(recon, notes=notes, statistics=numbers)


def with_verdict(recon: Reconstruction) -> Reconstruction:
    """Add the sentence."""
    if "unfinished" in recon.statistics:
        return dataclasses.replace(recon, verdict=unfinished(recon.statistics["unfinished"]))
    return dataclasses.replace(recon, verdict=verdict(facts_of(recon)))


def _timed(recon: Reconstruction, stage: str, since: float) -> dict[str, Any]:
    seconds = dict(recon.statistics.get("seconds", {}))
    seconds[stage] = time.perf_counter() - since
    if "total" in seconds:
        seconds["total"] += seconds[stage]
    return recon.statistics | {"seconds": seconds}


def _on_grid_of(
    recon: Reconstruction, obj: np.ndarray, coverage: np.ndarray, origin: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """An object on the grid of the result, and where it is covered."""
    placed = np.zeros(recon.object.shape, np.complex64)
    covered = np.zeros(recon.object.shape, bool)
    y, x = np.rint(origin - recon.origin_px).astype(int)
    here = slice(y, y + obj.shape[0]), slice(x, x + obj.shape[1])
    placed[here], covered[here] = obj, coverage > 0
    return placed, covered
