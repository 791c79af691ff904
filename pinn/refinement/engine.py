"""Passes over the frames: host state to the device, tile by tile and batch by batch, and back."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras import ops

from pinn import backend
from pinn.config.refine import RefineConfig
from pinn.data.kept_frames import Frames
from pinn.data.tiles import Tile, tile_scan
from pinn.ops import windows
from pinn.refinement.outputs import Gradient, Outputs, Pass
from pinn.refinement.positions import LIMIT_PX, MOST_SHIFT
from pinn.refinement.state import State
from pinn.refinement.step import Static, Step, accelerate

ROUND = 10  # steps between two uses of the momentum
_TILE_BATCHES = 8  # pixels of a tile, in patches of a batch
_TILE_PIXELS = 1 << 18  # and no fewer than these
_PLANES = ("object", "illumination", "missing")  # sums on the canvas

BeforeBatch = Callable[[int], None]
Peek = Callable[[], Callable[[], None] | None]
Sums = dict[str, np.ndarray]


@functools.lru_cache(maxsize=16)
def _compiled(static: Static | None, name: str, *shapes: Any) -> Callable[..., Any]:
    """A function of a step, compiled once for all refinements alike: halves, and the next scan.

    Shapes are compiled in as well: those of scans long ago are given up with their function.
    """
    del shapes
    return backend.compile_function(accelerate if static is None else getattr(Step(static), name))


class Engine:
    """Compiled passes of one refinement.

    Args:
        frames: of the scan.
        config: what is refined, and how.
        counts_per_unit: Poisson counts per unit of normalised intensity.
        state: where the canvas and the positions are; its shapes are compiled in.

    Attributes:
        background_sums: what the last epoch says of the background: sums over frames of measured
            over predicted intensity, and of uses, `(N, N)`.
    """

    def __init__(
        self, frames: Frames, config: RefineConfig, counts_per_unit: float, state: State
    ) -> None:
        backend.full_precision()
        self.frames, self.config, self.N = frames, config, frames.N
        self.counts_per_unit = counts_per_unit
        self.size = min(config.batch_size, max(len(frames), 1))
        room = LIMIT_PX + MOST_SHIFT
        margin = int(np.ceil(room)) if config.update_positions else 0
        self.origin = state.origin.copy()
        self.background_sums: tuple[np.ndarray, np.ndarray] | None = None
        self.tiles, self.shape = tile_scan(
            state.positions - state.origin,
            self.N,
            (state.object.shape[0], state.object.shape[1]),
            margin,
            max(_TILE_PIXELS, _TILE_BATCHES * self.size * self.N**2),
        )
        c = config
        self.static = Static(
            N=self.N,
            propagation=frames.propagation,
            detector_response=frames.detector_response,
            poisson=c.likelihood == "poisson",
            held_out=c.held_out,
            object=c.update_object,
            probe=c.update_probe,
            positions=c.update_positions,
            factors=c.update_intensities,
            variations=c.opr_modes > 1,
            background=c.background != "none",
            object_damping=c.object_damping,
            tv=c.tv,
        )
        exact = replace(self.static, poisson_limit=float("inf"))
        self._exact, self._fitted = exact, replace(exact, positions=False)
        self._whole = replace(self._fitted, held_out=0.0)

    def epoch(
        self,
        state: State,
        lengths: dict[str, float],
        momentum: float,
        before: BeforeBatch,
        peek: Peek | None = None,
    ) -> Pass:
        """One pass that changes object, probe and sums of the background in `state`.

        Args:
            lengths: of the steps of `object` and `probe`.
            momentum: of the object.
            before: called before each batch with the number of frames done; what it raises ends
                the pass, with what was done by then in `state`.
            peek: asked after each batch whether `state` is wanted as it is by then; what it
                answers is called with it there.
        """
        rng = np.random.default_rng([self.config.seed, state.epoch])
        scalars = {name: np.float32(value) for name, value in lengths.items()}
        shapes = self.shape, self.size, state.probe.shape
        update = _compiled(self.static, "update", *shapes)
        repeat = _compiled(None, "accelerate", *shapes)
        outputs, common, steps = Outputs(len(self.frames)), self._common(state), 0
        try:
            for number in rng.permutation(len(self.tiles)):
                tile = self.tiles[number]
                values = {**common, **self._planes(state, tile)}
                order, last = rng.permutation(tile.rows), outputs.done + len(tile.rows)
                try:
                    for rows, batch in self._batches(state, tile, order, outputs, before):
                        values, out = update(values, batch, scalars)
                        outputs.add(rows, out)
                        steps += 1
                        if momentum and (steps % ROUND == 0 or outputs.done == last):
                            values = repeat(values, np.float32(momentum))
                        show = None if peek is None else peek()
                        if show is not None:
                            self._store(state, tile, values)
                            self._store_common(state, values)
                            show()
                finally:
                    common = {name: values[name] for name in common}
                    self._store(state, tile, values)
        finally:
            self._store_common(state, common)
        return outputs.result()

    def judge(self, state: State, before: BeforeBatch | None = None) -> tuple[Pass, Sums]:
        """One pass that changes nothing; all pixels count as fitted.

        Returns:
            What it says of each frame, and on the canvas `object` `(H, W)` complex64,
            `illumination` and `missing` `(H, W)` float32 of `Step.assess`.
        """
        return self._assess(self._whole, state, _PLANES, before=before)

    def held_out(self, numbers: np.ndarray) -> np.ndarray:
        """Which pixels of these frames are not fitted, bool `(n, N, N)`."""
        if not self.static.held_out:
            return np.zeros((len(numbers), self.N, self.N), bool)
        phase = ops.convert_to_tensor(self.frames.phases(numbers).astype(np.float32))
        held = ops.convert_to_numpy(Step(self.static).held_out({"phase": phase})) > 0
        return np.asarray(held)

    def look(
        self,
        state: State,
        numbers: np.ndarray,
        fitted: bool = False,
        before: BeforeBatch | None = None,
    ) -> Pass:
        """`judge` of some frames only; of fitted pixels, or of all."""
        static = self._fitted if fitted else self._whole
        return self._assess(static, state, _PLANES, numbers, before)[0]

    def gradient(self, state: State, before: BeforeBatch | None = None) -> Gradient:
        """The likelihood of the fitted pixels of all frames, and its gradient."""
        static = self.static
        names = _PLANES[:2] + (("probe", "probe_strength") if static.probe else ())
        frames, sums = self._assess(self._exact, state, names, before=before)
        amplitude = self.config.likelihood == "amplitude"
        loss = frames.others["distance"] if amplitude else frames.deviance
        # d/dO* of 4 (R - A)^2 is -4 conj(P) chi, by parts twice that; of the deviance,
        # 2 rate (1 - k / rate), with chi half of its ratio, the same
        unit = -8.0 * self.counts_per_unit
        diagonal = {"object": sums["illumination"]}
        if static.probe:
            diagonal["probe"] = sums["probe_strength"]
        if static.positions:
            diagonal["positions"] = frames.others["position_squares"]
        return Gradient(
            value=float(np.sum(loss)),
            frames=frames,
            object=unit * sums["object"],
            probe=unit * sums["probe"] if static.probe else None,
            positions=unit * frames.others["position_products"] if static.positions else None,
            diagonal=diagonal,
        )

    def _assess(
        self,
        static: Static,
        state: State,
        names: tuple[str, ...],
        numbers: np.ndarray | None = None,
        before: BeforeBatch | None = None,
    ) -> tuple[Pass, Sums]:
        """`Step.assess` of all frames, or those of these numbers, with sums of these names."""
        assess = _compiled(static, "assess", self.shape, self.size, state.probe.shape)
        outputs = Outputs(len(self.frames))
        probe = np.zeros(state.probe.shape, np.float32)
        everything = {"probe": (probe, probe.copy()), "probe_strength": probe[:, :1].copy()}
        shared: dict[str, Any] = {name: everything[name] for name in names if name in everything}
        kinds = {"object": np.complex64, "illumination": np.float32, "missing": np.float32}
        planes: Sums = {n: np.zeros(state.object.shape, kinds[n]) for n in names if n in kinds}
        for tile in self.tiles:
            rows = tile.rows if numbers is None else np.intersect1d(tile.rows, numbers)
            if not len(rows):
                continue
            values = {**self._common(state), **self._planes(state, tile)}
            values = keras.tree.map_structure(ops.convert_to_tensor, values)
            sums = {**{name: self._empty(name) for name in planes}, **shared}
            for chosen, batch in self._batches(state, tile, rows, outputs, before):
                sums, out = assess(sums, values, batch)
                outputs.add(chosen, out)
            shared = {name: sums[name] for name in shared}
            for name, plane in planes.items():
                plane[self._slices(tile)] += _array(sums[name])
        return outputs.result(), planes | {name: _array(value) for name, value in shared.items()}

    # -- between host and device ---------------------------------------------------------

    def _batches(
        self,
        state: State,
        tile: Tile,
        rows: np.ndarray,
        outputs: Outputs,
        before: BeforeBatch | None,
    ) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
        """Numbers of frames and a batch of them, again and again; all batches of one size."""
        for first in range(0, len(rows), self.size):
            if before is not None:
                before(outputs.done)
            chosen = rows[first : first + self.size]
            yield chosen, self._batch(state, tile, chosen)

    def _batch(self, state: State, tile: Tile, rows: np.ndarray) -> dict[str, Any]:
        filled = np.resize(rows, self.size)
        positions = state.positions[filled] - state.origin - np.asarray(tile.corner)
        # held inside the tile: a position at its limit may round to just beyond
        low = self.N // 2
        positions = np.clip(positions, low, low + np.array(self.shape) - self.N - 1 - 1e-3)
        corners, fractions = windows.split(positions, self.N)
        return {
            "frames": self.frames.read(filled),
            "corners": corners,
            "fractions": fractions,
            "weight": (np.arange(self.size) < len(rows)).astype(np.float32),
            "phase": self.frames.phases(filled).astype(np.float32),
            "opr_weights": state.opr_weights[filled].astype(np.float32),
            "factors": state.factors[filled].astype(np.float32),
            "counts_per_unit": np.float32(self.counts_per_unit),
        }

    def _empty(self, name: str) -> Any:
        plane = np.zeros(self.shape, np.float32)
        return (plane, plane.copy()) if name == "object" else plane

    def _slices(self, tile: Tile) -> tuple[slice, slice]:
        (y, x), (height, width) = tile.corner, self.shape
        return slice(y, y + height), slice(x, x + width)

    def _planes(self, state: State, tile: Tile) -> dict[str, Any]:
        window = self._slices(tile)
        obj, velocity = _pair(state.object[window]), _pair(state.velocity[window])
        return {"object": obj, "anchor": _pair(state.object[window]), "velocity": velocity}

    def _common(self, state: State) -> dict[str, Any]:
        common = {"probe": _pair(state.probe), "background": np.array(state.background)}
        if self.static.background:
            nothing = np.zeros((self.N, self.N), np.float32)
            common |= {"background_ratio": nothing, "background_uses": nothing.copy()}
        return common

    def _store(self, state: State, tile: Tile, values: dict[str, Any]) -> None:
        state.object[self._slices(tile)] = _array(values["object"])
        state.velocity[self._slices(tile)] = _array(values["velocity"])

    def _store_common(self, state: State, common: dict[str, Any]) -> None:
        state.probe = _array(common["probe"]).astype(np.complex64)
        if self.static.background:
            self.background_sums = (
                _array(common["background_ratio"]),
                _array(common["background_uses"]),
            )


def _pair(field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.array(field.real), np.array(field.imag)


def _array(value: Any) -> np.ndarray:
    """A tensor as it is, a pair as complex numbers."""
    if isinstance(value, tuple | list):
        re, im = map(ops.convert_to_numpy, value)
        return np.asarray(re + 1j * im)
    return np.asarray(ops.convert_to_numpy(value))
