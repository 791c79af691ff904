"""What a refinement changes, on the host: it is copied, saved, and given to the compiled step."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np


@dataclass(eq=False)
class State:
    """Object, probe and the rest, in the units of normalised frames.

    Attributes:
        object: `(H, W)` complex64 on a canvas of fixed place.
        origin: `(2,)` float64, object coordinate of its pixel `[0, 0]`.
        velocity: `(H, W)` complex64, of the momentum.
        probe: `(V, P, N, N)` complex64; variation 0 is the probe itself.
        opr_weights: `(M, V)` float64, weight of each variation in each frame; the first is 1.
        factors: `(M,)` float64, relative intensities, mean 1.
        positions: `(M, 2)` float64 in pixels.
        drift: `(M, 2)` float64, of the momentum of positions.
        background: `(N, N)` float32, normalised intensity.
        epoch: epochs done.
        length: what the lengths of steps are multiplied with; below 1 after a rejected epoch.
        history: one dictionary for each epoch.
    """

    object: np.ndarray
    origin: np.ndarray
    velocity: np.ndarray
    probe: np.ndarray
    opr_weights: np.ndarray
    factors: np.ndarray
    positions: np.ndarray
    drift: np.ndarray
    background: np.ndarray
    epoch: int = 0
    length: float = 1.0
    history: list[dict[str, Any]] = field(default_factory=list)

    def copy(self) -> State:
        """An independent copy."""
        arrays: dict[str, Any] = {name: array.copy() for name, array in self.arrays().items()}
        return replace(self, **arrays, history=[dict(row) for row in self.history])

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything that is an array, by name."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}

    @property
    def finite(self) -> bool:
        """No value is NaN or infinite."""
        return all(bool(np.isfinite(array).all()) for array in self.arrays().values())

    @property
    def brightest(self) -> float:
        """Light of the probe where it is brightest, all modes together."""
        return float(np.sum(np.abs(self.probe[0]) ** 2, axis=0).max())

    def illumination(self) -> np.ndarray:
        """Light on each pixel `(H, W)` float32, of the first variation; positions are rounded."""
        N = self.probe.shape[-1]
        intensity = np.sum(np.abs(self.probe[0]) ** 2, axis=0)
        total = np.zeros(self.object.shape, np.float32)
        corners = np.rint(self.positions - self.origin).astype(int) - N // 2
        for y, x in corners:
            total[y : y + N, x : x + N] += intensity
        return total

    def watched(self, held_out: bool) -> list[float]:
        """The likelihood of each row of the history by which refinement is steered."""
        return [float(row["held_deviance" if held_out else "deviance"]) for row in self.history]
