"""The canvas: exact averages, growth, origin, order, and the reference's stitching."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinn.reconstruction.canvas import Canvas, bilinear_shift, legacy_reassemble

GOLDEN = Path(__file__).parents[1] / "goldens" / "stitching.npz"


def _patches(obj, positions, n):
    """Whole-pixel patches of an object: pixel n/2 lies at the position."""
    corners = positions.astype(int) - n // 2
    return np.stack([obj[y : y + n, x : x + n] for y, x in corners])


def _object(shape=(60, 47), seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_patches_of_an_object_give_the_object_and_its_origin(seed):
    rng = np.random.default_rng(seed)
    obj, n = _object(), 12
    positions = np.stack([rng.integers(6, 54, 40), rng.integers(6, 41, 40)], 1).astype(float)
    canvas = Canvas(n + 1)
    corners, fractions = canvas.split(positions)
    canvas.add_each(corners, bilinear_shift(_patches(obj, positions, n), fractions))
    got, coverage, origin = canvas.result()
    assert np.all(origin == positions.min(0) - n // 2)
    lit = coverage > 0
    y, x = origin.astype(int)
    window = np.zeros_like(got)
    part = obj[y : y + got.shape[0], x : x + got.shape[1]]
    window[: part.shape[0], : part.shape[1]] = part
    np.testing.assert_allclose(got[lit], window[lit], atol=1e-6)
    assert np.all(got[~lit] == 0)
    assert coverage.sum() == pytest.approx(40 * n * n)


def test_fractional_position_splits_a_delta_between_its_four_neighbours():
    patch = np.zeros((1, 4, 4), complex)
    patch[0, 1, 2] = 1.0
    canvas = Canvas(5)
    corners, fractions = canvas.split(np.array([[10.25, 20.5]]))
    moved = bilinear_shift(patch, fractions)[0, ..., 0]
    expected = np.zeros((5, 5))
    expected[1, 2] = expected[1, 3] = 0.75 * 0.5
    expected[2, 2] = expected[2, 3] = 0.25 * 0.5
    np.testing.assert_allclose(moved, expected, atol=1e-7)
    np.testing.assert_array_equal(corners, [[8, 18]])


def test_order_and_packets_do_not_matter():
    obj, n, rng = _object(), 10, np.random.default_rng(3)
    positions = rng.uniform(8, 38, (50, 2))
    patches = _patches(obj, np.floor(positions), n)
    results = []
    for order, packet in ((np.arange(50), 50), (rng.permutation(50), 7)):
        canvas = Canvas(n + 1)
        for first in range(0, 50, packet):
            chosen = order[first : first + packet]
            corners, fractions = canvas.split(positions[chosen])
            canvas.add_each(corners, bilinear_shift(patches[chosen], fractions))
        results.append(canvas.result())
    np.testing.assert_allclose(results[0][0], results[1][0], atol=1e-6)
    np.testing.assert_array_equal(results[0][2], results[1][2])
    assert results[0][0].shape == results[1][0].shape


def test_weak_light_is_left_at_zero_and_never_amplified():
    canvas = Canvas(5)
    strong = np.concatenate([np.ones((1, 5, 5, 2)), np.ones((1, 5, 5, 1))], -1)
    canvas.add(np.array([[0, 0]]), strong)
    canvas.add(np.array([[0, 10]]), strong * 1e-6)
    obj, coverage, _ = canvas.result()
    assert np.all(obj[:, 10:] == 0) and np.all(coverage[:, 10:] == 0)
    assert np.all(np.abs(obj[:, :5] - (1 + 1j)) < 1e-6)


def test_copy_is_independent_and_empty_canvas_is_empty():
    canvas = Canvas(5)
    obj, coverage, _ = canvas.copy().result()
    assert obj.shape == coverage.shape == (0, 0)
    canvas.add(np.array([[0, 0]]), np.ones((1, 5, 5, 3)))
    twin = canvas.copy()
    twin.add(np.array([[0, 0]]), 3 * np.ones((1, 5, 5, 3)))
    assert canvas.result()[1].max() == 1 and twin.result()[1].max() == 4


@pytest.mark.parametrize("crop", [8, 16])
def test_legacy_stitching_equals_the_reference(crop):
    golden = np.load(GOLDEN)
    positions = golden["reasm_offsets"][:, 0, ::-1, 0]  # stored as [x, y]
    ours = legacy_reassemble(golden["reasm_patches"][..., 0], positions, crop)
    expected = golden[f"reasm_M{crop}"][..., 0]
    assert ours.shape == expected.shape
    # the reference resamples in float32 by a projective warp: 7e-6 absolute was measured
    assert np.abs(ours - expected).max() < 2e-5


def test_legacy_anchor_is_the_mean_position():
    positions = np.array([[0.0, 0.0], [0.0, 2.0], [3.0, 0.5]])[:, ::1]
    patches = np.ones((3, 8, 8)) * np.array([1, 2, 3])[:, None, None] + 0j
    stitched = legacy_reassemble(patches, positions, 4)
    assert stitched.shape == (8, 8)
    # published: constant patches 1, 2, 3 at x, y = (0, 0), (2, 0), (0.5, 3) sum to 91.27922
    assert stitched.real.sum() == pytest.approx(91.27922, abs=1e-3)


def _smooth_phase_object(shape=(90, 110)):
    y, x = np.mgrid[: shape[0], : shape[1]]
    phase = 1.2 * np.sin(2 * np.pi * x / 110) + 0.9 * np.cos(2 * np.pi * (y + 0.3 * x) / 100)
    rng = np.random.default_rng(0)
    return (1 + 0.2 * rng.random(shape)) * np.exp(1j * phase)


@pytest.mark.parametrize("members", [1, 3])
def test_synchronise_restores_the_long_range_phase(members):
    """Groups of a smooth object, each turned by its own mean phase, as a network predicts them."""
    obj, n, rng = _smooth_phase_object(), 12, np.random.default_rng(4)
    y, x = np.mgrid[:n, :n] - n / 2
    weight = np.exp(-(x**2 + y**2) / 12)
    canvas = Canvas(n + 1)
    for _ in range(600):
        centre = rng.uniform(10, [78, 98])
        positions = np.floor(centre + rng.uniform(-2, 2, (members, 2)))
        patches = _patches(obj, positions, n)
        patches = patches * np.exp(-1j * np.angle(np.sum(patches * weight)))
        corners, fractions = canvas.split(positions)
        moved = bilinear_shift(patches * weight, fractions)
        moved[..., 2] = bilinear_shift(np.broadcast_to(weight + 0j, patches.shape), fractions)[
            ..., 0
        ]
        canvas.add(corners, moved)

    def error(synchronise):
        got, _, origin = canvas.result(synchronise=synchronise)
        y0, x0 = origin.astype(int)
        inner = np.s_[12:-12, 12:-12]
        ours, truth = got[inner], obj[y0 : y0 + got.shape[0], x0 : x0 + got.shape[1]][inner]
        turn = np.sum(truth * np.conj(ours))
        return np.abs(np.angle(ours * np.conj(truth) * turn)).mean()

    # the averages alone lose most of the phase (its mean modulus is 0.9 rad); what is left
    # afterwards is the error of the cells' finite size
    assert error(False) > 0.4
    assert error(True) < 0.15


def test_synchronise_leaves_a_consistent_object_alone():
    obj, n, rng = _smooth_phase_object(), 12, np.random.default_rng(4)
    positions = np.floor(rng.uniform(10, [78, 98], (400, 2)))
    canvas = Canvas(n + 1)
    corners, fractions = canvas.split(positions)
    canvas.add_each(corners, bilinear_shift(_patches(obj, positions, n), fractions))
    plain, coverage, _ = canvas.result()
    turned, _, _ = canvas.result(synchronise=True)
    lit = coverage > 0
    constant = np.angle(np.sum(turned[lit] * np.conj(plain[lit])))
    assert np.abs(np.angle(turned[lit] * np.conj(plain[lit])) - constant).max() < 1e-3
    np.testing.assert_allclose(np.abs(turned), np.abs(plain), rtol=1e-5)


def test_patches_at_once_are_groups_of_one():
    rng = np.random.default_rng(5)
    patches = rng.standard_normal((9, 6, 6, 3)) + np.array([1.0, 0.0, 3.0])
    corners = rng.integers(0, 20, (9, 2))
    together, one_by_one = Canvas(6), Canvas(6)
    together.add_each(corners, patches)
    for corner, patch in zip(corners, patches, strict=True):
        one_by_one.add(corner[None], patch[None])
    np.testing.assert_array_equal(
        together._window(together._low, together._high),
        one_by_one._window(one_by_one._low, one_by_one._high),
    )
