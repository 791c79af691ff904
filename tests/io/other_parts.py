"""Parts of a valid file replaced by other things, which damage to its bytes seldom makes."""

import h5py
import numpy as np
from small_scans import members, zip_up

FILL = (np.nan, np.inf, -1.0, 0.0, 1e300, 5e-324, 2.0**63)


def _one_less(old, axis):
    return np.delete(old, -1, axis) if old.ndim and old.shape[axis % old.ndim] else old


def _one_more(old, axis):
    return np.concatenate([old, old.take([0], axis)], axis) if old.size and old.ndim else old


def _filled(value):
    def fill(old):
        with np.errstate(all="ignore"):
            wide = np.result_type(old.dtype, np.float64) if old.dtype.kind in "biuf" else "c16"
            return np.full(old.shape, value, wide)

    return fill


def _with(value):
    def put(old):
        new = _filled(0.0)(old) + old
        new.flat[:1] = value
        return new

    return put


# What becomes of an array of numbers.
ARRAYS = {
    "first less": lambda old: _one_less(old, 0),
    "last less": lambda old: _one_less(old, -1) if old.ndim else old,
    "first more": lambda old: _one_more(old, 0),
    "last more": lambda old: _one_more(old, -1) if old.ndim else old,
    "none": lambda old: old.reshape(-1)[:0] if old.ndim < 2 else old[:0],
    "axis before": lambda old: old[None],
    "axis behind": lambda old: old[..., None],
    "line": lambda old: old.reshape(-1),
    "part": lambda old: old[0] if old.ndim and len(old) else old,
    "transposed": lambda old: old.T.copy(),
    "upside down": lambda old: old[::-1].copy() if old.ndim else old,
    "twice": lambda old: np.concatenate([old, old]) if old.ndim else old,
    "complex": lambda old: old + 1j,
    "real": lambda old: old.real.astype(np.float32),
    "bytes": lambda old: np.zeros(old.shape, "u1"),
    "bool": lambda old: old != 0,
    "words": lambda old: np.full(old.shape, b"word"),
    "table": lambda old: np.zeros(old.shape, [("a", "f4"), ("b", "i2")]),
    "tiny": lambda old: old * 1e-200,
    "large": lambda old: old * np.float64(1e200),
    **{f"all {value}": _filled(value) for value in FILL},
    **{f"one {value}": _with(value) for value in FILL},
}
# What an HDF5 file may have under a name instead of numbers.
OTHERS = {
    "gone": lambda h5, name: None,
    "group": lambda h5, name: h5.create_group(name),
    "type": lambda h5, name: h5.__setitem__(name, np.dtype("f8")),
    "null": lambda h5, name: h5.__setitem__(name, h5py.Empty("f8")),
    "text": lambda h5, name: h5.__setitem__(name, "some text\nin lines"),
    "long text": lambda h5, name: h5.__setitem__(name, "x" * 5000),
    "link to nothing": lambda h5, name: h5.__setitem__(name, h5py.SoftLink("/nothing")),
    "link to itself": lambda h5, name: h5.__setitem__(name, h5py.SoftLink(f"/{name}")),
    "link to all": lambda h5, name: h5.__setitem__(name, h5py.SoftLink("/")),
    "link to a file": lambda h5, name: h5.__setitem__(name, h5py.ExternalLink("gone.h5", "/")),
    "references": lambda h5, name: h5.create_dataset(name, (3,), h5py.ref_dtype),
    "rows": lambda h5, name: h5.create_dataset(name, (3,), h5py.vlen_dtype("f4")),
    "unwritten": lambda h5, name: h5.create_dataset(name, (1 << 40, 16, 16), "f4", chunks=True),
    "unwritten line": lambda h5, name: h5.create_dataset(name, (1 << 40,), "f8", chunks=True),
}
# What an attribute may be.
ATTRIBUTES = (
    *("", "abc", "x" * 5000, b"\xff\xfe", "nm", "8000"),
    *(np.nan, np.inf, 0, -1, 1e300, 5e-324, 1j, True, h5py.Empty("f8")),
    *([1.0, 2.0], [[1.0]], np.zeros((2, 3, 4)), np.zeros(0), ["a", "b"]),
)


def parts_of(path):
    """Names of the datasets and groups of an HDF5 file, or of the members of an NPZ."""
    if not h5py.is_hdf5(path):
        return sorted(members(path)) if path.suffix == ".npz" else []
    names = []
    with h5py.File(path) as h5:
        h5.visit(names.append)
    return names


def replace_member(path, name, how):
    """Another array under the name of a member of an NPZ file."""
    with np.load(path) as arrays:
        old = arrays[name.removesuffix(".npy")]
    if old.dtype.kind not in "biufc":
        return
    with np.errstate(all="ignore"):
        new = ARRAYS[how](old)
    np.save(path.with_suffix(".npy"), new)
    changed = {**members(path), name: path.with_suffix(".npy").read_bytes()}
    path.with_suffix(".npy").unlink()
    zip_up(path, changed)


def replace_item(path, name, how):
    """Something else under a name of an HDF5 file; its attributes stay if it can have some."""
    with h5py.File(path, "r+") as h5:
        old, attributes = h5[name], dict(h5[name].attrs)
        numbers = isinstance(old, h5py.Dataset) and old.shape is not None
        if how in ARRAYS:
            if not numbers or old.dtype.kind not in "biufc":
                return
            with np.errstate(all="ignore"):
                new = ARRAYS[how](old[()] if old.ndim else np.asarray(old[()]))
        del h5[name]
        if how in ARRAYS:
            h5[name] = new
        else:
            OTHERS[how](h5, name)
        if "link" not in how and name in h5:
            h5[name].attrs.update(attributes)


def replace_attribute(path, name, number, value):
    """Another value of one of the attributes of an object, or of the file."""
    with h5py.File(path, "r+") as h5:
        item = h5[name]
        owner = item if len(item.attrs) else h5
        keys = sorted(owner.attrs)
        if keys:
            owner.attrs[keys[number % len(keys)]] = value
