"""Links of an HDF5 file that a library may follow, and those it would follow for ever."""

import h5py
import numpy as np
import pytest

from pinn.errors import ScanError
from pinn.io.hdf5_tree import check_tree


def check(path, change):
    with h5py.File(path, "w") as h5:
        h5["a/b/data"] = np.arange(3.0)
        h5["c/data"] = np.arange(4.0)
        change(h5)
        check_tree(h5, path)


def written(h5):
    h5.create_dataset("u", (1 << 30,), "f8", chunks=(8,))[0] = 1.0


FINE = {
    "no link": lambda h5: None,
    "beside": lambda h5: h5.__setitem__("c/b", h5py.SoftLink("/a/b")),
    "one group twice": lambda h5: h5.__setitem__("a/again", h5["a/b"]),
    "to a dataset above": lambda h5: h5.__setitem__("a/b/c", h5py.SoftLink("/c/data")),
    "to nothing": lambda h5: h5.__setitem__("a/b/x", h5py.SoftLink("/nothing")),
    "to itself": lambda h5: h5.__setitem__("a/b/x", h5py.SoftLink("/a/b/x")),
    "small and unwritten": lambda h5: h5.create_dataset("u", (100, 100), chunks=(10, 10)),
    "large and written": written,
    "no numbers": lambda h5: h5.__setitem__("n", h5py.Empty("f4")),
}
BACK = {
    "above": (lambda h5: h5.__setitem__("a/b/x", h5py.SoftLink("/a")), "'/a/b/x'"),
    "top": (lambda h5: h5.__setitem__("a/b/x", h5py.SoftLink("/")), "'/a/b/x'"),
    "hard": (lambda h5: h5.__setitem__("a/b/x", h5["a"]), "'/a/b/x'"),
    "round": (
        lambda h5: (
            h5.__setitem__("a/x", h5py.SoftLink("/c")),
            h5.__setitem__("c/y", h5py.SoftLink("/a")),
        ),
        "'/a/x/y'",
    ),
}


@pytest.mark.parametrize("name", FINE)
def test_trees_with_an_end(tmp_path, name):
    check(tmp_path / "a.h5", FINE[name])


@pytest.mark.parametrize("name", BACK)
def test_links_that_lead_back(tmp_path, name):
    change, where = BACK[name]
    with pytest.raises(ScanError, match=f"{where} in .*a.h5 is a link that leads back"):
        check(tmp_path / "a.h5", change)


def test_what_was_never_written(tmp_path):
    with pytest.raises(ScanError, match=r"'/a/u' in .*a\.h5 has shape \(1073741824,\)"):
        check(tmp_path / "a.h5", lambda h5: h5.create_dataset("a/u", (1 << 30,), "f8", chunks=True))
