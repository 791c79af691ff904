"""The forward model and its adjoint: against float64, and against automatic differentiation."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from gradients import numerical_grad, relative_error, to_numpy
from hypothesis import given
from hypothesis import strategies as st
from instruments import Leak, quadratic, registered
from keras import ops
from oracles import centred_dft

from pinn import backend
from pinn.data.geometry import object_pixel_m
from pinn.errors import ConfigError
from pinn.ops import forward, pairs, windows
from pinn.ops.detector import Ideal
from pinn.ops.propagate import FarField

seeds = st.integers(0, 2**16)
B, V, P, N, SHAPE = 4, 2, 2, 6, (10, 11)
NAMES = ("object", "probe", "fractions", "opr_weights", "factors")
INSTRUMENTS = [("far", "none"), ("defocus:0.3", "leak:0.2")]


def _complex(rng, *shape):
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def _case(seed):
    rng = np.random.default_rng(seed)
    places = rng.uniform(N / 2, np.array(SHAPE) - N / 2 - 1.01, (B, 2))
    corners, _ = windows.split(places, N)
    # away from whole pixels, where the derivative by the position jumps
    values = {
        "object": 1.0 + 0.3 * _complex(rng, *SHAPE),
        "probe": _complex(rng, V, P, N, N),
        "fractions": rng.uniform(0.1, 0.9, (B, 2)),
        "opr_weights": np.stack([np.ones(B), rng.normal(0.0, 0.3, B)], axis=1),
        "factors": rng.uniform(0.7, 1.3, B),
    }
    measured = {
        "corners": corners,
        "amplitude": rng.uniform(0.5, 3.0, (B, N, N)),
        "valid": (rng.random((B, N, N)) > 0.1).astype(float),
        "background": rng.uniform(0.1, 0.5, (N, N)),
    }
    return values, measured


def _tensors(arrays):
    def tensor(array):
        kind = "int32" if array.dtype.kind == "i" else "float32"
        if np.iscomplexobj(array):
            return tensor(array.real), tensor(array.imag)
        return ops.convert_to_tensor(array.astype(kind))

    return {name: tensor(array) for name, array in arrays.items()}


def _through(values, measured, through):
    view = forward.canvas_view(values["object"], measured["corners"], values["fractions"], N)
    weights = forward.frame_weights(values["opr_weights"], values["factors"])
    probe = forward.frame_probe(values["probe"], weights)
    waves = forward.exit_waves(view.patches, probe)
    found = forward.predict(through, waves, background=measured["background"])
    return view, weights, probe, waves, found


def _loss(through, values, measured):
    rate = _through(values, measured, through)[-1].rate
    return ops.sum(measured["valid"] * ops.square(ops.sqrt(rate) - measured["amplitude"]))


def _by_hand(through, values, measured):
    """The gradient of `_loss` as the adjoint gives it."""
    view, weights, probe, waves, (arrived, rate) = _through(values, measured, through)
    multiplier = measured["valid"] * (measured["amplitude"] / ops.sqrt(rate) - 1.0)
    chi = forward.missing_waves(through, arrived, multiplier)
    obj, _ = forward.object_sums(view, probe, chi, ops.ones((B,)))
    variations, _ = forward.probe_sums(view.patches, weights, chi)
    positions, _ = forward.position_sums(view, probe, chi)
    factors = values["factors"]
    opr, _ = forward.opr_sums(view.patches, values["probe"], chi, factors)
    return {
        "object": pairs.scale(obj, -2.0),
        "probe": pairs.scale(variations, -2.0),
        "fractions": -2.0 * positions,
        "opr_weights": -2.0 * opr,
        "factors": -forward.inner(waves, chi) / factors,
    }


# Cached, so that a backend that compiles does so once.
@functools.cache
def _both(propagation, detector_response):
    through = forward.instrument(propagation, detector_response)
    automatic = backend.value_and_grad(functools.partial(_loss, through))

    def both(values, measured):
        return _by_hand(through, values, measured), *automatic(values, measured)

    return backend.compile_function(both)


def _gradients(instrument, values, measured):
    with registered():
        by_hand, value, automatic = _both(*instrument)(_tensors(values), _tensors(measured))

    def numpy(found):
        return {
            name: to_numpy(x[0]) + 1j * to_numpy(x[1]) if name in ("object", "probe") else x
            for name, x in ((n, to_numpy(found[n])) for n in NAMES)
        }

    return numpy(by_hand), float(to_numpy(value)), numpy(automatic)


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=["far", "defocused, leaking"])
@given(seed=seeds)
def test_adjoint_is_what_automatic_differentiation_finds(instrument, seed):
    values, measured = _case(seed)
    by_hand, _, automatic = _gradients(instrument, values, measured)
    for name in NAMES:
        # sums of some hundred terms in float32, in which large ones cancel
        assert relative_error(by_hand[name], automatic[name]) < 2e-5, name


def _oracle(measured, strength, leak):
    """`_loss` in float64 from the definitions."""

    def loss(obj_re, obj_im, probe_re, probe_im, fractions, opr_weights, factors):
        obj, variations = obj_re + 1j * obj_im, probe_re + 1j * probe_im
        total = 0.0
        for k in range(B):
            (y, x), (fy, fx) = measured["corners"][k], fractions[k]
            window = obj[y : y + N + 1, x : x + N + 1]
            rows = (1 - fy) * window[:-1] + fy * window[1:]
            patch = (1 - fx) * rows[:, :-1] + fx * rows[:, 1:]
            probe = np.sqrt(factors[k]) * np.einsum("v,vpij->pij", opr_weights[k], variations)
            waves = centred_dft(probe * patch * quadratic(N, strength))
            power = np.sum(np.abs(waves) ** 2, axis=0)
            seen = (1 - leak) * power
            seen[:, 1:] += leak * power[:, :-1]
            off = np.sqrt(seen + measured["background"]) - measured["amplitude"][k]
            total += float(np.sum(measured["valid"][k] * off**2))
        return total

    return loss


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=["far", "defocused, leaking"])
def test_value_and_adjoint_match_central_differences_in_float64(instrument):
    values, measured = _case(3)
    strength, leak = (0.0, 0.0) if instrument[0] == "far" else (0.3, 0.2)
    by_hand, value, _ = _gradients(instrument, values, measured)
    loss = _oracle(measured, strength, leak)
    obj, probe, *rest = (values[name] for name in NAMES)
    arrays = (obj.real, obj.imag, probe.real, probe.imag, *rest)
    assert value == pytest.approx(loss(*arrays), rel=1e-5)
    o_re, o_im, p_re, p_im, *others = numerical_grad(loss, *arrays)
    wanted = dict(zip(NAMES, (o_re + 1j * o_im, p_re + 1j * p_im, *others), strict=True))
    for name in NAMES:
        assert relative_error(by_hand[name], wanted[name]) < 2e-5, name


@given(seeds)
def test_sums_are_what_a_step_divides_by(seed):
    """The illumination is `sum |P|^2` under each pixel; the others are squares of derivatives."""
    values, measured = _case(seed)
    with registered():
        t, m = _tensors(values), _tensors(measured)
        view, weights, probe, waves, _ = _through(t, m, forward.instrument())
    ones = (ops.ones_like(waves[0]), ops.zeros_like(waves[0]))
    _, illumination = forward.object_sums(view, probe, ones, ops.ones((B,)))
    _, strength = forward.probe_sums(view.patches, weights, ones)
    _, squares = forward.position_sums(view, probe, ones)
    _, opr = forward.opr_sums(view.patches, t["probe"], ones, t["factors"])
    P_, O_ = to_numpy(pairs.abs2(probe)), to_numpy(pairs.abs2(view.patches))
    w = to_numpy(weights)
    assert to_numpy(illumination).sum() == pytest.approx(P_.sum(), rel=1e-5)
    np.testing.assert_allclose(
        to_numpy(strength)[:, 0], np.einsum("bv,bij->vij", w**2, O_), rtol=1e-4
    )
    wave = np.abs(values["probe"]) ** 2
    wanted = np.einsum("bij,vpij,b->bv", O_, wave, values["factors"])
    np.testing.assert_allclose(to_numpy(opr), wanted, rtol=1e-4)
    slope = [to_numpy(pairs.abs2(g)) for g in view.gradients()]
    for axis in (0, 1):
        np.testing.assert_allclose(
            to_numpy(squares)[:, axis], np.sum(slope[axis][:, None] * P_, axis=(1, 2, 3)), rtol=1e-4
        )


@pytest.mark.parametrize("kind", [FarField(), Leak(0.3), Ideal()], ids=lambda k: type(k).__name__)
def test_every_kind_has_an_exact_adjoint(kind):
    rng = np.random.default_rng(1)
    a, b = _complex(rng, 2, 2, 8, 8), _complex(rng, 2, 2, 8, 8)
    if not isinstance(kind, FarField):
        a, b = a.real, b.real
    x, y = _tensors({"a": a, "b": b}).values()
    there, back = kind.forward(x), kind.adjoint(y)

    def number(z):
        return to_numpy(z[0]) + 1j * to_numpy(z[1]) if isinstance(z, tuple) else to_numpy(z)

    assert np.vdot(b, number(there)) == pytest.approx(np.vdot(number(back), a), rel=1e-4)


def test_the_far_field_has_the_object_pixel_that_loading_computes():
    """A grating of 8 object pixels is seen at the angle `wavelength / period`."""
    wavelength, distance, side, detector = 1.5e-10, 2.0, 64, 75e-6
    grating = np.exp(2j * np.pi * np.arange(side) / 8) * np.ones((side, 1))
    wave = to_numpy(pairs.abs2(FarField().forward(_tensors({"a": grating})["a"])))
    row, column = np.unravel_index(np.argmax(wave), wave.shape)
    pixel = object_pixel_m(wavelength, distance, side, detector)
    assert row == side // 2
    assert (column - side // 2) * detector == pytest.approx(distance * wavelength / (8 * pixel))


@pytest.mark.parametrize(
    ("choice", "message"),
    [("near", "kinds are: far"), ("far:2", "far does not take"), ("far:x", "far does not take")],
)
def test_a_kind_that_is_none_is_refused(choice, message):
    with pytest.raises(ConfigError, match=f"propagation is '{choice}', but .*{message}|{message}"):
        forward.instrument(choice)
