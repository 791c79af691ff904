"""Whether a scan is unlike those a model was trained on, by the likelihood of its own groups.

A network that sees what it was trained for explains held-out frames of a new scan about as well as
those of its training. Compared is the deviance of single groups, as training counts it, less what
counting noise accounts for, for each photon: a relative error of the predicted frames, so that
dose and exposure of the two scans need not agree.

Noise is taken off where there is some: not where frames are explained better than half of it, and
not from numbers that are not whole where training was on such, as simulated frames without noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pinn.quality.noise import deviance, expected_deviance
from pinn.reconstruction.canvas import bilinear_shift
from pinn.simulate.forward import diffract

# Measured, see docs/trust.md: scans of the same kind stay below, foreign ones lie above.
UNLIKE = 3.0
_GROUPS = 64
_PIXELS = 1 << 21
_FAINT = 1e-4  # counts per pixel: such numbers are in arbitrary units (`pinn.ops.likelihood`)
_FITTED = 2.0  # training groups are explained better than held-out ones by about this
_WHOLE = 1e-2  # of a count
_NOISE_SHARE = 0.1  # of the noise: a difference of deviances cannot be known better

Patches = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Comparison:
    """Excess deviance per count of a scan and of training.

    Attributes:
        scan, training: beyond counting noise, for each count.
        ratio: of the two, as far as noise lets it be known.
    """

    scan: float
    training: float
    ratio: float


def chosen_groups(groups: np.ndarray, N: int) -> np.ndarray:
    """A sample `(n, C)` of groups `(G, C)`, spread over the scan."""
    count = min(_GROUPS, len(groups), max(4, _PIXELS // (groups.shape[1] * N**2)))
    return groups[np.unique(np.linspace(0, len(groups) - 1, count).astype(int))]


def group_rates(
    patches: np.ndarray,
    weight: np.ndarray,
    places: np.ndarray,
    frames: np.ndarray,
    probe: np.ndarray,
) -> np.ndarray:
    """Rates `(C, N, N)` of the frames of a group from its own patches, as training predicts them.

    Args:
        patches: `(K, N, N)` complex.
        weight: `(N, N)` with which they are merged.
        places: `(K, 2)` positions of the patches.
        frames: `(C, 2)` positions of the frames.
        probe: `(P, N, N)`.
    """
    N = patches.shape[-1]
    low = np.floor(np.concatenate([places, frames]).min(0))
    high = np.floor(np.concatenate([places, frames]).max(0))
    canvas = np.zeros((*(high - low).astype(int) + N + 1, 3))
    whole = np.floor(places)
    parts = bilinear_shift(patches * weight, places - whole)
    parts[..., 2] = bilinear_shift(np.broadcast_to(weight + 0j, patches.shape), places - whole)[
        ..., 0
    ]
    for (y, x), part in zip((whole - low).astype(int), parts, strict=True):
        canvas[y : y + N + 1, x : x + N + 1] += part
    seen = canvas[..., 2] > 1e-3 * canvas[..., 2].max()
    merged = np.where(seen, canvas[..., 0] + 1j * canvas[..., 1], 0.0)
    merged = merged / np.where(seen, canvas[..., 2], 1.0)
    lit = []
    for (y, x), (fy, fx) in zip(
        (np.floor(frames) - low).astype(int), frames - np.floor(frames), strict=True
    ):
        window = merged[y : y + N + 1, x : x + N + 1]
        rows = (1 - fy) * window[:-1] + fy * window[1:]
        lit.append((1 - fx) * rows[:, :-1] + fx * rows[:, 1:])
    return diffract(np.stack(lit), probe)


def sample_rates(
    groups: np.ndarray,
    positions: np.ndarray,
    read: Callable[[np.ndarray], np.ndarray],
    patches_of: Patches,
    batch_size: int,
    weight: np.ndarray,
    probe: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Encoded frames of some groups, and what the network alone predicts for them.

    Args:
        groups: `(n, C)` numbers of frames.
        positions: `(M, 2)`.
        read: numbers `(k,)` to encoded frames `(k, N, N)`.
        patches_of: frames `(b, C, N, N)` to object patches `(b, K, N, N)`, b at most the batch.
        batch_size: most groups at once.
        weight: `(N, N)` with which patches are merged.
        probe: `(P, N, N)`.

    Returns:
        `(n C, N, N)` twice.
    """
    N = probe.shape[-1]
    frames, rates = [], []
    for first in range(0, len(groups), batch_size):
        chosen = groups[first : first + batch_size]
        measured = read(chosen.reshape(-1)).reshape(*chosen.shape, N, N)
        for rows, patches in zip(chosen, patches_of(measured), strict=True):
            there = positions[rows]
            places = there if len(patches) == len(rows) else there.mean(0, keepdims=True)
            rates.append(group_rates(patches, weight, places, there, probe))
        frames.append(measured.reshape(-1, N, N))
    return np.concatenate(frames), np.concatenate(rates)


def compare(
    counts: np.ndarray,
    rate: np.ndarray,
    valid: np.ndarray,
    history: list[dict[str, Any]],
    exposure_factor: float,
) -> Comparison | None:
    """The scan against the training of the model.

    Args:
        counts, rate, valid: `(n, N, N)` of single groups; the rate up to one factor for all.
        history: of the training.
        exposure_factor: of the training scans.

    Returns:
        None where the history knows no deviance, or the frames hold no light.
    """
    trained = _last(history)
    totals = np.sum(counts * valid, (1, 2)), np.sum(rate * valid, (1, 2))
    lit = (totals[0] > 0) & (totals[1] > 0)
    if trained is None or not lit.any():
        return None
    counts, valid = counts[lit], valid[lit]
    rate = rate[lit] * float(np.median(totals[0][lit] / totals[1][lit]))
    k, r = counts[valid], rate[valid]
    mean = float(k.mean())
    own = float(deviance(k, r).mean()) / mean
    noise = float(expected_deviance(r).mean()) / mean
    dose = (0.5 / exposure_factor) ** 2
    if dose < _FAINT:  # training counted in units in which a pixel has one count
        dose, floor = 1.0, 0.0
    else:
        floor = float(expected_deviance(r * (dose / mean)).mean()) / dose
    usual = trained / dose
    without_noise = usual < 0.5 * floor
    usual -= 0.0 if without_noise else min(floor, usual)
    whole = bool(np.all(np.abs(k - np.rint(k)) < _WHOLE + 1e-5 * k))
    if own < 0.5 * noise or (without_noise and not whole):
        noise = 0.0
    excess = max(own - noise, 0.0)
    return Comparison(excess, usual, excess / max(usual, _NOISE_SHARE * noise, 1e-12))


def _last(history: list[dict[str, Any]]) -> float | None:
    """Deviance per pixel of held-out groups in the last epoch, or about what it would be."""
    for row in reversed(history):
        for name, factor in (("val_deviance", 1.0), ("deviance", _FITTED)):
            value = row.get(name)
            if value not in (None, "") and math.isfinite(float(value)) and float(value) > 0:
                return factor * float(value)
    return None
