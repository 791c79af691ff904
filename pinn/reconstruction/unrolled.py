"""A scan through the stages of an unrolled network, all frames on one canvas."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from pinn import backend
from pinn.data.kept_frames import Frames
from pinn.data.tiles import Tile, tile_scan
from pinn.networks.trained import Model
from pinn.ops import forward, likelihood, masks, pairs, stages, windows
from pinn.reconstruction import long_range

STAGES = 24
_FEWEST = 6  # stages
_SPAN, _GAIN = 3, 0.9  # so many stages have to leave at most so much of what is not explained
_MARGIN = 2  # pixels of canvas around the outermost patches
_TILE_PIXELS = 1 << 18  # of the canvas on the device at a time, or eight patches of a batch
_BLOCK, _HALO = 512, 32  # the network sees less than 32 pixels around the one it changes
_STRONG = 0.9  # quantile of the lit pixels that is called bright
_LIT = 0.05
_SAMPLE = 32, 128  # frames, at least and at most, that long-range corrections are weighed on
_FLOOR = 1e-6
_LARGEST = 20.0

Before = Callable[[int], None]


@dataclass(frozen=True)
class _Static:
    """What is compiled into a pass."""

    N: int
    propagation: str
    detector_response: str


def _look(static: _Static, sums: Any, state: Any, batch: Any) -> Any:
    """Add a batch to the sums on a tile: `waves` pair, `illumination`, `squares` `(H, W)`.

    Returns:
        The new sums, and of each frame `measured` and `predicted` `(B, 3)` moments and `distance`
        `(B,)`, the squared difference of amplitudes.
    """
    through = forward.instrument(static.propagation, static.detector_response)
    view = forward.canvas_view(state["object"], batch["corners"], batch["fractions"], static.N)
    probe = tuple(part[None] for part in state["probe"])
    made = forward.predict(through, forward.exit_waves(view.patches, probe))
    amplitude, valid = masks.decode(batch["frames"])
    used = valid * batch["weight"][:, None, None]
    predicted = ops.sqrt(made.rate + _FLOOR)
    change = used * ops.minimum(amplitude / predicted - 1.0, _LARGEST)
    chi = forward.missing_waves(through, made.waves, change)
    waves, illumination = forward.object_sums(view, probe, chi, batch["weight"])
    squares = view.add(ops.sum(pairs.abs2(chi), axis=1))
    new = {
        "waves": pairs.add(sums["waves"], waves),
        "illumination": sums["illumination"] + illumination,
        "squares": sums["squares"] + squares,
    }
    off = used * (amplitude - predicted)
    return new, {
        "measured": _moments(used * amplitude * amplitude),
        "predicted": _moments(used * made.rate),
        "distance": ops.sum(off * off, axis=(1, 2)),
    }


def _moments(intensity: Any) -> Any:
    """`(B, N, N)` to its sums `(B, 3)`: by itself, times y, and times x, from the middle."""
    N = intensity.shape[-1]
    axis = ops.arange(N, dtype="float32") - N // 2
    rows, columns = ops.sum(intensity, axis=2), ops.sum(intensity, axis=1)
    whole = ops.sum(rows, axis=1), ops.sum(rows * axis, axis=1), ops.sum(columns * axis, axis=1)
    return ops.stack(whole, axis=1)


@functools.lru_cache(maxsize=8)
def _compiled_look(static: _Static, *shapes: Any) -> Callable[..., Any]:
    """Compiled once for scans alike, and for halves; the sums are used up."""
    del shapes
    return backend.compile_function(functools.partial(_look, static))


class Canvas:
    """The object of some frames, corrected stage by stage.

    Args:
        model: with an unrolled network.
        frames: of the scan.
        positions: `(M, 2)` of these frames.
        probe: `(P, N, N)` complex in the units of normalised frames.
        batch_size: groups per step: frames are taken as many at a time as are in those.
        whole: `(K, 2)` positions that the canvas has to hold; default: these.

    Attributes:
        object: `(H, W)` complex64.
        origin: `(2,)`, object coordinate of its pixel `[0, 0]`.
        illumination: `(H, W)`, of the last pass.
        count: stages that are done.
        corrections: how many long-range corrections explained the frames better.
        done: frames that were looked at, again in every pass.
    """

    def __init__(
        self,
        model: Model,
        frames: Frames,
        positions: np.ndarray,
        probe: np.ndarray,
        batch_size: int,
        whole: np.ndarray | None = None,
    ) -> None:
        backend.full_precision()
        self.model, self.frames, self.N = model, frames, frames.N
        self.probe = probe.astype(np.complex64)
        whole = positions if whole is None else whole
        half = self.N // 2 + _MARGIN
        self.origin = np.floor(whole.min(0)) - half
        size = np.ceil(whole.max(0)).astype(int) + half + 1 - self.origin.astype(int)
        size = size + -size % stages.STRIDE
        self.object = np.ones((int(size[0]), int(size[1])), np.complex64)
        self.places = positions - self.origin
        self.size = min(batch_size * model.config.gridsize**2, len(frames))
        self.tiles, self.shape = tile_scan(
            self.places,
            self.N,
            (self.object.shape[0], self.object.shape[1]),
            0,
            max(_TILE_PIXELS, 8 * self.size * self.N**2),
        )
        self.illumination = np.zeros(self.object.shape, np.float32)
        self.corrections = self.count = self.done = 0
        self._squares = self.illumination
        self._missing = np.zeros_like(self.object)
        self._change = np.zeros_like(self.object)
        unit, _ = likelihood.brightness(
            ops.convert_to_tensor(np.array([frames.factor], np.float32))
        )
        self._unit = float(ops.convert_to_numpy(unit)[0]) / frames.factor**2
        self.seconds = {"frames": 0.0, "network": 0.0, "long range": 0.0}

    def run(self, count: int | None, before: Before) -> Iterator[int]:
        """The stages; yields how many are done after each.

        Args:
            count: how many. None: until more explain the frames hardly better, and `STAGES` at
                most. One alone may explain them worse: momentum goes too far at times.
            before: called before every batch with the number of frames done in all passes; what it
                raises ends the work, with the object of the last stage that was done.
        """
        distances: list[float] = []
        for number in range(STAGES if count is None else count):
            seen = self._pass(before)
            distances.append(float(seen["distance"].sum()))
            if number == 0 and self._brighter(seen):
                seen = self._pass(before)
            self._advance()
            if number:
                self._smoother(seen)
            self.count = number + 1
            yield self.count
            if count is not None or self.count <= _FEWEST:
                continue
            if distances[-1] > _GAIN * distances[-1 - _SPAN]:
                break

    # -- the frames ------------------------------------------------------------------------

    def _pass(self, before: Before | None = None, rows: np.ndarray | None = None) -> Any:
        """All frames, or these, through the object as it is; sums are kept where all are."""
        size = self.size if rows is None else min(self.size, len(rows))
        look = _compiled_look(self._static, self.shape, size, self.probe.shape)
        began = time.perf_counter()
        planes: dict[str, np.ndarray] = {
            "waves": np.zeros(self.object.shape, np.complex64),
            "illumination": np.zeros(self.object.shape, np.float32),
            "squares": np.zeros(self.object.shape, np.float32),
        }
        M = len(self.frames)
        told = {
            "measured": np.zeros((M, 3)),
            "predicted": np.zeros((M, 3)),
            "distance": np.zeros(M),
        }
        for tile in self.tiles:
            chosen = tile.rows if rows is None else np.intersect1d(tile.rows, rows)
            if not len(chosen):
                continue
            window = self._window(tile)
            state = {"object": _pair(self.object[window]), "probe": _pair(self.probe)}
            nothing = np.zeros(self.shape, np.float32)
            sums: Any = {
                "waves": (nothing, nothing.copy()),
                "illumination": nothing.copy(),
                "squares": nothing.copy(),
            }
            for some, batch in self._batches(tile, chosen, size):
                if before is not None:
                    before(self.done)
                    self.done += len(some)
                sums, out = look(sums, state, batch)
                for name, values in out.items():
                    told[name][some] = ops.convert_to_numpy(values)[: len(some)]
            re, im = (ops.convert_to_numpy(part) for part in sums["waves"])
            planes["waves"][window] += re + 1j * im
            for name in ("illumination", "squares"):
                planes[name][window] += ops.convert_to_numpy(sums[name])
        if rows is None:
            self.illumination, self._squares = planes["illumination"], planes["squares"]
            self._missing = planes["waves"]
        self.seconds["frames"] += time.perf_counter() - began
        return told

    @property
    def _static(self) -> _Static:
        return _Static(self.N, self.frames.propagation, self.frames.detector_response)

    def _batches(self, tile: Tile, rows: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, Any]]:
        for first in range(0, len(rows), size):
            some = rows[first : first + size]
            filled = np.resize(some, size)
            corners, fractions = windows.split(
                self.places[filled] - np.asarray(tile.corner), self.N
            )
            yield (
                some,
                {
                    "frames": self.frames.read(filled),
                    "corners": corners,
                    "fractions": fractions,
                    "weight": (np.arange(size) < len(some)).astype(np.float32),
                },
            )

    def _window(self, tile: Tile) -> tuple[slice, slice]:
        (y, x), (height, width) = tile.corner, self.shape
        return slice(y, y + height), slice(x, x + width)

    # -- long range ------------------------------------------------------------------------

    def _brighter(self, seen: dict[str, np.ndarray]) -> bool:
        """The amplitude that the brightness of the frames tells, where it explains them better."""
        corners, _ = windows.split(self.places, self.N)
        moments = seen["measured"], seen["predicted"]
        return self._kept(long_range.amplitude(*moments, corners, self._light, self._shape))

    def _smoother(self, seen: dict[str, np.ndarray]) -> bool:
        """The same of the phase that their centres of mass tell."""
        began = time.perf_counter()
        places = windows.split(self.places, self.N)
        moments = seen["measured"], seen["predicted"]
        factor = long_range.phase(*moments, *places, self._light, self._shape)
        self.seconds["long range"] += time.perf_counter() - began
        return self._kept(factor)

    def _kept(self, factor: np.ndarray) -> bool:
        """Multiply the object by a factor, if a sample of frames is explained better then."""
        M = len(self.frames)
        rows = self.frames.spread(int(np.clip(M // 8, *_SAMPLE)))
        given, before = self.object, float(self._pass(rows=rows)["distance"][rows].sum())
        self.object = given * factor
        after = float(self._pass(rows=rows)["distance"][rows].sum())
        if not after < before:
            self.object = given
            return False
        self._change = self._change * factor
        self.corrections += 1
        return True

    @property
    def _light(self) -> np.ndarray:
        return np.sum(np.abs(self.probe) ** 2, axis=0)

    @property
    def _shape(self) -> tuple[int, int]:
        return self.object.shape[0], self.object.shape[1]

    # -- the network -----------------------------------------------------------------------

    def _advance(self) -> None:
        """One stage."""
        began = time.perf_counter()
        lit = self.illumination > _LIT * self.illumination.max()
        if not lit.any():
            return
        bright = np.float32(np.quantile(self.illumination[lit], _STRONG))
        missing = stages.Missing(
            _batch(_pair(self._missing)),
            self.illumination[None],
            np.full((1, 1, 1), bright, np.float32),
            np.full((1, 1, 1), self._unit, np.float32),
        )
        sized = np.asarray(ops.convert_to_numpy(stages.step(_tensors(missing))[1]))
        new, change = self.object.copy(), self._change.copy()
        for outer, inner, window in _blocks(self.object.shape):
            here = stages.Missing(
                tuple(part[:, outer[0], outer[1]] for part in missing.waves),
                missing.illumination[:, outer[0], outer[1]],
                missing.brightest,
                missing.unit,
            )
            now = stages.Canvas(
                _batch(_pair(self.object[outer])), _batch(_pair(self._change[outer]))
            )
            made, moved = self.model.stage()(now, here, sized)
            for target, pair in ((new, made), (change, moved)):
                re, im = (ops.convert_to_numpy(part)[0] for part in pair)
                target[window] = (re + 1j * im)[inner]
        self.object, self._change = new, change
        self.seconds["network"] += time.perf_counter() - began

    # -- what came out ---------------------------------------------------------------------

    def result(self, **_: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Object, coverage and origin, as of a canvas that patches are stitched on."""
        return self.object, self._coverage(), self.origin

    def disagreement(self) -> np.ndarray:
        """Spread of what each frame by itself would make of a pixel, before the last stage."""
        light = np.maximum(self.illumination, 1e-30)
        variance = self._squares / light - np.abs(self._missing / light) ** 2
        return np.sqrt(np.maximum(variance, 0.0)).astype(np.float32)

    def _coverage(self) -> np.ndarray:
        """Illumination in units of that of one frame where it is brightest, 0 where too weak."""
        light = self.illumination / float(np.sum(np.abs(self.probe) ** 2, axis=0).max())
        return np.where(light > 0.1, light, 0.0).astype(np.float32)


def _blocks(shape: tuple[int, ...]) -> Iterator[Any]:
    """Overlapping blocks of one shape: where they lie, the part of them that counts, and where
    that lies."""
    side = _BLOCK + 2 * _HALO
    if shape[0] * shape[1] <= side * side:
        whole = slice(0, shape[0]), slice(0, shape[1])
        yield whole, whole, whole
        return
    cuts = [_cuts(length, side) for length in shape]
    for outer_y, inner_y, window_y in cuts[0]:
        for outer_x, inner_x, window_x in cuts[1]:
            yield (outer_y, outer_x), (inner_y, inner_x), (window_y, window_x)


def _cuts(length: int, side: int) -> list[tuple[slice, slice, slice]]:
    """Along one axis; all multiples of the stride of the network."""
    if length <= side:
        whole = slice(0, length)
        return [(whole, whole, whole)]
    found = []
    for low in range(0, length, _BLOCK):
        high = min(low + _BLOCK, length)
        first = min(max(low - _HALO, 0), length - side)
        outer = slice(first, first + side)
        found.append((outer, slice(low - first, high - first), slice(low, high)))
    return found


def _pair(field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.array(field.real, np.float32), np.array(field.imag, np.float32)


def _batch(pair: Any) -> Any:
    return tuple(part[None] for part in pair)


def _tensors(missing: stages.Missing) -> stages.Missing:
    tensors = [ops.convert_to_tensor(part) for part in missing[1:]]
    return stages.Missing(tuple(map(ops.convert_to_tensor, missing.waves)), *tensors)
