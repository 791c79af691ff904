"""Placing, extracting and merging patches of a group."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from gradients import evaluate, grad, numerical_grad, relative_error
from hypothesis import given
from hypothesis import strategies as st
from keras import ops
from oracles import extract as oracle_extract
from oracles import letter
from oracles import merge as oracle_merge
from oracles import place as oracle_place

from pinn.errors import InputError
from pinn.ops import patches

# (B, C, N): one member, several, sides that are no power of two, and an odd one.
GROUPS = [(2, 1, 6), (2, 4, 6), (1, 3, 7)]
groups = st.sampled_from(GROUPS)
seeds = st.integers(0, 2**16)


def _side(N: int) -> int:
    return patches.canvas_size(2.5, N)


def _group(seed, B, C, N):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(B, C, N, N)) + 1j * rng.normal(size=(B, C, N, N))
    offsets = rng.uniform(-2.5, 2.5, size=(B, C, 2)).astype("float32")
    return rng, values, offsets


# Factories are cached: one function object per side, compiled once.
@functools.cache
def _place(M):
    def fn(values, offsets):
        return patches.place(values, *patches.group_matrices(offsets, values.shape[-1], M))

    return fn


@functools.cache
def _extract(N):
    def fn(canvas, offsets):
        return patches.extract(canvas, *patches.group_matrices(offsets, N, canvas.shape[-1]))

    return fn


@functools.cache
def _placed_dot(M):
    return lambda values, offsets, canvas: ops.sum(canvas * _place(M)(values, offsets))


@functools.cache
def _extracted_dot(N):
    return lambda canvas, offsets, values: ops.sum(values * _extract(N)(canvas, offsets))


@functools.cache
def _merge_uniform(M):
    return lambda re, im, offsets: _merge(M)(re, im, None, offsets)


@functools.cache
def _merge(M, floor=1e-3):
    def fn(re, im, weights, offsets):
        matrices = patches.group_matrices(offsets, re.shape[-1], M)
        return patches.merge((re, im), weights, *matrices, floor=floor)

    return fn


@given(groups, seeds)
def test_place_and_extract_match_scipy(group, seed):
    B, C, N = group
    M = _side(N)
    rng, values, offsets = _group(seed, B, C, N)
    canvas = rng.normal(size=(B, M, M))
    got = evaluate(_place(M), values.real, offsets)
    assert got.shape == (B, M, M)
    assert relative_error(got, oracle_place(values.real, offsets, M)) < 1e-6
    got = evaluate(_extract(N), canvas, offsets)
    assert got.shape == (B, C, N, N)
    assert relative_error(got, oracle_extract(canvas, offsets, N)) < 1e-6


@given(groups, seeds)
def test_extract_is_the_adjoint_of_place(group, seed):
    B, C, N = group
    M = _side(N)
    rng, values, offsets = _group(seed, B, C, N)
    canvas = rng.normal(size=(B, M, M))
    placed = evaluate(_place(M), values.real, offsets).astype("f8")
    extracted = evaluate(_extract(N), canvas, offsets).astype("f8")
    scale = np.linalg.norm(placed) * np.linalg.norm(canvas)
    # Two float32 evaluations with about N products per sum.
    assert abs(np.sum(placed * canvas) - np.sum(values.real * extracted)) < 1e-6 * scale


@given(groups, seeds)
def test_gradients_of_place_and_extract_are_each_other(group, seed):
    B, C, N = group
    M = _side(N)
    rng, values, offsets = _group(seed, B, C, N)
    canvas = rng.normal(size=(B, M, M))
    _, (by_patch, by_offset, _) = grad(_placed_dot(M), values.real, offsets, canvas)
    assert relative_error(by_patch, oracle_extract(canvas, offsets, N)) < 1e-5
    _, (by_canvas, by_offset_too, _) = grad(_extracted_dot(N), canvas, offsets, values.real)
    assert relative_error(by_canvas, oracle_place(values.real, offsets, M)) < 1e-5
    # One bilinear form, so one derivative by the offsets, here summed in two orders.
    scale = np.linalg.norm(canvas) * np.linalg.norm(values.real)
    assert np.linalg.norm(by_offset - by_offset_too) < 1e-5 * scale


def test_gradient_by_the_offsets_matches_central_differences():
    _, values, _ = _group(4, 1, 2, 6)
    offsets = np.array([[[0.3, -1.6], [-1.2, 0.7]]], "float32")
    M = _side(6)
    weights = np.random.default_rng(5).normal(size=(1, M, M))
    _, (_, got, _) = grad(_placed_dot(M), values.real, offsets, weights)
    want = numerical_grad(
        lambda r: float(np.sum(weights * oracle_place(values.real, r, M))), offsets
    )[0]
    assert relative_error(got, want) < 1e-5


WEIGHTS = ["none", "shared", "member", "all"]


def _weights(rng, kind, B, C, N):
    shape = {"shared": (N, N), "member": (C, N, N), "all": (B, C, N, N)}.get(kind)
    return None if shape is None else rng.uniform(0.05, 1.0, size=shape)


@given(groups, st.sampled_from(WEIGHTS), seeds)
def test_merge_matches_scipy(group, kind, seed):
    B, C, N = group
    M = _side(N)
    rng, values, offsets = _group(seed, B, C, N)
    weights = _weights(rng, kind, B, C, N)
    # A pixel whose weight is within rounding of the floor may fall on either side: keep none there.
    expected, total = oracle_merge(values, weights, offsets, M)
    level = total / total.max(axis=(-2, -1), keepdims=True)
    clear = np.abs(level - 1e-3) > 1e-5
    if weights is None:
        (re, im), got_total = evaluate(_merge_uniform(M), values.real, values.imag, offsets)
    else:
        (re, im), got_total = evaluate(_merge(M), values.real, values.imag, weights, offsets)
    assert relative_error(got_total, total) < 1e-6
    # At the rim both sums are down to a thousandth of what was rounded.
    well = clear & (level > 0.05)
    assert relative_error((re + 1j * im)[well], expected[well], expected) < 1e-6
    assert relative_error((re + 1j * im)[clear], expected[clear], expected) < 1e-5


@pytest.mark.parametrize("kind", WEIGHTS)
def test_gradients_of_merge_match_central_differences(kind):
    B, C, N, M = 1, 3, 4, 8
    rng = np.random.default_rng(11)
    re, im = rng.normal(size=(2, B, C, N, N))
    offsets = np.array([[[0.3, -0.6], [-0.7, 0.25], [0.4, 0.35]]], "float32")
    weights = _weights(rng, kind, B, C, N)
    u, v = rng.normal(size=(2, B, M, M))
    u32, v32 = (ops.convert_to_tensor(x.astype("float32")) for x in (u, v))

    def keras_fn(re, im, *w):
        (a, b), total = _merge(M)(re, im, w[0] if w else None, ops.convert_to_tensor(offsets))
        return ops.sum(a * u32) + ops.sum(b * v32) + 0.1 * ops.sum(total * u32)

    def numpy_fn(re, im, *w):
        canvas, total = oracle_merge(re + 1j * im, w[0] if w else None, offsets, M)
        return float(np.sum(canvas.real * u) + np.sum(canvas.imag * v) + 0.1 * np.sum(total * u))

    arguments = (re, im) if weights is None else (re, im, weights)
    _, got = grad(keras_fn, *arguments)
    for mine, theirs in zip(got, numerical_grad(numpy_fn, *arguments), strict=True):
        assert relative_error(mine, theirs) < 1e-5


def test_same_weights_above_and_below_return_a_constant_exactly():
    """Whatever the weights, the mean of equal patches is their value: the legacy defect is gone."""
    rng, _, offsets = _group(3, 2, 4, 6)
    weights = rng.uniform(0.0, 1.0, size=(2, 4, 6, 6)) ** 4
    ones = np.ones((2, 4, 6, 6))
    (re, im), total = evaluate(_merge(_side(6)), ones, -2.0 * ones, weights, offsets)
    seen = total > 1.001e-3 * total.max(axis=(-2, -1), keepdims=True)
    assert re[seen] == pytest.approx(1.0, abs=1e-5)
    assert im[seen] == pytest.approx(-2.0, abs=2e-5)
    assert seen.sum() > 50


def test_pixels_nobody_saw_are_zero_with_zero_gradient():
    B, C, N, M = 1, 2, 6, 16
    _, values, _ = _group(8, B, C, N)
    offsets = np.array([[[-2.0, 1.0], [1.0, -1.0]]])
    weights = np.zeros((N, N))
    weights[2:4, 2:4] = [[1.0, 0.5], [0.5, 0.25]]
    # Far below the floor: 1e-7 of the largest weight would amplify rounding, so it must be dropped.
    weights[0, 0] = 1e-7
    (re, im), total = evaluate(_merge(M), values.real, values.imag, weights, offsets)
    seen = total > 1e-3 * total.max()
    assert seen.sum() == 8
    assert np.all(re[~seen] == 0) and np.all(im[~seen] == 0)
    assert np.abs(re).max() <= np.abs(values.real).max()
    _, gradients = grad(
        lambda re, im, w, r: ops.sum(ops.square(_merge(M)(re, im, w, r)[0][0])),
        values.real,
        values.imag,
        weights,
        offsets,
    )
    assert all(np.all(np.isfinite(g)) for g in gradients)
    assert gradients[0][0, 0, 2, 2] != 0
    assert np.all(gradients[0][..., 0, 0] == 0)


def test_floor_is_relative_to_each_group():
    """A faint group beside a bright one in the batch is merged as if it were alone."""
    _, values, offsets = _group(13, 2, 3, 6)
    weights = np.ones((2, 3, 6, 6))
    weights[1] = 1e-5
    (re, _), _ = evaluate(_merge(_side(6)), values.real, values.imag, weights, offsets)
    (alone, _), _ = evaluate(
        _merge(_side(6)), values.real[1:], values.imag[1:], weights[1:], offsets[1:]
    )
    assert np.count_nonzero(re[1]) > 36
    assert relative_error(re[1], alone[0]) < 1e-5


def test_merge_without_any_weight_is_zero_and_finite():
    _, values, offsets = _group(9, 1, 2, 6)
    value, gradients = grad(
        lambda re, im, w, r: ops.sum(_merge(12)(re, im, w, r)[0][0]),
        values.real,
        values.imag,
        np.zeros((6, 6)),
        offsets,
    )
    assert value == 0.0
    assert all(np.all(np.isfinite(g)) for g in gradients)


def test_letter_survives_extraction_and_merge_at_whole_pixels():
    """Orientation: a member at offset (+2, -1) sees the canvas two rows below, one column left."""
    N, M = 8, 14
    canvas = letter(M, M)[None]
    offsets = np.array([[[2, -1], [-2, 3], [0, -2], [1, 1]]])
    got = evaluate(_extract(N), canvas, offsets)
    first = (M - N) // 2
    for patch, (dy, dx) in zip(got[0], offsets[0], strict=True):
        rows = slice(first + dy, first + dy + N)
        columns = slice(first + dx, first + dx + N)
        assert np.array_equal(patch, canvas[0, rows, columns].astype("float32"))
    (re, _), total = evaluate(_merge_uniform(M), got, np.zeros_like(got), offsets)
    assert re[total > 0] == pytest.approx(canvas[total > 0], abs=1e-6)
    assert np.all(re[total == 0] == 0)


def test_shifting_the_object_by_whole_pixels_is_shifting_the_positions():
    N, M = 6, 16
    rng = np.random.default_rng(6)
    canvas = np.zeros((1, M, M))
    canvas[0, 3:-3, 3:-3] = rng.normal(size=(M - 6, M - 6))
    offsets = rng.uniform(-1.5, 1.5, size=(1, 3, 2)).astype("float32")
    moved = np.roll(canvas, (2, -1), axis=(-2, -1))
    got = evaluate(_extract(N), moved, offsets + np.float32([2, -1]))
    # The sum of offset and whole shift is itself rounded to float32.
    assert relative_error(got, evaluate(_extract(N), canvas, offsets)) < 1e-6


def test_order_of_the_members_does_not_matter():
    B, C, N = 2, 4, 6
    M = _side(N)
    rng, values, offsets = _group(7, B, C, N)
    weights = rng.uniform(0.1, 1, size=(B, C, N, N))
    order = [2, 0, 3, 1]
    (re, im), total = evaluate(_merge(M), values.real, values.imag, weights, offsets)
    (re2, im2), total2 = evaluate(
        _merge(M),
        values.real[:, order],
        values.imag[:, order],
        weights[:, order],
        offsets[:, order],
    )
    solid = total > 0.05
    assert relative_error(total2, total) < 1e-6
    assert relative_error((re2 + 1j * im2)[solid], (re + 1j * im)[solid]) < 1e-6


def test_groups_of_a_batch_do_not_mix():
    """64 patches and more in one batch stay in their groups (the reference collapsed them)."""
    B, C, N = 17, 4, 4
    M = 8
    _, values, offsets = _group(12, B, C, N)
    offsets = offsets / 2.0
    together = evaluate(_place(M), values.real, offsets)
    assert together.shape == (B, M, M)
    alone = evaluate(_place(M), values.real[5:6], offsets[5:6])
    assert relative_error(together[5:6], alone) < 1e-6


@pytest.mark.parametrize(
    ("largest", "N", "M"), [(0.0, 64, 66), (3.0, 64, 72), (3.2, 64, 74), (9.99, 16, 38)]
)
def test_canvas_size_leaves_room_and_an_even_margin(largest, N, M):
    assert patches.canvas_size(largest, N) == M
    # Nothing of a patch at the largest offset is lost.
    corner = np.full((1, 1, 2), largest)
    placed = evaluate(_place(M), np.ones((1, 1, N, N)), corner)
    assert placed.sum() == pytest.approx(N * N, rel=1e-5)


@pytest.mark.parametrize("largest", [-1.0, float("nan"), float("inf")])
def test_canvas_size_refuses_what_is_no_distance(largest):
    with pytest.raises(InputError, match="check the positions"):
        patches.canvas_size(largest, 64)


def test_canvas_size_refuses_an_empty_patch():
    with pytest.raises(InputError, match="N = 0"):
        patches.canvas_size(1.0, 0)
