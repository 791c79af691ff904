"""The orientation test: the likeliest class, and the member if the probe tells.

Each hypothesis is fitted to most frames of a small region and judged by how well it predicts the
others. See `pinn.check.symmetry` for what can be told at all.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pinn.check.fit import fit
from pinn.check.lateness import rank_lateness
from pinn.check.orientation import Angle, ClassScore, Orientation
from pinn.check.regions import (
    Region,
    central,
    central_side,
    choose_frames,
    noise_of,
    read_region,
    scan_counts,
)
from pinn.check.scale import rank_scales
from pinn.check.spread import sigmas
from pinn.check.starts import distinct, given_probe, inclined, starts, to_energy
from pinn.check.symmetry import CLASS_MATRICES, CLASS_NAMES, Choice, act, alike, members, probe_of
from pinn.check.turning import weigh
from pinn.check.usable import SMALLEST_SCAN, usable_frames
from pinn.data.fourier import corner
from pinn.data.prepare import orient
from pinn.data.scan import Scan
from pinn.ops.forward import instrument

_FRAMES, _REGIONS, _SWEEPS = 100, 3, 10
_FAST_SIDE = 96  # of frames that are wider fewer are taken
_FIRST_SWEEPS = 4
_MANY = 4  # times the frames, where only angles are weighed
_WIDTHS = (6.0, 3.0, 2.0)  # degrees, of the parabolas that an angle is refined with
_KEPT = 2  # starts of each class that go on
_SIGMAS = 4.0  # of a difference that counts
_AGAINST = 2.0  # of a region that contradicts
_EXACT = 0.999  # overlap of probes that no data can tell apart
_BETTER = 0.98  # of the R factor as given, for another angle to be believed
_UNKNOWN_NOISE = 0.05  # R factor taken where no counts are known, to try shifts of frames
_WORTH = 0.1  # of the squared error beyond noise, that a member must save to rule another out
_TRUST = 1.5  # error with the given probe over that with a free one, above which it is not believed


def rank(
    scan: Scan,
    bad_pixels: np.ndarray | None,
    thorough: bool,
    angles: Sequence[float] = (),
    turn: float | None = None,
    numbers: np.ndarray | None = None,
) -> Orientation | None:
    """See `pinn.check.rank_orientations`."""
    begun = time.monotonic()
    usable = usable_frames(scan)
    if len(usable) < SMALLEST_SCAN:
        return None
    factor = 2 if thorough else 1
    amplitude = scan.read(usable[:: max(1, len(usable) // 64)][:64])[0]
    mean = np.mean(amplitude.astype(np.float64) ** 2, 0)
    good = np.ones(mean.shape, bool) if bad_pixels is None else ~bad_pixels
    mean *= good
    side = central_side(mean)
    frames = int(_FRAMES * factor * min(1.0, (_FAST_SIDE / side) ** 2))
    chosen = choose_frames(scan, usable, max(frames, 2 * SMALLEST_SCAN), _REGIONS * factor)
    # A small scan is one region: then it is looked at with several choices of what is held out.
    chosen = [chosen[i % len(chosen)] for i in range(_REGIONS * factor)]
    regions = [read_region(scan, rows, side, seed, good) for seed, rows in enumerate(chosen)]
    mean = corner(central(mean, side))
    best = _Ranking(scan, regions, mean, _SWEEPS * factor)
    trials = []
    for angle in angles:
        turned = [region.at(orient(region.places, "+y+x", angle)) for region in regions]
        other = _Ranking(scan, turned, mean, _SWEEPS * factor)
        margin, better = other.margin(best)
        trials.append(Angle(angle, other.r_factor, best.r_factor, margin, better))
        if better:
            best, angle = other, other.refined(angle)
            trials[-1] = replace(trials[-1], angle_deg=angle)
    floor = float(np.sqrt(best.noise / best.counts)) if best.noise else None
    found = replace(best.result(begun, tuple(trials)), noise=floor)
    if numbers is not None and found.beyond(found.noise or _UNKNOWN_NOISE):
        late = rank_lateness(
            scan, numbers, usable, good, found.best, best.given, mean, best.through
        )
        found = replace(found, late=late, seconds=time.monotonic() - begun)
    if turn is None or found.decided or best.given is None:
        return found
    rows = choose_frames(scan, usable, _MANY * len(chosen[0]), 1)[0]
    region = read_region(scan, rows, side, 0, good)
    weighed = weigh(region, turn, best.given, mean, best.through)
    return replace(found, turn=weighed, seconds=time.monotonic() - begun)


class _Ranking:
    """The regions, and the probes tried on them."""

    def __init__(self, scan: Scan, regions: list[Region], mean: np.ndarray, sweeps: int) -> None:
        self.regions, self.sweeps = regions, sweeps
        self.through = instrument(scan.propagation, scan.detector_response)
        self.counts = float(np.mean([region.energy.mean() for region in regions]))
        known = scan_counts(scan)
        self.noise = float(np.mean([noise_of(r) for r in regions])) if known else 0.0
        self.given = None if scan.probe is None else given_probe(scan.probe, regions[0].side)
        self.means = [act(matrix, mean) for matrix in CLASS_MATRICES]
        self.probes = self._best_starts()
        self.errors = self._predicted(np.arange(4), self.probes, self.sweeps)
        self.pooled = np.concatenate(self.errors, axis=1)
        self.best = int(np.argmin(self.pooled.mean(1)))
        self.r_factor = float(self._r_factors(self.pooled)[self.best])

    def margin(self, other: _Ranking) -> tuple[float, bool]:
        """By how many standard errors the best class predicts the same frames better than that of
        another, and whether that tells."""
        margin = sigmas(other.pooled[other.best] - self.pooled[self.best])
        against = [
            sigmas(mine[self.best] - theirs[other.best])
            for mine, theirs in zip(self.errors, other.errors, strict=True)
        ]
        surely = margin >= _SIGMAS and max(against) < _AGAINST
        return margin, surely and self.r_factor < _BETTER * other.r_factor

    def refined(self, angle: float) -> float:
        """The angle the regions were turned by, made better: the lowest point of a parabola."""
        region = self.regions[0]
        for width in _WIDTHS:
            offsets = [-width, 0.0, width]
            tried = [region.at(orient(region.places, "+y+x", off)) for off in offsets]
            start = self.probes[[self.best]]
            number = np.array([self.best])
            found = fit(tried, number, start, self.sweeps, self.through, seeds=[0] * 3).errors[:, 0]
            low, middle, high = found.mean(1)
            bend = low + high - 2 * middle
            step = 0.5 * (low - high) / bend if bend > 0 else float(np.sign(low - high))
            off = width * float(np.clip(step, -1.0, 1.0))
            angle += off
            region = region.at(orient(region.places, "+y+x", off))
        return angle

    def result(self, begun: float, trials: tuple[Angle, ...] = ()) -> Orientation:
        """The rest of the test, of the classes as they were found."""
        probes, errors, pooled, best = self.probes, self.errors, self.pooled, self.best
        margins = [sigmas(pooled[k] - pooled[best]) for k in range(4)]
        told = [k for k in range(4) if k != best and _tells(k, best, margins[k], errors)]
        rivals = tuple(
            k
            for k in range(4)
            if k != best and not (k in told and self._saves(pooled[best], pooled[k]))
        )
        wins = sum(int(np.argmin(e.mean(1))) == best for e in errors)
        r = self._r_factors(pooled)
        kept, member_margin, verdict, given_r = self._members(best, not rivals, pooled[best])
        return Orientation(
            classes=tuple(
                ClassScore(CLASS_NAMES[k], tuple(members(k)), float(r[k]), float(margins[k]))
                for k in range(4)
            ),
            best=best,
            decided=not rivals,
            rivals=rivals,
            agreement=(wins, len(self.regions)),
            members=kept,
            member_margin=member_margin,
            probe=verdict,
            free_r_factor=float(r[best]),
            probe_r_factor=given_r,
            scale=None if rivals else rank_scales(self.regions, best, probes[best], self.through),
            angles=trials,
            frames=len(np.unique(np.concatenate([region.rows for region in self.regions]))),
            side=self.regions[0].side,
            seconds=time.monotonic() - begun,
        )

    def _best_starts(self) -> np.ndarray:
        """For each class the probe that leads furthest, `(4, P, n, n)`, by knock-out."""
        tried = [starts(k, self.given, self.means[k], self.counts) for k in range(4)]
        # At first with the strongest mode alone, which is enough to tell good from bad.
        rounds = ((_KEPT, _FIRST_SWEEPS, 1), (1, self.sweeps, None))
        for keep, count, modes in rounds:
            classes = np.concatenate([np.full(len(s), k) for k, s in enumerate(tried)])
            probes = _stack([probe for s in tried for probe in s])
            used = probes[:, :modes]
            if modes is not None:
                used = np.stack([to_energy(probe, self.counts) for probe in used])
            errors = fit(self.regions[:1], classes, used, count, self.through, seeds=[0]).errors[0]
            held = errors[:, self.regions[0].held].mean(1)
            for k in range(4):
                mine = np.flatnonzero(classes == k)
                order = mine[np.argsort(held[mine], kind="stable")][:keep]
                tried[k] = [probes[h] for h in order]
        return np.stack([probes[0] for probes in tried])

    def _members(
        self, best: int, decided: bool, free: np.ndarray
    ) -> tuple[tuple[Choice, ...], float | None, str, float | None]:
        """Members of a class as likely as each other, the margin, the verdict on the probe."""
        every = members(best)
        if self.given is None:
            return tuple(every), None, "none", None
        given = to_energy(self.given, self.counts)
        variants = distinct(every, given, _EXACT)
        probes = np.stack([inclined(probe, self.means[best]) for probe in variants])
        classes = np.full(len(variants), best)
        errors = self._predicted(classes, probes, 2 * self.sweeps, fixed=True)
        pooled = np.concatenate(errors, axis=1)
        winner = int(np.argmin(pooled.mean(1)))
        r = float(self._r_factors(pooled)[winner])
        if pooled[winner].mean() > _TRUST**2 * free.mean():
            return tuple(every), None, "poor", r
        margins = [sigmas(pooled[k] - pooled[winner]) for k in range(len(variants))]
        told = [
            k for k in range(len(variants)) if k != winner and _tells(k, winner, margins[k], errors)
        ]
        worse = [k for k in told if self._saves(pooled[winner], pooled[k])]
        if not worse or not decided:
            return tuple(every), None, "blind", r
        left_out = [variants[k] for k in worse]
        kept = [
            choice
            for choice in every
            if not any(alike(probe_of(choice, given), other) >= _EXACT for other in left_out)
        ]
        return tuple(kept), float(min(margins[k] for k in worse)), "fits", r

    def _saves(self, best: np.ndarray, other: np.ndarray) -> bool:
        """Whether the better of two hypotheses saves more than a little beside what neither
        explains: where all are wrong, or a probe is nearly its own mirror image, one may be better
        by ever so little, and surely so."""
        unexplained = max(float(best.mean()) - self.noise, 0.0)
        return bool(other.mean() - best.mean() > _WORTH * unexplained)

    def _predicted(
        self, classes: np.ndarray, probes: np.ndarray, sweeps: int, fixed: bool = False
    ) -> list[np.ndarray]:
        """Errors `(H, held-out frames)` of the hypotheses in each region."""
        seeds = range(len(self.regions))
        errors = fit(
            self.regions, classes, probes, sweeps, self.through, seeds=seeds, fixed=fixed
        ).errors
        return [found[:, r.held] for found, r in zip(errors, self.regions, strict=True)]

    def _r_factors(self, errors: np.ndarray) -> np.ndarray:
        energy = np.concatenate([region.energy[region.held] for region in self.regions])
        return np.asarray(np.sqrt(errors.sum(1) / energy.sum()))


def _tells(number: int, best: int, margin: float, errors: list[np.ndarray]) -> bool:
    """True if the data tell hypothesis `number` from the best: on the whole, and nowhere not."""
    against = [sigmas(e[best] - e[number]) for e in errors]
    return margin >= _SIGMAS and max(against) < _AGAINST


def _stack(probes: list[np.ndarray]) -> np.ndarray:
    """Probes of different numbers of modes in one array; missing modes are dark and stay so."""
    modes = max(len(probe) for probe in probes)
    out = np.zeros((len(probes), modes, *probes[0].shape[1:]), np.complex64)
    for target, probe in zip(out, probes, strict=True):
        target[: len(probe)] = probe
    return out
