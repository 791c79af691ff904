"""Pairs of HDF5 files: found by either name, read in all three kinds, written and read again."""

import h5py
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
    write_flat,
    write_pair,
)

from pinn.config import ScanConfig
from pinn.data.geometry import electron_energy_ev, photon_energy_ev
from pinn.data.scan import Scan
from pinn.errors import OutputError, ScanError
from pinn.io.formats.ptychovit import is_ptychovit, read_ptychovit
from pinn.io.formats.ptychovit_writer import pair_paths, write_ptychovit_pair


def read(path, **options):
    return read_ptychovit(path, ScanConfig(**options))


@pytest.mark.parametrize("which", [0, 1], ids=["dp", "para"])
@pytest.mark.parametrize("kind", ["fold_slice", "fold_slice_0", "ptychovit"])
def test_either_name_opens_the_pair(tmp_path, kind, which):
    found = read(write_pair(tmp_path, kind)[which])
    np.testing.assert_array_equal(frames_of(found), COUNTS)
    np.testing.assert_allclose(found.positions_m, PLACES_M, rtol=1e-14)
    assert found.pixel_size_m == PIXEL_M
    assert found.units == "counts"
    found.close()
    assert read(write_pair(tmp_path, kind)[which], frames="intensity").units is None


def test_numbers_of_fold_slice(tmp_path):
    found = read(write_pair(tmp_path)[0])
    assert found.energy_ev == pytest.approx(photon_energy_ev(1.5e-10))
    assert found.particle == "photon"
    assert found.acquisition == {"tomography_angle_deg": 12.5}
    assert found.probe is None and found.truth is None


def test_electrons_of_fold_slice_are_in_angstroms(tmp_path):
    angstroms = {"ppX": PLACES[:, 1] * 0.2, "ppY": PLACES[:, 0] * 0.2}
    found = read(write_pair(tmp_path, **angstroms, **{"lambda": 0.0197, "dx": 0.2})[1])
    assert found.particle == "electron"
    assert found.energy_ev == pytest.approx(300e3, rel=2e-3)  # 1.97 pm, three digits
    assert found.energy_ev == electron_energy_ev(0.0197 * 1e-10)
    np.testing.assert_allclose(found.positions_m, PLACES * 2e-11, rtol=1e-14)
    assert found.pixel_size_m == pytest.approx(2e-11) and found.positions_unit_m == 1e-10


def test_probe_and_object_of_ptychovit(tmp_path):
    found = read(write_pair(tmp_path, "ptychovit")[0])
    np.testing.assert_array_equal(found.probe, PROBE)
    np.testing.assert_array_equal(found.truth, OBJECT)
    # With the middle of the object at zero metres, the middle of a patch at p is over pixel
    # p + (80 - 1)/2: its index H/2 is half a pixel further.
    assert found.truth_origin_px == (-40.0, -45.0)
    layers = np.stack([OBJECT, OBJECT[::-1]])
    pair = write_pair(tmp_path, "ptychovit", object=layers, probe=np.stack([PROBE, 2 * PROBE]))
    found = read(pair[0])
    np.testing.assert_allclose(found.truth, OBJECT * OBJECT[::-1], rtol=1e-6)
    np.testing.assert_array_equal(found.probe, PROBE)
    assert any("2 layers" in note for note in found.notes)
    assert any("2 variations" in note for note in found.notes)


def test_weights_of_probe_variations(tmp_path):
    weights = np.random.default_rng(0).random((M, 2))
    both = np.stack([PROBE, 2 * PROBE])
    found = read(write_pair(tmp_path, "ptychovit", probe=both, opr_weights=weights)[1])
    np.testing.assert_array_equal(found.probe, both)
    np.testing.assert_array_equal(found.probe_weights, weights)


def test_an_object_with_a_centre_and_one_without_a_pixel(tmp_path):
    pair = write_pair(tmp_path, "ptychovit")
    with h5py.File(pair[1], "r+") as h5:
        h5["object"].attrs.update(center_x_m=50 * PIXEL_M, center_y_m=30 * PIXEL_M)
    assert read(pair[0]).truth_origin_px == pytest.approx((-10.0, 5.0))
    with h5py.File(pair[1], "r+") as h5:
        del h5["object"].attrs["pixel_height_m"]
    found = read(pair[0])
    assert found.truth is None and found.pixel_size_m is None
    assert any("place is not known" in note for note in found.notes)


def test_pixels_under_the_names_of_metres(tmp_path):
    pair = write_pair(
        tmp_path,
        "ptychovit",
        probe_position_x_m=PLACES[:, 1],
        probe_position_y_m=PLACES[:, 0],
    )
    found = read(pair[0])
    np.testing.assert_array_equal(found.positions_px, PLACES)
    assert found.positions_m is None and found.truth_origin_px == (-40.0, -45.0)


def test_one_file_may_be_both(tmp_path):
    parts = {"dp": COUNTS, "ppX": PLACES_M[:, 1], "ppY": PLACES_M[:, 0]}
    path = write_flat(tmp_path / "both.h5", parts)
    found = read(path)
    np.testing.assert_array_equal(frames_of(found), COUNTS)
    np.testing.assert_array_equal(found.positions_m, PLACES_M)


def test_the_option_names_the_frames(tmp_path):
    dp, para = write_pair(tmp_path)
    moved = tmp_path / "elsewhere.h5"
    dp.rename(moved)
    with pytest.raises(ScanError, match=r"frames that belong to .*scan_para.*say --diffraction"):
        read(para)
    found = read(para, diffraction=moved)
    np.testing.assert_array_equal(frames_of(found), COUNTS)
    with pytest.raises(ScanError, match=r"elsewhere\.h5 holds frames .* leave --diffraction out"):
        read(moved, diffraction=moved)
    para.rename(tmp_path / "other.hdf5")
    with pytest.raises(ScanError, match=r"positions that belong to .* name that file and say"):
        read(moved)


def test_another_suffix_beside(tmp_path):
    dp, para = write_pair(tmp_path)
    para.rename(tmp_path / "scan_para.h5")
    assert read(dp).positions_m is not None


def test_frames_that_are_none(tmp_path):
    dp, para = write_pair(tmp_path)
    write_flat(dp, {"dp": np.ones((H, W))})
    with pytest.raises(ScanError, match=r"'/?dp' in .*scan_dp\.hdf5"):
        read(para)


# ----------------------------------------------------------------------------------- writing


def scan(**options):
    N = 16
    frames = options.pop("frames", COUNTS[:, :, :N].astype(np.uint16))
    parts = {"probe": PROBE[:, :, :N], "truth": OBJECT, "truth_origin_px": (-3.0, 4.0)}
    parts |= {"pixel_size_m": PIXEL_M, "energy_ev": 8e3, "distance_m": 2.0, "units": "counts"}
    parts |= {"valid_mask": ~BAD[:, :N], "name": "star"}
    return Scan(frames, PLACES, **{**parts, **options})


def again(found):
    mask = found.bad_pixels
    return Scan(
        found.frames,
        found.positions_px,
        probe=found.probe,
        valid_mask=None if mask is None else mask == 0,
        units=found.units,
        truth=found.truth,
        truth_origin_px=found.truth_origin_px,
        pixel_size_m=found.pixel_size_m,
    )


@pytest.mark.parametrize("name", ["out", "out_dp.hdf5", "out_para.hdf5"])
def test_a_scan_written_and_read_is_the_same(tmp_path, name):
    first = scan()
    files = write_ptychovit_pair(tmp_path / name, first)
    assert files == pair_paths(tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out_dp.hdf5", "out_para.hdf5"]
    for file in files:
        assert is_ptychovit(file, file.read_bytes()[:16])
        second = again(read(file))
        np.testing.assert_array_equal(second.positions_px, first.positions_px)
        np.testing.assert_array_equal(second.frames.read(np.arange(M)), COUNTS[:, :, :16])
        np.testing.assert_array_equal(second.valid_mask, ~BAD[:, :16])
        np.testing.assert_array_equal(second.probe, first.probe)
        np.testing.assert_array_equal(second.truth, first.truth)
        assert second.truth_origin_px == first.truth_origin_px
        assert second.pixel_size_m == PIXEL_M


def test_what_other_programs_find_in_the_pair(tmp_path):
    dp, para = write_ptychovit_pair(tmp_path / "out", scan())
    with h5py.File(dp) as h5:
        np.testing.assert_array_equal(h5["dp"][()], COUNTS[:, :, :16])
        assert h5["dp"].dtype == np.uint16
    with h5py.File(para) as h5:
        # What PtychoViT asks for: metres, four axes of the probe, three of the object.
        np.testing.assert_allclose(h5["probe_position_y_m"][()], PLACES_M[:, 0], rtol=1e-14)
        np.testing.assert_allclose(h5["probe_position_x_m"][()], PLACES_M[:, 1], rtol=1e-14)
        assert h5["probe"].shape == (1, 2, 16, 16) and h5["object"].shape == (1, 80, 90)
        assert h5["object"].attrs["pixel_height_m"] == PIXEL_M
        assert h5.attrs["photon_energy_eV"] == 8e3
        # Without our group the same place follows from what the product says.
        said = h5["object"].attrs
        centre = said["center_y_m"] / PIXEL_M, said["center_x_m"] / PIXEL_M
    assert centre == pytest.approx((-3 + 40, 4 + 45))


def test_a_pair_without_our_group_is_read_in_metres(tmp_path):
    first = scan()
    dp, para = write_ptychovit_pair(tmp_path / "out", first)
    with h5py.File(para, "r+") as h5:
        del h5["pinn_scan"]
    found = read(dp)
    np.testing.assert_allclose(found.positions_m, PLACES_M, rtol=1e-14)
    assert found.truth_origin_px == pytest.approx(first.truth_origin_px)
    assert found.energy_ev == 8e3 and found.distance_m == 2.0


def test_amplitudes_are_stored_as_intensities(tmp_path):
    amplitude = np.sqrt(COUNTS[:, :, :16]).astype(np.float32)
    dp, _ = write_ptychovit_pair(
        tmp_path / "out", scan(frames=amplitude, units="amplitude", valid_mask=None)
    )
    found = read(dp)
    assert found.units == "intensity"
    values = found.frames.read(np.arange(M))
    np.testing.assert_allclose(values, COUNTS[:, :, :16], rtol=1e-6)  # a float32 root, squared


def test_masks_of_each_frame_come_back(tmp_path):
    masks = np.random.default_rng(5).random((M, 16, 16)) < 0.8
    dp, _ = write_ptychovit_pair(tmp_path / "out", scan(valid_mask=masks))
    np.testing.assert_array_equal(read(dp).bad_pixels.read(np.arange(M)), ~masks)


def test_lengths_that_are_not_known_stay_unknown(tmp_path):
    unknown = scan(pixel_size_m=None, energy_ev=None, distance_m=None, truth=None, probe=None)
    dp, _ = write_ptychovit_pair(tmp_path / "out", unknown)
    found = read(dp)
    assert (found.pixel_size_m, found.energy_ev, found.distance_m) == (None, None, None)
    assert found.truth is None and found.probe is None
    np.testing.assert_array_equal(found.positions_px, PLACES)


def test_files_of_others_are_not_overwritten(tmp_path):
    dp, para = write_pair(tmp_path, name="out")
    before = dp.read_bytes()
    with pytest.raises(OutputError, match=r"out_dp\.hdf5: there is a file of this name"):
        write_ptychovit_pair(para, scan())
    assert dp.read_bytes() == before
    dp.unlink()
    write_ptychovit_pair(para, scan())  # the named file is meant to be replaced
    write_ptychovit_pair(tmp_path / "out", scan())  # and our own may be


def test_progress_and_a_stop(tmp_path):
    told = []
    write_ptychovit_pair(tmp_path / "out", scan(), progress=told.append)
    assert told[-1].done == told[-1].total == M

    def stop(report):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_ptychovit_pair(tmp_path / "new", scan(), progress=stop)
    assert not list(tmp_path.glob("*new*"))


def test_recognised(tmp_path):
    def taken(path):
        return is_ptychovit(path, path.read_bytes()[:16])

    for kind in ("fold_slice", "fold_slice_0", "ptychovit"):
        assert all(map(taken, write_pair(tmp_path, kind, name=kind)))
    dp, para = write_pair(tmp_path, "ptychovit", name="alone")
    dp.unlink()
    assert not taken(para)  # then it is a product
    assert not taken(write_flat(tmp_path / "a.h5", {"dp/x": 1}))
    assert not taken(write_flat(tmp_path / "b.h5", {"ppX": 1}))
