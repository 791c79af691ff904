"""No room at any point of a write: one sentence, nothing left, and nothing that is still open."""

import gc
import resource
from contextlib import contextmanager

import h5py
import numpy as np
import pytest
from scan_files import M, N, counts, scene

from pinn.data.scan import Scan
from pinn.errors import OutputError
from pinn.io.archive import Archive, write_archive
from pinn.io.formats.cxi_writer import write_cxi
from pinn.io.formats.npz_writer import write_scan_npz
from pinn.io.formats.ptychodus_writer import write_ptychodus
from pinn.io.formats.ptychovit_writer import write_ptychovit_pair
from pinn.io.hdf5_new import new_hdf5
from pinn.io.product import Reconstruction


def open_in_hdf5():
    """Files and what is in them that this process has open, those of other tests included."""
    gc.collect()
    return h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE)


@contextmanager
def at_most(size):
    """Files of this process end after so many bytes, as on a full disk or with `ulimit -f`."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def scan():
    _, probe, positions = scene()
    masks = np.random.default_rng(0).random((M, N, N)) > 0.1  # in compressed pieces
    return Scan(counts(), positions, probe=probe, units="counts", valid_mask=masks)


def result():
    image = np.random.default_rng(1).normal(size=(100, 120)).astype(np.complex64)
    return Reconstruction(
        object=image,
        origin_px=np.zeros(2),
        coverage=np.ones(image.shape),
        valid_mask=np.ones(image.shape, bool),
        positions_px=np.zeros((30, 2)),
        frame_indices=np.arange(30),
        notes=("a note " * 1000,),
    )


def archive(path):
    weights = {f"layer{n}/kernel": np.ones((50, 30), np.float32) for n in range(6)}
    write_archive(path, Archive(config={}, weights=weights), backend="torch", versions={})


WRITERS = {
    "reconstruction.h5": lambda path: result().save(path),
    "a.cxi": lambda path: write_cxi(path, scan()),
    "product.h5": lambda path: write_ptychodus(path, scan()),
    "a_dp.hdf5": lambda path: write_ptychovit_pair(path, scan()),
    "a.npz": lambda path: write_scan_npz(path, scan()),
    "wts.h5.zip": archive,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_has_no_room_leaves_nothing(name, tmp_path):
    write, opened = WRITERS[name], open_in_hdf5()
    write(tmp_path / name)
    largest = max(path.stat().st_size for path in tmp_path.iterdir())
    whole = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for size in (0, 10, 1000, 2048, *(largest * n // 10 for n in range(1, 10)), largest - 1):
        with (
            at_most(size),
            pytest.raises(OutputError, match=r"cannot write .*: file too large"),
        ):
            write(tmp_path / name)
        gc.collect()  # a file that was still open would complain here
        assert {path.name for path in tmp_path.iterdir()} == set(whole)
    assert open_in_hdf5() == opened
    for path in tmp_path.iterdir():
        if path.suffix != ".zip":  # its manifest has a date
            assert path.read_bytes() == whole[path.name], "what was there stays as it was"


def test_a_file_written_so_is_an_hdf5_file_like_any_other(tmp_path):
    values = np.arange(1000.0).reshape(10, 100)
    with new_hdf5(tmp_path / "a.h5") as h5:
        h5.create_dataset("deep/er", data=values, chunks=(3, 50), compression="gzip")
        h5["plain"] = values
        h5.attrs["text"] = "x" * 1000
    with h5py.File(tmp_path / "a.h5") as h5:
        np.testing.assert_array_equal(h5["deep/er"], values)
        np.testing.assert_array_equal(h5["plain"], values)
        assert h5.attrs["text"] == "x" * 1000


def test_what_the_body_raises_is_what_is_told(tmp_path):
    opened = open_in_hdf5()
    with pytest.raises(KeyboardInterrupt), new_hdf5(tmp_path / "a.h5") as h5:
        h5["plain"] = np.zeros(1000)
        raise KeyboardInterrupt
    assert open_in_hdf5() == opened
