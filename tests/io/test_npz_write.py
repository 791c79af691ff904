"""Written scans: readable by NumPy and by us, whole or not there."""

import json

import numpy as np
import pytest
from npz_files import M, N, contract

from pinn.data.frames import ArrayFrames
from pinn.errors import OutputError, ScanError
from pinn.io.formats.npz_writer import NpzScanWriter, scan_arrays, write_npz
from pinn.io.load import load

BASE = contract()
COUNTS = np.rint(BASE["diff3d"].astype(np.float64) ** 2).astype(np.uint16)
POSITIONS = np.stack([BASE["ycoords"], BASE["xcoords"]], 1)
PROBE = BASE["probeGuess"].astype(np.complex64)
MASK = np.random.default_rng(3).random((N, N)) > 0.1


@pytest.mark.parametrize("compress", [False, True])
def test_what_is_written_is_read_back(tmp_path, compress):
    path = write_npz(
        tmp_path / "new" / "a.npz",
        ArrayFrames(COUNTS),
        POSITIONS,
        probe=np.stack([PROBE, 2j * PROBE]),
        truth=BASE["objectGuess"],
        valid_mask=MASK,
        scan_index=np.arange(M) // 6,
        positions_nominal_px=POSITIONS + 0.5,
        frames_units="counts",
        metadata={"maker": "test", "pixel_size_m": 3e-8},
        compress=compress,
    )
    scan = load(path)
    assert scan.units == "counts"
    amplitude, valid = scan.read(np.arange(M))
    np.testing.assert_allclose(amplitude, np.sqrt(COUNTS) * MASK, rtol=2e-7)
    np.testing.assert_array_equal(valid, np.broadcast_to(MASK, valid.shape))
    np.testing.assert_array_equal(scan.positions_px, POSITIONS)
    np.testing.assert_array_equal(scan.positions_nominal_px, POSITIONS + 0.5)
    np.testing.assert_array_equal(scan.probe, np.stack([PROBE, 2j * PROBE]))
    np.testing.assert_array_equal(scan.truth, BASE["objectGuess"].astype(np.complex64))
    np.testing.assert_array_equal(scan.scan_index, np.arange(M) // 6)
    assert scan.pixel_size_m == 3e-8
    assert scan.notes == ()


def test_numpy_reads_it_and_finds_every_key_of_the_contract(tmp_path):
    path = write_npz(
        tmp_path / "a.npz", COUNTS, POSITIONS, probe=PROBE[None], frames_units="counts", metadata={}
    )
    with np.load(path) as found:
        assert set(found.files) == {
            *("diff3d", "xcoords", "ycoords", "xcoords_start", "ycoords_start"),
            *("scan_index", "probeGuess", "frames_units", "metadata"),
        }
        np.testing.assert_array_equal(found["diff3d"], COUNTS)
        np.testing.assert_array_equal(found["xcoords"], POSITIONS[:, 1])
        assert found["diff3d"].dtype == np.uint16
        assert found["probeGuess"].shape == (N, N)
        assert str(found["frames_units"]) == "counts"
        assert json.loads(str(found["metadata"])) == {}


def test_pieces_of_any_size_give_the_same_bytes(tmp_path):
    files = []
    for number, cuts in enumerate(([12], [1] * 12, [5, 0, 7])):
        path = tmp_path / f"{number}.npz"
        with NpzScanWriter(path, M, N, "u2", scan_arrays(POSITIONS), frames_units="counts") as out:
            first = 0
            for count in cuts:
                out.write(COUNTS[first : first + count])
                first += count
        files.append(path.read_bytes())
    assert files[0] == files[1] == files[2]


def test_the_tag_may_come_with_the_arrays(tmp_path):
    arrays = scan_arrays(POSITIONS) | {"frames_units": np.array("amplitude")}
    with NpzScanWriter(tmp_path / "a.npz", M, N, "f4", arrays) as out:
        out.write(BASE["diff3d"])
    assert load(tmp_path / "a.npz").units == "amplitude"


@pytest.fixture
def old(tmp_path):
    """A file that is in the way, and the assurance that nothing else is left in its folder."""
    path = tmp_path / "a.npz"
    path.write_bytes(b"old")
    yield path
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def writer(path, dtype=np.uint16, **options):
    return NpzScanWriter(
        path, M, N, dtype, scan_arrays(POSITIONS), frames_units="counts", **options
    )


def test_an_exception_in_the_middle_leaves_the_old_file(old):
    with pytest.raises(KeyboardInterrupt), writer(old) as out:
        out.write(COUNTS[:5])
        raise KeyboardInterrupt


def test_missing_frames_leave_the_old_file(old):
    with pytest.raises(OutputError, match="5 of 12 frames came"), writer(old) as out:
        out.write(COUNTS[:5])


def test_too_many_frames_are_refused(old):
    with pytest.raises(ScanError, match="after 12 of 12 frames"), writer(old) as out:
        out.write(COUNTS)
        out.write(COUNTS[:1])


def test_frames_of_another_shape_are_refused(old):
    with pytest.raises(ScanError, match=r"\(12, 16, 14\) do not fit"), writer(old) as out:
        out.write(COUNTS[:, :, :14])


@pytest.mark.parametrize("value", [70000, -1, np.nan])
def test_values_beyond_the_type_are_refused_and_not_wrapped(old, value):
    frames = COUNTS.astype(np.float64)
    frames[3, 4, 5] = value
    with pytest.raises(ScanError, match="do not fit uint16"), writer(old) as out:
        out.write(frames)


def test_a_full_disk_leaves_the_old_file(old):
    class Full:
        def write(self, data):
            raise OSError(28, "No space left on device")

        def close(self):
            raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="no space left"), writer(old) as out:
        real = out._member
        out._member = Full()
        try:
            out.write(COUNTS)
        finally:
            real.close()


def test_objects_and_unknown_units_are_refused_before_anything_is_written(old):
    objects = {"a": np.array([{}], object)}
    with pytest.raises(ScanError, match=r"'a' for .* holds Python objects"):
        NpzScanWriter(old, M, N, "u2", objects, frames_units="counts")
    for units in ("photons", None):
        with pytest.raises(ScanError, match=f"frames_units for .* is {units}, but one of counts"):
            NpzScanWriter(old, M, N, "u2", frames_units=units)


def test_a_place_that_cannot_be_written_is_an_error(old):
    with pytest.raises(OutputError, match="cannot write"), writer(old / "below.npz"):
        pass


def test_whole_scans_that_do_not_fit_are_refused(old):
    with pytest.raises(ScanError, match=r"\(12, 16, 14\), but \(M, N, N\)"):
        write_npz(old, COUNTS[:, :, :14], POSITIONS, frames_units="counts")
    with pytest.raises(ScanError, match=r"12 frames for .* came with 5 positions"):
        write_npz(old, COUNTS, POSITIONS[:5], frames_units="counts")
