"""Sub-pixel shifts: the dense rule against SciPy's interpolation, the two evaluations alike."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from gradients import evaluate, grad, numerical_grad, relative_error
from hypothesis import given
from hypothesis import strategies as st
from keras import ops
from oracles import letter
from oracles import translate as oracle

from pinn.ops import shift

# float32 shifts, so that both sides move by the same amount.
shifts = st.tuples(*[st.floats(-4, 4, width=32)] * 2)


def _move(image, by, out_shape=None):
    """An image moved by matrices, the way patches of a group are."""
    shape = image.shape[-2:]
    rows, columns = (
        shift.interpolation_matrix(by[..., axis], shape[axis], (out_shape or shape)[axis])
        for axis in (0, 1)
    )
    return ops.matmul(ops.matmul(rows, image), ops.swapaxes(columns, -1, -2))


# Cached, so that a backend that compiles does so once per shape.
@functools.cache
def _to(out_shape):
    return lambda image, by: _move(image, by, out_shape)


@functools.cache
def _dot(out_shape):
    return lambda image, by, weights: ops.sum(weights * _move(image, by, out_shape))


def test_delta_goes_down_by_dy_and_right_by_dx():
    image = np.zeros((9, 9))
    image[4, 4] = 1.0
    expected = np.zeros((9, 9))
    expected[3, 5], expected[3, 6], expected[4, 5], expected[4, 6] = 0.375, 0.125, 0.375, 0.125
    assert np.array_equal(evaluate(_move, image, [-0.5, 1.25]), expected)


def test_row_of_ones_loses_half_of_its_first_pixel():
    got = evaluate(_move, np.ones((1, 5)), [0.0, 0.5])
    assert np.array_equal(got, [[0.5, 1, 1, 1, 1]])


def test_whole_pixel_shift_moves_a_letter_exactly():
    image = letter(10, 12)
    expected = np.zeros_like(image)
    expected[2:, :-3] = image[:-2, 3:]
    assert np.array_equal(evaluate(_move, image, [2.0, -3.0]), expected.astype("float32"))


@given(st.sampled_from([None, (9, 10), (13, 12), (3, 8)]), shifts, st.integers(0, 2**16))
def test_matches_scipy_for_any_shift_and_output_shape(out_shape, by, seed):
    image = np.random.default_rng(seed).normal(size=(7, 10))
    got = evaluate(_to(out_shape), image, by)
    want = oracle(image, by, out_shape)
    # Relative to the image: a shift may leave next to nothing of it in the frame.
    assert relative_error(got, want, image) < 1e-6


def test_batches_pair_every_image_with_its_own_shift():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2, 3, 6, 8))
    moves = rng.uniform(-3, 3, size=(2, 3, 2)).astype("float32")
    got = evaluate(_move, images, moves)
    want = np.array(
        [
            [oracle(image, move) for image, move in zip(*row, strict=True)]
            for row in zip(images, moves, strict=True)
        ]
    )
    assert relative_error(got, want) < 1e-6


def test_odd_difference_of_sizes_adds_half_a_pixel():
    (matrix,) = [evaluate(lambda s: shift.interpolation_matrix(s, 4, 5), -0.5)]
    assert np.array_equal(matrix, np.eye(5, 4))
    assert np.array_equal(
        evaluate(lambda s: shift.interpolation_matrix(s, 4, 5), 0.5), np.eye(5, 4, -1)
    )


def test_far_shift_keeps_its_fraction():
    """At a distance of 700 pixels the weights are those of the fraction to one part in 1e4."""
    matrix = evaluate(lambda s: shift.interpolation_matrix(s, 8, 1500), 700.3)
    expected = np.array([0.7, 0.3])
    # float32 holds 700.3 to 3e-5.
    assert matrix[746 + 700 : 746 + 702, 0] == pytest.approx(expected, abs=5e-5)


def _numpy_dot(image, by, weights):
    return float(np.sum(weights * oracle(image, tuple(by), weights.shape)))


@given(st.sampled_from([(5, 6), (7, 8)]), st.integers(0, 2**16))
def test_gradients_match_central_differences(out_shape, seed):
    rng = np.random.default_rng(seed)
    image, weights = rng.normal(size=(5, 6)), rng.normal(size=out_shape)
    # Away from whole pixels, where the derivative by the shift jumps.
    by = rng.integers(-2, 3, size=2) + rng.uniform(0.1, 0.9, size=2)
    _, got = grad(_dot(out_shape), image, by, weights)
    want = numerical_grad(_numpy_dot, image, by, weights)
    scale = np.linalg.norm(image) * np.linalg.norm(weights)
    assert relative_error(got[0], want[0], weights) < 1e-5
    assert np.linalg.norm(got[1] - want[1]) < 1e-5 * scale
    assert relative_error(got[2], want[2], image) < 1e-5


@pytest.mark.parametrize("by", [(0.0, 0.0), (1.0, -2.0), (0.0, 0.5)])
def test_gradient_at_whole_pixels_is_the_central_difference_on_every_backend(by):
    rng = np.random.default_rng(2)
    image, weights = rng.normal(size=(2, 6, 8))
    _, (_, gradient, _) = grad(_dot(None), image, by, weights)
    # A step of half a pixel is exact: the interpolated line is linear on either side.
    want = numerical_grad(lambda s: _numpy_dot(image, s, weights), np.array(by), step=0.25)[0]
    assert gradient == pytest.approx(want, abs=2e-5)


def test_sampling_has_the_shift_rule_of_the_matrices():
    rng = np.random.default_rng(3)
    window = rng.normal(size=(1, 7, 7)).astype("float32")
    fraction = np.array([[0.3, 0.85]], "float32")

    def both(window, fraction):
        rows = shift.interpolation_matrix(0.5 - fraction[:, 0], 7, 6)
        columns = shift.interpolation_matrix(0.5 - fraction[:, 1], 7, 6)
        matrices = ops.matmul(ops.matmul(rows, window), ops.swapaxes(columns, -1, -2))
        return shift.sample(window, fraction), matrices

    sampled, matrices = evaluate(both, window, fraction)
    np.testing.assert_allclose(sampled, matrices, atol=1e-6)
