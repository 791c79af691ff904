"""What a result says of itself, in the numbers that a verdict is made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import Delaunay, QhullError

from pinn.data.result import Result

_SIGMAS = 2.0


@dataclass(frozen=True)
class Facts:
    """What a verdict is made from; None where a thing is not known.

    Attributes:
        frames: how many the result was made from.
        fitted: the object was fitted to these frames; otherwise a network has predicted it.
        covered: share of the scan area that is covered.
        deviance: per pixel where the light is, of a sample of frames (`noise.Fit`).
        held_out: likewise, over pixels that were not fitted.
        noise_floor: what counting noise alone would make it; None for values that are not counts.
        one_pattern: what it would be without an object.
        pixels, held_pixels: how many `deviance` and `held_out` rest on.
        flagged: frames whose deviance is out of line.
        disagreement: median spread of the patches over a pixel, of the object's modulus. Of a
            fitted object without what counting noise makes of it.
        agreement: frequency in cycles per pixel up to which two halves agree (their Fourier ring
            correlation falls below 0.5); 0.5 if everywhere.
        independent: the halves were made without anything in common but the method, so that their
            agreement is a resolution.
        unlike: what is not explained of single groups, as a multiple of that in training.
        contrast_failed: no plausible contrast explains the frames better.
        stopped: the work ended before it was done.
        redundancy: measured numbers for each unknown one.
        visits: frames that share a typical pixel of the object.
    """

    frames: int
    fitted: bool = False
    covered: float | None = None
    deviance: float | None = None
    held_out: float | None = None
    noise_floor: float | None = None
    one_pattern: float | None = None
    pixels: int = 0
    held_pixels: int = 0
    flagged: int = 0
    disagreement: float | None = None
    agreement: float | None = None
    independent: bool = False
    unlike: float | None = None
    contrast_failed: bool = False
    stopped: bool = False
    redundancy: float | None = None
    visits: float | None = None

    @property
    def unexplained(self) -> float | None:
        """Share of what the object does to the frames that is not explained, at least 0.

        What was fitted is explained too well by as much as what was held out is explained too
        badly: their mean is free of over-fitting, to first order. Fitted pixels alone say the least
        that it can be. Two standard deviations are taken off either, so that less is not claimed.
        """
        if self.deviance is None or self.one_pattern is None:
            return None
        floor = self.noise_floor or 0.0
        left = self.deviance - floor - self._error(self.pixels)
        if self.held_out is not None:
            both = 0.5 * (self.deviance + self.held_out)
            left = max(left, both - floor - 0.5 * self._error(self.held_pixels))
        effect = max(self.one_pattern - floor, self._error(self.pixels), 1e-12)
        return max(left, 0.0) / effect

    @property
    def object_is_seen(self) -> bool | None:
        """The frames differ from each other by more than counting noise."""
        if self.one_pattern is None or self.noise_floor is None:
            return None
        return self.one_pattern - self.noise_floor > self._error(self.pixels)

    @property
    def below_noise(self) -> bool:
        """The object changes the frames by less than counting noise does."""
        if self.one_pattern is None or self.noise_floor is None:
            return False
        return self.one_pattern < 2.0 * self.noise_floor

    def _error(self, pixels: int) -> float:
        """Of a mean deviance: that of a pixel varies by about the root of two times its mean."""
        if self.noise_floor is None or not pixels:
            return 0.0
        return float(_SIGMAS * self.noise_floor * np.sqrt(2.0 / pixels))


def facts_of(recon: Result) -> Facts:
    """What a result says of itself: its arrays, and in its statistics `likelihood`, `consistency`
    or `resolution` (`frc50`), `unlike_training` (`ratio`), `contrast` (`applied`), `redundancy`
    and `stopped`."""
    numbers = recon.statistics
    likelihood = numbers.get("likelihood") or {}
    redundancy = numbers.get("redundancy") or {}
    fitted = "refinement" in numbers
    halves = numbers.get("resolution" if fitted else "consistency")
    agreement = None
    if halves:
        agreement = 0.5 if halves["frc50"] is None else float(halves["frc50"])
    unlike = numbers.get("unlike_training") or {}
    fit = likelihood.get("fit") or {}
    deviance, floor = fit.get("deviance"), fit.get("noise_floor")
    return Facts(
        frames=len(recon.positions_px),
        fitted=fitted,
        covered=_covered(recon),
        deviance=deviance,
        held_out=fit.get("held_out"),
        noise_floor=floor,
        one_pattern=fit.get("one_pattern"),
        pixels=fit.get("pixels", 0),
        held_pixels=fit.get("held_pixels", 0),
        flagged=len(likelihood.get("flagged", ())),
        disagreement=_disagreement(recon, deviance if fitted else None, floor),
        agreement=agreement,
        independent=fitted,
        unlike=None if unlike.get("trained") else unlike.get("ratio"),
        contrast_failed=not (numbers.get("contrast") or {}).get("applied", True),
        stopped=bool(numbers.get("stopped", False)),
        redundancy=redundancy.get("measured_per_unknown"),
        visits=redundancy.get("visits"),
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


def _disagreement(recon: Result, deviance: float | None, floor: float | None) -> float | None:
    if recon.disagreement is None:
        return None
    known = recon.valid_mask & (recon.disagreement > 0)
    if not known.any():
        return None
    modulus = float(np.median(recon.amplitude[known]))
    share = float(np.median(recon.disagreement[known])) / max(modulus, 1e-12)
    if deviance is not None and floor is not None:  # what frames miss is noise, too
        share *= float(np.sqrt(max(1.0 - floor / max(deviance, 1e-12), 0.0)))
    return share
