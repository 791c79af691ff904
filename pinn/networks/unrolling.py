"""The stages of an unrolled network on the canvases of groups, as training goes through them."""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

from pinn.ops import forward, masks, pairs, patches, stages
from pinn.ops.pairs import Pair, Tensor

_FLOOR = 1e-6  # of the rate, where the mean of a pixel is a quarter
_LARGEST = 20.0  # change of an amplitude, relative to it


class Unrolled(NamedTuple):
    """What the stages make of a batch.

    Attributes:
        object: pair `(B, M, M)`, canvases after the last stage.
        patches: pair `(B, C, N, N)`, the object under each frame.
        rates: of the frames in counts `(B, C, N, N)`, one for each stage.
    """

    object: Pair
    patches: Pair
    rates: list[Tensor]


def unroll(
    network: Any,
    through: forward.Instrument,
    batch: dict[str, Any],
    offsets: Tensor,
    probe: Pair,
    log_scale: Tensor,
    unit: Tensor,
    canvas: int,
    count: int,
) -> Unrolled:
    """All stages, from a flat object.

    Args:
        network: of a stage, see `pinn.networks.unrolled`.
        through: the instrument.
        batch: `frames` `(B, N, N, C)`, `scale` and `weight` `(B,)`, as `PtychoModel` has them.
        offsets: `(B, C, 2)`.
        probe: pair `(S or B, P, N, N)` in the gauge.
        log_scale: `(S or B,)`.
        unit: `(B,)`, photons per count of the data.
        canvas: side of the canvas of a group, even.
        count: stages.
    """
    N = batch["frames"].shape[1]
    side = canvas + canvas % stages.STRIDE  # of an even number, to a multiple of 4
    matrices = patches.group_matrices(offsets, N, side)
    amplitude, valid = masks.decode(ops.transpose(batch["frames"], (0, 3, 1, 2)))
    exposure = ops.square(batch["scale"])[:, None, None, None]
    scale = ops.exp(ops.reshape(log_scale, (-1, 1, 1, 1))) * exposure
    probes = probe[0][:, None], probe[1][:, None]
    light = ops.sum(pairs.abs2(probes), axis=2) + ops.zeros_like(amplitude)
    illumination = patches.place(light, *matrices)
    brightest = ops.max(illumination, axis=(1, 2), keepdims=True)
    photons = (unit / ops.square(batch["scale"]))[:, None, None]
    now = stages.flat((offsets.shape[0] or ops.shape(offsets)[0], side, side))
    rates = []
    for number in range(count + 1):
        seen = (
            patches.extract(now.object[0], *matrices),
            patches.extract(now.object[1], *matrices),
        )
        made = forward.predict(through, forward.exit_waves(seen, probes), scale)
        if number:
            rates.append(made.rate / exposure)
        if number == count:
            break
        change = amplitude / ops.sqrt(made.rate + _FLOOR) - 1.0
        chi = forward.missing_waves(through, made.waves, valid * ops.minimum(change, _LARGEST))
        waves = forward.group_sums(matrices, probes, chi)
        missing = stages.Missing(waves, illumination, brightest, photons)
        now = stages.advance(network, now, missing, stages.step(missing)[1])
    return Unrolled(now.object, seen, rates)
