"""MATLAB files of PtychoShelves: both versions say the same, in MATLAB's order of axes."""

import tracemalloc

import numpy as np
import pytest
from foreign_files import (
    BAD,
    COUNTS,
    OBJECT,
    PIXEL_M,
    PLACES,
    PLACES_M,
    PROBE,
    H,
    M,
    W,
    frames_of,
    shelves_variables,
    write_flat,
    write_mat,
    write_pair,
)

from pinn.config import ScanConfig
from pinn.data.geometry import photon_energy_ev
from pinn.errors import ScanError
from pinn.io.formats.ptychoshelves import is_ptychoshelves, read_ptychoshelves
from pinn.io.stacks import StoredFrames

BOTH = pytest.mark.parametrize("version", [5, 7.3])


def read(path, **options):
    return read_ptychoshelves(path, ScanConfig(**options))


@BOTH
def test_a_result_with_frames(tmp_path, version):
    found = read(write_mat(tmp_path / "a.mat", version, shelves_variables()))
    np.testing.assert_allclose(frames_of(found), np.sqrt(COUNTS), rtol=1e-15)
    np.testing.assert_allclose(found.positions_px, PLACES, rtol=1e-13)  # sums of half-integers
    np.testing.assert_array_equal(found.probe, PROBE)
    np.testing.assert_array_equal(found.truth, OBJECT)
    np.testing.assert_array_equal(found.bad_pixels, BAD)
    assert found.truth_origin_px == (0.0, 0.0) and found.units == "amplitude"
    assert found.energy_ev == pytest.approx(photon_energy_ev(1.5e-10))
    assert found.pixel_size_m == PIXEL_M and found.distance_m == 5.2
    found.close()


@BOTH
def test_a_near_field_is_refused_unless_a_propagation_is_named(tmp_path, version):
    near = shelves_variables(p__prop_regime="nearfield")
    path = write_mat(tmp_path / "a.mat", version, near)
    with pytest.raises(ScanError, match=r"'p\.prop_regime' in .*a\.mat says 'nearfield'.*--config"):
        read(path)
    read(path, propagation="near").close()
    far = shelves_variables(p__prop_regime="farfield")
    read(write_mat(tmp_path / "b.mat", version, far)).close()


def test_positions_and_object_fit_each_other(tmp_path):
    """A patch cut out at a position is where ptychographic codes for these files cut it."""
    found = read(write_mat(tmp_path / "a.mat", 5, shelves_variables()))
    offsets = shelves_variables()["outputs"]["probe_positions"][:, ::-1]
    first = np.ceil(np.array(OBJECT.shape) / 2 - np.array([H, W]) / 2) - 1 + offsets[3]
    np.testing.assert_allclose(found.positions_px[3] - (H / 2, W / 2), first, rtol=1e-13)


@BOTH
def test_less_and_other_ranks(tmp_path, version):
    masks = np.random.default_rng(1).random((H, W, M)) < 0.9
    variables = shelves_variables(
        object=np.stack([OBJECT, OBJECT[::-1]], axis=2),
        probe=np.stack([np.moveaxis(PROBE, 0, 2)] * 3, axis=3),
        p__lambda=None,
        p__z=0.0,
        p__fmask=masks.astype(np.uint8),
    )
    found = read(write_mat(tmp_path / "a.mat", version, variables))
    np.testing.assert_array_equal(found.probe, PROBE)
    np.testing.assert_allclose(found.truth, OBJECT * OBJECT[::-1], rtol=1e-6)
    np.testing.assert_array_equal(found.bad_pixels, np.moveaxis(~masks, 2, 0))
    assert (found.energy_ev, found.distance_m) == (None, None)
    assert any("3 variations" in note for note in found.notes)
    assert any("2 layers" in note for note in found.notes)


@BOTH
def test_electrons(tmp_path, version):
    variables = shelves_variables(p__lambda=0.0197, p__dx_spec=np.array([[0.2, 0.2]]))
    found = read(write_mat(tmp_path / "a.mat", version, variables))
    assert found.particle == "electron" and found.energy_ev == pytest.approx(300e3, rel=2e-3)
    assert found.pixel_size_m == pytest.approx(2e-11)
    assert found.distance_m is None


@BOTH
def test_raw_data_with_intensities(tmp_path, version):
    variables = {"dp": np.moveaxis(COUNTS, 0, 2), "probe_positions_0": PLACES_M[:, ::-1]}
    path = write_mat(tmp_path / "a.mat", version, variables)
    assert is_ptychoshelves(path, path.read_bytes()[:16])
    found = read(path)
    np.testing.assert_array_equal(frames_of(found), COUNTS)
    np.testing.assert_array_equal(found.positions_m, PLACES_M)
    assert found.units == "counts"
    assert read(path, frames="intensity").units is None


@BOTH
def test_positions_of_the_parameters(tmp_path, version):
    """Without outputs: the first pixel of a patch, row and column."""
    variables = shelves_variables(outputs=None, p__positions=PLACES - (H / 2, W / 2))
    found = read(write_mat(tmp_path / "a.mat", version, variables))
    np.testing.assert_allclose(found.positions_px, PLACES, rtol=1e-14)


@BOTH
@pytest.mark.parametrize("empty", [False, True])
def test_frames_of_another_file(tmp_path, version, empty):
    gone = np.zeros((0, 0)) if empty else None
    path = write_mat(tmp_path / "r.mat", version, shelves_variables(p__fmag=gone, p__fmask=None))
    dp, _ = write_pair(tmp_path)
    with pytest.raises(ScanError, match=r"r\.mat holds no frames .* with --diffraction .* object"):
        read(path)
    found = read(path, diffraction=dp)
    np.testing.assert_array_equal(frames_of(found), COUNTS)
    np.testing.assert_allclose(found.positions_px, PLACES, rtol=1e-13)
    assert found.units == "counts" and found.bad_pixels is None
    other = write_flat(tmp_path / "other.h5", {"entry/other": COUNTS[:, ::-1]})
    found = read(path, diffraction=other, data_path="/entry/other")
    np.testing.assert_array_equal(frames_of(found), COUNTS[:, ::-1])


def test_large_frames_of_version_5_go_to_disk():
    large = np.zeros((17, 1024, 1024), np.float32)  # 71 MB
    large[:, 3, 5] = np.arange(17)
    tracemalloc.start()
    frames = StoredFrames(large)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < large.nbytes / 2
    large[:] = -1  # what was handed over is not needed any more
    np.testing.assert_array_equal(frames.read(np.array([16, 2]))[:, 3, 5], [16, 2])
    frames.close()
    with pytest.raises(ScanError, match="closed"):
        frames.read(np.array([0]))


def test_damaged_files_of_version_5(tmp_path):
    path = write_mat(tmp_path / "a.mat", 5, shelves_variables())
    whole = path.read_bytes()
    rng = np.random.default_rng(4)
    refused = 0
    for trial in range(60):
        damaged = bytearray(whole)
        if trial < 20:
            damaged = damaged[: int(rng.integers(1, len(whole)))]
        else:
            # The head of a variable, where a flipped byte does harm.
            for place in rng.integers(120, 400, 3):
                damaged[place] = int(rng.integers(0, 256))
        path.write_bytes(damaged)
        sentence = None
        try:
            read(path).close()
        except ScanError as error:
            sentence = str(error)
        if sentence is not None:
            assert str(path) in sentence and "\n" not in sentence
            refused += 1
    assert refused > 20


def test_recognised(tmp_path):
    def taken(path):
        return is_ptychoshelves(path, path.read_bytes()[:16])

    assert taken(write_mat(tmp_path / "a.mat", 5, shelves_variables()))
    assert taken(write_mat(tmp_path / "b.mat", 7.3, shelves_variables()))
    assert taken(write_mat(tmp_path / "c.mat", 7.3, shelves_variables(outputs=None)))
    assert not taken(write_mat(tmp_path / "d.mat", 7.3, {"x": np.ones((2, 2))}))
    assert not taken(write_pair(tmp_path)[0])
    assert not is_ptychoshelves(tmp_path / "none", b"")
