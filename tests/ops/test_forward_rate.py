"""Exit waves and rate: analytic cases, float64 model, conservation of energy."""

from __future__ import annotations

import numpy as np
import pytest
from gradients import evaluate, grad, numerical_grad, relative_error
from hypothesis import given
from hypothesis import strategies as st
from keras import ops
from oracles import letter
from oracles import rate as oracle_rate

from pinn.ops import forward

seeds = st.integers(0, 2**16)


def _complex(rng, *shape):
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def _rate(log_scale, background=None, frame_factor=None):
    """Rate from object and probe parts, as a function of tensors."""

    def fn(o_re, o_im, p_re, p_im):
        scale = ops.exp(ops.reshape(log_scale, (-1, 1, 1, 1)))
        if frame_factor is not None:
            scale = scale * frame_factor[..., None, None]
        waves = _exit_waves(o_re, o_im, p_re, p_im)
        return forward.predict(forward.instrument(), waves, scale, background).rate

    return fn


def _exit_waves(o_re, o_im, p_re, p_im):
    return forward.exit_waves((o_re, o_im), (p_re, p_im))


def _scaled_rate(log_scale, *parts):
    return _rate(log_scale)(*parts)


def _parts(*fields):
    return [part for field in fields for part in (field.real, field.imag)]


def _tensor(array):
    return ops.convert_to_tensor(np.asarray(array, np.float32))


@given(st.sampled_from([(1, 1, 1), (2, 4, 3)]), seeds)
def test_exit_waves_are_products_for_common_and_own_probes(sizes, seed):
    B, C, P = sizes
    rng = np.random.default_rng(seed)
    patches = _complex(rng, B, C, 6, 6)
    for probe in (_complex(rng, P, 6, 6), _complex(rng, B, 1, P, 6, 6)):
        re, im = evaluate(_exit_waves, *_parts(patches, probe))
        assert re.shape == (B, C, P, 6, 6)
        assert relative_error(re + 1j * im, patches[:, :, None] * probe) < 1e-6


@given(st.sampled_from([6, 8, 9]), st.sampled_from([1, 3]), seeds)
def test_rate_matches_float64_and_conserves_energy(N, modes, seed):
    B, C = 2, 3
    rng = np.random.default_rng(seed)
    patches, probe = _complex(rng, B, C, N, N), _complex(rng, modes, N, N)
    log_scale = rng.uniform(-3, 6, size=B)
    waves = patches[:, :, None] * probe
    got = evaluate(_scaled_rate, log_scale, *_parts(patches, probe))
    assert got.shape == (B, C, N, N)
    # exp(6) amplifies the rounding of s itself (6e-8 * 6), hence not tighter.
    assert relative_error(got, oracle_rate(waves, log_scale)) < 1e-6
    energy = np.exp(log_scale)[:, None] * np.sum(np.abs(waves) ** 2, axis=(2, 3, 4))
    assert got.sum(axis=(2, 3)) == pytest.approx(energy, rel=2e-6)


@pytest.mark.parametrize("log_scale", [0.7, [0.7], [0.7, 0.7]])
def test_scale_may_be_a_number_or_per_group(log_scale):
    rng = np.random.default_rng(0)
    patches, probe = _complex(rng, 2, 1, 6, 6), _complex(rng, 2, 6, 6)
    got = evaluate(_rate(_tensor(log_scale)), *_parts(patches, probe))
    assert relative_error(got, oracle_rate(patches[:, :, None] * probe, 0.7)) < 1e-6


def test_background_and_frame_factor():
    rng = np.random.default_rng(1)
    patches, probe = _complex(rng, 2, 3, 6, 6), _complex(rng, 2, 6, 6)
    background, factor = rng.uniform(0, 9, size=(6, 6)), rng.uniform(0.5, 2, size=(2, 3))
    got = evaluate(
        _rate(_tensor(0.0), background=_tensor(background), frame_factor=_tensor(factor)),
        *_parts(patches, probe),
    )
    want = oracle_rate(patches[:, :, None] * probe, 0.0, background, factor)
    assert relative_error(got, want) < 1e-6


def test_modes_add_in_intensity_not_in_amplitude():
    """Two equal modes double the rate; coherent addition would quadruple it."""
    rng = np.random.default_rng(2)
    patches, probe = _complex(rng, 1, 1, 6, 6), _complex(rng, 1, 6, 6)
    one = evaluate(_rate(_tensor(0.0)), *_parts(patches, probe))
    two = evaluate(_rate(_tensor(0.0)), *_parts(patches, np.concatenate([probe, probe])))
    assert relative_error(two, 2 * one) < 1e-6


def test_delta_gives_a_flat_frame():
    """A single pixel of value 2 + i in 8 x 8 scatters evenly: amplitude |2 + i| / 8 = 0.27951."""
    patches = np.zeros((1, 1, 8, 8), complex)
    patches[0, 0, 3, 5] = 2 + 1j
    got = evaluate(_rate(_tensor(0.0)), *_parts(patches, np.ones((1, 8, 8), complex)))
    assert np.sqrt(got) == pytest.approx(0.27951, abs=1e-5)


def test_plane_wave_peaks_right_of_the_centre():
    x = np.arange(8)
    patches = np.broadcast_to(np.exp(2j * np.pi * 2 * x / 8), (1, 1, 8, 8))
    got = evaluate(_rate(_tensor(0.0)), *_parts(patches, np.ones((1, 8, 8), complex)))
    assert np.unravel_index(got.argmax(), got.shape) == (0, 0, 4, 6)
    assert got[0, 0, 4, 6] == pytest.approx(64.0, rel=1e-6)


def test_global_phase_is_invisible_and_conjugation_turns_the_frame():
    rng = np.random.default_rng(3)
    z = letter(9, 9) * np.exp(1j * rng.normal(size=(9, 9)))
    patches, probe = z[None, None], np.ones((1, 9, 9), complex)
    frame = evaluate(_rate(_tensor(0.0)), *_parts(patches, probe))
    turned = evaluate(_rate(_tensor(0.0)), *_parts(patches.conj(), probe))
    same = evaluate(_rate(_tensor(0.0)), *_parts(patches * np.exp(1.1j), probe))
    assert relative_error(same, frame) < 1e-6
    assert relative_error(turned, frame[..., ::-1, ::-1]) < 1e-6
    assert relative_error(turned, frame) > 0.1


def test_permuted_groups_give_permuted_frames():
    rng = np.random.default_rng(4)
    patches, probe = _complex(rng, 4, 2, 6, 6), _complex(rng, 2, 6, 6)
    scale, order = rng.normal(size=4), [2, 0, 3, 1]
    frames = evaluate(_rate(_tensor(scale)), *_parts(patches, probe))
    permuted = evaluate(_rate(_tensor(scale[order])), *_parts(patches[order], probe))
    assert relative_error(permuted, frames[order]) < 1e-6


@pytest.mark.parametrize("N", [4, 5])
def test_gradients_match_central_differences(N):
    rng = np.random.default_rng(5)
    patches, probe = _complex(rng, 2, 1, N, N), _complex(rng, 3, N, N)
    log_scale, weights = rng.normal(size=2), rng.normal(size=(2, 1, N, N))

    def keras_fn(s, *parts):
        return ops.sum(_tensor(weights) * _rate(s)(*parts))

    def numpy_fn(s, o_re, o_im, p_re, p_im):
        waves = (o_re + 1j * o_im)[:, :, None] * (p_re + 1j * p_im)
        return float(np.sum(weights * oracle_rate(waves, s)))

    arrays = [log_scale, *_parts(patches, probe)]
    _, got = grad(keras_fn, *arrays)
    for mine, theirs in zip(got, numerical_grad(numpy_fn, *arrays), strict=True):
        assert relative_error(mine, theirs) < 1e-5


def test_dark_object_has_finite_zero_gradient():
    rng = np.random.default_rng(6)
    _, gradients = grad(
        lambda *parts: ops.sum(_rate(_tensor(3.0))(*parts)),
        *_parts(np.zeros((1, 1, 6, 6), complex), _complex(rng, 1, 6, 6)),
    )
    assert all(np.array_equal(g, np.zeros_like(g)) for g in gradients)
