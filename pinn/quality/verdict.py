"""One honest sentence on how far a result can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import Delaunay, QhullError

from pinn.data.result import Result

# Measured, see docs/trust.md: scans of the same kind stay below, foreign ones lie above.
UNLIKE = 3.0
_COVERED = 0.98  # share of the scan area
_DIFFERING = 0.25  # spread of the patches, of the object's modulus
_AT_ODDS = 0.5  # likewise: more than half of what is seen is not agreed on
_AGREEING = 0.05  # cycles per pixel
_BEYOND_NOISE = 100.0  # deviance, of its noise floor


@dataclass(frozen=True)
class Facts:
    """What a verdict is made from; None where a thing is not known.

    Attributes:
        frames: how many the result was made from.
        covered: share of the scan area that is covered.
        deviance: median over the frames, per valid pixel.
        noise_floor: what counting noise alone would make it.
        flagged: frames whose deviance is out of line.
        disagreement: median spread of the patches over a pixel, of the object's modulus.
        agreement: frequency in cycles per pixel up to which two halves agree (their Fourier ring
            correlation falls below 0.5); 0.5 if everywhere.
        independent: the halves were made without anything in common but the method, so that their
            agreement is a resolution.
        unlike: excess deviance against that of training.
        contrast_failed: no plausible contrast explains the frames better.
        stopped: the work ended before it was done.
    """

    frames: int
    covered: float | None = None
    deviance: float | None = None
    noise_floor: float | None = None
    flagged: int = 0
    disagreement: float | None = None
    agreement: float | None = None
    independent: bool = False
    unlike: float | None = None
    contrast_failed: bool = False
    stopped: bool = False


def unfinished(where: str) -> str:
    """The sentence for what is only on its way."""
    return f"unfinished, {where}: what there was by then, not judged"


def verdict(facts: Facts) -> str:
    """The sentence: how it stands, then what speaks against the result, then what for it."""
    bad: list[str] = []
    doubtful: list[str] = []
    fine: list[str] = []
    if facts.unlike is not None and facts.unlike > UNLIKE:
        bad.append(
            "the scan is unlike those the model was trained on (its frames are explained "
            f"{facts.unlike:.2g} times worse than those of training)"
        )
    if facts.contrast_failed:
        bad.append("no plausible contrast of the object explains the frames")
    if facts.covered is not None and facts.covered < _COVERED:
        (bad if facts.covered < 0.5 else doubtful).append(
            f"only {facts.covered:.0%} of the scan area is covered"
        )
    if facts.stopped:
        doubtful.append("the work was stopped before its end")
    if facts.flagged:
        count = f"{facts.flagged} of {facts.frames} frames {'is' if facts.flagged == 1 else 'are'}"
        doubtful.append(f"{count} explained far worse than most")
    if facts.disagreement is not None:
        words = f"patches over a pixel differ by {facts.disagreement:.2g} of the object's modulus"
        at_odds, differing = facts.disagreement > _AT_ODDS, facts.disagreement > _DIFFERING
        (bad if at_odds else doubtful if differing else fine).append(words)
    if facts.deviance is not None and facts.noise_floor:
        excess = facts.deviance / facts.noise_floor
        if excess < 0.5:
            fine.append("the deviance of the frames is less than counting noise would make it")
        else:
            (doubtful if excess > _BEYOND_NOISE else fine).append(
                f"the deviance of the frames is {excess:.2g} times that of counting noise"
            )
    if facts.agreement is not None:
        agrees = facts.agreement >= _AGREEING
        (fine if agrees else doubtful).append(_agreement(facts.agreement, facts.independent))
    head = (
        "Not to be trusted"
        if bad
        else "To be looked at with care"
        if doubtful
        else "Nothing measured speaks against it"
        if fine
        else "Nothing is known of its quality"
    )
    told = [part for part in ("; ".join([*bad, *doubtful]), ", ".join(fine)) if part]
    return (f"{head}: {'; otherwise '.join(told)}" if told else head) + "."


def facts_of(recon: Result, independent: bool = False) -> Facts:
    """What a result says of itself: its arrays, and in its statistics `likelihood`
    (`noise_floor`, `flagged`), `consistency` or `resolution` (`frc50`), `unlike_training`
    (`ratio`), `contrast` (`applied`) and `stopped`.

    Args:
        independent: `resolution` is of independent halves; otherwise it is not looked at.
    """
    numbers = recon.statistics
    deviance = None
    if recon.frame_likelihood is not None and np.isfinite(recon.frame_likelihood).any():
        deviance = float(np.nanmedian(recon.frame_likelihood))
    likelihood = numbers.get("likelihood") or {}
    halves = numbers.get("resolution" if independent else "consistency")
    agreement = None
    if halves:
        agreement = 0.5 if halves["frc50"] is None else float(halves["frc50"])
    return Facts(
        frames=len(recon.positions_px),
        covered=_covered(recon),
        deviance=deviance,
        noise_floor=likelihood.get("noise_floor"),
        flagged=len(likelihood.get("flagged", ())),
        disagreement=_disagreement(recon),
        agreement=agreement,
        independent=independent,
        unlike=(numbers.get("unlike_training") or {}).get("ratio"),
        contrast_failed=not (numbers.get("contrast") or {}).get("applied", True),
        stopped=bool(numbers.get("stopped", False)),
    )


def _agreement(frequency: float, independent: bool) -> str:
    if independent:
        return (
            f"independent halves agree up to {frequency:.2g} cycles per pixel (half a period of "
            f"{0.5 / max(frequency, 1e-3):.2g} px)"
        )
    return (
        f"two halves agree up to {frequency:.2g} cycles per pixel, which is consistency of one "
        "method and no resolution"
    )


def _covered(recon: Result) -> float | None:
    """Share of the area between the positions, their convex hull, in which there is an object: of
    the triangles between neighbours, those with an object at all corners and in their middle."""
    try:
        triangles = recon.positions_px[Delaunay(recon.positions_px).simplices]
    except (QhullError, ValueError):  # fewer than three, or all in a line
        return None
    points = np.concatenate([triangles, triangles.mean(1, keepdims=True)], axis=1)
    pixels = np.rint(points - recon.origin_px).astype(int)
    inside = np.all((pixels >= 0) & (pixels < recon.object.shape), axis=-1)
    pixels = np.clip(pixels, 0, np.array(recon.object.shape) - 1)
    there = np.all(inside & recon.valid_mask[pixels[..., 0], pixels[..., 1]], axis=1)
    sides = triangles[:, 1:] - triangles[:, :1]
    area = np.abs(sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0])
    return float(np.sum(area * there) / np.sum(area)) if np.sum(area) > 0 else None


def _disagreement(recon: Result) -> float | None:
    if recon.disagreement is None:
        return None
    known = recon.valid_mask & (recon.disagreement > 0)
    if not known.any():
        return None
    modulus = float(np.median(recon.amplitude[known]))
    return float(np.median(recon.disagreement[known])) / max(modulus, 1e-12)
