"""Every option of `ScanConfig` does what it says, compared with NumPy on the arrays of the file."""

import json
import typing

import h5py
import numpy as np
import pytest
from npz_files import M, N, contract, write, write_npz
from PIL import Image

from pinn.check import check
from pinn.check.exposures import file_numbers
from pinn.check.symmetry import alike
from pinn.config import ScanConfig
from pinn.config.scan import ORIENTATIONS, FormatName
from pinn.data import geometry, resample
from pinn.data.masks import mask_rows
from pinn.data.prepare import Bin, Crop, Flip, orient
from pinn.errors import ConfigError, ScanError
from pinn.io.convert import write_scan
from pinn.io.formats.registry import FORMATS
from pinn.io.load import load
from pinn.simulate import SimulateConfig, simulate

BASE = contract()
COUNTS = np.rint(BASE["diff3d"].astype(np.float64) ** 2).astype(np.uint16)
PLACES = np.stack([BASE["ycoords"], BASE["xcoords"]], 1)
Y, X = np.mgrid[:N, :N] - N // 2
# Narrow, and off the middle: survives cropping and binning.
PROBE = np.exp(-((Y - 0.7) ** 2 + (X + 0.4) ** 2 / 1.3) / 2.2) * np.exp(0.4j * Y - 0.25j * X)
OPTICS = {"energy_ev": 8.5e3, "distance_m": 2.1, "detector_pixel_m": 75e-6}


@pytest.fixture
def scan_file(tmp_path):
    """Writes a file of counts with changes to its arrays and to its metadata."""

    def make(name="a.npz", metadata=None, **changes):
        arrays = {"diff3d": COUNTS, "probeGuess": PROBE} | changes
        if metadata is not None:
            arrays["metadata"] = np.array(json.dumps(metadata))
        return write(tmp_path / name, **arrays)

    return make


def counts_of(scan):
    amplitude, valid = scan.read(np.arange(len(scan)))
    return np.rint(amplitude.astype(np.float64) ** 2), valid


def mask_of(scan):
    return mask_rows(scan.valid_mask, np.arange(len(scan)))


def steps_of(scan):
    return [step["step"] for step in scan.steps]


# -- the file and its numbers -------------------------------------------------------------


def test_formats_are_the_choices_of_the_option():
    names = [known.name for known in FORMATS]
    assert sorted(names) == sorted(set(names))
    assert {"auto", *names} == set(typing.get_args(FormatName))


def test_the_format_can_be_named_and_then_decides(scan_file):
    path = scan_file()
    assert len(load(path, format="npz")) == M


def test_plain_hdf5_is_read_by_its_paths(tmp_path):
    path = tmp_path / "a.h5"
    mask = np.zeros((N, N), np.uint8)
    mask[3, 4] = 1
    with h5py.File(path, "w") as h5:
        h5["in/counts"], h5["in/places"] = COUNTS, PLACES
        h5["in/y"], h5["in/x"], h5["in/p"], h5["in/m"] = PLACES[:, 0], PLACES[:, 1], PROBE, mask
    options = {"data_path": "in/counts", "probe_path": "in/p", "mask_path": "in/m"}
    options["positions_unit"] = "px"
    columns = load(path, positions_path="in/y,in/x", **options)
    scan = load(path, positions_path="in/places", **options)
    for one in (columns, scan):
        np.testing.assert_array_equal(one.positions_px, PLACES)
        np.testing.assert_array_equal(counts_of(one)[0], COUNTS * (mask == 0))
        np.testing.assert_array_equal(one.valid_mask, mask == 0)
        np.testing.assert_allclose(one.probe[0], PROBE, rtol=1e-6)
    good = load(path, positions_path="in/places", bad_pixels_polarity="good", **options)
    np.testing.assert_array_equal(good.valid_mask, mask == 1)


@pytest.mark.parametrize("stated", ["option", "file"])
@pytest.mark.parametrize(
    ("options", "rows"),
    [
        (dict(drop_frames="0-3"), slice(4, None)),
        (dict(scan_number=1), slice(1, None, 2)),
        (dict(part="test"), None),
        (dict(frame_size=24), slice(None)),
        (dict(beamstop=2.5), slice(None)),
        (dict(frame_size=24, beamstop=2.5, drop_frames="5"), np.delete(np.arange(M), 5)),
    ],
)
def test_a_frame_has_the_same_counts_whatever_else_is_used(scan_file, options, rows, stated):
    counts = COUNTS * np.linspace(1, 9, M)[:, None, None]  # a beam that gains
    mask = np.zeros((N, N), bool)
    mask[3, 5] = True
    path = scan_file(
        diff3d=np.sqrt(counts).astype(np.float32),
        metadata={"nphotons": 2e5} if stated == "file" else None,
        scan_index=np.arange(M) % 2,
        bad_pixels=mask,
    )
    given = {"photons_per_frame": 2e5} if stated == "option" else {}
    wanted = np.where(mask, 0, counts) * 2e5 / counts[:, ~mask].sum(1).mean()
    scan = load(path, **given, **options)
    assert any("mean of all 12 frames as stored" in note for note in scan.notes)
    if rows is None:
        rows = [np.flatnonzero((p == PLACES).all(1))[0] for p in scan.positions_px]
    amplitude, valid = scan.read(np.arange(len(scan)))
    if (edge := (scan.N - N) // 2) > 0:  # padded
        amplitude, valid = (a[:, edge:-edge, edge:-edge] for a in (amplitude, valid))
    np.testing.assert_allclose(
        amplitude.astype(np.float64) ** 2, np.where(valid, wanted[rows], 0), rtol=1e-5
    )
    found = scan.statistics()
    assert found.photons_known
    assert found.mean_counts == pytest.approx(np.where(valid, wanted[rows], 0).sum((1, 2)).mean())


def test_a_pixel_has_the_same_counts_when_the_frames_are_cropped(scan_file):
    frames = np.random.default_rng(8).random((M, 24, 24)) + 0.5
    path = scan_file(diff3d=frames, probeGuess=None)
    whole = load(path, photons_per_frame=1e4, frames="intensity")
    part = load(path, photons_per_frame=1e4, frames="intensity", frame_size=16, centre="centred")
    inner = whole.read(np.arange(M))[0][:, 4:20, 4:20]
    np.testing.assert_allclose(part.read(np.arange(M))[0], inner, rtol=1e-6)
    assert whole.statistics().mean_counts == pytest.approx(1e4)


def test_frames_centre_and_photons(scan_file):
    path = scan_file(diff3d=np.sqrt(COUNTS), scan_index=None)
    assert load(path).units == "amplitude"
    assert load(path, frames="intensity").units == "intensity"
    scan = load(path, photons_per_frame=1234.0)
    assert scan.statistics().mean_counts == pytest.approx(1234.0)
    rolled = scan_file("b.npz", diff3d=np.fft.ifftshift(COUNTS, (1, 2)))
    np.testing.assert_array_equal(counts_of(load(rolled, centre="corner"))[0], COUNTS)
    kept = counts_of(load(rolled, centre="centred"))[0]
    np.testing.assert_array_equal(kept, np.fft.ifftshift(COUNTS, (1, 2)))


def test_one_scan_of_several(scan_file):
    index = np.arange(M) % 3
    scan = load(scan_file(scan_index=index), scan_number=2)
    np.testing.assert_array_equal(scan.scan_index, np.full(4, 2))
    np.testing.assert_array_equal(counts_of(scan)[0], COUNTS[index == 2])
    np.testing.assert_array_equal(scan.positions_px, PLACES[index == 2])


# -- geometry -----------------------------------------------------------------------------


@pytest.mark.parametrize(("unit", "metres"), [("m", 1), ("mm", 1e-3), ("um", 1e-6), ("nm", 1e-9)])
def test_positions_in_lengths_become_pixels(scan_file, unit, metres):
    pixel = 4e-8
    stored = PLACES * (pixel / metres)
    path = scan_file(xcoords=stored[:, 1], ycoords=stored[:, 0], objectGuess=None)
    scan = load(path, positions_unit=unit, pixel_size_m=pixel)
    np.testing.assert_allclose(scan.positions_px, PLACES, rtol=1e-12)
    np.testing.assert_allclose(scan.positions_m, PLACES * pixel, rtol=1e-12)
    assert scan.pixel_size_m == pixel
    by_optics = load(path, positions_unit=unit, **OPTICS)
    dx = geometry.photon_wavelength_m(8.5e3) * 2.1 / (N * 75e-6)
    np.testing.assert_allclose(by_optics.positions_px, PLACES * pixel / dx, rtol=1e-12)


def test_pixels_stay_pixels_when_only_their_size_is_overridden(scan_file):
    path = scan_file(metadata={"pixel_size_m": 3e-8, "energy_ev": 9e3})
    scan = load(path, pixel_size_m=5e-8)
    np.testing.assert_array_equal(scan.positions_px, PLACES)
    assert scan.pixel_size_m == 5e-8
    assert any("pixel_size_m is 5e-08 as the options say, not 3e-08" in n for n in scan.notes)
    assert load(path, positions_unit="px").pixel_size_m == 3e-8


def test_energy_distance_and_detector_make_the_object_pixel(scan_file):
    path = scan_file(metadata={"pixel_size_m": 3e-8})
    scan = load(path, **OPTICS)
    dx = geometry.photon_wavelength_m(8.5e3) * 2.1 / (N * 75e-6)
    assert scan.pixel_size_m == pytest.approx(dx)
    assert (scan.energy_ev, scan.distance_m, scan.detector_pixel_m) == tuple(OPTICS.values())
    assert scan.wavelength_m == pytest.approx(geometry.photon_wavelength_m(8.5e3))
    assert scan.acquisition == {
        "photon_energy_eV": 8.5e3,
        "detector_object_distance_m": 2.1,
        "detector_pixel_m": 75e-6,
    }
    electrons = load(path, particle="electron", **OPTICS)
    assert electrons.pixel_size_m == pytest.approx(
        geometry.electron_wavelength_m(8.5e3) * 2.1 / (N * 75e-6)
    )
    assert "electron_energy_eV" in electrons.acquisition
    tagged = load(scan_file("b.npz", metadata={"particle": "electron", **OPTICS}))
    assert tagged.pixel_size_m == electrons.pixel_size_m
    torn = load(scan_file("c.npz", metadata={"pixel_size_m": 3e-8, **OPTICS}))
    assert torn.pixel_size_m == 3e-8
    assert any("does not follow from energy" in note for note in torn.notes)


def test_an_object_pixel_follows_in_the_far_field_only(scan_file):
    path = scan_file(metadata=OPTICS)
    assert load(path).pixel_size_m == pytest.approx(
        geometry.photon_wavelength_m(8.5e3) * 2.1 / (N * 75e-6)
    )
    near = load(path, propagation="near:3")
    assert (near.propagation, near.pixel_size_m) == ("near:3", None)
    stated = load(path, propagation="near:3", pixel_size_m=3e-8)
    assert stated.pixel_size_m == 3e-8
    assert not any("does not follow" in note for note in stated.notes)
    with pytest.raises(ScanError, match=r"propagation 'near:3': say --pixel-size-m$"):
        load(path, propagation="near:3", positions_unit="um")


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_positions_are_turned_and_the_truth_left_out(scan_file, orientation):
    start = {"xcoords_start": BASE["xcoords"] + 1, "ycoords_start": BASE["ycoords"] - 2}
    scan = load(scan_file(**start), orientation=orientation, rotation_deg=30.0)
    np.testing.assert_allclose(scan.positions_px, orient(PLACES, orientation, 30.0))
    nominal = PLACES + (-2, 1)
    np.testing.assert_allclose(scan.positions_nominal_px, orient(nominal, orientation, 30.0))
    assert scan.truth is None
    assert any("truth was left out" in note for note in scan.notes)
    assert steps_of(scan) == ["orient"]
    plain = load(scan_file(), orientation="+y+x")
    assert plain.truth is not None and plain.steps == ()


@pytest.mark.parametrize("flip", ["ud", "lr", "both"])
def test_frames_and_their_masks_are_flipped(scan_file, flip):
    bad = np.zeros((N, N), bool)
    bad[2, 5] = True
    scan = load(scan_file(bad_pixels=bad), flip_frames=flip)
    counts, valid = counts_of(scan)
    np.testing.assert_array_equal(scan.valid_mask, ~Flip(flip).frames(bad))
    np.testing.assert_array_equal(counts, Flip(flip).frames(COUNTS) * valid)
    np.testing.assert_allclose(scan.probe[0], PROBE, rtol=1e-6)
    assert steps_of(scan) == ["flip_frames"]


# -- which values count -------------------------------------------------------------------


def bad_pixels_file(tmp_path, kind, bad):
    if kind == "npy":
        np.save(tmp_path / "bad.npy", bad)
    elif kind == "npz":
        np.savez(tmp_path / "bad.npz", bad_pixels=bad)
    elif kind == "h5":
        with h5py.File(tmp_path / "bad.h5", "w") as h5:
            h5["entry/detector/bad_pixels"] = bad[None].astype(np.uint8)
            h5["entry/other"] = np.zeros((4, 4))
    else:
        Image.fromarray(bad.astype(np.uint8) * 255).save(tmp_path / f"bad.{kind}")
    return tmp_path / f"bad.{kind}"


@pytest.mark.parametrize("polarity", ["bad", "good"])
@pytest.mark.parametrize("kind", ["npy", "npz", "h5", "png", "tif"])
def test_bad_pixels_from_every_kind_of_file(tmp_path, scan_file, kind, polarity):
    own, extra = np.zeros((2, N, N), bool)
    own[1, 2] = extra[5, 3] = extra[6, 9] = True
    stored = extra if polarity == "bad" else ~extra
    path = bad_pixels_file(tmp_path, kind, stored)
    scan = load(scan_file(bad_pixels=own), bad_pixels=path, bad_pixels_polarity=polarity)
    np.testing.assert_array_equal(scan.valid_mask, ~(own | extra))
    assert scan.steps == ({"step": "bad_pixels", "file": path.name, "pixels": 2},)


@pytest.mark.parametrize("polarity", ["bad", "good"])
@pytest.mark.parametrize("each", [False, True], ids=["one", "each"])
def test_the_mask_of_the_file_and_one_beside_it_are_joined(tmp_path, polarity, each):
    """No pixel is its own mirror image here, and the two masks share one of three."""
    own, extra = np.zeros((M, N, N), bool), np.zeros((N, N), bool)
    own[:, 1, 2] = own[:, 5, 3] = extra[5, 3] = extra[6, 9] = True
    if each:
        own[3, 0, 7] = True
    turned = (lambda mask: ~mask) if polarity == "good" else (lambda mask: mask)
    with h5py.File(tmp_path / "a.h5", "w") as h5:
        h5["data"], h5["places"] = COUNTS, PLACES
        h5["mask"] = turned(own if each else own[0]).astype(np.uint8)
    path = bad_pixels_file(tmp_path, "npy", turned(extra))
    scan = load(
        tmp_path / "a.h5", data_path="data", positions_path="places", mask_path="mask",
        bad_pixels=path, bad_pixels_polarity=polarity,
    )  # fmt: skip
    np.testing.assert_array_equal(np.broadcast_to(mask_of(scan), own.shape), ~(own | extra))
    # also with the mask of a file that always marks the bad ones
    again = load(
        write_scan(scan, tmp_path / "b.npz"), bad_pixels=path, bad_pixels_polarity=polarity
    )
    np.testing.assert_array_equal(np.broadcast_to(mask_of(again), own.shape), ~(own | extra))


def two_datasets(path):
    with h5py.File(path, "w") as h5:
        h5["a"] = h5["b"] = np.zeros((N, N), np.uint8)


def cut_image(path):
    noise = np.random.default_rng(0).integers(0, 255, (N, N)).astype(np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:200])


BAD_PIXEL_FILES = {
    "two.h5": (two_datasets, r"two\.h5 has 2 datasets that it could be: 'a', 'b'"),
    "small.npy": (lambda path: np.save(path, np.zeros((4, 4), bool)), r"\(4, 4\) of bool"),
    "cut.png": (cut_image, r"cut\.png is an image that cannot be read"),
    "text.png": (
        lambda path: path.write_text("none"),
        "neither NPZ nor NPY nor HDF5 nor an image",
    ),
    "nan.npy": (lambda path: np.save(path, np.full((N, N), np.nan)), "values that are not finite"),
    "all.npy": (
        lambda path: np.save(path, np.ones((N, N), bool)),
        "cover all frames.*--bad-pixels-polarity good",
    ),
}


@pytest.mark.parametrize("name", BAD_PIXEL_FILES)
def test_bad_pixel_files_that_cannot_be_used(name, tmp_path, scan_file):
    make, message = BAD_PIXEL_FILES[name]
    make(tmp_path / name)
    with pytest.raises(ScanError, match=message):
        load(scan_file(), bad_pixels=tmp_path / name)
    if name == "all.npy":  # a mask of nothing, if its polarity is turned round
        np.save(tmp_path / name, np.zeros((N, N), bool))
        with pytest.raises(ScanError, match=r"cover all frames.*--bad-pixels-polarity bad"):
            load(scan_file(), bad_pixels=tmp_path / name, bad_pixels_polarity="good")


def test_masks_of_each_frame_stay_in_the_file(scan_file):
    bad = np.random.default_rng(0).random((M, N, N)) < 0.2
    scan = load(scan_file(bad_pixels=bad), drop_frames="0,4", flip_frames="lr", beamstop=1)
    assert not isinstance(scan.valid_mask, np.ndarray)
    kept = np.delete(np.arange(M), [0, 4])
    shadow = np.hypot(Y, X) <= 1
    expected = ~Flip("lr").frames(bad[kept] | shadow)
    np.testing.assert_array_equal(mask_of(scan), expected)
    np.testing.assert_array_equal(counts_of(scan)[1], expected)


@pytest.mark.parametrize("where", ["option", "file"])
def test_saturated_values_do_not_count(scan_file, where):
    limit = 25
    path = scan_file(metadata={"saturation": limit} if where == "file" else None)
    scan = load(path, saturation=limit) if where == "option" else load(path)
    np.testing.assert_array_equal(counts_of(scan)[1], limit > COUNTS)
    assert scan.saturation == limit
    assert steps_of(scan) == (["saturation"] if where == "option" else [])
    binned = load(path, bin_frames=1, frame_size=16, saturation=limit, flip_frames="ud")
    np.testing.assert_array_equal(counts_of(binned)[1], Flip("ud").frames(limit > COUNTS))


@pytest.mark.parametrize("centre", ["centred", "corner"])
def test_a_beamstop_is_a_disc_at_the_zero_frequency(scan_file, centre):
    frames = COUNTS if centre == "centred" else np.fft.ifftshift(COUNTS, (1, 2))
    scan = load(scan_file(diff3d=frames), beamstop=2.5, centre=centre)
    np.testing.assert_array_equal(scan.valid_mask, np.hypot(Y, X) > 2.5)
    assert scan.steps[0] == {"step": "beamstop", "radius_px": 2.5, "pixels": 21}


def test_frames_are_dropped_by_number(scan_file):
    patches = np.random.default_rng(1).standard_normal((M, N, N)) + 0j
    path = scan_file(Y=patches, scan_index=np.arange(M))
    scan = load(path, drop_frames="3, 7-9,0")
    kept = [1, 2, 4, 5, 6, 10, 11]
    np.testing.assert_array_equal(counts_of(scan)[0], COUNTS[kept])
    np.testing.assert_array_equal(scan.positions_px, PLACES[kept])
    np.testing.assert_array_equal(scan.scan_index, kept)
    np.testing.assert_array_equal(scan.label_patches.read(np.arange(7)), patches[kept])
    assert scan.steps == ({"step": "drop_frames", "frames": "0,3,7-9"},)


LISTS = {
    "by number": ("3,10-11", [0, 1, 2, 4, 5, 6, 7, 8, 9]),
    "the last": ("unpaired", list(range(9))),
    "the last, and some": ("unpaired, 2", [0, 1, 3, 4, 5, 6, 7, 8]),
    "by number, which leave none": ("3,10-11,unpaired", [0, 1, 2, 4, 5, 6, 7, 8, 9]),
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("kind", ["npz", "pairs", "lines"])
def test_frames_without_a_position_are_dropped_before_the_others_are_paired(
    scan_file, tmp_path, name, kind
):
    """The numbers are those of the frames in the file."""
    text, kept = LISTS[name]
    # As many positions as frames are left, in this order.
    given = np.arange(9)
    places, index = PLACES[given], given % 4
    if kind == "npz":
        path, options = scan_file(ycoords=places[:, 0], xcoords=places[:, 1], scan_index=index), {}
    else:
        path = tmp_path / "a.h5"
        with h5py.File(path, "w") as h5:
            h5["d"], h5["p"], h5["y"], h5["x"] = COUNTS, places, places[:, 0], places[:, 1]
        options = {"data_path": "d", "positions_path": "p" if kind == "pairs" else "y,x"}
    with pytest.raises(ScanError, match=r"12 frames but 9 positions .*leave out by number"):
        load(path, **options)
    scan = load(path, **options, drop_frames=text)
    np.testing.assert_array_equal(counts_of(scan)[0], COUNTS[kept])
    numbers = [frame for frame in range(M) if str(frame) not in ("3", "10", "11")]
    paired = numbers if text.startswith("3,10") else given
    rows = [list(paired).index(frame) for frame in kept]
    np.testing.assert_array_equal(scan.positions_px, places[rows])
    if kind == "npz":
        np.testing.assert_array_equal(scan.scan_index, index[rows])
    assert any("12 frames and 9 positions" in note for note in scan.notes)
    dropped = scan.steps[0]["frames"]
    assert dropped == {9: "3,10-11", 8: "2,9-11"}[len(kept)] or dropped == "9-11"


def test_positions_beyond_the_last_frame_are_left_out(scan_file):
    path = scan_file(diff3d=COUNTS[:10], scan_index=None)
    with pytest.raises(ScanError, match=r"10 frames but 12 positions .*--drop-frames unpaired"):
        load(path)
    with pytest.raises(ScanError, match=r"12 positions .* 9 frames without those of drop"):
        load(path, drop_frames="4")
    scan = load(path, drop_frames="unpaired,4")
    kept = np.delete(np.arange(10), 4)
    np.testing.assert_array_equal(counts_of(scan)[0], COUNTS[kept])
    np.testing.assert_array_equal(scan.positions_px, PLACES[kept])
    # Where nothing is without a partner the word changes nothing.
    whole = load(scan_file("b.npz"), drop_frames="unpaired")
    assert len(whole) == M


def test_positions_that_are_no_numbers_are_no_partners(scan_file):
    x = BASE["xcoords"].copy()
    x[[2, 5]] = np.nan
    scan = load(scan_file(xcoords=x), drop_frames="unpaired,7")
    np.testing.assert_array_equal(scan.positions_px, np.delete(PLACES, [2, 5, 7], 0))


def test_what_a_check_proposes_keeps_the_word(scan_file):
    counts = np.where(np.isin(np.arange(M), [1, 4])[:, None, None], 0, COUNTS)
    path = scan_file(diff3d=counts, xcoords=PLACES[:9, 1], ycoords=PLACES[:9, 0], scan_index=None)
    options = check(path, orientation=False, drop_frames="unpaired").options
    assert options["drop_frames"] == "1,4,9-11,unpaired"
    assert len(load(path, drop_frames=options["drop_frames"])) == 7


def test_frames_without_a_position_can_be_dropped_as_the_message_says(scan_file):
    x = BASE["xcoords"].copy()
    x[[2, 5, 6]] = np.nan
    path = scan_file(xcoords=x)
    with pytest.raises(ScanError, match=r"3 positions .*--drop-frames 2,5-6\)"):
        load(path)
    assert len(load(path, drop_frames="2,5-6")) == 9


def test_duplicates_are_dropped_within_each_scan(scan_file):
    places = PLACES.copy()
    places[[4, 7]] = places[1]
    places[9] = places[2] + 1e-5
    index = np.zeros(M, int)
    index[7] = 1
    columns = {"ycoords": places[:, 0], "xcoords": places[:, 1]}
    path = scan_file(**columns, scan_index=index)
    assert len(load(path)) == M
    scan = load(path, duplicates="drop")
    np.testing.assert_array_equal(scan.positions_px, np.delete(places, [4, 9], 0))
    np.testing.assert_array_equal(scan.scan_index, np.delete(index, [4, 9]))
    assert scan.steps == ({"step": "duplicates", "dropped": 2},)


# -- preparation --------------------------------------------------------------------------

WIDE = (
    np.random.default_rng(2)
    .poisson(
        np.exp(-(((np.mgrid[:42][:, None] - 22) / 6) ** 2 + ((np.mgrid[:36] - 15) / 5) ** 2) / 2)
        * 90
        + 0.5,
        (M, 42, 36),
    )
    .astype(np.int32)
)


def test_frames_are_cropped_around_the_beam_and_everything_with_them(scan_file):
    rng = np.random.default_rng(8)
    probe = rng.standard_normal((2, 42, 36)) * np.exp(-((np.mgrid[:42] - 21)[:, None] ** 2) / 50)
    bad = rng.random((42, 36)) < 0.05
    y, x = np.mgrid[:150, :120]
    truth = np.exp(1j * (0.04 * y - 0.05 * x)) * (1.5 + np.cos(0.07 * y + 0.05 * x))
    path = scan_file(
        diff3d=WIDE,
        probeGuess=probe + 0.2j,
        bad_pixels=bad,
        objectGuess=truth,
        metadata={"pixel_size_m": 2e-8, "detector_pixel_m": 7e-5},
    )
    scan = load(path, frame_size=28, beam_centre="22,15")
    crop = Crop(22, 15, 28)
    counts, valid = counts_of(scan)
    np.testing.assert_array_equal(valid[0], crop.mask(~bad))
    np.testing.assert_array_equal(counts, crop.frames(WIDE) * valid)
    scale = np.array([28 / 42, 28 / 36])
    np.testing.assert_allclose(scan.positions_px, PLACES * scale)
    assert scan.pixel_size_m == pytest.approx(2e-8 * 36 / 28)
    assert scan.detector_pixel_m == 7e-5
    expected = resample.crop_far_field(probe + 0.2j, 28)
    np.testing.assert_allclose(scan.probe, expected, atol=1e-6)
    rows, columns = np.mgrid[: scan.truth.shape[0], : scan.truth.shape[1]]
    y, x = rows / scale[0], columns / scale[1]
    there = np.exp(1j * (0.04 * y - 0.05 * x)) * (1.5 + np.cos(0.07 * y + 0.05 * x))
    inside = (slice(3, -3), slice(3, -3))
    np.testing.assert_allclose(scan.truth[inside], there[inside], atol=0.01)
    assert scan.steps == (
        {"step": "crop", "row": 22, "column": 15, "side": 28, "from": [42, 36]},
    )  # fmt: skip
    assert any("of the probe's energy" in note for note in scan.notes)


def test_the_advice_of_the_message_works(scan_file):
    path = scan_file(diff3d=WIDE, probeGuess=None, objectGuess=None)
    for size in (32, 48):
        assert len(load(path, frame_size=size).read([0])[0][0]) == size
    assert load(path, frame_size=48, bin_frames=3).N == 16


def test_padding_masks_and_does_not_count(scan_file):
    path = scan_file(metadata={"pixel_size_m": 2e-8})
    scan = load(path, frame_size=24)
    counts, valid = counts_of(scan)
    np.testing.assert_array_equal(valid[3], np.pad(np.ones((16, 16), bool), 4))
    np.testing.assert_array_equal(counts[:, 4:20, 4:20], COUNTS)
    assert scan.statistics().mean_counts == pytest.approx(COUNTS.sum((1, 2)).mean())
    assert scan.pixel_size_m == pytest.approx(2e-8 * 16 / 24)
    np.testing.assert_allclose(scan.positions_px, PLACES * 1.5)
    assert any("masked, not taken for dark" in note for note in scan.notes)


def test_the_beam_of_the_file_is_moved_to_the_middle(scan_file):
    moved = np.roll(COUNTS, (2, -3), (1, 2))
    scan = load(scan_file(diff3d=moved), beam_centre="10.1,4.9")
    counts, _ = counts_of(scan)
    expected = Crop(10, 5, 16).mask(np.ones((16, 16), bool))
    np.testing.assert_array_equal(scan.valid_mask, expected)
    np.testing.assert_array_equal(counts, COUNTS * expected)
    np.testing.assert_array_equal(scan.positions_px, PLACES)
    np.testing.assert_allclose(scan.probe[0], PROBE, rtol=1e-6)  # the object pixel is the same
    assert load(scan_file(), beam_centre="8,8").steps == ()


def test_a_beam_between_pixels_is_told_and_a_smaller_frame_fits_around_it(scan_file):
    between = load(scan_file(), beam_centre="8.4,8")
    assert any("between pixels: [8, 8]" in note for note in between.notes)
    wide = scan_file("w.npz", diff3d=np.ones((M, 40, 40), np.uint16), probeGuess=None)
    assert load(wide, beam_centre="12,12", frame_size=24).valid_mask is None


def test_binning_adds_and_cuts_the_probe(scan_file):
    big = np.random.default_rng(4).poisson(20, (M, 32, 32)).astype(np.uint16)
    big[3, 5, 6] = 65535
    y, x = np.mgrid[:32, :32] - 16
    probe = np.exp(-(y**2 / 5 + x**2 / 4)) * np.exp(0.3j * y)
    patches = np.random.default_rng(1).standard_normal((M, 32, 32)) + 0j
    path = scan_file(
        diff3d=big,
        probeGuess=probe,
        Y=patches,
        metadata={"pixel_size_m": 2e-8, "detector_pixel_m": 7e-5},
    )
    scan = load(path, bin_frames=2)
    counts, valid = counts_of(scan)
    step = Bin(2, "counts")
    np.testing.assert_array_equal(valid, step.mask(big < 65535))
    np.testing.assert_array_equal(counts, big.reshape(M, 16, 2, 16, 2).sum((2, 4)) * valid)
    np.testing.assert_allclose(scan.probe[0], resample.cut_probe(probe, 2), atol=1e-7)
    assert (scan.pixel_size_m, scan.detector_pixel_m) == (2e-8, 14e-5)
    np.testing.assert_array_equal(scan.positions_px, PLACES)
    np.testing.assert_array_equal(scan.truth, BASE["objectGuess"].astype(np.complex64))
    np.testing.assert_array_equal(scan.label_patches.read([2])[0], patches[2, 8:24, 8:24])
    assert scan.steps == ({"step": "bin", "factor": 2, "units": "counts"},)
    own = scan_file("c.npz", diff3d=big, probeGuess=PROBE)
    ready = load(own, bin_frames=2)
    np.testing.assert_allclose(ready.probe[0], PROBE, rtol=1e-6)
    assert any("has 16 x 16 px already" in note for note in ready.notes)


@pytest.mark.parametrize("units", ["counts", "intensity", "amplitude"])
def test_units_are_settled_before_anything_is_added_up(scan_file, units):
    big = np.random.default_rng(4).poisson(20, (M, 32, 32)) + (0.5 if units != "counts" else 0.0)
    frames = np.sqrt(big) if units == "amplitude" else big
    options = {"frames": units} if units == "intensity" else {}
    path = scan_file(diff3d=frames, probeGuess=None)
    scan = load(path, bin_frames=2, **options)
    assert scan.units == units
    amplitude = scan.read([0])[0][0]
    sums = big.reshape(M, 16, 2, 16, 2).sum((2, 4))
    np.testing.assert_allclose(amplitude**2, sums[0], rtol=1e-6)


def test_the_probe_comes_from_a_file(tmp_path, scan_file):
    np.save(tmp_path / "p.npy", 3j * PROBE)
    with h5py.File(tmp_path / "p.h5", "w") as h5:
        h5["deep/probe"] = (3j * PROBE).astype(np.complex64)
    for name in ("p.npy", "p.h5"):
        scan = load(scan_file(), probe=tmp_path / name)
        np.testing.assert_allclose(scan.probe[0], 3j * PROBE, rtol=1e-6)


@pytest.mark.parametrize("late", [1, 2, -1])
def test_positions_go_to_the_frames_that_came_late(scan_file, late):
    path = scan_file(scan_index=None)
    scan = load(path, frames_late=late)
    kept = np.arange(max(late, 0), M + min(late, 0))
    np.testing.assert_array_equal(counts_of(scan)[0], COUNTS[kept])
    np.testing.assert_array_equal(scan.positions_px, PLACES[kept - late])
    assert [step["by"] for step in scan.steps] == [late]
    # Numbers stay those of the file.
    fewer = load(path, frames_late=late, drop_frames="5")
    left = kept != 5
    np.testing.assert_array_equal(counts_of(fewer)[0], COUNTS[kept[left]])
    np.testing.assert_array_equal(fewer.positions_px, PLACES[kept - late][left])
    config = ScanConfig(frames_late=late, drop_frames="5")
    np.testing.assert_array_equal(file_numbers(fewer, config), kept[left])


def test_frames_that_came_late_stay_in_their_scan(scan_file):
    index = np.repeat([3, 8], M // 2)
    scan = load(scan_file(scan_index=index), frames_late=1)
    kept = np.delete(np.arange(M), [0, M // 2])
    np.testing.assert_array_equal(scan.positions_px, PLACES[kept - 1])
    np.testing.assert_array_equal(scan.scan_index, index[kept])
    np.testing.assert_array_equal(counts_of(scan)[0], COUNTS[kept])


ZONE_PLATE = SimulateConfig(
    N=32, n_frames=40, probe="zone_plate", object="leaves", defocus_m=2e-4, seed=1
)


@pytest.fixture(scope="module")
def behind_a_lens(tmp_path_factory):
    """A simulated scan with its optics, and the same without its probe in a file."""
    made = simulate(ZONE_PLATE)
    path = write_npz(
        tmp_path_factory.mktemp("lens") / "a.npz",
        made.frames(),
        made.positions_px,
        frames_units="counts",
        metadata={"energy_ev": made.optics.energy_ev, "pixel_size_m": made.optics.pixel_size_m},
    )
    return made, path


def test_the_probe_comes_from_the_optics(behind_a_lens):
    made, path = behind_a_lens
    assert load(path).probe is None
    right = load(path, probe_defocus_m=2e-4)
    # The object spreads the mean pattern a little; a defocus of the wrong sign is another probe.
    assert alike(right.probe, made.probe) > 0.95
    assert alike(load(path, probe_defocus_m=-2e-4).probe, made.probe) < 0.1
    assert right.steps == ({"step": "probe", "defocus_m": 2e-4},)
    assert any("the mean pattern and a defocus of 0.0002 m" in note for note in right.notes)
    width = geometry.probe_diameter_px(made.probe) * made.optics.pixel_size_m
    wide = load(path, probe_diameter_m=width)
    assert alike(wide.probe, made.probe) > 0.95
    found = geometry.probe_diameter_px(wide.probe) * wide.pixel_size_m
    assert found == pytest.approx(width, rel=0.01)


def test_optics_that_give_no_probe_are_refused(behind_a_lens, scan_file):
    path = behind_a_lens[1]
    for options, told in (
        ({"probe_defocus_m": 1.0}, "would be about .* m wide, but its frames hold"),
        ({"probe_diameter_m": 1e-3}, "does not go with the mean pattern"),
        ({"probe_diameter_m": 1e-12}, "does not go with the mean pattern"),
    ):
        with pytest.raises(ScanError, match=told):
            load(path, **options)
    with pytest.raises(ScanError, match=r"probe_defocus_m needs the energy .* and the size of an"):
        load(scan_file(), probe_defocus_m=1e-4)
    with pytest.raises(ConfigError, match="probe and probe_defocus_m all say what the probe is"):
        ScanConfig(probe="p.npz", probe_defocus_m=1e-4)


def test_how_the_wave_and_the_detector_are_modelled_is_kept_by_name(scan_file):
    scan = load(scan_file(), propagation="near", detector_response="blur", drop_frames="1")
    assert (scan.propagation, scan.detector_response) == ("near", "blur")
    plain = load(scan_file())
    assert (plain.propagation, plain.detector_response) == ("far", "none")


def test_weights_of_the_files_probe_go_with_it(tmp_path, scan_file):
    several = np.stack([PROBE, 0.1j * PROBE])[:, None]
    weights = np.random.default_rng(4).random((M, 2))
    path = scan_file(probeGuess=several, probe_weights=weights)
    np.testing.assert_array_equal(load(path).probe_weights, weights)
    np.save(tmp_path / "one.npy", PROBE)
    scan = load(path, probe=tmp_path / "one.npy")
    assert scan.probe_weights is None and scan.probe_variations is None
    assert any("weights of probe variations were left out" in note for note in scan.notes)
    np.save(tmp_path / "two.npy", several[::-1])
    np.testing.assert_array_equal(load(path, probe=tmp_path / "two.npy").probe_weights, weights)


def test_adding_up_many_negative_intensities_is_told(scan_file):
    noise = np.random.default_rng(0).normal(0, 3, (M, 32, 32)).astype(np.float32)
    options = {"frames": "intensity", "bin_frames": 2}

    def told(**arrays):
        scan = load(scan_file(probeGuess=None, objectGuess=None, **arrays), **options)
        return [note for note in scan.notes if "are negative" in note]

    share = round(100 * (noise < 0).mean())
    assert len(told(diff3d=noise)) == 1 and f"{share}%" in told(diff3d=noise)[0]
    assert told(diff3d=np.abs(noise)) == []
    gaps = np.abs(noise)
    gaps[:, :2] = -1  # one value marks pixels that are known to be bad
    assert told(diff3d=gaps) == []


def many(scan_file, **changes):
    """200 places, most of them along x, in two scans."""
    rng = np.random.default_rng(6)
    places = rng.uniform((0, 0), (60, 200), (200, 2))
    arrays = {
        "diff3d": rng.poisson(9, (200, N, N)).astype(np.uint16),
        "ycoords": places[:, 0],
        "xcoords": places[:, 1],
        "scan_index": None,
        "objectGuess": None,
    }
    return scan_file("many.npz", **(arrays | changes)), places


def test_train_and_test_parts_share_no_frame_and_keep_a_band(scan_file):
    path, places = many(scan_file)
    parts = {part: load(path, part=part) for part in ("train", "test")}
    train, test = (parts[part].positions_px for part in ("train", "test"))
    assert len(test) == 50
    np.testing.assert_array_equal(np.sort(test[:, 1]), np.sort(places[:, 1])[-50:])
    band = geometry.probe_diameter_px(PROBE)
    assert band > 3
    assert train[:, 1].max() <= test[:, 1].min() - band
    left = (places[:, 1] > test[:, 1].min() - band) & (places[:, 1] < test[:, 1].min())
    assert len(train) == 200 - 50 - left.sum()
    for part, scan in parts.items():
        where = [int(np.flatnonzero((places == p).all(1))[0]) for p in scan.positions_px]
        raw = np.load(path)["diff3d"]
        np.testing.assert_array_equal(counts_of(scan)[0], raw[where])
        assert any(note.startswith(f"part {part}: 50 of 200 frames") for note in scan.notes)
        assert scan.steps[0]["guard_px"] == pytest.approx(band, abs=1e-3)


def test_each_of_several_scans_is_split(scan_file):
    path, _ = many(scan_file, scan_index=np.repeat([4, 9], 100), probeGuess=None)
    test = load(path, part="test")
    assert np.bincount(test.scan_index)[[4, 9]].tolist() == [25, 25]
    train = load(path, part="train")
    for number in (4, 9):
        edge = test.positions_px[test.scan_index == number, 1].min()
        assert train.positions_px[train.scan_index == number, 1].max() <= edge - N / 2


def test_scans_of_one_place_share_no_object_between_the_parts(scan_file):
    rng = np.random.default_rng(6)
    long_x = rng.uniform((0, 0), (60, 100), (100, 2))
    long_y = rng.uniform((0, 0), (100, 60), (100, 2))
    both = np.concatenate([long_x, long_y])
    index = np.repeat([0, 1], 100)
    path, _ = many(scan_file, ycoords=both[:, 0], xcoords=both[:, 1], scan_index=index)
    train, test = (load(path, part=part) for part in ("train", "test"))
    apart = np.hypot(*(train.positions_px[:, None] - test.positions_px[None]).T)
    assert apart.min() > train.steps[0]["guard_px"] > 3
    assert any("a test frame of any scan" in note for note in train.notes)


# -- together -----------------------------------------------------------------------------


def test_all_steps_together_are_the_steps_one_after_the_other(scan_file):
    rng = np.random.default_rng(3)
    bad = rng.random((M, 42, 36)) < 0.01
    path = scan_file(diff3d=WIDE, probeGuess=None, objectGuess=None, bad_pixels=bad)
    scan = load(
        path,
        drop_frames="1",
        saturation=100,
        frame_size=36,
        beam_centre="22,15",
        flip_frames="both",
        bin_frames=2,
        orientation="-x+y",
        beamstop=1.5,
    )
    kept = np.delete(np.arange(M), 1)
    y, x = np.mgrid[:42, :36]
    good = ~bad[kept] & (WIDE[kept] < 100) & (np.hypot(y - 22, x - 15) > 1.5)
    frames = np.where(good, WIDE[kept], 0)
    for step in (Crop(22, 15, 36), Flip("both")):
        good, frames = step.mask(good), step.frames(frames)
    good = good.reshape(11, 18, 2, 18, 2).all((2, 4))
    frames = frames.reshape(11, 18, 2, 18, 2).sum((2, 4))
    counts, valid = counts_of(scan)
    np.testing.assert_array_equal(valid, good)
    np.testing.assert_array_equal(counts, frames * good)
    scale = np.array([36 / 42, 1.0])
    np.testing.assert_allclose(scan.positions_px, orient(PLACES[kept] * scale, "-x+y"))
    assert steps_of(scan) == [
        "drop_frames", "saturation", "beamstop", "crop", "flip_frames", "bin", "orient"
    ]  # fmt: skip
    assert sum(note.startswith("prepared: ") for note in scan.notes) == 7


def test_label_patches_leave_where_they_have_no_form(scan_file):
    patches = np.zeros((M, N, N), complex)
    path = scan_file(Y=patches)
    assert load(path).label_patches.shape == (M, N, N)
    for options in ({"frame_size": 24}, {"flip_frames": "ud"}, {"orientation": "-y+x"}):
        scan = load(path, **options)
        assert scan.label_patches is None
        assert any("label patches were left out" in note for note in scan.notes)
    odd = load(scan_file("b.npz", Y=patches[:, :8]))
    assert odd.label_patches is None
    assert any("do not match the frames" in note for note in odd.notes)


COVERED_HERE = {
    *("format", "frames", "centre", "photons_per_frame", "probe", "scan_number", "data_path"),
    *("positions_path", "probe_path", "mask_path", "positions_unit"),
    *("orientation", "rotation_deg", "flip_frames", "pixel_size_m"),
    *("energy_ev", "particle"),
    *("distance_m", "detector_pixel_m", "bad_pixels", "bad_pixels_polarity", "saturation"),
    *("beamstop", "drop_frames", "frames_late", "duplicates", "frame_size", "beam_centre"),
    *("bin_frames", "part", "probe_defocus_m", "probe_diameter_m"),
    *("propagation", "detector_response"),
}
WITH_THEIR_FORMATS = {"diffraction", "step_m"}


def test_no_option_was_forgotten():
    assert set(ScanConfig.model_fields) == COVERED_HERE | WITH_THEIR_FORMATS


# -- what is refused ----------------------------------------------------------------------

WIDER = {"diff3d": WIDE, "probeGuess": None, "objectGuess": None}
CORNER = {"diff3d": np.fft.ifftshift(COUNTS, (1, 2))}
FLAT = {"diff3d": np.ones((M, 40, 40), np.uint16), "probeGuess": None}
# The file's arrays that differ, the options, and what is said.
REFUSED = {
    "another format": ({}, {"format": "plain-hdf5"}, "plain HDF5|no HDF5|HDF5"),
    "no format": ({}, {"format": "nzp"}, r"'format': .*'npz'.*got 'nzp'"),
    **{
        f"{option} of another format": (
            {},
            {option: "x"},
            rf"option {option} has no effect on PtychoPINN NPZ",
        )
        for option in ("diffraction", "data_path", "positions_path", "probe_path", "mask_path")
    },
    "step of another format": ({}, {"step_m": 1e-9}, r"step_m has no effect .* \(it is for: elect"),
    "no such scan": (
        {"scan_index": np.arange(M) % 3},
        {"scan_number": 7},
        "scan_number is 7, but .* has the scans 0, 1, 2",
    ),
    "no index": ({"scan_index": None}, {"scan_number": 0}, "does not say which of several scans"),
    "unknown pixel": (
        {},
        {"positions_unit": "um", "energy_ev": 8e3, "detector_pixel_m": 1e-4},
        r"are in um.*say --pixel-size-m.*--distance-m\)",
    ),
    "masks of everything": (
        {"bad_pixels": np.ones((M, N, N), bool)},
        {},
        "cover all frames.*write the file's own mask again",
    ),
    "wide beamstop": (
        {"bad_pixels": np.eye(N, dtype=bool)},
        {"beamstop": 40},
        "beamstop of radius 40 px covers .* smaller --beamstop",
    ),
    "wide beamstop on masks": (
        {"bad_pixels": np.eye(N, dtype=bool) & np.ones((M, 1, 1), bool)},
        {"beamstop": 40},
        "beamstop of radius 40 px covers .* smaller --beamstop",
    ),
    **{
        f"drop {text}": ({}, {"drop_frames": text}, message)
        for text, message in {
            "3-": "'3-' is no number",
            "a": "'a' is no number",
            "9-3": "'9-3' is no number",
            "12": "names frame 12, but .* frames 0 to 11",
            "0-11": "all 12 frames of .* are left out",
        }.items()
    },
    "not square": (WIDER, {}, r"'diff3d' .* 42 x 36 .*--frame-size 32 \(crops\) or --fr"),
    "odd sums": (WIDER, {"bin_frames": 3}, r"after adding up 3 x 3 pixels, .*--frame-size 48 \(p"),
    "size and sums": (
        WIDER,
        {"frame_size": 40, "bin_frames": 3},
        r"frame_size 40 and bin_frames 3 make frames of 13\.3333",
    ),
    "beam in the corner": (
        CORNER,
        {"beam_centre": "0,0"},
        r"\[0, 0\] .* 75% lie outside .* say --centre corner",
    ),
    "beam at the side": (
        FLAT,
        {"beam_centre": "12,12"},
        "--beam-centre, or say --frame-size 24",
    ),
    "beam outside": (
        {},
        {"beam_centre": "16,3"},
        r"beam hits pixel \[16, 3\] .* 16 x 16",
    ),
    "half a beam": ({}, {"beam_centre": "3"}, "ROW,COLUMN is required"),
    "beam and corner": (
        {},
        {"beam_centre": "3,3", "centre": "corner"},
        "give one of them",
    ),
    "wide probe": (
        {"diff3d": np.ones((M, 32, 32), np.uint16), "probeGuess": np.ones((32, 32))},
        {"bin_frames": 2},
        r"cuts off \d+% of its energy .*lower --bin-frames",
    ),
    "polarity alone": (
        {},
        {"bad_pixels_polarity": "good"},
        "bad_pixels_polarity is good, but has no effect without bad_pixels",
    ),
    **{
        f"infinite {option}": ({}, {option: float("inf")}, f"option '{option}'")
        for option in ("pixel_size_m", "distance_m", "saturation", "rotation_deg")
    },
}


@pytest.mark.parametrize(
    ("fraction", "part", "message"),
    [
        (0.99, "train", r"part train .*leave \d of 200 frames for training"),
        (1e-4, "test", "0 for testing"),
    ],
)
def test_a_part_without_frames_is_refused(scan_file, monkeypatch, fraction, part, message):
    path, _ = many(scan_file)
    monkeypatch.setattr("pinn.data.subset.TEST_FRACTION", fraction)
    with pytest.raises(ScanError, match=message):
        load(path, part=part)


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_done_is_refused_in_a_sentence(case, scan_file):
    changes, options, message = REFUSED[case]
    path = scan_file(**changes)
    with pytest.raises((ScanError, ConfigError), match=message) as caught:
        load(path, **options)
    assert "\n" not in str(caught.value)
