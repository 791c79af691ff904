"""The operations together: merge, extract, illuminate, diffract, compare with counts."""

from __future__ import annotations

import numpy as np
import pytest
from gradients import grad, numerical_grad, relative_error, tensors, to_numpy
from keras import Function, KerasTensor, ops
from oracles import deviance, extract, letter, merge, rate

from pinn.ops import forward, likelihood, patches, priors

B, C, P, N, M = 2, 3, 2, 6, 12


def _case(seed=0):
    rng = np.random.default_rng(seed)
    objects = rng.uniform(0.5, 1.5, (B, C, N, N)) * np.exp(1j * rng.normal(size=(B, C, N, N)))
    probe = rng.normal(size=(P, N, N)) + 1j * rng.normal(size=(P, N, N))
    offsets = rng.uniform(-1.9, 1.9, size=(B, C, 2)).astype("f4")
    counts = rng.poisson(30.0, size=(B, C, N, N)).astype("f4")
    valid = (rng.random((B, C, N, N)) > 0.1).astype("f4")
    counts[valid == 0] = np.nan
    return objects, probe, offsets, counts, valid


def _rate(o_re, o_im, p_re, p_im, log_scale, offsets):
    matrices = patches.group_matrices(offsets, N, M)
    weights = ops.sum(ops.square(p_re) + ops.square(p_im), axis=0) + 0.1
    canvas, _ = patches.merge((o_re, o_im), weights, *matrices)
    seen = forward.group_patches(canvas, offsets, N)
    return canvas, _frames(seen, (p_re, p_im), log_scale)


def _frames(seen, probe, log_scale):
    waves = forward.exit_waves(seen, probe)
    return forward.predict(forward.instrument(), waves, ops.exp(log_scale)).rate


def _loss(counts, valid, *arguments):
    canvas, frames = _rate(*arguments)
    penalty = ops.mean(priors.total_variation(canvas))
    return likelihood.deviance_loss(counts, frames, valid) + 1e-3 * penalty


def _numpy_loss(counts, valid):
    k = np.where(valid > 0, counts, 1.0).astype("f8")

    def loss(o_re, o_im, p_re, p_im, log_scale, offsets):
        probe = p_re + 1j * p_im
        weights = np.sum(np.abs(probe) ** 2, axis=0) + 0.1
        canvas, _ = merge(o_re + 1j * o_im, weights, offsets, M)
        seen = extract(canvas.real, offsets, N) + 1j * extract(canvas.imag, offsets, N)
        frames = rate(seen[:, :, None] * probe, log_scale) + likelihood.RATE_FLOOR
        down = np.zeros_like(canvas)
        right = np.zeros_like(canvas)
        down[:, :-1], right[:, :, :-1] = np.diff(canvas, axis=1), np.diff(canvas, axis=2)
        slope = np.sqrt(np.abs(down) ** 2 + np.abs(right) ** 2 + 1e-6) - 1e-3
        return float(
            np.sum(valid * deviance(k, frames)) / np.sum(valid * k)
            + 1e-3 * np.mean(np.sum(slope, axis=(1, 2)))
        )

    return loss


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_loss_and_all_gradients_match_float64(compiled):
    objects, probe, offsets, counts, valid = _case()
    arguments = objects.real, objects.imag, probe.real, probe.imag, np.array([0.4]), offsets
    value, (_, _, *got) = grad(_loss, counts, valid, *arguments, compiled=compiled)
    numpy_loss = _numpy_loss(counts, valid)
    assert value == pytest.approx(numpy_loss(*[np.asarray(a, "f8") for a in arguments]), rel=1e-5)
    # Object, probe, scale; positions are compared op by op, at lower cost.
    for name, index in (("object", 1), ("probe", 2), ("scale", 4)):

        def of_one(x, index=index):
            return numpy_loss(*arguments[:index], x, *arguments[index + 1 :])

        (want,) = numerical_grad(of_one, np.asarray(arguments[index], "f8"))
        assert relative_error(got[index], want) < 1e-5, name


def test_batch_size_may_be_unknown_when_the_graph_is_built():
    objects, probe, offsets, _, _ = _case(1)
    shapes = [(None, C, N, N)] * 2 + [(P, N, N)] * 2 + [(1,), (None, C, 2)]
    inputs = [KerasTensor(shape, "float32") for shape in shapes]
    canvas, frames = _rate(*inputs)
    assert tuple(canvas[0].shape) == (None, M, M)
    assert tuple(frames.shape) == (None, C, N, N)
    arguments = objects.real, objects.imag, probe.real, probe.imag, [0.4], offsets
    symbolic = to_numpy(Function(inputs, frames)(tensors(*arguments)))
    direct = to_numpy(_rate(*tensors(*arguments))[1])
    assert relative_error(symbolic, direct) < 1e-6


def test_all_dark_batch_has_finite_gradients_from_the_loss_to_the_probe():
    objects, probe, offsets, counts, valid = _case(2)
    for object_level, count_level in ((0.0, 0.0), (0.0, 5.0), (1.0, 0.0)):
        arguments = [
            object_level * objects.real,
            object_level * objects.imag,
            probe.real,
            probe.imag,
            np.array([0.4]),
            offsets,
        ]
        value, gradients = grad(_loss, np.full_like(counts, count_level), valid, *arguments)
        assert np.isfinite(value)
        assert all(np.all(np.isfinite(g)) for g in gradients)


def test_letter_scanned_at_whole_pixels_gives_the_frames_of_its_cut_outs():
    """Position p puts patch pixel (i, j) over object pixel p - N/2 + (i, j)."""
    big = (0.5 + letter(14, 16)) * np.exp(1j * letter(14, 16) * np.linspace(-1, 2, 16))
    positions = np.array([[5, 6], [7, 9], [6, 7]])
    centre = np.array([6, 7])
    cuts = np.array([big[y - 3 : y + 3, x - 3 : x + 3] for y, x in positions])
    _, probe, _, _, _ = _case(3)
    wanted = rate(cuts[None, :, None] * probe, 0.0)
    # The group canvas: its index M/2 over the centre of the group.
    canvas = big[centre[0] - 6 : centre[0] + 6, centre[1] - 6 : centre[1] + 6]
    re, im, p_re, p_im, offsets, scale = tensors(
        canvas.real[None],
        canvas.imag[None],
        probe.real,
        probe.imag,
        (positions - centre)[None],
        0.0,
    )
    frames = _frames(forward.group_patches((re, im), offsets, N), (p_re, p_im), scale)
    assert relative_error(to_numpy(frames), wanted) < 1e-6
