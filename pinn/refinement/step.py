"""One step of refinement on one batch of frames, as a pure function on `keras.ops`.

Each exit wave is compared with its measured frame at the detector, and the difference brought
back: `chi = F^H[psi (sqrt(k / rate) - 1)]` for amplitudes, or half of `k / rate - 1` for the
Poisson likelihood, which is its gradient (`pinn.ops.forward`). Object and probe take the step that
would fit these waves best, pixel by pixel, `sum conj(P) chi` over `sum |P|^2`, damped where the
illumination is weak (rPIE: Maiden, Johnson, Li, Optica 4, 736, 2017; over a batch: Odstrcil,
Menzel, Guizar-Sicairos, Opt. Express 26, 3108, 2018); positions, intensities and OPR weights those
of a least-squares fit of the same waves (ibid.; Odstrcil et al., Opt. Express 24, 8360, 2016).

Data are normalised amplitudes, as networks see them; the probe carries their scale. A state and a
batch are dictionaries of tensors, described at `Step`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from pinn.ops import forward, likelihood, masks, pairs, priors
from pinn.ops.forward import View
from pinn.ops.pairs import Pair, Tensor

State = dict[str, Any]
Batch = dict[str, Tensor]

_TINY = 1e-12
PROBE_DAMPING = 0.5  # of the probe update where the object is weak


@dataclass(frozen=True)
class Static:
    """What is compiled into a step: which of its updates are made.

    Attributes:
        N: side of a frame.
        propagation, detector_response: of the scan, see `pinn.ops.forward.instrument`.
        poisson: the Poisson likelihood, else amplitudes.
        poisson_limit: largest change of an amplitude that a Poisson step asks for, relative to the
            amplitude: a count where next to none was expected must not throw the whole wave.
        held_out: fraction of the pixels that are not fitted.
        object, probe, positions, factors, variations, background: whether these change.
        object_damping: see `RefineConfig`.
        tv: weight of the total variation.
    """

    N: int
    propagation: str = "far"
    detector_response: str = "none"
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
    tv: float = 0.0


@dataclass(frozen=True)
class Residual:
    """A batch seen through the present state, and how it differs from what was measured.

    Attributes:
        view: the object under each frame.
        weights: `(B, V)`, of each variation of the probe, intensity factor included.
        probe: pair `(B, P, N, N)` as each frame sees it.
        chi: pair `(B, P, N, N)`, what is missing in the exit waves.
        amplitude: `(B, N, N)` predicted; measured: the measured one.
        fitted, held: `(B, N, N)` 1 where a pixel is fitted, and where it is held out.
        rate: `(B, N, N)` predicted intensity, background included.
    """

    view: View
    weights: Tensor
    probe: Pair
    chi: Pair
    amplitude: Tensor
    measured: Tensor
    fitted: Tensor
    held: Tensor
    rate: Tensor


class Step:
    """Functions of a state and a batch.

    State: `object` pair `(H, W)`; `probe` pair `(V, P, N, N)`; `background` `(N, N)`; where the
    background changes, its sums `background_ratio`, `background_uses` `(N, N)`.

    Batch: `frames` `(B, N, N)` normalised amplitude, -1 at masked pixels; `corners` `(B, 2)`
    int32 and `fractions` `(B, 2)`; `weight` `(B,)` 1, or 0 for frames that fill the batch;
    `phase` `(B,)` in [0, 1), which pixels are held out; `opr_weights` `(B, V)` of the variations;
    `factors` `(B,)` intensities; `counts_per_unit`, Poisson counts per unit of normalised
    intensity: that of the scan, and not compiled in.

    Args:
        static: what is compiled in.
    """

    def __init__(self, static: Static) -> None:
        self.static = static
        self.through = forward.instrument(static.propagation, static.detector_response)

    # -- predicting ----------------------------------------------------------------------

    def residual(self, state: State, batch: Batch) -> Residual:
        """The batch through the state."""
        view = forward.canvas_view(
            state["object"], batch["corners"], batch["fractions"], self.static.N
        )
        weights = forward.frame_weights(batch["opr_weights"], batch["factors"])
        probe = forward.frame_probe(state["probe"], weights)
        waves = forward.exit_waves(view.patches, probe)
        arrived, rate = forward.predict(self.through, waves, background=state["background"])
        measured, valid = masks.decode(batch["frames"])
        used = valid * batch["weight"][:, None, None]
        held = used * self.held_out(batch)
        fitted = used - held
        amplitude = ops.sqrt(rate + _TINY)
        unit = batch["counts_per_unit"]
        multiplier = fitted * self.multiplier(measured, rate, amplitude, unit)
        chi = forward.missing_waves(self.through, arrived, multiplier)
        return Residual(view, weights, probe, chi, amplitude, measured, fitted, held, rate)

    def held_out(self, batch: Batch) -> Tensor:
        """1 at the pixels of each frame that are held out `(B, N, N)`, else 0.

        The pixels of a frame are numbered by multiples of the golden ratio, which no regular
        pattern of the detector follows, and those within a fraction of the unit circle from the
        frame's own phase are taken.
        """
        s = self.static
        if not s.held_out:
            return ops.zeros_like(batch["frames"])
        phases = (_golden(s.N)[None] + batch["phase"][:, None, None]) % 1.0
        return ops.cast(phases < s.held_out, "float32")

    def multiplier(self, measured: Tensor, rate: Tensor, amplitude: Tensor, unit: Tensor) -> Tensor:
        """What the waves at the detector are multiplied with for `chi`."""
        if not self.static.poisson:
            return measured / amplitude - 1.0
        floor = likelihood.RATE_FLOOR / unit
        change = 0.5 * ((measured * measured - rate) / (rate + floor))
        return ops.minimum(change, self.static.poisson_limit)

    def report(self, r: Residual, unit: Tensor) -> dict[str, Tensor]:
        """Deviance and number of pixels of each frame `(B,)`, fitted and held out."""
        counts, rate = r.measured * r.measured * unit, r.rate * unit
        deviance = likelihood.poisson_deviance_per_pixel(counts, rate, r.fitted + r.held)
        return {
            "deviance": ops.sum(deviance * r.fitted, axis=(1, 2)),
            "pixels": ops.sum(r.fitted, axis=(1, 2)),
            "held_deviance": ops.sum(deviance * r.held, axis=(1, 2)),
            "held_pixels": ops.sum(r.held, axis=(1, 2)),
        }

    # -- changing ------------------------------------------------------------------------

    def update(self, state: State, batch: Batch, lengths: dict[str, Tensor]) -> Any:
        """One step.

        Args:
            lengths: `object`, `probe`, scalars.

        Returns:
            The new state, and of each frame what `report` says of the old one, and where these
            change: `position_updates` `(B, 2)`, `intensity_corrections` `(B,)`, `opr_updates`
            `(B, V)`.
        """
        s, r = self.static, self.residual(state, batch)
        out = self.report(r, batch["counts_per_unit"])
        new = dict(state)
        if s.object:
            new["object"] = self.object_step(state, batch, r, lengths["object"])
        if s.probe:
            new["probe"] = self.probe_step(state, batch, r, lengths["probe"])
        if s.positions:
            out["position_updates"] = self.position_updates(r)
        if s.factors:
            out["intensity_corrections"] = self.intensity_corrections(state, r)
        if s.variations:
            product, square = forward.opr_sums(
                r.view.patches, state["probe"], r.chi, batch["factors"]
            )
            out["opr_updates"] = product / (square + _TINY)
        if s.background:
            counted = r.fitted * (r.measured * r.measured) / (r.rate + _TINY)
            new["background_ratio"] = state["background_ratio"] + ops.sum(counted, axis=0)
            new["background_uses"] = state["background_uses"] + ops.sum(r.fitted, axis=0)
        return new, out

    def object_step(self, state: State, batch: Batch, r: Residual, length: Tensor) -> Pair:
        """The object after a step."""
        s, obj = self.static, state["object"]
        product, illumination = forward.object_sums(r.view, r.probe, r.chi, batch["weight"])
        damping = s.object_damping * ops.max(illumination)
        factor = length / ((1.0 - s.object_damping) * illumination + damping + _TINY)
        new = pairs.add(obj, pairs.scale(product, factor))
        if not s.tv:
            return new
        relative = illumination / (illumination + damping + _TINY)
        return pairs.add(
            new, pairs.scale(priors.total_variation_gradient(new), -length * s.tv * relative)
        )

    def probe_step(self, state: State, batch: Batch, r: Residual, length: Tensor) -> Pair:
        """The probe's modes and variations after a step."""
        product, strength = self.probe_sums(batch, r)
        peak = ops.max(strength, axis=(-2, -1), keepdims=True)
        factor = length / ((1.0 - PROBE_DAMPING) * strength + PROBE_DAMPING * peak + _TINY)
        return pairs.add(state["probe"], pairs.scale(product, factor))

    def probe_sums(self, batch: Batch, r: Residual) -> tuple[Pair, Tensor]:
        """See `forward.probe_sums`."""
        used = r.weights * batch["weight"][:, None]
        return forward.probe_sums(r.view.patches, used, r.chi)

    def position_updates(self, r: Residual) -> Tensor:
        """Least-squares update of each position `(B, 2)` in pixels."""
        product, square = forward.position_sums(r.view, r.probe, r.chi)
        y, x = product[:, 0], product[:, 1]
        yy, xx, yx = square[:, 0], square[:, 1], square[:, 2]
        # a hundredth more on the diagonal: where an object varies along one direction only, the
        # other is left alone
        damp = 0.01 * 0.5 * (yy + xx) + _TINY
        yy, xx = yy + damp, xx + damp
        det = yy * xx - yx * yx
        return ops.stack([(xx * y - yx * x) / det, (yy * x - yx * y) / det], axis=1)

    def intensity_corrections(self, state: State, r: Residual) -> Tensor:
        """What the intensity of each frame should be multiplied with `(B,)`."""
        rate = r.rate - state["background"]
        measured = r.measured * r.measured - state["background"]
        top = ops.sum(r.fitted * measured, axis=(1, 2))
        return ops.maximum(top, 0.0) / (ops.sum(r.fitted * rate, axis=(1, 2)) + _TINY)

    # -- assessing -------------------------------------------------------------------------

    def assess(self, sums: State, state: State, batch: Batch) -> Any:
        """Add a batch to the sums over all frames; nothing is changed.

        Args:
            sums: those wanted of `object` pair `(H, W)` and `illumination` `(H, W)`, `missing`
                `(H, W)` (`sum |chi|^2` on the canvas), `probe` pair `(V, P, N, N)` and
                `probe_strength` `(V, 1, N, N)`; see `pinn.ops.forward`.

        Returns:
            The new sums, and of each frame what `report` says, `measured_root` and `root_root`
            (`sum A R` and `sum R^2` over fitted pixels), `distance` (`4 sum (A - R)^2` over fitted
            pixels, in counts) and, where positions change, `position_products` and
            `position_squares` `(B, 2)`, see `forward.position_sums`.
        """
        s, r = self.static, self.residual(state, batch)
        added: State = {}
        if "object" in sums:
            added["object"], added["illumination"] = forward.object_sums(
                r.view, r.probe, r.chi, batch["weight"]
            )
        if "missing" in sums:
            added["missing"] = r.view.add(ops.sum(pairs.abs2(r.chi), axis=1))
        if "probe" in sums:
            added["probe"], added["probe_strength"] = self.probe_sums(batch, r)
        unit = batch["counts_per_unit"]
        out = self.report(r, unit)
        off = r.measured - r.amplitude
        out["measured_root"] = ops.sum(r.fitted * r.measured * r.amplitude, axis=(1, 2))
        out["root_root"] = ops.sum(r.fitted * r.rate, axis=(1, 2))
        out["distance"] = 4.0 * unit * ops.sum(r.fitted * off * off, axis=(1, 2))
        if s.positions:
            product, square = forward.position_sums(r.view, r.probe, r.chi)
            out["position_products"], out["position_squares"] = product, square[:, :2]
        return {name: _plus(sums[name], value) for name, value in added.items()}, out


def accelerate(state: State, momentum: Tensor) -> State:
    """Repeat a fraction of the change of the object over the last rounds, before the next one.

    The velocity is a running sum of the changes of the rounds (mPIE: Maiden, Johnson, Li, Optica
    4, 736, 2017). The state holds the pairs `velocity` and `anchor` besides, the anchor being the
    object at the beginning of the round.
    """
    obj, anchor, before = state["object"], state["anchor"], state["velocity"]
    velocity = tuple(momentum * v + (o - a) for v, o, a in zip(before, obj, anchor, strict=True))
    moved = tuple(o + momentum * v for o, v in zip(obj, velocity, strict=True))
    return {**state, "velocity": velocity, "object": moved, "anchor": moved}


def _plus(a: Any, b: Any) -> Any:
    return a + b if not isinstance(b, tuple) else (a[0] + b[0], a[1] + b[1])


def _golden(N: int) -> Tensor:
    """Multiples of the golden ratio modulo one, `(N, N)`, from whole numbers below 2^24."""
    numbers = np.arange(N * N, dtype=np.float64).reshape(N, N)
    return ops.convert_to_tensor(((numbers * 0.6180339887498949) % 1.0).astype("float32"))
