"""How well an object, a probe and positions explain the measured frames, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from keras import ops

from pinn import backend
from pinn.ops import forward, likelihood, masks, windows
from pinn.ops.pairs import Pair, Tensor

ReadFrames = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Explanation:
    """What is said to have made the frames.

    Beyond the object there is nothing: a frame that lies partly outside is judged by what there is
    of it.

    Attributes:
        object: `(H, W)` complex.
        origin: (y, x) of its pixel `[0, 0]`.
        probe: `(P, N, N)` complex in square root of counts, or `(V, P, N, N)` with OPR weights.
        positions: `(M, 2)` [y, x] in the frame of `origin`.
        opr_weights: `(M, V)`: the probe of a frame is the sum of the variations times these.
        background: `(N, N)` counts.
        factors: `(M,)` relative intensity.
        instrument: what lies between the exit wave and the detector; default the far field.
    """

    object: np.ndarray
    origin: np.ndarray
    probe: np.ndarray
    positions: np.ndarray
    opr_weights: np.ndarray | None = None
    background: np.ndarray | None = None
    factors: np.ndarray | None = None
    instrument: forward.Instrument | None = None


class Judge:
    """Rates and likelihood of frames, streamed: the memory is that of the object and one batch.

    Args:
        explanation: what is to be judged.
        batch_size: frames per step.
    """

    def __init__(self, explanation: Explanation, batch_size: int = 32) -> None:
        backend.full_precision()
        self.explanation, self.size = explanation, min(batch_size, len(explanation.positions))
        instrument = explanation.instrument or forward.instrument()
        canvas, self._corners, self._fractions = _placed(explanation)
        self._step = _compiled(instrument, canvas.shape, explanation.probe.shape, self.size)
        self._fixed: dict[str, Any] = {
            "object": _pair(canvas),
            "probe": _pair(explanation.probe),
        }
        if explanation.background is not None:
            self._fixed["background"] = _tensor(explanation.background)

    def rates(self, rows: np.ndarray) -> np.ndarray:
        """Predicted counts `(n, N, N)` float32 of the frames `rows` `(n,)`."""
        N = self.explanation.probe.shape[-1]
        nothing = np.zeros((0, N, N), np.float32)
        found = [
            ops.convert_to_numpy(rate)[:count] for count, rate, _ in self._stream(rows, None, 1, 1)
        ]
        return np.concatenate([nothing, *found])

    def deviance(self, read: ReadFrames, scale: float = 1.0, intensity: float = 1.0) -> np.ndarray:
        """Poisson deviance of each frame per valid pixel; about 1 at the noise floor.

        Args:
            read: numbers `(n,)` of positions to frames `(n, N, N)`: amplitude, -1 at masked pixels.
            scale: counts per squared unit of the frames.
            intensity: factor of all predicted counts but the background.

        Returns:
            `(M,)` float64, NaN for a frame without a valid pixel.
        """
        found = [np.zeros(0)]
        rows = np.arange(len(self.explanation.positions))
        for count, _, sums in self._stream(rows, read, scale, intensity):
            deviance, pixels = ops.convert_to_numpy(sums)[:, :count].astype(np.float64)
            nothing = np.full(count, np.nan)
            found.append(np.divide(deviance, pixels, out=nothing, where=pixels > 0))
        return np.concatenate(found)

    def _stream(
        self, rows: np.ndarray, read: ReadFrames | None, scale: float, intensity: float
    ) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Number of frames, their rates `(size, N, N)` and sums `(2, size)`, batch after batch.

        The last batch is filled up, so that nothing is compiled twice.
        """
        given, N = self.explanation, self.explanation.probe.shape[-1]
        units = np.array([scale, intensity], np.float32)
        for first in range(0, len(rows), max(self.size, 1)):
            chosen = rows[first : first + self.size]
            count = len(chosen)
            frames = np.zeros((self.size, N, N), np.float32)
            if read is not None:
                frames[:count] = read(chosen)
            filled = np.resize(chosen, self.size)
            here = {"corners": self._corners[filled], "fractions": self._fractions[filled]}
            if given.opr_weights is not None:
                here["opr_weights"] = given.opr_weights[filled].astype(np.float32)
            if given.factors is not None:
                here["factors"] = given.factors[filled].astype(np.float32)
            yield count, *self._step(frames, self._fixed, here, units)


@lru_cache(maxsize=8)
def _compiled(instrument: forward.Instrument, *shapes: Any) -> Callable[..., Any]:
    """`_judge`, compiled once for all explanations alike; shapes are compiled in as well."""
    del shapes
    return backend.compile_function(partial(_judge, instrument))


def _judge(
    instrument: forward.Instrument, frames: Tensor, fixed: dict, here: dict, units: Tensor
) -> tuple[Tensor, Tensor]:
    """Counts predicted for frames `(B, N, N)`; their deviance and valid pixels, `(2, B)`."""
    N = frames.shape[-1]
    view = forward.canvas_view(fixed["object"], here["corners"], here["fractions"], N)
    probe: Pair = fixed["probe"]
    if "opr_weights" in here:
        probe = forward.frame_probe(probe, here["opr_weights"])
    scale = units[1]
    if "factors" in here:
        scale = scale * here["factors"][:, None, None]
    waves = forward.exit_waves(view.patches, probe)
    rate = forward.predict(instrument, waves, scale, fixed.get("background")).rate
    amplitude, valid = masks.decode(frames)
    counts = ops.square(amplitude) * units[0]
    deviance = likelihood.poisson_deviance_per_pixel(counts, rate, valid)
    return rate, ops.stack([ops.sum(deviance, axis=(1, 2)), ops.sum(valid, axis=(1, 2))])


def _placed(given: Explanation) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The object with enough nothing around it that all windows of N + 1 pixels lie inside, their
    first pixels and fractions."""
    N, shape = given.probe.shape[-1], np.array(given.object.shape)
    corners, fractions = windows.split(np.asarray(given.positions) - given.origin, N)
    # a window wholly outside sees nothing, however far out
    corners = np.clip(corners, -(N + 1), shape).astype(np.int32)
    if not len(corners):
        return given.object, corners, fractions
    before = np.maximum(0, -corners.min(0))
    after = np.maximum(0, corners.max(0) + N + 1 - shape)
    padded = np.pad(given.object, list(zip(before, after, strict=True)))
    return padded, corners + before.astype(np.int32), fractions


def _pair(array: np.ndarray) -> Pair:
    return _tensor(array.real), _tensor(array.imag)


def _tensor(array: np.ndarray) -> Tensor:
    return ops.convert_to_tensor(np.ascontiguousarray(array, np.float32))
