"""Frame sources: the same frames whatever lies below, and nothing left behind."""

import gc
import logging
import os
import tempfile
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scan_makers import counts_stack

from pinn.data import zipped
from pinn.data.frames import ArrayFrames, FrameSource, NpyInZipFrames
from pinn.data.zipped import read_members
from pinn.errors import ScanError

FRAMES = counts_stack(M=11, N=16).astype(np.uint16)


def npz_source(path, array, compressed=False, axis=0):
    save = np.savez_compressed if compressed else np.savez
    save(path, before=np.arange(7), diff3d=array)
    return NpyInZipFrames(path, read_members(path)["diff3d"], axis)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A folder of its own for temporary copies."""
    folder = tmp_path / "tmpdir"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    tempfile.tempdir = None


LAYOUTS = {
    "plain": (FRAMES, 0),
    "trailing axis": (FRAMES[..., None], 0),
    "frames last": (np.ascontiguousarray(np.moveaxis(FRAMES, 0, -1)), 2),
    "fortran": (np.asfortranarray(FRAMES), 0),
    "fortran, frames last": (np.asfortranarray(np.moveaxis(FRAMES, 0, -1)), 2),
    "big endian": (FRAMES.astype(">u2"), 0),
}


@pytest.mark.parametrize("compressed", [False, True], ids=["stored", "compressed"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_frames(tmp_path, layout, compressed):
    array, axis = LAYOUTS[layout]
    source = npz_source(tmp_path / "a.npz", array, compressed, axis)
    assert isinstance(source, FrameSource)
    assert source.shape == FRAMES.shape
    order = np.array([10, 0, 3, 3, 4, 10])
    np.testing.assert_array_equal(source.read(order), FRAMES[order])
    starts, blocks = zip(*source.chunks(4), strict=True)
    assert starts == (0, 4, 8)
    np.testing.assert_array_equal(np.concatenate(blocks), FRAMES)
    source.close()


@given(st.lists(st.integers(0, 10), max_size=30))
def test_reading_any_indices_is_indexing(indices):
    source = ArrayFrames(FRAMES)
    np.testing.assert_array_equal(source.read(np.array(indices, int)), FRAMES[indices])


def test_what_was_read_can_be_changed_without_changing_the_source():
    own = FRAMES.copy()
    ArrayFrames(own).read(np.arange(3))[:] = 0
    np.testing.assert_array_equal(own, FRAMES)


@pytest.mark.parametrize("index", [-1, 11])
def test_an_index_outside_is_refused(index):
    with pytest.raises(ScanError, match=rf"frame {index} .* frames 0 to 10"):
        ArrayFrames(FRAMES).read(np.array([0, index]))


def test_an_uncompressed_member_is_mapped_and_not_copied(tmp_path, temporary):
    source = npz_source(tmp_path / "a.npz", FRAMES)
    block = next(source.chunks(3))[1]
    while block.base is not None and not isinstance(block, np.memmap):
        block = block.base
    assert isinstance(block, np.memmap)
    assert list(temporary.iterdir()) == []


def test_a_compressed_member_is_announced_and_copied_to_tmpdir(tmp_path, temporary, caplog):
    with caplog.at_level(logging.INFO, logger="pinn"):
        source = npz_source(tmp_path / "a.npz", FRAMES, compressed=True)
    assert len(caplog.messages) == 1
    assert "diff3d" in caplog.messages[0]
    assert "0 MB" in caplog.messages[0]
    assert str(temporary) in caplog.messages[0]
    assert len(mapped_files(temporary)) == 1
    source.close()
    gc.collect()
    assert mapped_files(temporary) == []


def test_a_temporary_copy_goes_with_its_source(tmp_path, temporary):
    source = npz_source(tmp_path / "a.npz", FRAMES, compressed=True)
    assert len(mapped_files(temporary)) == 1
    del source
    gc.collect()
    assert mapped_files(temporary) == []
    assert list(temporary.iterdir()) == []


def mapped_files(folder):
    """Files below `folder` that this process maps or holds open, named or not."""
    links = [os.path.join("/proc/self/fd", fd) for fd in os.listdir("/proc/self/fd")]
    held = {os.readlink(link) for link in links if os.path.islink(link)}
    with open("/proc/self/maps", encoding="utf-8") as maps:
        held |= {line.split(maxsplit=5)[5].strip() for line in maps if str(folder) in line}
    return [name for name in held if name.startswith(str(folder))]


def test_a_full_disk_is_told_before_anything_is_written(tmp_path, temporary, monkeypatch):
    class Usage:
        free = 1000

    monkeypatch.setattr(zipped.shutil, "disk_usage", lambda folder: Usage)
    with pytest.raises(ScanError, match=r"'?diff3d'? of .* only 0 MB free; set TMPDIR"):
        npz_source(tmp_path / "a.npz", FRAMES, compressed=True)
    assert list(temporary.iterdir()) == []


def test_reading_after_close_is_refused(tmp_path):
    source = npz_source(tmp_path / "a.npz", FRAMES)
    source.close()
    with pytest.raises(ScanError, match="closed"):
        source.read(np.array([0]))


@pytest.mark.parametrize("compressed", [False, True], ids=["stored", "compressed"])
def test_a_copy_in_many_pieces_is_the_same(tmp_path, monkeypatch, compressed):
    monkeypatch.setattr(zipped, "_SLAB_BYTES", 3000)
    last = np.ascontiguousarray(np.moveaxis(FRAMES, 0, -1))
    for array, axis in ((FRAMES, 0), (last, 2)):
        source = npz_source(tmp_path / "a.npz", array, compressed, axis)
        np.testing.assert_array_equal(source.read(np.arange(11)), FRAMES)
        source.close()


def test_a_flipped_bit_in_a_compressed_member_is_found(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, diff3d=FRAMES)
    members = read_members(path)
    data = bytearray(path.read_bytes())
    data[members["diff3d"].info.header_offset + 1500] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(ScanError, match=r"'diff3d' in .*a\.npz cannot be read"):
        NpyInZipFrames(path, members["diff3d"])


@pytest.mark.parametrize("compressed", [False, True], ids=["stored", "compressed"])
def test_a_copy_is_compared_with_its_checksum(tmp_path, compressed):
    path = tmp_path / "a.npz"
    save = np.savez_compressed if compressed else np.savez
    save(path, diff3d=np.moveaxis(FRAMES, 0, -1).copy())
    member = read_members(path)["diff3d"]
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\1\2")
    assert data[entry + 16 : entry + 20] == member.info.CRC.to_bytes(4, "little")
    data[entry + 16] ^= 1
    path.write_bytes(data)
    with pytest.raises(ScanError, match=r"'diff3d' in .* cannot be read .*CRC"):
        NpyInZipFrames(path, read_members(path)["diff3d"], 2)


def test_a_zip_extra_field_does_not_move_the_data(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(tmp_path / "b.npz", diff3d=FRAMES)
    with zipfile.ZipFile(tmp_path / "b.npz") as old, zipfile.ZipFile(path, "w") as new:
        entry = zipfile.ZipInfo("diff3d.npy")
        entry.extra = b"\xfe\xca\x05\x00hello"  # an unknown field of five bytes
        new.writestr(entry, old.read("diff3d.npy"))
    source = NpyInZipFrames(path, read_members(path)["diff3d"])
    np.testing.assert_array_equal(source.read(np.arange(11)), FRAMES)
