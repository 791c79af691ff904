"""One step of refinement on one batch of frames, as a pure function on `keras.ops`.

Each exit wave is compared with its measured frame in the far field, and the difference brought
back: `chi = F^-1[psi_hat (sqrt(k / rate) - 1)]` for amplitudes, or half of `k / rate - 1` for the
Poisson likelihood, which is its gradient. Object and probe take the step that would fit these
waves best, pixel by pixel, `sum conj(P) chi` over `sum |P|^2`, damped where there is little light
(rPIE: Maiden, Johnson, Li, Optica 4, 736, 2017; over a batch: Odstrcil, Menzel, Guizar-Sicairos,
Opt. Express 26, 3108, 2018); positions, intensities and weights of probe variations those of a
least-squares fit of the same waves (ibid.; Odstrcil et al., Opt. Express 24, 8360, 2016).

Data are normalised amplitudes, as networks see them; the probe carries their scale. A state and a
batch are dictionaries of tensors, described at `Step`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from pinn.ops import diffraction, likelihood, pairs, priors, shift, windows
from pinn.ops.pairs import Pair, Tensor

State = dict[str, Tensor]
Batch = dict[str, Tensor]

_TINY = 1e-12


@dataclass(frozen=True)
class Static:
    """What is compiled into a step: which parts of it there are.

    Attributes:
        N: side of a frame.
        counts_per_unit: Poisson counts per unit of normalised intensity.
        poisson: the Poisson likelihood, else amplitudes.
        poisson_limit: largest change of an amplitude that a Poisson step asks for, relative to the
            amplitude: a count where next to none was expected must not throw the whole wave.
        held_out: share of pixels that are not fitted.
        object, probe, positions, factors, variations, background: whether these change.
        object_damping, probe_damping: see `RefineConfig`.
        tv: weight of the total variation.
    """

    N: int
    counts_per_unit: float
    poisson: bool = False
    poisson_limit: float = 20.0
    held_out: float = 0.0
    object: bool = True
    probe: bool = False
    positions: bool = False
    factors: bool = False
    variations: bool = False
    background: bool = False
    object_damping: float = 0.05
    probe_damping: float = 0.5
    tv: float = 0.0


@dataclass(frozen=True)
class Waves:
    """A batch seen through the present state; shapes as in `Step`.

    Attributes:
        patches: `(B, N, N)` object under each frame; slopes: its derivatives along y and x.
        probe: `(B or 1, P, N, N)` as each frame sees it, intensity factor included.
        chi: `(B, P, N, N)`, what is missing in the exit waves.
        root: `(B, N, N)` predicted amplitude; measured: the measured one.
        fitted, held: `(B, N, N)` 1 where a pixel is fitted, and where it is held out.
        rate: `(B, N, N)` predicted intensity, background included.
        windows: pair `(B, N+1, N+1)` of the object.
    """

    patches: Pair
    probe: Pair
    chi: Pair
    root: Tensor
    measured: Tensor
    fitted: Tensor
    held: Tensor
    rate: Tensor
    windows: Pair


class Step:
    """Functions of a state and a batch.

    State: `object` pair as two planes `object_re`, `object_im` `(H, W)`; `probe_re`, `probe_im`
    `(V, P, N, N)`; `background` `(N, N)`; where the background changes, its sums
    `background_ratio`, `background_uses` `(N, N)`.

    Batch: `frames` `(B, N, N)` normalised amplitude, -1 at masked pixels; `corners` `(B, 2)`
    int32 and `fractions` `(B, 2)`; `weight` `(B,)` 1, or 0 for frames that fill the batch;
    `phase` `(B,)` in [0, 1), which pixels are held out; `shares` `(B, V)` of the variations;
    `factors` `(B,)` intensities.

    Args:
        static: what is compiled in.
    """

    def __init__(self, static: Static) -> None:
        self.static = static

    # -- seeing --------------------------------------------------------------------------

    def waves(self, state: State, batch: Batch) -> Waves:
        """The batch through the state."""
        s = self.static
        canvas = state["object_re"], state["object_im"]
        seen = tuple(windows.take(plane, batch["corners"], s.N + 1) for plane in canvas)
        patches = tuple(shift.sample(w, batch["fractions"]) for w in seen)
        probe = self.lit(state, batch)
        waves = pairs.multiply((patches[0][:, None], patches[1][:, None]), probe)
        spectra = diffraction.far_field(waves)
        rate = ops.sum(pairs.abs2(spectra), axis=1) + state["background"]
        frames = batch["frames"]
        used = ops.cast(frames >= 0.0, "float32") * batch["weight"][:, None, None]
        held = used * self.held(batch)
        fitted = used - held
        measured = ops.maximum(frames, 0.0)
        root = ops.sqrt(rate + _TINY)
        ratio = fitted * self.ratio(measured, rate, root)
        chi = diffraction.near_field(pairs.scale(spectra, ratio[:, None]))
        return Waves(
            (patches[0], patches[1]),
            probe,
            chi,
            root,
            measured,
            fitted,
            held,
            rate,
            (seen[0], seen[1]),
        )

    def lit(self, state: State, batch: Batch) -> Pair:
        """The probe of each frame `(B, P, N, N)`."""
        shares = batch["shares"] * ops.sqrt(batch["factors"])[:, None]
        V, P, N = state["probe_re"].shape[:3]

        def of(part: Tensor) -> Tensor:
            return ops.reshape(ops.matmul(shares, ops.reshape(part, (V, -1))), (-1, P, N, N))

        return of(state["probe_re"]), of(state["probe_im"])

    def held(self, batch: Batch) -> Tensor:
        """1 at the pixels of each frame that are held out `(B, N, N)`, else 0.

        The pixels of a frame are numbered by multiples of the golden ratio, which no regular
        pattern of the detector follows, and those within a share of the unit circle from the
        frame's own phase are taken.
        """
        s = self.static
        if not s.held_out:
            return ops.zeros_like(batch["frames"])
        places = (_golden(s.N)[None] + batch["phase"][:, None, None]) % 1.0
        return ops.cast(places < s.held_out, "float32")

    def ratio(self, measured: Tensor, rate: Tensor, root: Tensor) -> Tensor:
        """What the far field is multiplied with for `chi`."""
        if not self.static.poisson:
            return measured / root - 1.0
        unit = self.static.counts_per_unit
        floor = likelihood.RATE_FLOOR / unit
        change = 0.5 * ((measured * measured - rate) / (rate + floor))
        return ops.minimum(change, self.static.poisson_limit)

    def report(self, w: Waves) -> dict[str, Tensor]:
        """Deviance and number of pixels of each frame `(B,)`, fitted and held out."""
        unit = self.static.counts_per_unit
        counts, rate = w.measured * w.measured * unit, w.rate * unit
        deviance = likelihood.poisson_deviance_per_pixel(counts, rate, w.fitted + w.held)
        return {
            "deviance": ops.sum(deviance * w.fitted, axis=(1, 2)),
            "pixels": ops.sum(w.fitted, axis=(1, 2)),
            "held_deviance": ops.sum(deviance * w.held, axis=(1, 2)),
            "held_pixels": ops.sum(w.held, axis=(1, 2)),
        }

    # -- changing ------------------------------------------------------------------------

    def update(self, state: State, batch: Batch, lengths: dict[str, Tensor]) -> Any:
        """One step.

        Args:
            lengths: `object`, `probe`, scalars.

        Returns:
            The new state, and of each frame what `report` says of the old one, and where these
            change: `moves` `(B, 2)`, `gains` `(B,)` of the intensity, `share_moves` `(B, V)`.
        """
        s, w = self.static, self.waves(state, batch)
        out = self.report(w)
        new = dict(state)
        if s.object:
            new |= self.step_object(state, batch, w, lengths["object"])
        if s.probe:
            new |= self.step_probe(state, batch, w, lengths["probe"])
        if s.positions:
            out["moves"] = self.moves(batch, w)
        if s.factors:
            out["gains"] = self.gains(state, w)
        if s.variations:
            out["share_moves"] = self.share_moves(state, batch, w)
        if s.background:
            counted = w.fitted * (w.measured * w.measured) / (w.rate + _TINY)
            new["background_ratio"] = state["background_ratio"] + ops.sum(counted, axis=0)
            new["background_uses"] = state["background_uses"] + ops.sum(w.fitted, axis=0)
        return new, out

    def object_sums(self, state: State, batch: Batch, w: Waves) -> tuple[Tensor, Tensor, Tensor]:
        """On the canvas: `sum conj(P) chi` (two planes) and `sum |P|^2`."""
        shape = state["object_re"].shape
        pull = pairs.multiply(pairs.conj(w.probe), w.chi)
        light = ops.sum(pairs.abs2(w.probe), axis=1) * batch["weight"][:, None, None]
        planes = (ops.sum(pull[0], axis=1), ops.sum(pull[1], axis=1), light)
        re, im, total = (
            windows.add_patches(plane, batch["corners"], batch["fractions"], shape)
            for plane in planes
        )
        return re, im, total

    def step_object(self, state: State, batch: Batch, w: Waves, length: Tensor) -> State:
        """The object after a step."""
        s = self.static
        re, im, light = self.object_sums(state, batch, w)
        peak = ops.max(ops.sum(pairs.abs2(w.probe), axis=1))
        factor = length / ((1.0 - s.object_damping) * light + s.object_damping * peak + _TINY)
        obj = state["object_re"] + factor * re, state["object_im"] + factor * im
        if s.tv:
            pull = priors.total_variation_slope(obj)
            lit = light / (light + s.object_damping * peak + _TINY)
            obj = tuple(part - length * s.tv * lit * p for part, p in zip(obj, pull, strict=True))
        return {"object_re": obj[0], "object_im": obj[1]}

    def step_probe(self, state: State, batch: Batch, w: Waves, length: Tensor) -> State:
        """The probe's modes and variations after a step."""
        s = self.static
        re, im, light = self.probe_sums(state, batch, w)
        peak = ops.max(light, axis=(-2, -1), keepdims=True)
        factor = length / ((1.0 - s.probe_damping) * light + s.probe_damping * peak + _TINY)
        return {
            "probe_re": state["probe_re"] + factor * re,
            "probe_im": state["probe_im"] + factor * im,
        }

    def probe_sums(self, state: State, batch: Batch, w: Waves) -> tuple[Tensor, Tensor, Tensor]:
        """`sum conj(O) chi` (two parts `(V, P, N, N)`) and `sum |O|^2` `(V, 1, N, N)`."""
        patches = w.patches[0][:, None], w.patches[1][:, None]
        pull = pairs.multiply(pairs.conj(patches), w.chi)  # (B, P, N, N)
        shares = batch["shares"] * (ops.sqrt(batch["factors"]) * batch["weight"])[:, None]
        V, P, N = state["probe_re"].shape[:3]
        seen = ops.reshape(pairs.abs2(w.patches), (-1, N * N))
        light = ops.reshape(ops.matmul(ops.transpose(shares * shares), seen), (V, 1, N, N))

        def summed(part: Tensor) -> Tensor:
            flat = ops.matmul(ops.transpose(shares), ops.reshape(part, (-1, P * N * N)))
            return ops.reshape(flat, (V, P, N, N))

        return summed(pull[0]), summed(pull[1]), light

    def moves(self, batch: Batch, w: Waves) -> Tensor:
        """Least-squares move of each position `(B, 2)` in pixels."""
        yy, xx, yx, y, x = self.position_sums(batch, w)
        # a hundredth more on the diagonal: where an object varies along one direction only, the
        # other is left alone
        damp = 0.01 * 0.5 * (yy + xx) + _TINY
        yy, xx = yy + damp, xx + damp
        det = yy * xx - yx * yx
        return ops.stack([(xx * y - yx * x) / det, (yy * x - yx * y) / det], axis=1)

    def position_sums(self, batch: Batch, w: Waves) -> tuple[Tensor, ...]:
        """Products `(B,)` of what the exit waves change by along y and x with themselves (yy, xx,
        yx) and with `chi` (y, x)."""
        along = []
        slopes = [shift.sample_gradients(part, batch["fractions"]) for part in w.windows]
        for axis in (0, 1):
            slope = slopes[0][axis][:, None], slopes[1][axis][:, None]
            along.append(pairs.multiply(slope, w.probe))
        return tuple(
            _inner(a, b)
            for a, b in (
                (along[0], along[0]),
                (along[1], along[1]),
                (along[0], along[1]),
                (along[0], w.chi),
                (along[1], w.chi),
            )
        )

    def gains(self, state: State, w: Waves) -> Tensor:
        """What the intensity of each frame should be multiplied with `(B,)`."""
        rate = w.rate - state["background"]
        measured = w.measured * w.measured - state["background"]
        top = ops.sum(w.fitted * measured, axis=(1, 2))
        return ops.maximum(top, 0.0) / (ops.sum(w.fitted * rate, axis=(1, 2)) + _TINY)

    def share_moves(self, state: State, batch: Batch, w: Waves) -> Tensor:
        """Least-squares change of the weight of each variation in each frame `(B, V)`."""
        out = []
        patches = w.patches[0][:, None], w.patches[1][:, None]
        strength = ops.sqrt(batch["factors"])
        for v in range(state["probe_re"].shape[0]):
            probe = state["probe_re"][v][None], state["probe_im"][v][None]
            wave = pairs.multiply(patches, probe)
            out.append(_inner(wave, w.chi) / (_inner(wave, wave) * strength + _TINY))
        return ops.stack(out, axis=1)

    # -- judging -------------------------------------------------------------------------

    def judge(self, sums: State, state: State, batch: Batch) -> Any:
        """Add a batch to the sums of a pass without changes.

        `sums` has planes `pull_re`, `pull_im`, `light`, `missing` `(H, W)` of the object: sums over
        frames of `conj(P) chi`, `|P|^2`, `|chi|^2`.

        Returns:
            The new sums, and of each frame what `report` says, and `measured_root`, `root_root`
            (`sum A R` and `sum R^2` over fitted pixels) besides.
        """
        w = self.waves(state, batch)
        re, im, light = self.object_sums(state, batch, w)
        missing = ops.sum(pairs.abs2(w.chi), axis=1)
        missing = windows.add_patches(
            missing, batch["corners"], batch["fractions"], state["object_re"].shape
        )
        new = {
            "pull_re": sums["pull_re"] + re,
            "pull_im": sums["pull_im"] + im,
            "light": sums["light"] + light,
            "missing": sums["missing"] + missing,
        }
        out = self.report(w)
        out["measured_root"] = ops.sum(w.fitted * w.measured * w.root, axis=(1, 2))
        out["root_root"] = ops.sum(w.fitted * w.rate, axis=(1, 2))
        return new, out

    def slope(self, sums: State, state: State, batch: Batch) -> Any:
        """Add a batch to the sums that make the slope of the likelihood, and changes nothing.

        `sums` has the planes `pull_re`, `pull_im`, `light` of `judge`, and where the probe changes
        `probe_re`, `probe_im` `(V, P, N, N)`, `probe_light` `(V, 1, N, N)` likewise.

        Returns:
            The new sums, and of each frame what `report` says, `distance` (`4 sum (A - R)^2` over
            fitted pixels, in counts) and, where positions change, `pulls` and `curves` `(B, 2)`.
        """
        s, w = self.static, self.waves(state, batch)
        found = dict(
            zip(("pull_re", "pull_im", "light"), self.object_sums(state, batch, w), strict=True)
        )
        if s.probe:
            names = ("probe_re", "probe_im", "probe_light")
            found |= dict(zip(names, self.probe_sums(state, batch, w), strict=True))
        out = self.report(w)
        off = w.measured - w.root
        out["distance"] = 4.0 * s.counts_per_unit * ops.sum(w.fitted * off * off, axis=(1, 2))
        if s.positions:
            yy, xx, _, y, x = self.position_sums(batch, w)
            out["pulls"], out["curves"] = ops.stack([y, x], axis=1), ops.stack([yy, xx], axis=1)
        return {name: sums[name] + value for name, value in found.items()}, out


def accelerate(state: State, momentum: Tensor) -> State:
    """Go a share of the way of the last rounds again, before the next one.

    The velocity is a running sum of the ways of the rounds (mPIE: Maiden, Johnson, Li, Optica 4,
    736, 2017). The state holds `velocity_re`, `velocity_im`, `anchor_re`, `anchor_im` besides, the
    anchor being the object at the beginning of the round.
    """
    new = dict(state)
    for part in ("re", "im"):
        obj, anchor = state[f"object_{part}"], state[f"anchor_{part}"]
        velocity = momentum * state[f"velocity_{part}"] + (obj - anchor)
        moved = obj + momentum * velocity
        new[f"velocity_{part}"] = velocity
        new[f"object_{part}"] = new[f"anchor_{part}"] = moved
    return new


def _inner(a: Pair, b: Pair) -> Tensor:
    """`Re sum conj(a) b` of each frame `(B,)`."""
    return ops.sum(a[0] * b[0] + a[1] * b[1], axis=(1, 2, 3))


def _golden(N: int) -> Tensor:
    """Multiples of the golden ratio modulo one, `(N, N)`, from whole numbers below 2^24."""
    numbers = np.arange(N * N, dtype=np.float64).reshape(N, N)
    return ops.convert_to_tensor(((numbers * 0.6180339887498949) % 1.0).astype("float32"))
