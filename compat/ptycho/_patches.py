"""Predicted patches, and what stitching must know of them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from pinn.data.masks import encode

_log = logging.getLogger("ptycho")


@dataclass(frozen=True, eq=False)
class Context:
    """What patches were predicted from.

    Attributes:
        raw: the scan.
        members: int64 `(B, C)`, numbers of its frames.
        probe: `(P, N, N)` complex64 in the gauge.
        weights: `(B, N, N)` or `(B, 1, 1)` times one `(N, N)`: weight of each patch.
        dead: bool `(N, N)`, pixels that training had masked; or None.
        factor: exposure factor.
        asked: `(b, c)`, numbers of the frames of the groups that were asked for, where the network
            takes others.
    """

    raw: Any
    members: np.ndarray
    probe: np.ndarray
    weights: np.ndarray
    dead: np.ndarray | None
    factor: float
    asked: np.ndarray | None = None

    @property
    def places(self) -> np.ndarray:
        """Middles `(B, 2)` [y, x] of the groups."""
        middles: np.ndarray = self.raw.positions[self.members].mean(1)
        return middles

    @property
    def anchor(self) -> np.ndarray:
        """(y, x) of the middle of the stitched object."""
        return self.raw.anchor

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Encoded frames `(n, N, N)` by number, -1 at masked pixels."""
        return encoded(self.raw, rows, self.factor, self.dead)

    def say(self, text: str) -> None:
        """One line for people."""
        _log.warning("%s", text)


class Patches(np.ndarray):
    """`(n, N, N, 1)` complex64 with a `context`; a slice or copy of it has none."""

    context: Context | None = None

    def __array_finalize__(self, other: Any) -> None:
        self.context = None

    def belongs_to(self, places: np.ndarray) -> bool:
        """Whether these are the middles `(n, 2)` [y, x] of the groups that were asked for."""
        if self.context is None:
            return False
        asked = self.context.members if self.context.asked is None else self.context.asked
        if places.shape != (len(asked), 2):
            return False
        own = self.context.raw.positions[asked].mean(1)
        return bool(np.allclose(own, places, rtol=0, atol=1e-6))


def encoded(raw: Any, rows: np.ndarray, factor: float, dead: np.ndarray | None) -> np.ndarray:
    """Frames `(n, N, N)` by number as the network takes them, -1 at masked pixels."""
    amplitude, valid = raw.scan().read(rows)
    return encode(amplitude, valid if dead is None else valid & ~dead, factor)


def group_patches(
    patches: np.ndarray, steps: np.ndarray, weight: np.ndarray, has_counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Patches of the members of each group as one patch around its middle.

    Args:
        patches: `(B, C, N, N)` complex.
        steps: `(B, C, 2)` [y, x], each member's distance from the middle.
        weight: `(N, N)` of a patch.
        has_counts: bool `(B, C)`; a frame without counts says nothing.

    Returns:
        `(B, N, N)` complex64 and their weights `(B, N, N)` float32.
    """
    from pinn.reconstruction.canvas import bilinear_shift

    B, C, N = patches.shape[:3]
    whole = np.floor(steps).astype(int)
    total = np.zeros((B, 3, N + 1, N + 1))
    for c in range(C):
        here = weight * has_counts[:, c, None, None]
        moved = bilinear_shift(patches[:, c] * here, (steps - whole)[:, c])
        moved[..., 2] = bilinear_shift(here + 0j, (steps - whole)[:, c])[..., 0]
        for b, (y, x) in enumerate(whole[:, c]):
            to_y, from_y = _overlap(y, N + 1)
            to_x, from_x = _overlap(x, N + 1)
            total[b, :, to_y, to_x] += np.moveaxis(moved[b, from_y, from_x], -1, 0)
    re, im, weights = total[:, :, :N, :N].transpose(1, 0, 2, 3)
    covered = weights > 1e-6 * max(float(weights.max()), 1e-30)
    safe = np.where(covered, weights, 1.0)
    merged = np.where(covered, (re + 1j * im) / safe, 0).astype(np.complex64)
    return merged, np.where(covered, weights, 0).astype(np.float32)


def _overlap(shift: int, side: int) -> tuple[slice, slice]:
    """Where a line of `side` pixels lands in itself when moved, and what of it does."""
    shift = max(-side, min(side, int(shift)))
    return slice(max(shift, 0), side + min(shift, 0)), slice(max(-shift, 0), side - max(shift, 0))
