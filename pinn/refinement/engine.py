"""Passes over the frames: host state to the device, tile by tile and batch by batch, and back."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from keras import ops

from pinn import backend
from pinn.config.refine import RefineConfig
from pinn.refinement.frames import Frames
from pinn.refinement.gauge import MOST_SHIFT
from pinn.refinement.state import State
from pinn.refinement.step import Static, Step, accelerate
from pinn.refinement.tiles import Tile, tile_scan

_TILE_BATCHES = 8  # pixels of a tile, in patches of a batch
_TILE_PIXELS = 1 << 18  # and no fewer than these
_PLANES = ("pull_re", "pull_im", "light")

BeforeBatch = Callable[[int], None]


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
    def done(self) -> np.ndarray:
        """Numbers of the frames it came to."""
        return np.flatnonzero(np.isfinite(self.pixels))

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
class Slope:
    """The likelihood over all frames as a function of what is refined.

    Attributes:
        value: deviance over fitted pixels (for amplitudes `4 sum (sqrt(rate) - sqrt(k))^2`).
        seen: of each frame.
        object: its gradient by real and imaginary part `(H, W)` complex64.
        probe: likewise `(V, P, N, N)`, or None where it stays.
        positions: gradient `(M, 2)` per pixel, or None where they stay.
        light, probe_light, curves: `(H, W)`, `(V, 1, N, N)`, `(M, 2)`: 8 counts per unit times
            these are about the second derivatives.
    """

    value: float
    seen: Pass
    object: np.ndarray
    light: np.ndarray
    probe: np.ndarray | None
    probe_light: np.ndarray | None
    positions: np.ndarray | None
    curves: np.ndarray | None


@functools.lru_cache(maxsize=16)
def _compiled(static: Static | None, name: str) -> Callable[..., Any]:
    """A function of a step, compiled once for all refinements alike: halves, and the next scan."""
    return backend.compile_function(accelerate if static is None else getattr(Step(static), name))


class Engine:
    """Compiled passes of one refinement.

    Args:
        frames: of the scan.
        config: what is refined, and how.
        counts_per_unit: Poisson counts per unit of normalised intensity.
        state: where the canvas and the positions are; its shapes are compiled in.
    """

    def __init__(
        self, frames: Frames, config: RefineConfig, counts_per_unit: float, state: State
    ) -> None:
        backend.full_precision()
        self.frames, self.config, self.N = frames, config, frames.N
        self.counts_per_unit = counts_per_unit
        self.size = min(config.batch_size, max(len(frames), 1))
        room = config.position_limit_px + MOST_SHIFT
        margin = int(np.ceil(room)) if config.update_positions else 0
        self.origin = state.origin.copy()
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
            counts_per_unit=counts_per_unit,
            poisson=c.likelihood == "poisson",
            held_out=c.held_out,
            object=c.update_object,
            probe=c.update_probe,
            positions=c.update_positions,
            factors=c.update_intensities,
            variations=c.opr_modes > 1,
            background=c.background != "none",
            object_damping=c.object_damping,
            probe_damping=c.probe_damping,
            tv=c.tv,
        )
        self._update = _compiled(self.static, "update")
        self._accelerate = _compiled(None, "accelerate")
        whole = replace(self.static, held_out=0.0, poisson_limit=float("inf"))
        self._judge = _compiled(whole, "judge")
        exact = replace(self.static, poisson_limit=float("inf"))
        self._slope = _compiled(exact, "slope")
        self._fitted = _compiled(exact, "judge")

    def epoch(
        self, state: State, lengths: dict[str, float], momentum: float, before: BeforeBatch
    ) -> Pass:
        """One pass that changes object, probe and sums of the background in `state`.

        Args:
            lengths: of the steps of `object` and `probe`.
            momentum: of the object.
            before: called before each batch with the number of frames done; what it raises ends
                the pass, with what was done by then in `state`.
        """
        rng = np.random.default_rng([self.config.seed, state.epoch])
        on_device = {name: np.float32(value) for name, value in lengths.items()}
        outputs: list[tuple[np.ndarray, dict[str, Any]]] = []
        common = self._common(state)
        done, steps = 0, 0
        try:
            for number in rng.permutation(len(self.tiles)):
                tile = self.tiles[number]
                values = {**common, **self._planes(state, tile)}
                order = rng.permutation(tile.rows)
                try:
                    for first in range(0, len(order), self.size):
                        before(done)
                        rows = order[first : first + self.size]
                        values, out = self._update(
                            values, self._batch(state, tile, rows), on_device
                        )
                        outputs.append((rows, out))
                        done, steps = done + len(rows), steps + 1
                        if momentum and (
                            steps % self.config.round == 0 or first + self.size >= len(order)
                        ):
                            values = self._accelerate(values, np.float32(momentum))
                finally:
                    common = {name: values[name] for name in common}
                    self._store(state, tile, values)
        finally:
            self._store_common(state, common)
        return self._gather(outputs)

    def judge(
        self, state: State, before: BeforeBatch | None = None, planes: bool = True
    ) -> tuple[Pass, dict[str, np.ndarray]]:
        """One pass that changes nothing; all pixels count as fitted.

        Returns:
            What it found of each frame, and the planes `pull` `(H, W)` complex64, `light` and
            `missing` `(H, W)` float32 of `Step.judge`.
        """
        shape = state.object.shape
        total = {
            "pull": np.zeros(shape, np.complex64),
            "light": np.zeros(shape, np.float32),
            "missing": np.zeros(shape, np.float32),
        }
        outputs, done = [], 0
        for tile in self.tiles:
            held, sums = self._held(state, tile), self._nothing()
            for first in range(0, len(tile.rows), self.size):
                if before is not None:
                    before(done)
                rows = tile.rows[first : first + self.size]
                sums, out = self._judge(sums, held, self._batch(state, tile, rows))
                outputs.append((rows, out))
                done += len(rows)
            place = self._slices(tile)
            found = {name: ops.convert_to_numpy(value) for name, value in sums.items()}
            total["pull"][place] += found["pull_re"] + 1j * found["pull_im"]
            total["light"][place] += found["light"]
            total["missing"][place] += found["missing"]
        return self._gather(outputs), total

    def look(self, state: State, numbers: np.ndarray, fitted: bool = False) -> Pass:
        """`judge` of some frames only, without planes; of fitted pixels, or of all."""
        seen = self._fitted if fitted else self._judge
        outputs = []
        for tile in self.tiles:
            rows = np.intersect1d(tile.rows, numbers)
            if not len(rows):
                continue
            held = self._held(state, tile)
            for first in range(0, len(rows), self.size):
                some = rows[first : first + self.size]
                _, out = seen(self._nothing(), held, self._batch(state, tile, some))
                outputs.append((some, out))
        return self._gather(outputs)

    def slope(self, state: State, before: BeforeBatch | None = None) -> Slope:
        """The likelihood of the fitted pixels of all frames, and its slope."""
        static, shape = self.static, state.object.shape
        pull, light = np.zeros(shape, np.complex64), np.zeros(shape, np.float32)
        shared = {}
        if static.probe:
            nothing = np.zeros(state.probe.shape, np.float32)
            shared = {"probe_re": nothing, "probe_im": nothing, "probe_light": nothing[:, :1]}
        outputs, done = [], 0
        for tile in self.tiles:
            held = self._held(state, tile)
            planes = {name: np.zeros(self.shape, np.float32) for name in _PLANES}
            sums: dict[str, Any] = {**planes, **shared}
            for first in range(0, len(tile.rows), self.size):
                if before is not None:
                    before(done)
                rows = tile.rows[first : first + self.size]
                sums, out = self._slope(sums, held, self._batch(state, tile, rows))
                outputs.append((rows, out))
                done += len(rows)
            place = self._slices(tile)
            found = {name: ops.convert_to_numpy(sums[name]) for name in _PLANES}
            pull[place] += found["pull_re"] + 1j * found["pull_im"]
            light[place] += found["light"]
            shared = {name: sums[name] for name in shared}
        seen = self._gather(outputs)
        loss = seen.others["distance"] if self.config.likelihood == "amplitude" else seen.deviance
        # d/dO* of 4 (R - A)^2 is -4 conj(P) chi, by parts twice that; of the deviance,
        # 2 rate (1 - k / rate), with chi half of its ratio, the same
        unit = -8.0 * self.counts_per_unit
        parts = {name: ops.convert_to_numpy(value) for name, value in shared.items()}
        return Slope(
            value=float(np.sum(loss)),
            seen=seen,
            object=unit * pull,
            light=light,
            probe=unit * (parts["probe_re"] + 1j * parts["probe_im"]) if parts else None,
            probe_light=parts.get("probe_light"),
            positions=unit * seen.others["pulls"] if static.positions else None,
            curves=seen.others.get("curves"),
        )

    # -- between host and device ---------------------------------------------------------

    def _held(self, state: State, tile: Tile) -> dict[str, Any]:
        values = {**self._common(state), **self._planes(state, tile)}
        return {name: ops.convert_to_tensor(value) for name, value in values.items()}

    def _nothing(self) -> dict[str, Any]:
        names = ("pull_re", "pull_im", "light", "missing")
        return {name: np.zeros(self.shape, np.float32) for name in names}

    def _slices(self, tile: Tile) -> tuple[slice, slice]:
        (y, x), (height, width) = tile.corner, self.shape
        return slice(y, y + height), slice(x, x + width)

    def _planes(self, state: State, tile: Tile) -> dict[str, np.ndarray]:
        place = self._slices(tile)
        planes = {}
        parts = [("object", state.object), ("anchor", state.object), ("velocity", state.velocity)]
        for name, array in parts:
            planes[f"{name}_re"] = np.array(array[place].real)
            planes[f"{name}_im"] = np.array(array[place].imag)
        return planes

    def _common(self, state: State) -> dict[str, Any]:
        common = {
            "probe_re": np.array(state.probe.real),
            "probe_im": np.array(state.probe.imag),
            "background": np.array(state.background),
        }
        if self.static.background:
            nothing = np.zeros((self.N, self.N), np.float32)
            common |= {"background_ratio": nothing, "background_uses": nothing.copy()}
        return common

    def _store(self, state: State, tile: Tile, values: dict[str, Any]) -> None:
        place = self._slices(tile)
        for name, array in (("object", state.object), ("velocity", state.velocity)):
            re, im = (ops.convert_to_numpy(values[f"{name}_{part}"]) for part in ("re", "im"))
            array[place] = re + 1j * im

    def _store_common(self, state: State, common: dict[str, Any]) -> None:
        found = {name: ops.convert_to_numpy(value) for name, value in common.items()}
        state.probe = (found["probe_re"] + 1j * found["probe_im"]).astype(np.complex64)
        if self.static.background:
            self.background = found["background_ratio"], found["background_uses"]

    def _batch(self, state: State, tile: Tile, rows: np.ndarray) -> dict[str, np.ndarray]:
        size, count = self.size, len(rows)
        filled = np.resize(rows, size)
        places = state.positions[filled] - state.origin - np.asarray(tile.corner) - self.N // 2
        # held inside the tile: a position at the limit of its way may round to just beyond
        places = np.clip(places, 0.0, np.array(self.shape) - self.N - 1 - 1e-3)
        whole = np.floor(places)
        return {
            "frames": self.frames.read(filled),
            "corners": whole.astype(np.int32),
            "fractions": (places - whole).astype(np.float32),
            "weight": (np.arange(size) < count).astype(np.float32),
            "phase": self.frames.phases(filled).astype(np.float32),
            "shares": state.shares[filled].astype(np.float32),
            "factors": state.factors[filled].astype(np.float32),
        }

    def _gather(self, outputs: list[tuple[np.ndarray, dict[str, Any]]]) -> Pass:
        M = len(self.frames)
        found: dict[str, np.ndarray] = {}
        for rows, out in outputs:
            for name, value in out.items():
                values = ops.convert_to_numpy(value)[: len(rows)].astype(np.float64)
                if name not in found:
                    found[name] = np.full((M, *values.shape[1:]), np.nan)
                found[name][rows] = values
        unseen = np.full(M, np.nan)
        return Pass(
            deviance=found.pop("deviance", unseen),
            pixels=found.pop("pixels", unseen),
            held_deviance=found.pop("held_deviance", unseen),
            held_pixels=found.pop("held_pixels", unseen),
            others=found,
        )
