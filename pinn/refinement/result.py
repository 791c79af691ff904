"""From the state of a refinement to a `Reconstruction`, with what can be said of its quality."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from pinn import backend
from pinn.data.continuation import continued
from pinn.data.masks import decode
from pinn.data.scan import Scan
from pinn.io.product import Reconstruction
from pinn.ops.forward import instrument
from pinn.progress import OVER, STOPPED
from pinn.quality import noise
from pinn.quality.facts import facts_of
from pinn.quality.likelihood import Explanation, Judge
from pinn.quality.redundancy import redundancy, visits
from pinn.quality.verdict import unfinished, verdict
from pinn.refinement.state import State

if TYPE_CHECKING:
    from pinn.refinement.loop import Loop
    from pinn.refinement.outputs import Pass

UNFINISHED = "in progress"
# Light, of that of one frame where it is brightest, below which pixels are not known, and below
# which what stands there is not even kept to go on from.
FLOOR, _KEPT = 0.1, 0.01
_SAMPLE = 256  # frames


def assemble(
    scan: Scan,
    rows: np.ndarray,
    loop: Loop,
    state: State,
    start: Reconstruction | None,
    judge: bool,
    ended: str,
    began: float,
    halves: dict[str, Any] | None = None,
) -> Reconstruction:
    """What a state amounts to.

    Args:
        rows: `(M,)` frames that were used.
        loop: of the refinement.
        state: of it.
        start: what it began with.
        judge: make a pass for the likelihood of frames and the disagreement.
        ended: why the refinement ended.
        began: by `time.perf_counter`.
        halves: what two independent halves say (`pinn.quality.halves.correlate`).
    """
    engine, config, first = loop.engine, loop.config, loop.start
    factor = engine.frames.factor
    likelihood, spread, numbers = None, None, {}
    if judge:
        result, sums = engine.judge(state)
        illumination = sums["illumination"]
        likelihood = result.per_frame.astype(np.float32)
        numbers = _numbers(loop, state, result, scan.statistics().photons_known)
        spread = disagreement(sums)
    else:
        illumination = state.illumination()
    covered = illumination > FLOOR * state.brightest
    lit = illumination > _KEPT * state.brightest
    y, x = np.flatnonzero(lit.any(1)), np.flatnonzero(lit.any(0))
    box = slice(y[0], y[-1] + 1), slice(x[0], x[-1] + 1)
    illumination = illumination[box] / float(illumination.max())
    covered = covered[box]
    probe = state.probe / factor
    varied = len(probe) > 1
    moved = state.positions - first
    statistics: dict[str, Any] = {
        "frames": len(rows),
        "mean_counts": scan.statistics().mean_counts,
        "seconds": {"total": time.perf_counter() - began},
        "refinement": {
            "epochs": state.epoch,
            "lbfgs_iterations": sum("lbfgs_iteration" in row for row in state.history),
            "ended": ended,
            "cut": loop.cut,
            "rejected_epochs": loop.rejected,
            "object_low_pass": loop.low_pass,
            "started_from": _beginning(start),
            "held_out_pixels": config.held_out,
            "position_shift_rms_px": float(np.sqrt(np.mean(np.sum(moved**2, axis=1)))),
        },
        "history": state.history,
        **numbers,
    }
    if start is not None and "network_start" in start.statistics:
        statistics["refinement"]["network_start"] = start.statistics["network_start"]
    if ended in (STOPPED, UNFINISHED) or (ended == OVER and not judge):
        statistics["unfinished"] = _where(loop, state, ended)
    if ended == STOPPED:
        statistics["stopped"] = True
        statistics["unfinished"] = f"stopped at {statistics['unfinished']}"
    if halves is not None:
        statistics["resolution"] = halves
    notes = [*scan.notes, *loop.notes]
    flagged = numbers.get("likelihood", {}).get("flagged", [])
    if flagged:
        notes.append(
            f"{len(flagged)} frames are explained far worse than most: "
            f"{', '.join(map(str, flagged[:10]))}{' ...' if len(flagged) > 10 else ''}"
        )
    values: dict[str, Any] = {
        # a start knows more than the frames there
        "object": continued(state.object[box], lit[box]) if start is None else state.object[box],
        "origin_px": state.origin + np.array([y[0], x[0]]),
        "coverage": np.where(covered, illumination, 0.0),
        "valid_mask": covered,
        "probe": probe[0],
        "positions_px": state.positions,
        "frame_indices": rows,
        "pixel_size_m": scan.pixel_size_m,
        "frame_likelihood": likelihood,
        "disagreement": None if spread is None else np.where(covered, spread[box], 0.0),
        "background": state.background / factor**2 if config.background != "none" else None,
        "frame_factors": state.factors if config.update_intensities else None,
        "probe_variations": probe if varied else None,
        "probe_weights": state.opr_weights if varied else None,
        # also where an earlier refinement has moved them
        "positions_start_px": first if config.update_positions or np.any(moved) else None,
        "config": {
            "refine": config.to_dict(),
            "propagation": scan.propagation,
            "detector_response": scan.detector_response,
        },
        "statistics": statistics,
        "versions": backend.versions(),
        "archive_sha256": None if start is None else start.archive_sha256,
        "losses": [float(row["deviance"]) for row in state.history],
        "scan_name": scan.name,
        "notes": tuple(notes),
        "acquisition": scan.acquisition,
    }
    if "unfinished" in statistics and not judge:
        return Reconstruction(**values, verdict=unfinished(statistics["unfinished"]))
    recon = Reconstruction(**values)
    return Reconstruction(**{**values, "verdict": verdict(facts_of(recon))})


def _where(loop: Loop, state: State, ended: str) -> str:
    """How far a state is."""
    within = ended == UNFINISHED or (loop.cut is not None and loop.cut["frames"] > 0)
    if within and not state.history:
        return f"epoch {state.epoch + 1}, before its end"
    steps = sum("lbfgs_iteration" in row for row in state.history)
    return f"epoch {state.epoch}{f', iteration {steps} of L-BFGS' if steps else ''}"


def judged_frames(count: int) -> int:
    """How many frames are looked at, once each, to judge a result of so many."""
    return count + _sampled(count)


def _sampled(count: int) -> int:
    return min(_SAMPLE, count)


def _beginning(start: Reconstruction | None) -> str:
    if start is None:
        return "a flat object"
    network = start.statistics.get("network_start")
    if network is None:
        return "a reconstruction"
    return f"a network's reconstruction of {network['frames']} of {network['of_frames']} frames"


def disagreement(sums: dict[str, np.ndarray]) -> np.ndarray:
    """Spread of what the frames, each by itself, would make of a pixel, `(H, W)` float32.

    A frame alone would put the object at `O + conj(P) chi / |P|^2`. Weighted by the illumination
    `|P|^2`, the squares of these deviations sum to `|chi|^2`, and they themselves to
    `conj(P) chi`: the variance is `sum |chi|^2 / sum |P|^2 - |sum conj(P) chi / sum |P|^2|^2`.
    """
    illumination = np.maximum(sums["illumination"], 1e-30)
    mean = np.abs(sums["object"]) / illumination
    return np.sqrt(np.maximum(sums["missing"] / illumination - mean**2, 0.0)).astype(np.float32)


def _numbers(loop: Loop, state: State, seen: Pass, counted: bool) -> dict[str, Any]:
    """What the frames say of a state: their deviance, what counting noise alone would make it, and
    what it would be without an object; how redundant they are."""
    engine, frames, factor = loop.engine, loop.engine.frames, loop.engine.frames.factor
    rows = frames.spread(_sampled(len(frames)))
    varied = len(state.probe) > 1
    explanation = Explanation(
        state.object,
        state.origin,
        (state.probe if varied else state.probe[0]) / factor,
        state.positions,
        opr_weights=state.opr_weights if varied else None,
        background=state.background / factor**2,
        factors=state.factors,
        instrument=instrument(frames.propagation, frames.detector_response),
    )
    unit = engine.counts_per_unit
    rates = Judge(explanation, engine.size).rates(rows) * (factor**2 * unit)
    amplitude, valid = decode(frames.read(rows))
    counts = np.square(amplitude, dtype=np.float64) * unit
    per_frame = seen.per_frame
    fit = noise.fit_of(counts, rates, valid, counted, engine.held_out(rows))
    lit = int(np.count_nonzero(state.illumination() > FLOOR * state.brightest))
    unknown = state.probe.size if loop.config.update_probe else 0
    return {
        "likelihood": {
            "noise_floor": noise.mean_expected_deviance(rates, valid) if counted else None,
            "fit": None if fit is None else asdict(fit),
            "flagged": noise.outliers(per_frame).tolist(),
        },
        "redundancy": {
            "visits": visits(state.probe[0], state.positions),
            "measured_per_unknown": redundancy(int(np.nansum(seen.pixels)), lit, unknown),
        },
    }
