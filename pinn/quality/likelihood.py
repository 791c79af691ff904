"""How well an object, a probe and positions explain the measured frames, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from keras import ops

from pinn import backend
from pinn.ops import diffraction, illumination, likelihood, windows
from pinn.ops.pairs import Pair, Tensor

ReadFrames = Callable[[np.ndarray], np.ndarray]


def frame_deviance(
    obj: np.ndarray,
    origin: np.ndarray,
    probe: np.ndarray,
    positions: np.ndarray,
    read: ReadFrames,
    batch_size: int = 32,
    *,
    probe_weights: np.ndarray | None = None,
    background: np.ndarray | None = None,
    frame_factors: np.ndarray | None = None,
    scale: float = 1.0,
) -> np.ndarray:
    """Poisson deviance of each frame per valid pixel; about 1 at the noise floor (`pinn.trust`).

    Frames are streamed: the memory is that of the object and of one batch. Beyond the object there
    is nothing: a frame that lies partly outside is judged by what there is of it.

    Args:
        obj: `(H, W)` complex.
        origin: (y, x) of its pixel `[0, 0]`.
        probe: `(P, N, N)` complex in square root of counts, or `(V, P, N, N)` with weights.
        positions: `(M, 2)` [y, x] in the frame of `origin`.
        read: numbers `(n,)` of positions to frames `(n, N, N)`: amplitude, -1 at masked pixels.
        batch_size: frames per step.
        probe_weights: `(M, V)`: the probe of a frame is the sum of the variations times these.
        background: `(N, N)` counts.
        frame_factors: `(M,)` relative intensity.
        scale: counts per squared unit of the frames.

    Returns:
        `(M,)` float64, NaN for a frame without a valid pixel.
    """
    found = [
        deviance
        for _, deviance in _stream(
            obj,
            origin,
            probe,
            positions,
            read,
            batch_size,
            np.arange(len(positions)),
            probe_weights,
            background,
            frame_factors,
            scale,
        )
    ]
    return np.concatenate([np.zeros(0), *found])


def frame_rates(
    obj: np.ndarray,
    origin: np.ndarray,
    probe: np.ndarray,
    positions: np.ndarray,
    rows: np.ndarray,
    batch_size: int = 32,
) -> np.ndarray:
    """Predicted counts `(n, N, N)` of the frames `rows`; arguments as of `frame_deviance`."""
    side = probe.shape[-1]

    def nothing(numbers: np.ndarray) -> np.ndarray:
        return np.zeros((len(numbers), side, side), np.float32)

    parts = _stream(
        obj, origin, probe, positions, nothing, batch_size, rows, None, None, None, 1.0, rates=True
    )
    found: list[np.ndarray] = [rate for rate, _ in parts if rate is not None]
    return np.concatenate([np.zeros((0, side, side), np.float32), *found])


def _stream(
    obj: np.ndarray,
    origin: np.ndarray,
    probe: np.ndarray,
    positions: np.ndarray,
    read: ReadFrames,
    batch_size: int,
    rows: np.ndarray,
    weights: np.ndarray | None,
    background: np.ndarray | None,
    factors: np.ndarray | None,
    scale: float,
    rates: bool = False,
) -> Iterator[tuple[np.ndarray | None, np.ndarray]]:
    """Predicted counts `(n, N, N)`, if wanted, and deviance `(n,)` of batch after batch."""
    if not len(rows):
        return
    N = probe.shape[-1]
    size = min(batch_size, len(rows))
    backend.full_precision()
    canvas, corners, fractions = _placed(obj, np.asarray(positions) - origin, N)
    varies = weights is not None
    modes = probe if varies else probe.reshape(-1, N, N)
    fixed = {"object": _pair(canvas), "probe": _pair(modes), "scale": _tensor(np.array(scale))}
    if background is not None:
        fixed["background"] = _tensor(background)
    step = backend.compile_function(_judge)
    for first in range(0, len(rows), size):
        chosen = rows[first : first + size]
        count = len(chosen)
        frames = np.full((size, N, N), -1.0, np.float32)
        frames[:count] = read(chosen)
        here = {
            "corners": _filled(corners[chosen], size),
            "fractions": _filled(fractions[chosen], size),
        }
        if weights is not None:
            here["weights"] = _filled(weights[chosen].astype(np.float32), size)
        if factors is not None:
            here["factors"] = _filled(factors[chosen].astype(np.float32), size)
        rate, sums = step(frames, fixed, here)
        deviance, pixels = ops.convert_to_numpy(sums)[:, :count].astype(np.float64)
        mean = np.divide(deviance, pixels, out=np.full(count, np.nan), where=pixels > 0)
        yield (ops.convert_to_numpy(rate)[:count] if rates else None), mean


def _judge(frames: Tensor, fixed: dict, here: dict) -> tuple[Tensor, Tensor]:
    """Counts predicted for frames `(B, N, N)`; their deviance and valid pixels, `(2, B)`."""
    corners, fractions = here["corners"], here["fractions"]
    patches = windows.take_patches(fixed["object"], corners, fractions, frames.shape[-1])
    probe: Pair = fixed["probe"]
    if "weights" in here:
        mixed = [ops.tensordot(here["weights"], part, axes=1)[:, None] for part in probe]
        probe = mixed[0], mixed[1]
    waves = illumination.illuminate((patches[0][:, None], patches[1][:, None]), probe)
    factors = here["factors"][:, None] if "factors" in here else None
    rate = diffraction.detector_rate(
        waves, ops.zeros((1,)), fixed.get("background"), frame_factor=factors
    )[:, 0]
    valid = frames >= 0.0
    counts = ops.square(ops.maximum(frames, 0.0)) * fixed["scale"]
    deviance = likelihood.poisson_deviance_per_pixel(counts, rate, valid)
    pixels = ops.sum(ops.cast(valid, "float32"), axis=(1, 2))
    return rate, ops.stack([ops.sum(deviance, axis=(1, 2)), pixels])


def _placed(
    obj: np.ndarray, places: np.ndarray, N: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The object with enough nothing around it that all windows of N + 1 pixels lie inside, their
    first pixels and fractions."""
    whole = np.floor(places)
    fractions = (places - whole).astype(np.float32)
    shape = np.array(obj.shape)
    # a window wholly outside sees nothing, however far out
    corners = np.clip(whole.astype(np.int64) - N // 2, -(N + 1), shape)
    before = np.maximum(0, -corners.min(0))
    after = np.maximum(0, corners.max(0) + N + 1 - shape)
    padded = np.pad(obj, list(zip(before, after, strict=True)))
    return padded, (corners + before).astype(np.int32), fractions


def _filled(array: np.ndarray, size: int) -> np.ndarray:
    """The last batch at the length of the others, so that nothing is compiled twice."""
    out = np.zeros((size, *array.shape[1:]), array.dtype)
    out[: len(array)] = array
    return out


def _pair(array: np.ndarray) -> Pair:
    return _tensor(array.real), _tensor(array.imag)


def _tensor(array: np.ndarray) -> Tensor:
    return ops.convert_to_tensor(np.ascontiguousarray(array, np.float32))
