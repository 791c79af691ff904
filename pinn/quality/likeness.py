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
from functools import partial
from typing import Any

import numpy as np
from keras import ops

from pinn import backend
from pinn.ops import forward
from pinn.ops import patches as group_canvas
from pinn.ops.likelihood import FAINT
from pinn.ops.pairs import Pair, Tensor
from pinn.quality.noise import deviance, expected_deviance, intensity_ratio

_GROUPS = 64
_PIXELS = 1 << 21
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
    patch_positions: np.ndarray,
    positions: np.ndarray,
    probe: np.ndarray,
    batch_size: int = 16,
    through: forward.Instrument | None = None,
) -> np.ndarray:
    """Rates `(G, C, N, N)` of the frames of groups from their own patches, as training has them.

    Args:
        patches: `(G, K, N, N)` complex.
        weight: `(N, N)` with which they are merged.
        patch_positions: `(G, K, 2)`.
        positions: `(G, C, 2)` of the frames.
        probe: `(P, N, N)`.
        batch_size: groups at once.
        through: what lies between the exit wave and the detector; default the far field.
    """
    G, N = len(patches), patches.shape[-1]
    centres = np.round(positions.mean(1, keepdims=True))  # whole pixels stay whole
    offsets = [(places - centres).astype(np.float32) for places in (patch_positions, positions)]
    side = group_canvas.canvas_size(max(float(np.abs(part).max()) for part in offsets), N)
    size = min(batch_size, G)
    backend.full_precision()
    step = backend.compile_function(
        partial(_rates, through or forward.instrument(), side), reuse_first=False
    )
    fixed = np.float32(weight), np.float32(probe.real), np.float32(probe.imag)
    parts = np.float32(patches.real), np.float32(patches.imag), *offsets
    rates = []
    for first in range(0, G, size):
        filled = np.resize(np.arange(first, min(first + size, G)), size)
        rate = ops.convert_to_numpy(step(tuple(part[filled] for part in parts), fixed))
        rates.append(rate[: G - first])
    return np.concatenate(rates)


def _rates(
    through: forward.Instrument, side: int, groups: tuple[Tensor, ...], fixed: tuple
) -> Tensor:
    re, im, patch_offsets, offsets = groups
    weight, probe = fixed[0], (fixed[1], fixed[2])
    N = re.shape[-1]
    weights = ops.broadcast_to(weight, ops.shape(re))
    matrices = group_canvas.group_matrices(patch_offsets, N, side)
    merged, _ = group_canvas.merge((re, im), weights, *matrices)
    under_frames: Pair = forward.group_patches(merged, offsets, N)
    return forward.predict(through, forward.exit_waves(under_frames, probe)).rate


def sample_rates(
    groups: np.ndarray,
    positions: np.ndarray,
    read: Callable[[np.ndarray], np.ndarray],
    patches_of: Patches,
    batch_size: int,
    weight: np.ndarray,
    probe: np.ndarray,
    through: forward.Instrument | None = None,
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
        through: see `group_rates`.

    Returns:
        `(n C, N, N)` twice.
    """
    N = probe.shape[-1]
    frames = read(groups.reshape(-1)).reshape(*groups.shape, N, N)
    patches = np.concatenate(
        [
            patches_of(frames[first : first + batch_size])
            for first in range(0, len(groups), batch_size)
        ]
    )
    frame_positions = positions[groups]
    patch_positions = frame_positions
    if patches.shape[1] != groups.shape[1]:  # one patch for the whole group
        patch_positions = frame_positions.mean(1, keepdims=True)
    rates = group_rates(
        patches, weight, patch_positions, frame_positions, probe, batch_size, through
    )
    return frames.reshape(-1, N, N), rates.reshape(-1, N, N)


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
        None where the history has no deviance, or no count was measured or predicted.
    """
    trained = _last(history)
    lit = (np.sum(counts * valid, (1, 2)) > 0) & (np.sum(rate * valid, (1, 2)) > 0)
    if trained is None or not lit.any():
        return None
    counts, rate, valid = counts[lit], rate[lit], valid[lit]
    rate = rate * intensity_ratio(counts, rate, valid)
    k, r = counts[valid], rate[valid]
    mean = float(k.mean())
    measured = float(deviance(k, r).mean()) / mean
    noise = float(expected_deviance(r).mean()) / mean
    dose = (0.5 / exposure_factor) ** 2
    if dose < FAINT:  # training counted in units in which a pixel has one count
        dose, floor = 1.0, 0.0
    else:
        floor = float(expected_deviance(r * (dose / mean)).mean()) / dose
    usual = trained / dose
    without_noise = usual < 0.5 * floor
    usual -= 0.0 if without_noise else min(floor, usual)
    whole = bool(np.all(np.abs(k - np.rint(k)) < _WHOLE + 1e-5 * k))
    if measured < 0.5 * noise or (without_noise and not whole):
        noise = 0.0
    excess = max(measured - noise, 0.0)
    return Comparison(excess, usual, excess / max(usual, _NOISE_SHARE * noise, 1e-12))


def _last(history: list[dict[str, Any]]) -> float | None:
    """Deviance per pixel of held-out groups in the last epoch, or about what it would be."""
    for row in reversed(history):
        for name, factor in (("val_deviance", 1.0), ("deviance", _FITTED)):
            value = row.get(name)
            if value not in (None, "") and math.isfinite(float(value)) and float(value) > 0:
                return factor * float(value)
    return None
