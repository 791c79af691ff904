"""Files in the layout of tike, made from its rules, and the real scan turned back into one."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from foreign_files import COUNTS, PLACES, PROBE, H, M, W, frames_of, write_tike

from pinn.config import ScanConfig
from pinn.errors import ScanError
from pinn.io.formats.flat import is_tike, read_tike

CORNER = np.fft.ifftshift(COUNTS, axes=(1, 2))
STAR = Path(__file__).parents[1] / "goldens" / "siemens_star_part.npz"


def read(path, **options):
    return read_tike(path, ScanConfig(**options))


@pytest.mark.parametrize("compressed", [False, True], ids=["stored", "compressed"])
def test_a_scan(tmp_path, compressed):
    found = read(write_tike(tmp_path / "a.npz", compressed))
    np.testing.assert_array_equal(frames_of(found), CORNER)
    np.testing.assert_allclose(found.positions_px, PLACES, rtol=1e-14)  # two additions
    np.testing.assert_array_equal(found.probe, PROBE)
    assert (found.centre, found.units) == ("corner", "counts")
    assert found.scan_index is None and found.notes == []


LAYOUTS = {
    "without scans axis": dict(data=CORNER, scan=PLACES - (H / 2, W / 2)),
    "fortran": dict(data=np.asfortranarray(CORNER[None])),
    "fortran probe": dict(probe=np.asfortranarray(PROBE[None, None, None])),
    "probe modes": dict(probe=PROBE),
    "big endian": dict(data=CORNER[None].astype(">u2")),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_of_the_same_scan(tmp_path, name):
    found = read(write_tike(tmp_path / "a.npz", **LAYOUTS[name]))
    np.testing.assert_array_equal(frames_of(found), CORNER)
    np.testing.assert_allclose(found.positions_px, PLACES, rtol=1e-14)
    np.testing.assert_array_equal(found.probe, PROBE)


def test_probe_shapes(tmp_path):
    assert read(write_tike(tmp_path / "a.npz", probe=PROBE[0])).probe.shape == (1, H, W)
    assert read(write_tike(tmp_path / "b.npz", probe=None)).probe is None
    several = np.stack([PROBE, 2 * PROBE, 3 * PROBE])[None, None]
    found = read(write_tike(tmp_path / "c.npz", probe=several))
    np.testing.assert_array_equal(found.probe, PROBE)
    assert found.notes[0].startswith("of 3 variations of the probe the first was taken")


def test_several_scans_are_told_apart(tmp_path):
    both = np.stack([CORNER, CORNER[::-1]])
    places = np.stack([PLACES, PLACES + 100]) - (H / 2, W / 2)
    found = read(write_tike(tmp_path / "a.npz", data=both, scan=places))
    np.testing.assert_array_equal(frames_of(found), both.reshape(2 * M, H, W))
    np.testing.assert_allclose(found.positions_px[M:], PLACES + 100, rtol=1e-14)
    np.testing.assert_array_equal(found.scan_index, np.repeat([0, 1], M))


def test_float_frames_are_intensities_and_options_win(tmp_path):
    path = write_tike(tmp_path / "a.npz", data=CORNER[None] * 0.5)
    assert read(path).units == "intensity"
    found = read(path, frames="amplitude", centre="centred")
    assert (found.units, found.centre) == (None, None)


def test_arrays_that_are_not_used_are_told(tmp_path):
    found = read(write_tike(tmp_path / "a.npz", psi=np.ones((1, 9, 9)), extra=np.ones(3)))
    assert found.notes == ["arrays that are not used: 'extra'"]


OBJECTS = np.empty((1, M, H, W), object)


def test_only_these_zip_files_are_taken(tmp_path):
    def taken(path):
        return is_tike(path, path.read_bytes()[:16])

    assert taken(write_tike(tmp_path / "a.npz"))
    assert not taken(write_tike(tmp_path / "b.npz", diff3d=CORNER))
    assert not taken(write_tike(tmp_path / "c.npz", scan=np.ones((M, 3))))
    assert not taken(write_tike(tmp_path / "d.npz", scan=None))
    with zipfile.ZipFile(tmp_path / "e.zip", "w") as archive:
        archive.writestr("data.npy", b"no array")
    assert not taken(tmp_path / "e.zip")
    (tmp_path / "f.npz").write_bytes(b"PK\x03\x04 cut off")
    assert not taken(tmp_path / "f.npz")


@pytest.mark.parametrize("header", ["{'descr': (", "  {\n {", "(" * 300, "{'descr': '<f8'}"])
def test_a_header_that_is_no_literal(tmp_path, header):
    path = tmp_path / "a.npz"
    text = header.encode()
    with zipfile.ZipFile(path, "w") as archive:
        start = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little")
        archive.writestr("data.npy", start + text + bytes(16))
        archive.writestr("scan.npy", b"")
    assert not is_tike(path, b"PK\x03\x04")
    with pytest.raises(ScanError, match=r"'data' in .*a\.npz cannot be read"):
        read(path)


def test_the_real_scan_turned_back_into_its_first_layout(tmp_path):
    """The star came from tike: counts, corner-centred, top-left positions."""
    with np.load(STAR) as star:
        counts = star["diff3d"].astype(np.float32)
        places = np.stack([star["ycoords"], star["xcoords"]], axis=1)
        probe = star["probeGuess"]
    path = write_tike(
        tmp_path / "star.npz",
        data=np.fft.ifftshift(counts, axes=(1, 2))[None],
        scan=(places - 64)[None].astype(np.float32),
        probe=probe[None, None, None, None].astype(np.complex64),
    )
    assert is_tike(path, path.read_bytes()[:16])
    found = read(path)
    frames = np.fft.fftshift(found.frames.read(np.arange(len(places))), axes=(1, 2))
    np.testing.assert_array_equal(frames, counts)
    # Single precision of numbers up to a thousand.
    np.testing.assert_allclose(found.positions_px, places, atol=1e-4)
    np.testing.assert_allclose(found.probe[0], probe, rtol=1e-6)
    found.close()
