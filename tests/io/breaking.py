"""Ways to break a valid file: makers for the tables of `refusals`.

A maker writes into a folder and returns a `Small`, or only the path. Python objects in a file carry
a payload: whoever decodes them leaves a file named `executed` behind. A change of an open HDF5 file
is for `h5`.
"""

import io
import os
import struct
import zipfile
import zlib

import foreign_files as foreign
import h5py
import numpy as np
import small_scans as small
from numpy.lib import format as npy
from small_scans import SIDE, Small

MARKER = "executed"


class Payload:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, folder):
        self._marker = os.fspath(folder / MARKER)

    def __reduce__(self):
        return os.mkdir, (self._marker,)


# ------------------------------------------------------------------------------- how to break


def npz(**changes):
    """An NPZ of our contract with other arrays; None leaves one out."""

    def make(folder):
        parts = small.npz_parts(**changes)
        np.savez(folder / "scan.npz", **{k: v for k, v in parts.items() if v is not None})
        return folder / "scan.npz"

    return make


def objects(key, shape, whole="npz", which=0):
    """An NPZ one array of which holds Python objects."""

    def make(folder):
        made = small.SMALL[whole](folder)
        parts = small.members(made.files[which])
        held, array = io.BytesIO(), np.empty(shape, object)
        array[...] = Payload(folder)
        np.save(held, array, allow_pickle=True)
        parts[f"{key}.npy"] = held.getvalue()
        small.zip_up(made.files[which], parts)
        return made

    return make


def header(text, key="diff3d"):
    """An NPZ one array of which has this text for a header."""

    def make(folder):
        path = npz()(folder)
        data = text.replace("MARKER", os.fspath(folder / MARKER)).encode("latin1") + b"\n"
        parts = small.members(path)
        parts[f"{key}.npy"] = npy.magic(1, 0) + struct.pack("<H", len(data)) + data + bytes(64)
        return small.zip_up(path, parts)

    return make


def head(shape, descr="<f4"):
    return header(f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}")


def h5(maker, change, which=0):
    """A valid file of a format, changed by `change(h5)`."""

    def make(folder):
        made = small.SMALL[maker](folder)
        with h5py.File(made.files[which], "r+") as file:
            change(file)
        return made

    return make


def put(name, value, **attributes):
    """A change: the name holds this value instead; None removes it."""

    def change(file):
        if name in file:
            del file[name]
        if value is not None:
            file[name] = value
            file[name].attrs.update(attributes)

    return change


def attributes(where, **values):
    """A change of attributes; None removes one."""

    def change(file):
        for key, value in values.items():
            if value is None:
                del file[where].attrs[key]
            else:
                file[where].attrs[key] = value

    return change


def all_of(*changes):
    def change(file):
        for one in changes:
            one(file)

    return change


def cut(maker, share=0.5, which=0):
    """A valid file that ends too early."""

    def make(folder):
        made = small.SMALL[maker](folder)
        data = made.files[which].read_bytes()
        made.files[which].write_bytes(data[: int(len(data) * share)])
        return made

    return make


def without(maker, which=1):
    """A scan one file of which is gone."""

    def make(folder):
        made = small.SMALL[maker](folder)
        made.files[which].unlink()
        return Small(made.path, made.options)

    return make


def content(data, name="scan.npz", **options):
    """Any bytes under the name of a scan."""

    def make(folder):
        (folder / name).write_bytes(data)
        return Small(folder / name, options)

    return make


def flat(write, **changes):
    """An NPZ file of `foreign_files` with other arrays."""

    def make(folder):
        return Small(write(folder / "scan.npz", **changes), {"format": "tike", "frame_size": SIDE})

    return make


def mat(version=5, compressed=True, **changes):
    def make(folder):
        variables = small.shelves_variables(**changes)
        if version == 5:
            from scipy.io import savemat

            savemat(folder / "scan.mat", variables, do_compression=compressed)
        else:
            foreign.write_mat(folder / "scan.mat", version, variables)
        return Small(folder / "scan.mat", {"frame_size": SIDE})

    return make


# --------------------------------------------------------------------------------- one by one


def folder_as_file(folder):
    (folder / "scan.npz").mkdir()
    return folder / "scan.npz"


def pipe(folder):
    os.mkfifo(folder / "scan.npz")
    return folder / "scan.npz"


def loop(folder):
    (folder / "scan.npz").symlink_to(folder / "scan.npz")
    return folder / "scan.npz"


def pickled_whole(folder):
    (folder / "scan.npz").write_bytes(np.array(Payload(folder), object).dumps())
    return folder / "scan.npz"


def bad_checksum(folder):
    path = npz()(folder)
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("xcoords.npy")
    data = bytearray(path.read_bytes())
    data[info.header_offset + 200] ^= 0x10
    path.write_bytes(data)
    return path


def misplaced(folder):
    """The directory points into the middle of the file."""
    path = npz()(folder)
    data = bytearray(path.read_bytes())
    start = data.index(b"PK\x01\x02")
    data[start + 42 : start + 46] = (77).to_bytes(4, "little")
    path.write_bytes(data)
    return path


def bad_checksum_of_frames(folder):
    """In the part that is only read with the frames."""
    path = small.npz_compressed(folder).path
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("diff3d.npy")
    data = bytearray(path.read_bytes())
    data[info.header_offset + info.compress_size // 2] ^= 0xFF
    path.write_bytes(data)
    return path


def in_directory(field, value):
    """A change of every entry of the zip directory: offset of a field of two bytes in it."""

    def make(folder):
        path = npz()(folder)
        data = bytearray(path.read_bytes())
        at = data.find(b"PK\x01\x02")
        while at >= 0:
            data[at + field : at + field + 2] = struct.pack("<H", value)
            at = data.find(b"PK\x01\x02", at + 4)
        path.write_bytes(data)
        return path

    return make


def beside(option, write):
    """A valid scan with a broken file named by an option."""

    def make(folder):
        path = npz()(folder)
        write(folder / "extra.npy")
        return Small(path, {option: os.fspath(folder / "extra.npy")}, (folder / "extra.npy",))

    return make


def save_objects(path):
    np.save(path, np.array([Payload(path.parent)], object), allow_pickle=True)


def save_named(path, **arrays):
    with open(path, "wb") as file:
        np.savez(file, **arrays)


def huge_npy(path):
    text = b"{'descr': '<c16', 'fortran_order': False, 'shape': (1000000, 1000000, 1000), }\n"
    path.write_bytes(npy.magic(1, 0) + struct.pack("<H", len(text)) + text + bytes(64))


def links(target, name="entry/data"):
    """A change: there is a link of this name."""

    def change(file):
        del file[name]
        file[name] = target

    return change


def cycle(file):
    del file["entry/data"]
    file["entry/data"] = h5py.SoftLink("/entry/other")
    file["entry/other"] = h5py.SoftLink("/entry/data")


def unwritten(name, shape, dtype="f4", chunk=64):
    """A change: a dataset that states a size and holds nothing."""

    def change(file):
        del file[name]
        chunks = tuple(min(chunk, n) for n in shape)
        file.create_dataset(name, shape, dtype, chunks=chunks)

    return change


def unknown_filter(file):
    shape = file["entry/data"].shape
    del file["entry/data"]
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((1, *shape[1:]))
    plist.set_filter(511, h5py.h5z.FLAG_OPTIONAL, ())
    space = h5py.h5s.create_simple(shape)
    h5py.h5d.create(file["entry"].id, b"data", h5py.h5t.NATIVE_UINT16, space, plist)


def words(file):
    del file["entry/data"]
    file.create_dataset("entry/data", (15, 16, 16), h5py.string_dtype())


def rows(file):
    del file["entry/data"]
    file.create_dataset("entry/data", (15,), h5py.vlen_dtype(np.uint16))


def data_type(file):
    del file["entry/data"]
    file["entry/data"] = np.dtype("f4")


def external_raw(file):
    del file["entry/data"]
    where = [("frames.raw", 0, h5py.h5f.UNLIMITED)]
    file.create_dataset("entry/data", (15, 16, 18), "u2", external=where)


def virtual(file):
    del file["entry/data"]
    layout = h5py.VirtualLayout((15, 16, 18), "u2")
    layout[:] = h5py.VirtualSource("part_0001.h5", "data", (15, 16, 18))
    file.create_virtual_dataset("entry/data", layout)


def damaged_chunk(folder):
    made = small.plain_chunked(folder)
    with h5py.File(made.path) as file:
        place = file["entry/data"].id.get_chunk_info(2)
    with open(made.path, "r+b") as file:
        file.seek(place.byte_offset)
        file.write(b"\xff" * place.size)
    return made


def strange_names(file):
    del file["entry/data"]
    file[b"entry/\xff\xfe\x80"] = np.zeros(3)


def left_open(folder):
    """As a program leaves it that dies while it writes."""
    made = small.plain_chunked(folder)
    with h5py.File(made.path, "r+", libver="latest") as file:
        file["more"] = 1
        file.flush()
        data = made.path.read_bytes()
    made.path.write_bytes(data)
    return made


def mat_type(folder):
    """A part of a type that does not exist: SciPy would look for it beyond the end of a table."""
    made = small.mat_5(folder)
    data = bytearray(made.path.read_bytes())
    at = data.index(b"object\0\0") + 8
    data[at] = 62
    made.path.write_bytes(data)
    return made


def mat_cells(folder):
    """More cells than the file has bytes."""
    from scipy.io import savemat

    path = folder / "scan.mat"
    savemat(path, {"fmag": np.array([[1, "a"]], object), **small.shelves_variables(fmag=None)})
    data = path.read_bytes()
    path.write_bytes(
        data.replace(struct.pack("<IIII", 5, 8, 1, 2), struct.pack("<IIII", 5, 8, 1 << 30, 2), 1)
    )
    return Small(path, {"frame_size": SIDE})


def mat_inflated(folder):
    """A compressed part whose checksum is another."""
    made = mat()(folder)
    data = bytearray(made.path.read_bytes())
    size = struct.unpack_from("<I", data, 132)[0]
    data[136 + size - 1] ^= 0x55
    made.path.write_bytes(data)
    return made


def entities(folder):
    """An XML file whose entities double fifty times."""
    text = '<?xml version="1.0"?><!DOCTYPE root [<!ENTITY a0 "ha">'
    text += "".join(f'<!ENTITY a{k} "&a{k - 1};&a{k - 1};">' for k in range(1, 50))
    (folder / "scan.xml").write_text(f"{text}]><root><raw_file filename='&a49;'/></root>")
    return folder / "scan.xml"


def nested(levels):
    return "[" * levels + "]" * levels


def png(width=16):
    raw = b"".join(b"\0" + bytes(width) for _ in range(width))
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, width, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(raw)),
        (b"IEND", b""),
    ]
    body = b"".join(
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def fold_slice(drop=None, **changes):
    def make(folder):
        dp, para = foreign.write_pair(folder, **changes)
        if drop is not None:
            (dp, para)[drop].unlink()
        return Small((dp, para)[1 if drop == 0 else 0], {"frame_size": SIDE})

    return make


def chunk_link(folder):
    made = small.ptyd(folder)
    with h5py.File(made.path, "r+") as file:
        del file["chunks/1"]
        file["chunks/1"] = h5py.ExternalLink("part_1.ptyd", "/chunks/1")
    return made


def no_raster(file):
    group = file["Experiments/scan"]
    data = group["data"][0]
    del group["data"]
    group.create_dataset("data", data=data, chunks=True)
    del group["axis-0"]
    for k in range(3):
        group.move(f"axis-{k + 1}", f"axis-{k}")


def no_step(file):
    for k in range(2):
        file[f"Experiments/scan/axis-{k}"].attrs["units"] = "seconds"
