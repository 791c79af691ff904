"""How the positions lie against the frames: the likeliest class, and the member if the probe tells.

Each hypothesis is fitted to most frames of a small region and judged by how well it predicts the
others. See `pinn.check.symmetry` for what can be told at all.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pinn.check.exposures import BRIGHT, DIM
from pinn.check.fit import Region, fit
from pinn.check.regions import (
    central,
    central_side,
    choose_frames,
    read_region,
)
from pinn.check.scale import Scale, rank_scales
from pinn.check.spread import sigmas
from pinn.check.starts import distinct, given_probe, inclined, starts, to_energy
from pinn.check.symmetry import CLASS_MATRICES, CLASS_NAMES, Choice, act, alike, members, probe_of
from pinn.data.scan import Scan

SMALLEST_SCAN = 16  # frames
_FRAMES, _REGIONS, _SWEEPS = 100, 3, 10
_FAST_SIDE = 96  # of frames that are wider fewer are taken
_FIRST_SWEEPS = 4
_KEPT = 2  # starts of each class that go on
_SIGMAS = 4.0  # of a difference that counts
_AGAINST = 2.0  # of a region that contradicts
_EXACT = 0.999  # overlap of probes that no data can tell apart
_TRUST = 1.5  # error with the given probe over that with a free one, above which it is not believed


@dataclass(frozen=True)
class ClassScore:
    """One of the four classes.

    Attributes:
        name: what it does to the positions.
        members: the eight choices, fewest changes first.
        r_factor: root of the squared amplitude error over the power, of predicted frames.
        margin: that it is worse than the best, in standard errors; 0 for the best.
    """

    name: str
    members: tuple[Choice, ...]
    r_factor: float
    margin: float


@dataclass(frozen=True)
class Orientation:
    """What the test found.

    Attributes:
        classes: in the fixed order of `pinn.check.symmetry.CLASS_NAMES`; the first is as given.
        best: number of the likeliest class.
        decided: the data tell it from the others.
        rivals: numbers of the classes that the data cannot tell from the best.
        agreement: regions in which the best class is the best, and regions looked at.
        members: members of the best class that are as likely as each other; fewest changes first.
        member_margin: standard errors to the best one left out; None if none was.
        probe: `fits` (the given probe explains the frames and could tell members apart),
            `blind` (it fits, but is its own image), `poor` (it does not fit), `none`.
        free_r_factor, probe_r_factor: with a fitted probe, and with the given one (None without).
        scale: of the positions; None if the class is not decided.
        frames, side: numbers of frames used, and their side after the crop.
        seconds: taken.
    """

    classes: tuple[ClassScore, ...]
    best: int
    decided: bool
    rivals: tuple[int, ...]
    agreement: tuple[int, int]
    members: tuple[Choice, ...]
    member_margin: float | None
    probe: str
    free_r_factor: float
    probe_r_factor: float | None
    scale: Scale | None
    frames: int
    side: int
    seconds: float

    @property
    def choice(self) -> Choice:
        """The member that changes least."""
        return self.members[0]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""

        def plain(choice: Choice) -> dict[str, str]:
            return {"orientation": choice.orientation, "flip_frames": choice.flip}

        return {
            "classes": [
                {
                    "name": score.name,
                    "members": [plain(choice) for choice in score.members],
                    "r_factor": score.r_factor,
                    "margin_sigma": score.margin,
                }
                for score in self.classes
            ],
            "best": self.classes[self.best].name,
            "decided": self.decided,
            "rivals": [self.classes[number].name for number in self.rivals],
            "regions_agreeing": list(self.agreement),
            "equally_likely_members": [plain(choice) for choice in self.members],
            "member_margin_sigma": self.member_margin,
            "probe": self.probe,
            "free_probe_r_factor": self.free_r_factor,
            "given_probe_r_factor": self.probe_r_factor,
            "scale": None if self.scale is None else asdict(self.scale),
            "frames": self.frames,
            "side": self.side,
            "seconds": self.seconds,
        }


def rank_orientations(
    scan: Scan, *, bad_pixels: np.ndarray | None = None, thorough: bool = False
) -> Orientation | None:
    """Rank the 32 ways to lay the positions of a scan against its frames.

    Args:
        scan: as read, with the options given so far.
        bad_pixels: bool `(N, N)`, centred, True = leave out besides what is masked.
        thorough: twice the frames, regions and sweeps.

    Returns:
        None if the scan has too few frames to tell anything.
    """
    begun = time.monotonic()
    usable = _usable(scan)
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
    mean = np.fft.ifftshift(central(mean, side))
    return _Ranking(scan, regions, mean, _SWEEPS * factor).result(begun)


def _usable(scan: Scan) -> np.ndarray:
    """Frames with about as much light as most, of the largest scan of the file."""
    counts = scan.statistics().frame_counts
    median = float(np.median(counts[counts > 0]))
    rows = np.flatnonzero((counts > DIM * median) & (counts < BRIGHT * median))
    if scan.scan_index is not None:
        values, counts = np.unique(scan.scan_index[rows], return_counts=True)
        rows = rows[scan.scan_index[rows] == values[np.argmax(counts)]]
    return rows


class _Ranking:
    """The regions, and the probes tried on them."""

    def __init__(self, scan: Scan, regions: list[Region], mean: np.ndarray, sweeps: int) -> None:
        self.regions, self.sweeps = regions, sweeps
        self.counts = float(np.mean([region.energy.mean() for region in regions]))
        self.given = None if scan.probe is None else given_probe(scan.probe, regions[0].side)
        self.means = [act(matrix, mean) for matrix in CLASS_MATRICES]

    def result(self, begun: float) -> Orientation:
        """Run the test."""
        probes = self._best_starts()
        fits = [
            fit(region, np.arange(4), probes, self.sweeps, seed=number)
            for number, region in enumerate(self.regions)
        ]
        errors = [f.errors[:, r.held] for f, r in zip(fits, self.regions, strict=True)]
        pooled = np.concatenate(errors, axis=1)
        best = int(np.argmin(pooled.mean(1)))
        margins = [sigmas(pooled[k] - pooled[best]) for k in range(4)]
        rivals = tuple(k for k in range(4) if k != best and not _tells(k, best, margins[k], errors))
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
            scale=None if rivals else rank_scales(self.regions, best, probes[best]),
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
            found = fit(self.regions[0], classes, used, count)
            held = found.errors[:, self.regions[0].held].mean(1)
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
        fits = [
            fit(region, classes, probes, 2 * self.sweeps, fixed=True, seed=number)
            for number, region in enumerate(self.regions)
        ]
        errors = [f.errors[:, r.held] for f, r in zip(fits, self.regions, strict=True)]
        pooled = np.concatenate(errors, axis=1)
        winner = int(np.argmin(pooled.mean(1)))
        r = float(self._r_factors(pooled)[winner])
        if pooled[winner].mean() > _TRUST**2 * free.mean():
            return tuple(every), None, "poor", r
        margins = [sigmas(pooled[k] - pooled[winner]) for k in range(len(variants))]
        worse = [
            k for k in range(len(variants)) if k != winner and _tells(k, winner, margins[k], errors)
        ]
        if not worse or not decided:
            return tuple(every), None, "blind", r
        left_out = [variants[k] for k in worse]
        kept = [
            choice
            for choice in every
            if not any(alike(probe_of(choice, given), other) >= _EXACT for other in left_out)
        ]
        return tuple(kept), float(min(margins[k] for k in worse)), "fits", r

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
