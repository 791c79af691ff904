"""Polyhedra: thickness against the volume of the hull and against marching along the beam."""

import numpy as np
import pytest
from scipy.spatial import ConvexHull, HalfspaceIntersection
from simulated import obj_of

from pinn.simulate.polyhedra import pile_of_solids, random_solid, thickness

CUBE = np.array(
    [[1, 0, 0, -5], [-1, 0, 0, -5], [0, 1, 0, -5], [0, -1, 0, -5], [0, 0, 1, -5], [0, 0, -1, -5.0]]
)


def grid(half):
    index = np.arange(-half, half + 1.0)
    return index[:, None], index[None, :]


def test_a_cube_on_its_face_is_as_thick_as_wide():
    y, x = grid(12)
    expected = 10.0 * ((np.abs(y) <= 5) & (np.abs(x) <= 5))
    np.testing.assert_allclose(thickness(CUBE, y, x), expected)


def test_a_cube_on_its_edge_is_a_roof():
    c = np.sqrt(0.5)
    turn = np.array([[1, 0, 0], [0, c, -c], [0, c, c]])
    faces = np.hstack([CUBE[:, :3] @ turn.T, CUBE[:, 3:]])
    y, x = grid(12)
    roof = np.maximum(2 * (5 * np.sqrt(2) - np.abs(x)), 0) * (np.abs(y) <= 5)
    np.testing.assert_allclose(thickness(faces, y, x), roof, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_thickness_adds_up_to_the_volume(seed):
    faces = random_solid(30.0, np.random.default_rng(seed))
    corners = HalfspaceIntersection(faces, np.zeros(3)).intersections
    y, x = grid(70)
    thick = thickness(faces, y, x)
    # a sum over unit cells of a continuous function: the silhouette alone is off
    assert thick.sum() == pytest.approx(ConvexHull(corners).volume, rel=5e-3)
    assert thick.max() <= 2 * 1.4 * 30
    assert not thick[0].any() and not thick[:, 0].any()


def test_thickness_is_what_marching_finds():
    faces = random_solid(10.0, np.random.default_rng(9))
    y, x = grid(15)
    step = 0.05
    z = np.arange(-15, 15, step)[:, None, None]
    inside = [ny * y + nx * x + nz * z + b <= 0 for ny, nx, nz, b in faces]
    marched = step * np.all(inside, axis=0).sum(0)
    np.testing.assert_allclose(thickness(faces, y, x), marched, atol=2 * step)


def test_solids_differ_and_pile_up():
    a, b = (random_solid(10.0, np.random.default_rng(s)) for s in (1, 2))
    assert a.shape != b.shape or not np.allclose(a, b)
    few, many = (pile_of_solids(128, 12.0, n, np.random.default_rng(3)) for n in (5, 60))
    assert many.sum() > 4 * few.sum()
    by_area = pile_of_solids(128, 12.0, None, np.random.default_rng(3))
    assert 0.2 < np.mean(by_area > 0) < 0.95


def test_phase_follows_thickness_and_amplitude_its_absorption():
    obj = obj_of(seed=2, object="polyhedra", feature_px=20.0)
    phase, amplitude = np.angle(obj), np.abs(obj)
    empty = phase < 1e-9
    assert 0.02 < empty.mean() < 0.9
    np.testing.assert_allclose(amplitude[empty], 1.0)
    order = np.argsort(phase[~empty])
    assert np.all(np.diff(amplitude[~empty][order]) <= 1e-12)  # thicker is never brighter
