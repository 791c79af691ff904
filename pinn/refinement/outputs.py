"""What a pass over the frames says: of each frame, and the gradient of their likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

_AHEAD = 2  # batches that a device may be behind


@dataclass(frozen=True, eq=False)
class Pass:
    """What a pass found of each frame `(M,)`, NaN for frames it did not come to.

    Attributes:
        deviance, pixels: Poisson deviance and number of the fitted pixels.
        held_deviance, held_pixels: of the pixels held out.
        others: further outputs of a step by name.
    """

    deviance: np.ndarray
    pixels: np.ndarray
    held_deviance: np.ndarray
    held_pixels: np.ndarray
    others: dict[str, np.ndarray]

    @property
    def finite(self) -> bool:
        """The likelihood of every frame it came to is finite."""
        return bool(np.isfinite(self.deviance[np.isfinite(self.pixels)]).all())

    def per_pixel(self, held: bool = False) -> float:
        """Deviance per pixel over all frames."""
        deviance = self.held_deviance if held else self.deviance
        pixels = self.held_pixels if held else self.pixels
        return float(np.nansum(deviance) / max(float(np.nansum(pixels)), 1.0))

    @property
    def per_frame(self) -> np.ndarray:
        """Deviance per pixel of each frame `(M,)`, fitted and held-out pixels together."""
        deviance = self.deviance + self.held_deviance
        pixels = self.pixels + self.held_pixels
        return np.asarray(deviance / np.maximum(pixels, 1.0))


@dataclass(frozen=True, eq=False)
class Gradient:
    """The likelihood over all frames as a function of what is refined.

    Attributes:
        value: deviance over fitted pixels (for amplitudes `4 sum (sqrt(rate) - sqrt(k))^2`).
        frames: of each frame.
        object: its gradient by real and imaginary part `(H, W)` complex64.
        probe: likewise `(V, P, N, N)`, or None where it stays.
        positions: gradient `(M, 2)` per pixel, or None where they stay.
        diagonal: by the same names, `(H, W)`, `(V, 1, N, N)` and `(M, 2)`: 8 counts per unit times
            these are about the diagonal of the Hessian.
    """

    value: float
    frames: Pass
    object: np.ndarray
    probe: np.ndarray | None
    positions: np.ndarray | None
    diagonal: dict[str, np.ndarray]


class Outputs:
    """What a step says of each frame, gathered over the batches of a pass."""

    def __init__(self, frames: int) -> None:
        self._frames, self.done = frames, 0
        self._found: list[tuple[np.ndarray, dict[str, Any]]] = []

    def add(self, rows: np.ndarray, out: dict[str, Any]) -> None:
        """Outputs stay on the device until the pass is over.

        A device that works later than it is told is waited for, but for the last batches: what the
        clock says of a pass would not be true otherwise.
        """
        self._found.append((rows, out))
        self.done += len(rows)
        if len(self._found) > _AHEAD:
            ops.convert_to_numpy(self._found[-1 - _AHEAD][1]["pixels"])

    def result(self) -> Pass:
        values: dict[str, np.ndarray] = {}
        for rows, out in self._found:
            for name, tensor in out.items():
                array = ops.convert_to_numpy(tensor)[: len(rows)].astype(np.float64)
                if name not in values:
                    values[name] = np.full((self._frames, *array.shape[1:]), np.nan)
                values[name][rows] = array
        unseen = np.full(self._frames, np.nan)
        report = ("deviance", "pixels", "held_deviance", "held_pixels")
        named = {name: values.pop(name, unseen) for name in report}
        return Pass(**named, others=values)
