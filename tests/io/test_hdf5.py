"""HDF5: frames equal NumPy's, whatever the layout; every fault is a sentence."""

import contextlib
import os
import subprocess
import sys

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinn.data.frames import FrameSource
from pinn.errors import ScanError
from pinn.io.hdf5 import Hdf5Frames, reading
from pinn.io.hdf5_files import dataset, is_hdf5, open_hdf5

M, H, W = 23, 6, 10


def frames(dtype=np.uint16, shape=(M, H, W)):
    return np.random.default_rng(1).integers(0, 200, shape).astype(dtype)


def write(path, values, name="entry/data", **options):
    with h5py.File(path, "w") as h5:
        h5.create_dataset(name, data=values, **options)
    return path


def refusal(action, *args, **kwargs):
    """One sentence; returned for a look at what it names."""
    with pytest.raises(ScanError) as caught:
        action(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message and message[0] not in " ." and len(message) < 700
    return message


# ------------------------------------------------------------------------------------ frames


LAYOUTS = {
    "contiguous": {},
    "frame": {"chunks": (1, H, W)},
    "several": {"chunks": (7, 4, 3), "compression": "gzip", "shuffle": True},
    "lzf": {"chunks": (5, H, W), "compression": "lzf"},
    "checksum": {"chunks": (2, H, W), "fletcher32": True},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_frames_in_any_order(tmp_path, layout):
    values = frames()
    source = Hdf5Frames(write(tmp_path / "a.h5", values, **LAYOUTS[layout]), "entry/data")
    assert isinstance(source, FrameSource)
    assert source.shape == (M, H, W) and source.dtype == np.uint16
    for rows in ([4], [22, 0, 7, 7, 6], np.arange(M)[::-1], range(3, 9), []):
        rows = np.array(rows, np.int64)
        found = source.read(rows)
        np.testing.assert_array_equal(found, values[rows])
        assert found.dtype == values.dtype
    pieces = list(source.chunks(5))
    assert [k for k, _ in pieces] == [0, 5, 10, 15, 20]
    np.testing.assert_array_equal(np.concatenate([piece for _, piece in pieces]), values)


@settings(max_examples=25, deadline=None)
@given(
    grid=st.tuples(st.integers(1, 5), st.integers(1, 6)),
    chunk=st.tuples(*[st.integers(1, 6)] * 4),
    data=st.data(),
)
def test_raster_of_any_chunks_is_a_stack(tmp_path_factory, grid, chunk, data):
    values = frames(np.float32, (*grid, 4, 3))
    shape = tuple(min(c, n) for c, n in zip(chunk, values.shape, strict=True))
    path = write(tmp_path_factory.mktemp("r") / "a.h5", values, chunks=shape)
    source = Hdf5Frames(path, "entry/data")
    count = grid[0] * grid[1]
    rows = np.array(data.draw(st.lists(st.integers(0, count - 1), max_size=12)), np.int64)
    flat = values.reshape(count, 4, 3)
    assert source.grid == grid and source.shape == flat.shape
    np.testing.assert_array_equal(source.read(rows), flat[rows])
    size = data.draw(st.integers(1, count))
    for start, piece in source.chunks(size):
        np.testing.assert_array_equal(piece, flat[start : start + size])
    source.close()


def test_leading_axes_transposed_frames_and_byte_order(tmp_path):
    values = frames(">i4", (2, M, H, W))
    source = Hdf5Frames(write(tmp_path / "a.h5", values), "entry/data", leading=(1,))
    assert source.dtype == np.dtype("i4") and source.dtype.isnative
    np.testing.assert_array_equal(source.read([3, 1]), values[1, [3, 1]])
    turned = Hdf5Frames(tmp_path / "a.h5", "entry/data", leading=(0,), transpose=True)
    assert turned.shape == (M, W, H)
    np.testing.assert_array_equal(turned.read([5]), values[0, [5]].transpose(0, 2, 1))
    assert "no frames at [2]" in refusal(Hdf5Frames, tmp_path / "a.h5", "entry/data", leading=(2,))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float64])
def test_types_are_kept(tmp_path, dtype):
    values = frames(dtype)
    source = Hdf5Frames(write(tmp_path / "a.h5", values), "entry/data")
    found = source.read([2, 9])
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, values[[2, 9]])


def test_a_million_frames_cost_what_is_read(tmp_path):
    # Chunks that were never written take no room in the file.
    with h5py.File(tmp_path / "a.h5", "w") as h5:
        data = h5.create_dataset("d", (1_000_000, 128, 128), "u2", chunks=(16, 128, 128))
        data[999_999] = 7
    source = Hdf5Frames(tmp_path / "a.h5", "d")
    found = source.read([999_999, 0])
    assert found[0].min() == found[0].max() == 7 and not found[1].any()
    assert next(source.chunks(3))[1].shape == (3, 128, 128)


def test_an_index_outside_and_closed_frames(tmp_path):
    source = Hdf5Frames(write(tmp_path / "a.h5", frames()), "entry/data")
    assert f"frame {M} was asked for" in refusal(source.read, [0, M])
    assert "frame -1 was asked for" in refusal(source.read, [-1])
    source.read([0])
    source.close()
    assert "closed" in refusal(source.read, [0])
    assert "closed" in refusal(lambda: list(source.chunks(3)))


def test_frames_through_links_and_virtual_datasets(tmp_path):
    values = frames()
    write(tmp_path / "raw.h5", values)
    with h5py.File(tmp_path / "a.h5", "w") as h5:
        h5["soft"] = h5py.SoftLink("/far/data")
        h5["far"] = h5py.ExternalLink("raw.h5", "/entry")
        layout = h5py.VirtualLayout((3, H, W), np.uint16)
        for k, row in enumerate((5, 2, 8)):
            layout[k] = h5py.VirtualSource("raw.h5", "entry/data", (M, H, W))[row]
        h5.create_virtual_dataset("some", layout)
    np.testing.assert_array_equal(Hdf5Frames(tmp_path / "a.h5", "soft").read([4]), values[[4]])
    np.testing.assert_array_equal(
        Hdf5Frames(tmp_path / "a.h5", "some").read(np.arange(3)), values[[5, 2, 8]]
    )


# ------------------------------------------------------------------------------- compression

FILTERS = {
    "bitshuffle": hdf5plugin.Bitshuffle(cname="lz4"),
    "blosc": hdf5plugin.Blosc(cname="lz4"),
    "lz4": hdf5plugin.LZ4(),
    "zstd": hdf5plugin.Zstd(),
}


@pytest.mark.parametrize("name", FILTERS)
def test_compression_through_hdf5plugin(tmp_path, name):
    values = frames()
    path = write(tmp_path / "a.h5", values, chunks=(4, H, W), **FILTERS[name])
    np.testing.assert_array_equal(Hdf5Frames(path, "entry/data").read([9, 3]), values[[9, 3]])


def test_without_hdf5plugin_the_sentence_says_what_to_install(tmp_path):
    path = write(tmp_path / "a.h5", frames(), chunks=(4, H, W), **FILTERS["bitshuffle"])
    # A process of its own: filters stay once they are registered.
    code = (
        "import sys; sys.modules['hdf5plugin'] = None\n"
        "from pinn.io.hdf5 import Hdf5Frames\n"
        f"Hdf5Frames({str(path)!r}, 'entry/data')\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = found.stderr.strip().splitlines()[-1]
    assert "ScanError" in last and "bitshuffle" in last and path.name in last
    assert "needs hdf5plugin: pip install 'pinn-ptycho[formats]'" in last


def test_a_filter_nobody_knows(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as h5:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((1, H, W))
        plist.set_filter(511, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((M, H, W))
        h5py.h5d.create(h5.id, b"d", h5py.h5t.NATIVE_UINT16, space, plist)
    assert "filter 511" in refusal(Hdf5Frames, tmp_path / "a.h5", "d")


def test_a_damaged_chunk(tmp_path):
    path = write(tmp_path / "a.h5", frames(), chunks=(1, H, W), compression="gzip", fletcher32=True)
    with h5py.File(path, "r") as h5:
        place = h5["entry/data"].id.get_chunk_info_by_coord((6, 0, 0))
    with open(path, "r+b") as file:
        file.seek(place.byte_offset)
        file.write(b"\xff" * place.size)
    source = Hdf5Frames(path, "entry/data")
    source.read([5])
    assert "from 5 to 6" in refusal(source.read, [5, 6])
    message = refusal(source.read, [6])
    assert "frame 6" in message and "entry/data" in message and str(path) in message


# ------------------------------------------------------------------------------------ faults


def test_files_that_are_none(tmp_path):
    assert "does not exist" in refusal(open_hdf5, tmp_path / "none.h5")
    assert "is a folder" in refusal(open_hdf5, tmp_path)
    foreign = tmp_path / "text.h5"
    foreign.write_text("x,y\n1,2\n")
    assert "is not an HDF5 file" in refusal(open_hdf5, foreign)
    empty = tmp_path / "empty.h5"
    empty.touch()
    assert "is not an HDF5 file" in refusal(open_hdf5, empty)
    assert not is_hdf5(foreign, b"x,y\n1,2\n") and not is_hdf5(tmp_path / "none", b"")


def test_hdf5_behind_a_user_block_is_hdf5(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as h5:
        h5["d"] = frames()
    head = b"MATLAB 7.3 MAT-f"
    with open(tmp_path / "a.mat", "r+b") as file:
        file.write(head)
    assert is_hdf5(tmp_path / "a.mat", head)
    np.testing.assert_array_equal(Hdf5Frames(tmp_path / "a.mat", "d").read([1]), frames()[[1]])


def test_truncated_anywhere(tmp_path):
    whole = write(tmp_path / "a.h5", frames()).read_bytes()
    cut = tmp_path / "cut.h5"
    for length in (1, 8, 9, 40, 100, 700, len(whole) // 2, len(whole) - 1):
        cut.write_bytes(whole[:length])
        message = refusal(Hdf5Frames, cut, "entry/data")
        assert str(cut) in message
    assert "truncated" in message and "copy it again" in message


def test_a_file_open_for_writing_elsewhere(tmp_path):
    path = write(tmp_path / "a.h5", frames())
    code = (
        f"import h5py, sys; h5 = h5py.File({str(path)!r}, 'a', locking=True)\n"
        "print('open', flush=True); sys.stdin.read()"
    )
    environment = {**os.environ, "HDF5_USE_FILE_LOCKING": "TRUE"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, **pipes) as other:
        assert other.stdout.readline().strip() == "open"
        message = refusal(open_hdf5, path)
        other.stdin.close()
    assert "open for writing" in message and "h5clear" in message
    open_hdf5(path).close()


def awkward(path):
    """A file with a fault under each name; returns what the sentence must say."""
    with h5py.File(path, "w") as h5:
        h5["good"] = frames()
        h5["group/inner"] = np.zeros(3)
        h5["soft"] = h5py.SoftLink("/gone")
        h5["external"] = h5py.ExternalLink("missing_file.h5", "/d")
        h5["elsewhere"] = h5py.ExternalLink(os.path.basename(path), "/not_there")
        h5["text"] = "words"
        h5["complex"] = frames().astype(np.complex64)
        h5["table"] = np.zeros((3, 4, 4), [("a", "i4"), ("b", "f4")])
        h5.create_dataset("vlen", (3,), h5py.vlen_dtype(np.int32))
        h5.create_dataset("refs", (3,), h5py.ref_dtype)
        h5["type"] = np.dtype("f4")
        h5["nothing"] = h5py.Empty("f4")
        h5["line"] = np.zeros(7)
        h5["five"] = np.zeros((1, 1, 1, 4, 4))
        h5["none"] = np.zeros((0, 4, 4))
        layout = h5py.VirtualLayout((3, 4, 4), "u2")
        layout[0] = h5py.VirtualSource("missing_part.h5", "d", (4, 4))
        h5.create_virtual_dataset("virtual", layout)
        layout = h5py.VirtualLayout((3, 4, 4), "u2")
        layout[0] = h5py.VirtualSource("part.h5", "wrong", (4, 4))
        h5.create_virtual_dataset("virtual2", layout)
        raw = [("missing.raw", 0, h5py.h5f.UNLIMITED)]
        h5.create_dataset("raw", (3, 4, 4), "u2", external=raw)
    with h5py.File(path.with_name("part.h5"), "w") as h5:
        h5["right"] = np.zeros((4, 4), "u2")
    return {
        "absent": ("has no dataset '/absent'", "good (23, 6, 10)"),
        "good/inside": ("has no dataset",),
        "group": ("is a group, not a dataset", "inner (3,)"),
        "type": ("is a data type, not a dataset",),
        "soft": ("'/gone' in the same file",),
        "external": ("'missing_file.h5'", "put it beside"),
        "elsewhere": ("'/not_there'",),
        "text": ("holds text, but must hold real numbers",),
        "complex": ("holds complex numbers",),
        "table": ("a table with the columns a, b",),
        "vlen": ("rows of different lengths",),
        "refs": ("references",),
        "nothing": ("has shape None",),
        "line": ("has shape (7,), but must have 3 or 4 axes",),
        "five": ("has shape (1, 1, 1, 4, 4)",),
        "none": ("there are no frames",),
        "virtual": ("'missing_part.h5'", "not there"),
        "virtual2": ("'wrong'", "right (4, 4)"),
        "raw": ("'missing.raw'",),
    }


def test_every_fault_of_a_dataset_is_named(tmp_path):
    path = tmp_path / "a.h5"
    for name, said in awkward(path).items():
        message = refusal(Hdf5Frames, path, name)
        assert str(path) in message and name in message
        for words in said:
            assert words in message, (name, message)


def test_listing_is_short(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as h5:
        for k in range(100):
            h5[f"g/{k:03}"] = np.zeros(2)
        message = refusal(dataset, h5, "x", "the file")
    assert message.count("(2,)") == 12 and message.endswith("...")


@pytest.mark.parametrize("seed", range(40))
def test_random_damage_is_a_sentence_or_nothing(tmp_path, seed):
    rng = np.random.default_rng(seed)
    path = write(tmp_path / "a.h5", frames(), chunks=(5, H, W), compression="gzip")
    content = bytearray(path.read_bytes())
    # Structures of the file lie in its first part.
    for place in rng.integers(0, min(4096, len(content)), 6):
        content[place] = rng.integers(0, 256)
    path.write_bytes(bytes(content))
    # Other exceptions fail the test.
    with contextlib.suppress(ScanError):
        found = Hdf5Frames(path, "entry/data").read(np.arange(M))
        assert found.dtype.kind in "biuf"


# ----------------------------------------------------------------------------------- numbers


def test_arrays(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as h5:
        h5["x"] = np.array([1, 2, 3], ">i2")
        h5["c"] = np.array([1 + 2j])
        h5["matlab"] = np.array([(1.0, 2.0)], [("real", "f8"), ("imag", "f8")])
        h5.create_dataset("huge", (1 << 20, 1 << 20), "f8", chunks=(1, 1024))
    with reading(path) as file:
        assert "2 axes" in refusal(file.array, "x", 2)
        assert file.array("c", kind="c")[0] == file.array("matlab", kind="c")[0] == 1 + 2j
        assert file.array("x").dtype.isnative and file.array("x").tolist() == [1, 2, 3]
        assert "too large" in refusal(file.array, "huge")


def test_scalars_attributes_and_texts(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as h5:
        h5["one"], h5["same"], h5["nan"] = 2.5, [2.0, 2.002], np.nan
        h5["differ"], h5["word"], h5["bytes"] = [1.0, 2.0], "µm", np.bytes_(b"mm")
        h5["one"].attrs.update(unit="nm", b=np.bytes_(b"eV"), n=[3], many=[1, 2], bad=np.inf)
    with reading(path) as file:
        assert file.number("one") == 2.5 and file.number("absent") is None
        assert file.number("same") == pytest.approx(2.001) and file.number("nan") is None
        assert "from 1 to 2" in refusal(file.number, "differ")
        assert file.number("one@absent", "one@n") == 3.0
        assert all(file.number(f"one@{name}") is None for name in ("unit", "many", "bad"))
        assert [file.text(f"one@{name}") for name in ("unit", "b", "absent")] == ["nm", "eV", None]
        assert [file.text(name) for name in ("word", "bytes", "one")] == ["µm", "mm", None]
        assert file.first("absent", "same", "one") == "same" and not file.has("absent")


def test_reading_turns_what_h5py_says_into_a_sentence(tmp_path):
    path = write(tmp_path / "a.h5", frames())

    def careless():
        with reading(path) as file:
            return file.group["not there"]

    assert str(path) in refusal(careless)
