"""HDF5 of beamlines: linked and numbered stacks, the detector's words, positions apart."""

import h5py
import numpy as np
import pytest
from foreign_files import COUNTS, PLACES, PROBE, H, M, W, frames_of

from pinn.config import ScanConfig
from pinn.errors import ScanError
from pinn.io.formats.plain_hdf5 import read_plain_hdf5
from pinn.io.load import load

PARTS = (COUNTS[:6], COUNTS[6:12], COUNTS[12:])
BAD = np.zeros((H, W), np.uint32)
BAD[3] = 1
BAD[7, 9] = 8
FIRST = {"data_path": "entry/data/data_000001", "positions_path": "pos/y,pos/x"}


def master(folder, parts=PARTS, **changes):
    """A master file with a link to a file for each part; a part of None is not there."""
    for number, part in enumerate(parts, 1):
        if part is not None:
            with h5py.File(folder / f"s_data_{number:06d}.h5", "w") as h5:
                h5.create_dataset("entry/data/data", data=part, chunks=(1, *part.shape[1:]))
    path = folder / "s_master.h5"
    arrays = {
        "entry/instrument/detector/detector_distance": 1.5,
        "entry/instrument/detector/x_pixel_size": 75e-6,
        "entry/instrument/detector/y_pixel_size": 75e-6,
        "entry/instrument/detector/detectorSpecific/photon_energy": 8000.0,
        "entry/instrument/detector/detectorSpecific/pixel_mask": BAD,
        "pos/y": PLACES[:, 0],
        "pos/x": PLACES[:, 1],
    }
    with h5py.File(path, "w") as h5:
        group = h5.create_group("entry/data")
        for number in range(1, len(parts) + 1):
            link = h5py.ExternalLink(f"s_data_{number:06d}.h5", "/entry/data/data")
            group[f"data_{number:06d}"] = link
        for name, value in (arrays | changes).items():
            if value is not None:
                h5[name] = value
    return path


def read(path, **options):
    return read_plain_hdf5(path, ScanConfig(**options))


@pytest.mark.parametrize(
    "data", ["entry/data/data_000001", "/entry/data", "/entry/data/data_000001"]
)
def test_numbered_stacks_are_one_and_the_master_says_the_rest(tmp_path, data):
    found = read(master(tmp_path), **{**FIRST, "data_path": data})
    assert found.frames.shape == COUNTS.shape
    np.testing.assert_array_equal(frames_of(found), COUNTS)
    rows = np.array([13, 2, 7, 7])
    np.testing.assert_array_equal(found.frames.read(rows), COUNTS[rows])
    np.testing.assert_array_equal(found.positions_px, PLACES)
    np.testing.assert_array_equal(found.bad_pixels, BAD != 0)
    assert (found.distance_m, found.detector_pixel_m, found.energy_ev) == (1.5, 75e-6, 8000.0)
    assert any("15 frames of 'entry/data/data_000001' to" in note for note in found.notes)
    assert any(f"{np.count_nonzero(BAD)} pixels are bad" in note for note in found.notes)


def test_a_part_that_is_not_the_first_is_meant_alone(tmp_path):
    path = master(tmp_path, **{"pos/y": PLACES[6:12, 0], "pos/x": PLACES[6:12, 1]})
    found = read(path, **{**FIRST, "data_path": "entry/data/data_000002"})
    np.testing.assert_array_equal(frames_of(found), PARTS[1])


def test_the_files_of_the_parts_belong_to_the_scan(tmp_path):
    scan = load(master(tmp_path), **FIRST, frame_size=16)
    names = {path.name for path in scan.files}
    assert {"s_master.h5", *(f"s_data_{n:06d}.h5" for n in (1, 2, 3))} <= names


def test_links_beyond_the_last_file_are_left_out_and_others_are_missed(tmp_path):
    """A run that was stopped, and a file that was lost."""
    places = {"pos/y": PLACES[:12, 0], "pos/x": PLACES[:12, 1]}
    found = read(master(tmp_path, (*PARTS[:2], None, None), **places), **FIRST)
    np.testing.assert_array_equal(frames_of(found), COUNTS[:12])
    assert any("links beyond lead nowhere" in note for note in found.notes)
    lost = tmp_path / "lost"
    lost.mkdir()
    with pytest.raises(ScanError, match=r"data_000002' in .* leads nowhere: .*'s_data_000002.h5'"):
        read(master(lost, (PARTS[0], None, PARTS[2])), **FIRST)
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(ScanError, match=r"data_000002' in .*frames of \(16, 18\) pixels"):
        read(master(other, (PARTS[0], PARTS[1][:, 1:])), **FIRST)


def test_units_zeros_and_options(tmp_path):
    path = master(tmp_path, **{"entry/instrument/detector/detectorSpecific/photon_energy": 0.0})
    with h5py.File(path, "a") as h5:
        h5["entry/instrument/beam/incident_wavelength"] = 1.5
        h5["entry/instrument/detector/detector_distance"].attrs["units"] = "mm"
        h5["mask"] = np.zeros((H, W), np.uint8)
    found = read(path, **FIRST, mask_path="mask")
    assert found.distance_m == 1.5e-3
    assert found.energy_ev == pytest.approx(12398.42 / 1.5, rel=1e-5)
    assert not found.bad_pixels.any()
    assert load(path, **FIRST, frame_size=16, distance_m=2.0).distance_m == 2.0
    odd = tmp_path / "odd"
    odd.mkdir()
    mask = {"entry/instrument/detector/detectorSpecific/pixel_mask": BAD[:5]}
    found = read(master(odd, **mask), **FIRST)
    assert found.bad_pixels is None and any("does not match" in note for note in found.notes)


# ------------------------------------------------------------------------------- candidates


def advice(path, **options):
    with pytest.raises(ScanError) as error:
        read(path, **options)
    return str(error.value)


def test_what_links_lead_to_is_a_candidate(tmp_path):
    said = advice(master(tmp_path))
    assert "--data-path /entry/data/data_000001 --positions-path /pos/y,/pos/x" in said
    with h5py.File(tmp_path / "all.h5", "w") as h5:
        h5["d"] = COUNTS
        h5["back"] = h5py.ExternalLink("one.h5", "/")
    with h5py.File(tmp_path / "one.h5", "w") as h5:
        h5["frames"] = h5py.ExternalLink("all.h5", "/d")
        h5["other"] = h5py.ExternalLink("all.h5", "/")  # which leads back
        h5["again"] = h5py.SoftLink("/motors")
        h5["motors/y"], h5["motors/x"] = PLACES.T
        h5["motors/up"] = h5py.SoftLink("/")
    said = advice(tmp_path / "one.h5")
    assert "--data-path /frames --positions-path /motors/y,/motors/x" in said
    assert "frames may be" not in said and "may also be" not in said  # each once
    assert "/motors/x" in advice(tmp_path / "one.h5", data_path="frames")


def test_links_that_lead_nowhere_are_named(tmp_path):
    said = advice(master(tmp_path, (None, None)))
    assert "no dataset that could be frames" in said
    assert "entry/data/data_000001 (to s_data_000001.h5:/entry/data/data)" in said


# ------------------------------------------------------------------------- positions apart


def text(path, lines):
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def table(mark, header, order="yx", more=False, comment=False):
    """Lines of a table of the places."""
    rows = []
    for number, (y, x) in enumerate(PLACES):
        cells = [y, x] if order == "yx" else [x, y]
        rows.append(mark.join(repr(float(c)) for c in [*([number] if more else []), *cells]))
    return [*(["# of a motor"] if comment else []), *([header] if header else []), *rows]


def hdf5(path):
    with h5py.File(path, "w") as h5:
        h5["scan/py"], h5["scan/px"] = PLACES.T
    return path


def saved(path, array):
    np.save(path, array)
    return path


def zipped(path):
    np.savez(path, xcoords=PLACES[:, 1], ycoords=PLACES[:, 0])
    return path


APART = {
    "csv": lambda f: text(f / "p.csv", table(",", "y,x")),
    "csv, x first": lambda f: text(f / "p.csv", table(",", '"X [um]","Y [um]"', "xy")),
    "csv with a number": lambda f: text(f / "p.csv", table(";", "n;stage_x;stage_y", "xy", True)),
    "csv with names": lambda f: f"{text(f / 'p.csv', table(',', 'n,b,a', 'xy', True))}::a,b",
    "csv by number": lambda f: f"{text(f / 'p.csv', table(',', '', 'xy', True))}::2,1",
    "text": lambda f: text(f / "p.txt", table("  ", "", comment=True)),
    "npy": lambda f: saved(f / "p.npy", PLACES),
    "npy in rows": lambda f: saved(f / "p.npy", PLACES.T),
    "npz": lambda f: zipped(f / "p.npz"),
    "hdf5": lambda f: f"{hdf5(f / 'p.h5')}::scan/py,scan/px",
    "another ending": lambda f: f"{text(f / 'p.scan', table(',', 'y,x'))}::y,x",
}


@pytest.mark.parametrize("kind", APART)
def test_positions_in_a_file_of_their_own(tmp_path, kind):
    where = str(APART[kind](tmp_path))
    path = master(tmp_path)
    found = read(path, **{**FIRST, "positions_path": where})
    np.testing.assert_array_equal(found.positions_px, PLACES)
    assert any("read as object pixels" in note for note in found.notes)
    scan = load(path, **{**FIRST, "positions_path": where}, positions_unit="nm", frame_size=16)
    pixel = 1.5 * (12398.419843e-10 / 8000) / (16 * 75e-6)
    np.testing.assert_allclose(scan.positions_px, PLACES * 1e-9 / pixel, rtol=1e-6)
    assert any(name.name.startswith("p.") for name in scan.files)


def test_units_of_positions_apart(tmp_path):
    with h5py.File(hdf5(tmp_path / "p.h5"), "a") as h5:
        for name in ("py", "px"):
            h5["scan"][name].attrs["units"] = "um"
    where = f"{tmp_path / 'p.h5'}::scan/py,scan/px"
    found = read(master(tmp_path), **{**FIRST, "positions_path": where})
    np.testing.assert_allclose(found.positions_m, PLACES * 1e-6, rtol=1e-14)
    with h5py.File(tmp_path / "p.h5", "a") as h5:
        h5["scan/px"].attrs["units"] = "nm"
    with pytest.raises(ScanError, match="one is in 'um' and the other in 'nm'"):
        read(master(tmp_path), **{**FIRST, "positions_path": where})


UNCLEAR = {
    "missing": (lambda f: f / "p.csv", "cannot be read", "--positions-path"),
    "three columns": (
        lambda f: text(f / "p.csv", table(",", "a,b,c", more=True)),
        *("columns of y and x are required", "::Y,X'", "a, b, c"),
    ),
    "no such column": (
        lambda f: f"{text(f / 'p.csv', table(',', 'y,x'))}::y,z",
        *("two of its columns", "y, x"),
    ),
    "words": (lambda f: text(f / "p.csv", ["y,x", "1,2", "3,off"]), "'3 off' for position 1"),
    "a short line": (lambda f: text(f / "p.csv", ["y,x", "1,2", "3"]), "'3' for position 1"),
    "shape": (lambda f: saved(f / "p.npy", PLACES[:, 0]), "(15,)", "(M, 2)"),
    "no names": (lambda f: hdf5(f / "p.h5"), "names of y and x", "scan/px (15,)"),
    "objects": (lambda f: saved(f / "p.npy", np.array([{}, {}])), "cannot be read"),
}


@pytest.mark.parametrize("kind", UNCLEAR)
def test_positions_that_are_not_plain_are_refused(tmp_path, kind):
    make, *words = UNCLEAR[kind]
    where = str(make(tmp_path))
    said = advice(master(tmp_path), **{**FIRST, "positions_path": where})
    assert all(word in said for word in words), said
    assert str(tmp_path / "p.") in said and "\n" not in said


def test_another_number_of_positions_apart(tmp_path):
    where = str(saved(tmp_path / "p.npy", PLACES[:13]))
    options = {**FIRST, "positions_path": where, "frame_size": 16}
    with pytest.raises(ScanError, match=r"15 frames but 13 positions .*unpaired"):
        load(master(tmp_path), **options)
    assert len(load(master(tmp_path), **options, drop_frames="unpaired")) == 13


def test_the_probe_stays_in_the_master(tmp_path):
    path = master(tmp_path, probe=PROBE)
    where = str(saved(tmp_path / "p.npy", PLACES))
    found = read(path, **{**FIRST, "positions_path": where}, probe_path="probe")
    np.testing.assert_array_equal(found.probe, PROBE)
    assert len(found.frames.read(np.arange(M))) == M
