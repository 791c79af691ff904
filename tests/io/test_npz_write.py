"""Written scans: readable by NumPy and by us, whole or not there."""

import json
import resource
import signal

import numpy as np
import pytest
from npz_files import M, N, contract, write_npz

from pinn.errors import OutputError, ScanError
from pinn.io.formats.npz_writer import scan_arrays
from pinn.io.formats.npz_writer import write_npz as write_blocks
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
        COUNTS,
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


def blocks(frames, cuts):
    """The frames in pieces of these lengths."""
    first = 0
    for count in cuts:
        yield frames[first : first + count]
        first += count


def write(path, parts, dtype=np.uint16, arrays=None, units="counts"):
    write_blocks(
        path, parts, (M, N), dtype, scan_arrays(POSITIONS) | (arrays or {}), frames_units=units
    )
    return path


def test_pieces_of_any_size_give_the_same_bytes(tmp_path):
    cuts = ([12], [1] * 12, [5, 0, 7])
    files = [write(tmp_path / f"{len(c)}.npz", blocks(COUNTS, c)).read_bytes() for c in cuts]
    assert files[0] == files[1] == files[2]


@pytest.fixture
def old(tmp_path):
    """A file that is in the way, and the assurance that nothing else is left in its folder."""
    path = tmp_path / "a.npz"
    path.write_bytes(b"old")
    yield path
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), OSError(28, "No space left on device")], ids=["stop", "full"]
)
def test_an_exception_in_the_middle_leaves_the_old_file(old, error):
    def interrupted():
        yield COUNTS[:5]
        raise error

    expected = OutputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        write(old, interrupted())


def test_a_full_disk_leaves_the_old_file(old):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limit[1]))
    try:
        with pytest.raises(OutputError, match="cannot write"):
            write(old, [COUNTS])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)


def without_number(value):
    frames = COUNTS.astype(np.float64)
    frames[3, 4, 5] = value
    return frames


REFUSED = {
    "missing": ([COUNTS[:5]], {}, "5 of 12 frames came"),
    "too many": ([COUNTS, COUNTS[:1]], {}, "after 12 of 12 frames"),
    "shape": ([COUNTS[:, :, :14]], {}, r"\(12, 16, 14\) do not fit"),
    "too large": ([without_number(70000)], {}, "do not fit uint16"),
    "negative": ([without_number(-1)], {}, "do not fit uint16"),
    "no number": ([without_number(np.nan)], {}, "do not fit uint16"),
    "objects": ([COUNTS], {"arrays": {"a": np.array([{}], object)}}, "'a' for .* Python objects"),
    "units": ([COUNTS], {"units": "photons"}, "is photons, but one of counts"),
    "no units": ([COUNTS], {"units": None}, "is None, but one of counts"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_and_the_old_file_stays(old, name):
    parts, options, said = REFUSED[name]
    with pytest.raises((OutputError, ScanError), match=said):
        write(old, parts, **options)


def test_a_place_that_cannot_be_written_is_an_error(old):
    with pytest.raises(OutputError, match="cannot write"):
        write(old / "below.npz", [COUNTS])
