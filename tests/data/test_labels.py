"""Labels: the object under each frame, from the truth or from label patches."""

import numpy as np
import pytest
from scan_makers import counts_stack, positions

from pinn.data.grouping import make_groups
from pinn.data.labels import Labels, sample_patches
from pinn.data.scan import Scan
from pinn.errors import ScanError
from pinn.simulate.forward import extract_patches

N = 16


def plane(shape=(60, 70)):
    """An object that bilinear sampling reproduces exactly, and that tells y from x."""
    y, x = np.indices(shape)
    return ((1 + 0.01 * y) + 1j * (0.3 - 0.02 * x)).astype(np.complex64)


def plane_at(y, x):
    return (1 + 0.01 * y) + 1j * (0.3 - 0.02 * x)


def scan_with(M=9, **options):
    return Scan(counts_stack(M), positions(M), name="labelled", **options)


def under(place, shape=(N, N)):
    """Object coordinates under the pixels of a patch."""
    i, j = np.indices(shape)
    return place[0] - N / 2 + i, place[1] - N / 2 + j


def test_patches_are_those_of_the_independent_forward_model():
    rng = np.random.default_rng(0)
    obj = (rng.normal(size=(40, 50)) + 1j * rng.normal(size=(40, 50))).astype(np.complex64)
    places = np.concatenate([rng.uniform(9, (30, 40), (20, 2)), [[12.0, 17.0], [20.5, 8.0]]])
    got, defined = sample_patches(obj, places, N)
    assert defined.all()
    np.testing.assert_allclose(got, extract_patches(obj, places, N), atol=3e-7)
    assert got.dtype == np.complex64


def test_outside_of_the_truth_there_is_no_label():
    obj = plane((20, 22))
    places = np.array([[3.25, 10.5], [17.5, 10.0], [8.0, 8.0], [12.0, 14.0], [12.5, 14.0]])
    got, defined = sample_patches(obj, places, N)
    for patch, seen, place in zip(got, defined, places, strict=True):
        y, x = under(place)
        inside = (y >= 0) & (y <= 19) & (x >= 0) & (x <= 21)
        np.testing.assert_array_equal(seen, inside)
        np.testing.assert_allclose(patch[inside], plane_at(y, x)[inside], rtol=1e-6)
        assert not patch[~inside].any()
    assert not defined[0].all() and defined[2].all() and defined[3].all()


@pytest.mark.parametrize("origin", [(0.0, 0.0), (-12.0, 7.25)])
@pytest.mark.parametrize("gridsize", [1, 2])
def test_labels_of_members_lie_where_their_frames_do(origin, gridsize):
    scan = scan_with(truth=plane((90, 90)), truth_origin_px=origin)
    groups = make_groups(scan.positions_px, gridsize)
    rows = np.array([4, 0, 4])
    values, defined = Labels(scan).read(groups, rows)
    assert values.shape == defined.shape == (3, gridsize**2, N, N)
    for row, group, seen in zip(rows, values, defined, strict=True):
        for member, patch, used in zip(groups.indices[row], group, seen, strict=True):
            y, x = under(scan.positions_px[member])
            want = plane_at(y - origin[0], x - origin[1])
            np.testing.assert_allclose(patch[used], want[used], rtol=2e-6)
            assert used.mean() > 0.3


def test_labels_of_whole_groups_lie_at_their_centres():
    scan = scan_with(truth=plane((200, 200)), truth_origin_px=(-50, -50))
    groups = make_groups(scan.positions_px, 2)
    values, defined = Labels(scan, whole_group=True).read(groups, np.arange(3))
    assert values.shape == (3, 1, N, N) and defined.all()
    for patch, centre in zip(values[:, 0], groups.centres, strict=False):
        y, x = under(centre)
        np.testing.assert_allclose(patch, plane_at(y + 50, x + 50), rtol=2e-6)


def test_label_patches_come_first_and_are_read_as_they_are():
    M = 9
    patches = np.random.default_rng(1).normal(size=(M, N, N)) * (1 + 2j)
    patches[3, 2, 5] = np.nan
    scan = scan_with(label_patches=patches, truth=plane())
    groups = make_groups(scan.positions_px, 2)
    values, defined = Labels(scan).read(groups, np.arange(4))
    want = patches[groups.indices[:4]]
    np.testing.assert_array_equal(defined, np.isfinite(want))
    np.testing.assert_array_equal(values, np.where(defined, want, 0).astype(np.complex64))


def test_label_patches_of_a_group_are_brought_to_its_centre():
    scan = scan_with()
    patches = np.stack([plane_at(*under(place)) for place in scan.positions_px])
    scan = scan_with(label_patches=patches.astype(np.complex64))
    groups = make_groups(scan.positions_px, 2)
    values, defined = Labels(scan, whole_group=True).read(groups, np.arange(9))
    assert 0.2 < defined.mean() < 1.0
    for patch, seen, centre in zip(values[:, 0], defined[:, 0], groups.centres, strict=True):
        np.testing.assert_allclose(patch[seen], plane_at(*under(centre))[seen], rtol=3e-6)
        assert not patch[~seen].any()


def test_a_scan_without_labels_says_how_to_get_them():
    with pytest.raises(ScanError, match=r"labelled has no labels.*pinn simulate.*objectGuess"):
        Labels(scan_with())


@pytest.mark.parametrize("value", [1.0, 0.0, 0.3 - 2j])
def test_a_constant_is_no_object(value):
    with pytest.raises(ScanError, match=r"truth of labelled \(objectGuess\) is constant"):
        Labels(scan_with(truth=np.full((80, 80), value, np.complex64)))
    with pytest.raises(ScanError, match="label patches of labelled is constant"):
        Labels(scan_with(label_patches=np.full((9, N, N), value, np.complex64)))


def test_a_truth_elsewhere_is_refused():
    with pytest.raises(ScanError, match="does not lie under its frames"):
        Labels(scan_with(truth=plane(), truth_origin_px=(500.0, 0.0)))
