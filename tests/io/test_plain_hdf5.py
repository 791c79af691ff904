"""HDF5 of no known layout: paths by option, units by attribute, and advice that can be pasted."""

import re
import shlex

import h5py
import numpy as np
import pytest
from foreign_files import BAD, COUNTS, PLACES, PROBE, H, M, W, frames_of, write_flat

from pinn.config import ScanConfig
from pinn.errors import ScanError
from pinn.io.formats.plain_hdf5 import is_plain_hdf5, read_plain_hdf5

PARTS = {
    "entry/data": COUNTS,
    "motors/pos": PLACES,
    "motors/sy": PLACES[:, 0],
    "motors/sx": PLACES[:, 1],
    "probe": PROBE,
    "mask": BAD.astype(np.uint8),
}
PAIR = {"data_path": "/entry/data", "positions_path": "motors/pos"}
LINES = {"data_path": "entry/data", "positions_path": "motors/sy,motors/sx"}


def read(path, **options):
    return read_plain_hdf5(path, ScanConfig(**options))


def write(path, units=None, **changes):
    """`units` are attributes by dataset; changes of PARTS use the last part of a name."""
    parts = {key: changes.pop(key.rsplit("/", 1)[-1], value) for key, value in PARTS.items()}
    write_flat(path, {**parts, **changes})
    with h5py.File(path, "r+") as h5:
        for key, unit in (units or {}).items():
            h5[key].attrs["units"] = unit
    return path


@pytest.mark.parametrize("options", [PAIR, LINES], ids=["pair", "lines"])
def test_paths_say_where_the_parts_are(tmp_path, options):
    found = read(write(tmp_path / "a.h5"), **options)
    np.testing.assert_array_equal(frames_of(found), COUNTS)
    np.testing.assert_array_equal(found.positions_px, PLACES)
    assert found.positions_m is None and found.probe is None and found.bad_pixels is None
    assert (found.units, found.centre) == (None, None)
    assert "read as object pixels" in found.notes[0]
    assert read(tmp_path / "a.h5", **options, positions_unit="um").notes == []


def test_probe_and_mask(tmp_path):
    path = write(tmp_path / "a.h5")
    bad = read(path, **PAIR, probe_path="probe", mask_path="mask")
    np.testing.assert_array_equal(bad.probe, PROBE)
    np.testing.assert_array_equal(bad.bad_pixels, BAD)
    holes = np.where(BAD, np.nan, 1.0)
    path = write(tmp_path / "c.h5", mask=holes)
    good = read(path, **PAIR, mask_path="mask", bad_pixels_polarity="good")
    np.testing.assert_array_equal(good.bad_pixels, BAD)
    stacked = write(tmp_path / "b.h5", probe=np.stack([PROBE, 2 * PROBE]))
    several = read(stacked, **PAIR, probe_path="probe")
    np.testing.assert_array_equal(several.probe, PROBE)
    assert any("of 2 variations" in note for note in several.notes)
    assert not any("variation" in note for note in bad.notes)


def test_the_polarity_is_that_of_the_mask_in_the_file_too(tmp_path):
    found = read(write(tmp_path / "a.h5"), **PAIR, mask_path="mask", bad_pixels_polarity="good")
    np.testing.assert_array_equal(found.bad_pixels, ~BAD)


@pytest.mark.parametrize("unit", ["px", "pixels", b"pixel"])
def test_pixels_of_the_attribute(tmp_path, unit):
    found = read(write(tmp_path / "a.h5", {"motors/pos": unit}), **PAIR)
    np.testing.assert_array_equal(found.positions_px, PLACES)
    assert found.notes == []


def test_different_units_of_two_axes(tmp_path):
    path = write(tmp_path / "a.h5", {"motors/sy": "um", "motors/sx": "nm"})
    found = read(path, **LINES)
    np.testing.assert_allclose(found.positions_m, PLACES * [1e-6, 1e-9], rtol=1e-14)
    path = write(tmp_path / "b.h5", {"motors/sy": "um"})
    with pytest.raises(ScanError, match=r"one is in 'um' .* 'no stated unit'"):
        read(path, **LINES)


def test_shapes_that_hold_the_same(tmp_path):
    raster = COUNTS.reshape(3, 5, H, W)
    path = write(
        tmp_path / "a.h5", data=raster, pos=PLACES.T, sy=PLACES[:, :1], sx=PLACES[None, :, 1]
    )
    for options in (PAIR, LINES):
        found = read(path, **options)
        np.testing.assert_array_equal(frames_of(found), COUNTS)
        np.testing.assert_array_equal(found.positions_px, PLACES)


def test_a_unit_that_is_none(tmp_path):
    with pytest.raises(ScanError, match=r"'motors/pos' .* is 'furlong'"):
        read(write(tmp_path / "a.h5", {"motors/pos": "furlong"}), **PAIR)


# ------------------------------------------------------------------------------------- advice


def pasted(sentence):
    """The options that the sentence proposes, as `ScanConfig` takes them."""
    options = shlex.split(re.search(r"try (--format [^;]*)", sentence)[1])
    return dict(
        zip(
            (o.removeprefix("--").replace("-", "_") for o in options[::2]),
            options[1::2],
            strict=True,
        )
    )


ADVICE = {
    "a pair": ({}, {"data_path": "/entry/data", "positions_path": "/motors/pos"}),
    "lines": (
        dict(pos=None),
        {"data_path": "/entry/data", "positions_path": "/motors/sy,/motors/sx"},
    ),
    "named lines": (
        dict(pos=None, sy=None, sx=None, x_stage=PLACES[:, 1], y_stage=PLACES[:, 0]),
        {"data_path": "/entry/data", "positions_path": "/y_stage,/x_stage"},
    ),
    "the larger stack": (
        {"dark": np.ones((2, H, W)), "pos": None},
        {"data_path": "/entry/data", "positions_path": "/motors/sy,/motors/sx"},
    ),
}


@pytest.mark.parametrize("name", ADVICE)
def test_the_advice_can_be_pasted(tmp_path, name):
    changes, wanted = ADVICE[name]
    path = write(tmp_path / "a.h5", **changes)
    with pytest.raises(ScanError) as error:
        read(path)
    options = pasted(str(error.value))
    assert options == {"format": "plain-hdf5", **wanted}
    assert "\n" not in str(error.value)
    np.testing.assert_array_equal(read(path, **options).positions_px, PLACES)


def test_advice_shows_what_else_it_may_be(tmp_path):
    path = write(tmp_path / "a.h5", raw=np.ones((M, 64, 64)))
    with pytest.raises(ScanError) as error:
        read(path)
    assert "/raw (15, 64, 64), /entry/data (15, 16, 18)" in str(error.value)
    assert "/motors/sx (15,)" in str(error.value)


def test_advice_when_a_part_is_given(tmp_path):
    path = write(tmp_path / "a.h5", raw=np.ones((M, 64, 64)))
    with pytest.raises(ScanError) as error:
        read(path, data_path="entry/data")
    assert pasted(str(error.value))["data_path"] == "entry/data"
    with pytest.raises(ScanError, match=r"no dataset '/none'; it has: .*entry/data"):
        read(path, data_path="/none")


def test_no_advice_to_give(tmp_path):
    path = write(tmp_path / "a.h5", pos=None, sy=None, sx=None)
    with pytest.raises(ScanError, match=r"needs positions, but no dataset has 15 or \(15, 2\)"):
        read(path)
    with pytest.raises(ScanError, match=r"no dataset that could be frames .* /x \(3,\)"):
        read(write_flat(tmp_path / "b.h5", {"x": np.ones(3), "t": "text"}))
    with pytest.raises(ScanError, match="no datasets of numbers"):
        read(write_flat(tmp_path / "c.h5", {}))


def test_any_hdf5_is_taken(tmp_path):
    path = write_flat(tmp_path / "a.h5", {})
    assert is_plain_hdf5(path, path.read_bytes()[:16])
    (tmp_path / "b.h5").write_text("no HDF5 at all")
    assert not is_plain_hdf5(tmp_path / "b.h5", b"no HDF5 at all")


@pytest.mark.parametrize("program", ["MATLAB", "another"])
@pytest.mark.parametrize("options", [PAIR, LINES], ids=["pair", "lines"])
def test_axes_of_matlab_are_turned_back(tmp_path, program, options):
    """MATLAB has `(H, W, M)`, and what it writes lies in HDF5 in reverse order."""
    path = tmp_path / "a.mat"
    head = b"MATLAB 7.3 MAT-file, Platform: GLNXA64" if program == "MATLAB" else b"of a program"
    pair = np.dtype([("real", "f8"), ("imag", "f8")])
    reverse = PROBE.transpose(0, 2, 1)  # of (H, W, modes)
    probe = np.zeros(reverse.shape, pair)
    probe["real"], probe["imag"] = reverse.real, reverse.imag
    with h5py.File(path, "w", userblock_size=512) as h5:
        h5["entry/data"] = COUNTS.transpose(0, 2, 1)
        h5["motors/pos"], h5["probe"], h5["mask"] = PLACES.T, probe, BAD.T.astype(np.uint8)
        h5["motors/sy"], h5["motors/sx"] = PLACES[None, :, 0], PLACES[None, :, 1]
    with open(path, "r+b") as file:
        file.write(head.ljust(124) + b"\0\2IM")
    found = read(path, **options, probe_path="probe", mask_path="mask")
    turned = program == "MATLAB"
    wanted = COUNTS if turned else COUNTS.transpose(0, 2, 1)
    np.testing.assert_array_equal(frames_of(found), wanted)
    np.testing.assert_array_equal(found.frames.read(np.array([7, 2])), wanted[[7, 2]])
    np.testing.assert_array_equal(found.positions_px, PLACES)
    np.testing.assert_array_equal(found.probe, PROBE if turned else reverse)
    np.testing.assert_array_equal(found.bad_pixels, BAD if turned else BAD.T)
    assert any("MATLAB" in note for note in found.notes) == turned
