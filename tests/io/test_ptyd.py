"""Files of ptypy: several chunks are one scan, masks keep their polarity, the rest its units."""

import h5py
import numpy as np
import pytest
from foreign_files import BAD, COUNTS, PLACES_M, H, M, W, frames_of, write_ptyd

from pinn.config import ScanConfig
from pinn.errors import ScanError
from pinn.io.formats.ptyd import is_ptyd, read_ptyd
from pinn.io.stored_frames import valid_pixels


def read(path, **options):
    return read_ptyd(path, ScanConfig(**options))


@pytest.mark.parametrize("chunks", [(15,), (7, 8), (1,) * 15], ids=str)
def test_chunks_are_one_scan(tmp_path, chunks):
    found = read(write_ptyd(tmp_path / "a.ptyd", chunks=chunks))
    np.testing.assert_array_equal(frames_of(found), COUNTS)
    np.testing.assert_array_equal(found.positions_m, PLACES_M)
    np.testing.assert_array_equal(found.bad_pixels, BAD)
    assert found.energy_ev == pytest.approx(8200)
    assert found.distance_m == 2.1
    assert found.detector_pixel_m == 55e-6
    assert found.beam_centre == (7.5, 9.0)
    assert found.units == "intensity"  # float frames
    found.close()
    with pytest.raises(ScanError, match="closed"):
        found.frames.read(np.array([0]))


def test_chunks_are_ordered_by_number_and_not_by_name(tmp_path):
    found = read(write_ptyd(tmp_path / "a.ptyd", chunks=(1,) * 12 + (3,)))
    np.testing.assert_array_equal(found.frames.read(np.arange(M)), COUNTS)


def test_linked_chunks(tmp_path):
    path = write_ptyd(tmp_path / "a.ptyd", chunks=(9, 6))
    with h5py.File(path, "r+") as h5, h5py.File(tmp_path / "a.ptyd.part001", "w") as part:
        for key in h5["chunks/1"]:
            h5.copy(f"chunks/1/{key}", part)
        del h5["chunks/1"]
        h5["chunks/1"] = h5py.ExternalLink("a.ptyd.part001", "/")
    found = read(path)
    np.testing.assert_array_equal(frames_of(found), COUNTS)
    found.close()
    (tmp_path / "a.ptyd.part001").unlink()
    with pytest.raises(ScanError, match=r"a\.ptyd.*a\.ptyd\.part001"):
        read(path)


@pytest.mark.parametrize("weights", ["none", "empty"])
def test_without_weights_every_pixel_counts(tmp_path, weights):
    assert read(write_ptyd(tmp_path / "a.ptyd", weights=weights)).bad_pixels is None


@pytest.mark.parametrize("place", ["meta", "info"])
def test_a_common_weight(tmp_path, place):
    path = write_ptyd(tmp_path / "a.ptyd", weights="none")
    with h5py.File(path, "r+") as h5:
        h5[f"{place}/weight2d"] = (~BAD).astype(float)
    np.testing.assert_array_equal(read(path).bad_pixels, BAD)


def test_weights_that_differ_are_a_mask_of_each_frame(tmp_path):
    weights = np.ones((M, H, W), np.float32)
    weights[4, 2, 3] = 0
    weights[11, 5, 1] = np.nan
    path = write_ptyd(tmp_path / "a.ptyd", chunks=(5, 10), weights="none")
    with h5py.File(path, "r+") as h5:
        h5["chunks/0/weights"], h5["chunks/1/weights"] = weights[:5], weights[5:]
    bad = read(path).bad_pixels
    np.testing.assert_array_equal(bad.read(np.arange(M)), ~(weights > 0))
    assert bad.dtype == bool


@pytest.mark.parametrize("polarity", ["bad", "good"])
def test_good_pixels_of_the_file_are_joined_with_a_mask_beside_it(tmp_path, polarity):
    path = write_ptyd(tmp_path / "a.ptyd", weights="none")
    with h5py.File(path, "r+") as h5:
        h5["info/weight2d"] = (~BAD).astype(float)  # what is good, whatever the option says
    extra = np.zeros((H, W), bool)
    extra[0, 5] = extra[np.argwhere(BAD)[0][0], np.argwhere(BAD)[0][1]] = True
    np.save(tmp_path / "m.npy", extra if polarity == "bad" else ~extra)
    options = ScanConfig(bad_pixels=tmp_path / "m.npy", bad_pixels_polarity=polarity)
    found = read(path)
    np.testing.assert_array_equal(valid_pixels(found, options), ~(BAD | extra))
    assert BAD.sum() < (BAD | extra).sum() < BAD.size / 2
    found.close()


def test_integer_frames_are_counts_and_options_win(tmp_path):
    path = write_ptyd(tmp_path / "a.ptyd", data=lambda rows: COUNTS[rows])
    found = read(path)
    assert found.units == "counts" and found.frames.dtype == np.uint16
    assert read(path, frames="intensity").units is None  # `load` then takes the option


META = {
    "nothing": (dict(energy=0.0, distance=-1.0, psize=None, center=None), None, None, None, None),
    "words": (dict(center="fftshift"), 8200, 2.1, 55e-6, None),
    "tuples": (dict(center=(7.0, 3.5), psize=(4e-5, 4e-5)), 8200, 2.1, 4e-5, (7.0, 3.5)),
    "scalars": (dict(psize=3e-5), 8200, 2.1, 3e-5, (7.5, 9.0)),
}


@pytest.mark.parametrize("name", META)
def test_what_meta_says(tmp_path, name):
    meta, energy, distance, pixel, centre = META[name]
    found = read(write_ptyd(tmp_path / "a.ptyd", meta=meta))
    assert found.energy_ev == (energy if energy is None else pytest.approx(energy))
    assert (found.distance_m, found.detector_pixel_m, found.beam_centre) == (
        distance,
        pixel,
        centre,
    )


def test_a_centre_in_the_corner(tmp_path):
    path = write_ptyd(tmp_path / "a.ptyd", meta=dict(center="fft", propagation="farfield"))
    assert read(path).centre == "corner"
    assert read(path, centre="centred").centre is None


@pytest.mark.parametrize("place", ["info", "meta"])
@pytest.mark.parametrize("word", ["nearfield", b"near-field", "Near Field"])
def test_a_near_field_is_refused_unless_a_propagation_is_named(tmp_path, place, word):
    path = write_ptyd(tmp_path / "a.ptyd")
    with h5py.File(path, "r+") as h5:
        h5.require_group(place)["propagation"] = word
    with pytest.raises(ScanError, match=rf"'/{place}/propagation' in .*a\.ptyd says .*far field"):
        read(path)
    np.testing.assert_array_equal(frames_of(read(path, propagation="near")), COUNTS)


@pytest.mark.parametrize("centre", [(0.0, 0.0), (0.5, -0.5)])
def test_a_centre_at_the_first_pixel_is_the_corner(tmp_path, centre):
    path = write_ptyd(tmp_path / "a.ptyd", meta=dict(center=centre))
    found = read(path)
    assert (found.centre, found.beam_centre) == ("corner", None)
    assert read(path, centre="centred").centre is None


def test_a_centre_near_one_edge_only_is_a_pixel(tmp_path):
    found = read(write_ptyd(tmp_path / "a.ptyd", meta=dict(center=(0.0, 9.0))))
    assert (found.centre, found.beam_centre) == (None, (0.0, 9.0))


def test_recognised_by_its_groups(tmp_path):
    path = write_ptyd(tmp_path / "a.ptyd")
    assert is_ptyd(path, path.read_bytes()[:16])
    with h5py.File(path, "r+") as h5:
        del h5["chunks"]
    assert not is_ptyd(path, path.read_bytes()[:16])
    assert not is_ptyd(tmp_path / "not there", b"")
