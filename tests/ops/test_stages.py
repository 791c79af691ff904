"""One stage of an unrolled network, and what groups miss on their canvas, against NumPy float64."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from gradients import evaluate, relative_error, to_numpy
from keras import ops
from oracles import place as oracle_place

from pinn.config import ModelConfig
from pinn.networks.registry import build_network
from pinn.ops import forward, patches, stages, windows

B, H, W = 2, 8, 12
FIELDS = ("object", "change", "waves")


def _complex(rng, *shape):
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def case(seed=0, shape=(B, H, W)):
    """Canvas, last change and what is missing; the light falls off, down to none at all."""
    rng = np.random.default_rng(seed)
    light = rng.uniform(0, 1, shape) ** 4
    light[:, 0] = 0.0
    return {
        "object": 1 + 0.3 * _complex(rng, *shape),
        "change": 0.1 * _complex(rng, *shape),
        "waves": light * _complex(rng, *shape),
        "illumination": 3 * light,
        "brightest": np.full((shape[0], 1, 1), 2.5),
        "unit": rng.uniform(1e2, 1e4, (shape[0], 1, 1)),
    }


def arrays(values):
    """Real arrays in the order of `_canvas_of`."""
    fields = [part for name in FIELDS for part in (values[name].real, values[name].imag)]
    return [*fields, *(values[name] for name in ("illumination", "brightest", "unit"))]


def _canvas_of(parts):
    now = stages.Canvas((parts[0], parts[1]), (parts[2], parts[3]))
    return now, stages.Missing((parts[4], parts[5]), *parts[6:9])


def stepped(values):
    """The step that would fit the exit waves and its size, in float64."""
    divisor = values["illumination"] + 0.05 * values["brightest"]
    found = values["waves"] / divisor
    weight = values["illumination"]
    square = (weight * np.abs(found) ** 2).sum((1, 2), keepdims=True)
    return found, np.sqrt(square / weight.sum((1, 2), keepdims=True) + 1e-8)


def _step(*parts):
    (re, im), size = stages.step(_canvas_of(parts)[1])
    return re, im, size


@functools.cache
def untrained():
    return build_network(ModelConfig(architecture="unrolled"))


def _advance(*parts):
    now, missing = _canvas_of(parts)
    new = stages.advance(untrained(), now, missing, stages.step(missing)[1])
    return (*new.object, *new.change)


def _seen(*parts):
    """What the network is shown."""
    shown = []

    def network(planes):
        shown.append(planes)
        return ops.zeros_like(planes[..., :2])

    now, missing = _canvas_of(parts)
    stages.advance(network, now, missing, stages.step(missing)[1])
    return shown[0]


def test_the_step_and_its_size_are_those_of_float64():
    values = case()
    re, im, size = evaluate(_step, *arrays(values))
    found, expected = stepped(values)
    # sums of a hundred float32 numbers
    assert relative_error(re + 1j * im, found) < 1e-6
    np.testing.assert_allclose(size, expected, rtol=1e-6)


def test_without_light_and_with_nothing_missing_the_step_is_zero():
    values = {**case(), "waves": np.zeros((B, H, W), complex)}
    dark = {**values, "illumination": np.zeros((B, H, W)), "brightest": np.zeros((B, 1, 1))}
    for given in (values, dark):
        re, im, size = evaluate(_step, *arrays(given))
        assert not re.any() and not im.any()
        # not zero: it divides
        np.testing.assert_allclose(size, 1e-4, rtol=1e-6)


def test_an_untrained_network_is_a_gradient_step_with_momentum():
    values = case()
    new_re, new_im, moved_re, moved_im = evaluate(_advance, *arrays(values))
    light = values["illumination"] / values["brightest"]
    change = (1.6 * stepped(values)[0] + 0.6 * values["change"]) * light / (light + 0.01)
    # a division by the size and a multiplication with it, in float32
    assert relative_error(moved_re + 1j * moved_im, change) < 1e-6
    assert relative_error(new_re + 1j * new_im, values["object"] + change) < 1e-6
    assert not moved_re[:, 0].any(), "a pixel without light changed"


def test_the_network_sees_deviations_steps_light_and_noise():
    values = case()
    seen = evaluate(_seen, *arrays(values))
    found, size = stepped(values)
    light = values["illumination"] / values["brightest"]
    expected = [
        values["object"].real - 1,
        values["object"].imag,
        (found / size).real,
        (found / size).imag,
        (values["change"] / size).real,
        (values["change"] / size).imag,
        light,
        0.5 / np.sqrt(values["unit"] * values["illumination"] + 1),
    ]
    assert seen.shape == (B, H, W, stages.PLANES)
    np.testing.assert_allclose(seen, np.stack(expected, -1), rtol=1e-5, atol=1e-6)


@pytest.mark.one_backend
def test_a_larger_canvas_with_dark_surroundings_shows_the_network_the_same():
    values = case()
    margins = ((0, 0), (4, 8), (12, 4))
    wide = {
        name: np.pad(array, margins) if array.shape == (B, H, W) else array
        for name, array in values.items()
    }
    inside = (slice(None), slice(4, 4 + H), slice(12, 12 + W))
    # the size is a sum in another order
    np.testing.assert_allclose(
        evaluate(_seen, *arrays(wide))[inside], evaluate(_seen, *arrays(values)), rtol=1e-5
    )


@pytest.mark.one_backend
def test_brighter_data_show_the_network_the_same_but_for_the_noise():
    """A probe twice as strong, and frames to match: all sums are four times as large."""
    values = case()
    four = ("waves", "illumination", "brightest")
    brighter = {name: array * (4 if name in four else 1) for name, array in values.items()}
    one, other = (evaluate(_seen, *arrays(given)) for given in (values, brighter))
    np.testing.assert_allclose(other[..., :-1], one[..., :-1], rtol=1e-5, atol=1e-6)
    assert np.all(other[..., -1] <= one[..., -1])


@pytest.mark.one_backend
def test_a_canvas_begins_as_ones_that_never_changed():
    flat = stages.flat((2, 4, 8))
    (re, im), (moved_re, moved_im) = to_numpy(flat)
    np.testing.assert_array_equal(re, np.ones((2, 4, 8)))
    assert not im.any() and not moved_re.any() and not moved_im.any()


# -- sums on the canvases of groups ---------------------------------------------------------

C, N, M = 3, 6, 14
MODES = [
    pytest.param(P, id=f"{P} modes", marks=[pytest.mark.one_backend] * (P == 1)) for P in (1, 2)
]


def group(P, seed=1):
    rng = np.random.default_rng(seed)
    offsets = rng.uniform(-2.5, 2.5, (B, C, 2))
    return offsets, _complex(rng, 1, 1, P, N, N), _complex(rng, B, C, P, N, N)


def _group_sums(offsets, probe_re, probe_im, chi_re, chi_im):
    matrices = patches.group_matrices(offsets, N, M)
    return forward.group_sums(matrices, (probe_re, probe_im), (chi_re, chi_im))


def summed(offsets, probe, chi):
    parts = (probe.real, probe.imag, chi.real, chi.imag)
    re, im = evaluate(_group_sums, offsets, *parts)
    return re + 1j * im


@pytest.mark.parametrize("P", MODES)
def test_sums_of_groups_equal_scipy_and_are_the_adjoint_of_exit_waves(P):
    offsets, probe, chi = group(P)
    found = summed(offsets, probe, chi)
    back = np.sum(np.conj(probe) * chi, axis=2)
    expected = oracle_place(back.real, offsets, M) + 1j * oracle_place(back.imag, offsets, M)
    # sums of some ten float32 products
    assert relative_error(found, expected) < 1e-6
    # <A canvas, chi> = <canvas, A* chi>, with A from the canvas to exit waves
    canvas = _complex(np.random.default_rng(2), B, M, M)
    re, im = forward.group_patches(
        (canvas.real.astype("float32"), canvas.imag.astype("float32")),
        ops.convert_to_tensor(offsets.astype("float32")),
        N,
    )
    waves = (to_numpy(re) + 1j * to_numpy(im))[:, :, None] * probe
    assert np.vdot(waves, chi) == pytest.approx(np.vdot(canvas, found), rel=1e-5)


@pytest.mark.one_backend
def test_probes_of_their_own_for_each_scan_of_a_batch():
    offsets, _, chi = group(2)
    probe = _complex(np.random.default_rng(5), B, 1, 2, N, N)
    found = summed(offsets, probe, chi)
    for b in range(B):
        alone = summed(offsets[b : b + 1], probe[b : b + 1], chi[b : b + 1])
        assert relative_error(found[b : b + 1], alone) < 1e-6


@pytest.mark.one_backend
def test_sums_of_a_group_are_those_of_the_same_frames_on_a_canvas():
    offsets, probe, chi = group(2)
    found = summed(offsets[:1], probe, chi[:1])[0]
    places = offsets[0] + M / 2  # index M/2 of a group's canvas lies at its centre
    corners, fractions = map(ops.convert_to_tensor, windows.split(places, N))

    def pair(field):
        return tuple(
            ops.convert_to_tensor(part.astype("float32")) for part in (field.real, field.imag)
        )

    view = forward.canvas_view(pair(np.ones((M, M), complex)), corners, fractions, N)
    (re, im), _ = forward.object_sums(view, pair(probe[0]), pair(chi[0]), ops.ones((C,)))
    # fractions of positions of some pixels, rounded to float32 in one or the other order
    assert relative_error(to_numpy(re) + 1j * to_numpy(im), found) < 1e-5
