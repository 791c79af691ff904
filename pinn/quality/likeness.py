"""Whether a scan is unlike those a model was trained on, by the likelihood of its own groups.

A network that sees what it was trained for explains the frames of a new scan about as well as those
of its training. Compared is the deviance of single groups less what counting noise accounts for,
as a share of what the object does to the frames: dose, exposure and contrast of the two scans need
not agree. The archive holds what it was for training, group by group.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from keras import ops

from pinn import backend
from pinn.ops import forward
from pinn.ops import patches as group_canvas
from pinn.ops.pairs import Pair, Tensor
from pinn.quality.noise import (
    deviance,
    deviance_of_one_pattern,
    expected_deviance,
    intensity_ratio,
)

_GROUPS = 64
_PIXELS = 1 << 21
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_MIDDLE = 2
_NOISE_SHARE = 0.1  # of the noise: a difference of deviances cannot be known better

Patches = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Comparison:
    """How a scan is explained, against training.

    Attributes:
        scan, training: share of what the object does to the frames that is not explained.
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
        `(n, C, N, N)` twice.
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
    return frames, rates


@dataclass(frozen=True)
class Explained:
    """How a network explains single groups of a scan, each by itself.

    Attributes:
        excess: quantiles `QUANTILES` over the groups of the deviance beyond counting noise, for
            each count: a relative error of the predicted frames.
        strength: what the object does to the frames, in the same unit: the deviance beyond noise
            if all frames were one pattern; or None where that is not known.
        noise: counting noise, in the same unit.
        groups: how many were looked at.
    """

    excess: tuple[float, ...]
    strength: float | None
    noise: float
    groups: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "excess": list(self.excess), "quantiles": list(QUANTILES)}

    @property
    def unexplained(self) -> float:
        """Share of what the object does to the frames that the middle group leaves unexplained."""
        return max(self.excess[_MIDDLE], 0.0) / self._whole

    @property
    def uncertain(self) -> float:
        """Share that noise hides."""
        return _NOISE_SHARE * self.noise / self._whole

    @property
    def _whole(self) -> float:
        """An effect far below the noise is not known any better."""
        known = 1.0 if self.strength is None else self.strength
        return max(known, _NOISE_SHARE * self.noise, 1e-12)


def explained(
    counts: np.ndarray, rate: np.ndarray, valid: np.ndarray, counted: bool = True
) -> Explained | None:
    """What the predicted frames of groups say.

    Args:
        counts, rate, valid: `(G, C, N, N)` of single groups; the rate up to one factor for all.
        counted: the values are counts of photons; others have no counting noise.

    Returns:
        None where no count was measured or predicted.
    """
    frames = [part.reshape(-1, *part.shape[2:]) for part in (counts, rate, valid)]
    lit = (np.sum(counts * valid, (1, 2, 3)) > 0) & (np.sum(rate * valid, (1, 2, 3)) > 0)
    if not lit.any():
        return None
    rate = rate[lit] * intensity_ratio(*frames)
    counts, valid = counts[lit], valid[lit]
    pixels = np.maximum(valid.sum((1, 2, 3)), 1)
    floor = expected_deviance(rate) if counted else np.zeros_like(rate)
    beyond = np.where(valid, deviance(counts, rate) - floor, 0.0)
    light = np.sum(counts * valid) / pixels.sum()
    excess = np.quantile(beyond.sum((1, 2, 3)) / pixels / light, QUANTILES)
    noise = float(floor[valid].mean() / light)
    pattern = deviance_of_one_pattern(frames[0], frames[2].astype(bool))
    strength = None if pattern is None else max(pattern / light - noise, 0.0)
    return Explained(tuple(excess.tolist()), strength, noise, int(lit.sum()))


def compare(here: Explained | None, training: Mapping[str, Any] | None) -> Comparison | None:
    """The scan against the training of the model.

    Of the middle group of either, as a share of what the object does to the frames, so that scans
    of a weak and of a strong object can be compared, and of any dose.

    Args:
        here: of the scan.
        training: `Explained.to_dict` of the archive, or None for an archive that has none.

    Returns:
        None where either is not known.
    """
    if here is None or not training:
        return None
    names = ("excess", "strength", "noise", "groups")
    there = Explained(**{name: training[name] for name in names})
    least = max(here.uncertain, there.uncertain, there.unexplained, 1e-12)
    return Comparison(here.unexplained, there.unexplained, here.unexplained / least)
