"""Complex arithmetic on pairs against NumPy complex128, values and gradients."""

from __future__ import annotations

import numpy as np
import pytest
from gradients import evaluate, grad, numerical_grad, relative_error, tensors, to_numpy
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from pinn.ops import pairs

seeds = st.integers(0, 2**16)


def _draw(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in shapes]


def _complex(pair):
    return pair[0] + 1j * pair[1]


def _all_operations(ar, ai, br, bi, factor):
    a, b = (ar, ai), (br, bi)
    return (
        pairs.multiply(a, b),
        pairs.add(a, b),
        pairs.conj(a),
        pairs.scale(pairs.multiply(a, b), factor),
        pairs.abs2(a),
    )


def _scalar(ar, ai, br, bi):
    product = pairs.multiply((ar, ai), pairs.conj((br, bi)))
    return ops.sum(pairs.safe_abs(product) * ops.sin(bi) + pairs.polar(ar, bi)[1])


@given(seeds)
def test_products_match_complex_numbers_with_broadcasting(seed):
    ar, ai, br, bi, factor = _draw(seed, (3, 1, 4), (3, 1, 4), (2, 4), (2, 4), (3, 2, 1))
    a, b = ar + 1j * ai, br + 1j * bi
    product, total, conjugate, scaled, power = evaluate(_all_operations, ar, ai, br, bi, factor)
    # One float32 rounding per operation, relative to the norm of the result: 1e-6 is 10 of them.
    assert relative_error(_complex(product), a * b) < 1e-6
    assert relative_error(_complex(total), a + b) < 1e-6
    assert relative_error(_complex(conjugate), a.conj()) < 1e-6
    assert relative_error(_complex(scaled), a * b * factor) < 1e-6
    assert relative_error(power, np.abs(a) ** 2) < 1e-6


@given(seeds)
def test_gradients_match_central_differences(seed):
    arrays = _draw(seed, (5,), (5,), (5,), (5,))

    def numpy_fn(ar, ai, br, bi):
        product = (ar + 1j * ai) * np.conj(br + 1j * bi)
        return float(
            np.sum(np.sqrt(np.abs(product) ** 2 + 1e-12) * np.sin(bi))
            + np.sum((ar * np.exp(1j * bi)).imag)
        )

    value, gradients = grad(_scalar, *arrays)
    assert abs(value - numpy_fn(*arrays)) < 1e-5 * sum(np.abs(a).sum() for a in arrays)
    for got, want in zip(gradients, numerical_grad(numpy_fn, *arrays), strict=True):
        assert relative_error(got, want) < 1e-5


def test_polar_and_modulus_in_every_quadrant():
    amplitude = np.array([0.3, 1.0, 2.0, 4.0, 0.5, 1.5])
    phase = np.array([0.2, 1.9, -2.8, -0.7, 3.1, -3.1])
    re, im = evaluate(pairs.polar, amplitude, phase)
    assert relative_error(re + 1j * im, amplitude * np.exp(1j * phase)) < 1e-6
    modulus = evaluate(lambda re, im: pairs.safe_abs((re, im)), re, im)
    assert relative_error(modulus, amplitude) < 1e-6


def test_modulus_at_zero_has_value_root_eps_and_gradient_exactly_zero():
    value, gradients = grad(
        lambda re, im: ops.sum(pairs.safe_abs((re, im), eps=1e-8)), np.zeros(3), np.zeros(3)
    )
    assert value == pytest.approx(3e-4, rel=1e-6)
    for gradient in gradients:
        assert np.array_equal(gradient, np.zeros(3))


def test_stack_and_unstack_round_trip_on_a_new_last_axis():
    re, im = _draw(3, (2, 3), (2, 3))
    (stacked,) = [pairs.stack(tuple(tensors(re, im)))]
    assert tuple(stacked.shape) == (2, 3, 2)
    back = to_numpy(pairs.unstack(stacked))
    assert np.array_equal(back[0], re.astype("float32"))
    assert np.array_equal(back[1], im.astype("float32"))
