"""Files that are broken, each with the words that its refusal must say.

A maker writes into a folder and returns a `Small`, or only the path. Python objects in a file carry
a payload: whoever decodes them leaves a file named `executed` behind.
"""

import gzip
import io
import os
import struct
import zipfile
import zlib

import foreign_files as foreign
import h5py
import numpy as np
import small_scans as small
from npz_files import M, N, contract
from numpy.lib import format as npy
from small_scans import SIDE, E, Small

CONTRACT = contract()
FRAMES, PROBE = CONTRACT["diff3d"], CONTRACT["probeGuess"]
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


def objects(key, shape, whole="npz"):
    """An NPZ one array of which holds Python objects."""

    def make(folder):
        made = small.SMALL[whole](folder)
        parts = small.members(made.path)
        held, array = io.BytesIO(), np.empty(shape, object)
        array[...] = Payload(folder)
        np.save(held, array, allow_pickle=True)
        parts[f"{key}.npy"] = held.getvalue()
        small.zip_up(made.path, parts)
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
    """A file of `foreign_files` with other datasets."""
    name = "scan.hdf5"

    def make(folder):
        return Small(write(folder / name, **changes), {"frame_size": SIDE})

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


def links(target):
    """A change: the frames are a link."""

    def change(file):
        del file["entry/data"]
        file["entry/data"] = target

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


# ---------------------------------------------------------------------------------- the table

Y = CONTRACT["ycoords"]
NOT_FINITE = np.where(np.arange(M) == 7, np.inf, CONTRACT["xcoords"])
NO_NUMBER = np.where(np.arange(M) == 3, np.nan, Y)
GZIP = gzip.compress(b"\x93NUMPY", mtime=0)  # no clock in the bytes, whose quoting depends on them
PICKLED = "pickled Python objects, which are never read"
DETECTOR = E + "instrument_1/detector_1/"
SOURCE = E + "instrument_1/source_1/"
ENERGY_NEEDED = ("size of an object pixel is not known", "--energy-ev")

# Name: maker and words of the sentence, which names the file in any case.
BROKEN = {
    # files that are something else
    "text renamed": (content(b"x,y\n1,2\n"), ("begins with b'x,y", "known are: tike NPZ")),
    "picture renamed": (content(png()), ("begins with b'\\x89PNG", "known are")),
    "gzip renamed": (content(GZIP), ("begins with b'\\x1f\\x8b", "known are")),
    "one array renamed": (content(b"\x93NUMPY\x01\x00"), ("begins with b'\\x93NUMPY", "known are")),
    "pickle renamed": (pickled_whole, ("begins with b'\\x80", "known are")),
    "empty": (content(b""), ("is empty", "copy or write it again")),
    "folder": (folder_as_file, ("is a folder", "name the scan file in it")),
    "pipe": (pipe, ("is no ordinary file", "copy what it holds")),
    "link to itself": (loop, ("cannot be read",)),
    "zeros": (content(bytes(4096)), ("begins with b'\\x00", "known are")),
    "missing": (lambda folder: folder / "scan.npz", ("does not exist", "check the path")),
    # NPZ: the archive
    "npz truncated": (cut("npz"), ("truncated", "copy it again")),
    "npz start only": (content(b"PK\x03\x04"), ("truncated", "copy it again")),
    "npz checksum": (bad_checksum, ("'xcoords'", "Bad CRC-32", "write the file again")),
    "npz checksum of frames": (bad_checksum_of_frames, ("'diff3d'", "write the file again")),
    "npz encrypted": (in_directory(8, 1), ("encrypted", "without a password")),
    "npz unknown compression": (in_directory(10, 97), ("compression", "write the file again")),
    "npz not lzma": (in_directory(10, 14), ("cannot be read", "write the file again")),
    "npz other zip": (
        lambda folder: small.zip_up(folder / "scan.npz", {"word/document.xml": "<a/>"}),
        ("no array 'diff3d' or 'diffraction'", "it has: no arrays"),
    ),
    # NPZ: what would run, or fill the memory
    "npz pickled frames": (objects("diff3d", (M, N, N)), ("'diff3d'", PICKLED, "numeric array")),
    "npz pickled positions": (objects("xcoords", (M,)), ("'xcoords'", PICKLED, "numeric array")),
    "npz pickled probe": (objects("probeGuess", (N, N)), ("'probeGuess'", PICKLED)),
    "npz pickled mask": (objects("bad_pixels", (N, N)), ("'bad_pixels'", PICKLED)),
    "npz pickled frames of tike": (objects("data", (15, 16, 18), "tike"), ("'data'", PICKLED)),
    "npz pickled product": (objects("probe_position_x_m", (11,), "ptychodus_npz"), (PICKLED,)),
    "npz header that is code": (
        header("__import__('os').mkdir('MARKER')"),
        ("'diff3d'", "cannot be read", "write the file again"),
    ),
    "npz type that is code": (
        head((M, N, N), descr='__import__("os").mkdir("MARKER")'),
        ("'diff3d'", "cannot be read"),
    ),
    "npz open header": (header("{'descr': ("), ("'diff3d'", "cannot be read")),
    "npz brackets": (header(nested(5000)), ("'diff3d'", "cannot be read")),
    "npz 10^15 numbers": (
        head((10**5, 10**5, 10**5)),
        ("'diff3d'", "(100000, 100000, 100000)", "holds 64 bytes", "damaged"),
    ),
    "npz negative shape": (head((-12, N, N)), ("'diff3d'", "(-12, 16, 16)", "damaged")),
    # NPZ: the arrays
    "npz no frames": (npz(diff3d=None), ("no array 'diff3d' or 'diffraction'", "it has:")),
    "npz no positions": (npz(xcoords=None), ("no array 'xcoords'", "it has: diff3d")),
    "npz complex frames": (npz(diff3d=FRAMES + 1j), ("'diff3d'", "complex64", "absolute values")),
    "npz text frames": (npz(diff3d=FRAMES.astype("U5")), ("'diff3d'", "<U5", "real numbers")),
    "npz 0-d frames": (npz(diff3d=np.float32(3)), ("'diff3d'", "shape ()", "(M, N, N)")),
    "npz 5-d frames": (npz(diff3d=FRAMES[None, None]), ("'diff3d'", "(1, 1, 12, 16, 16)")),
    "npz no frames kept": (
        npz(diff3d=FRAMES[:0], xcoords=Y[:0], ycoords=Y[:0], scan_index=None),
        ("'xcoords' is empty",),
    ),
    "npz one frame less": (npz(diff3d=FRAMES[1:]), ("(11, 16, 16)", "'xcoords' has 12")),
    "npz one y less": (npz(ycoords=Y[1:]), ("'ycoords'", "11 entries", "12 positions")),
    "npz one index more": (npz(scan_index=np.zeros(M + 1)), ("'scan_index'", "13 entries")),
    "npz parts of an index": (npz(scan_index=np.full(M, 0.5)), ("scan_index", "whole number")),
    "npz odd frames": (npz(diff3d=FRAMES[:, :15, :15]), ("15 x 15", "even side", "--frame-size")),
    "npz dark": (npz(diff3d=FRAMES * 0), ("12 frames", "dark")),
    "npz frames of nothing": (npz(diff3d=FRAMES * np.nan), ("12 frames", "dark")),
    "npz one place": (
        npz(xcoords=np.full(M, 3.0), ycoords=np.full(M, 4.0)),
        ("all 12 positions", "[4.0, 3.0]", "a scan moves"),
    ),
    "npz infinite": (npz(xcoords=NOT_FINITE), ("1 positions", "number 7", "--drop-frames 7")),
    "npz no number": (npz(ycoords=NO_NUMBER), ("number 3 with [nan", "--drop-frames 3")),
    "npz metres": (
        npz(xcoords=CONTRACT["xcoords"] * 1e-8, ycoords=Y * 1e-8),
        ("looks like metres", "--positions-unit m"),
    ),
    "npz far away": (npz(xcoords=CONTRACT["xcoords"] + 1e15), ("1e+15", "--positions-unit")),
    "npz beyond all": (npz(xcoords=CONTRACT["xcoords"] * 1e300), ("from zero", "--positions-unit")),
    "npz probe size": (npz(probeGuess=PROBE[:8, :8]), ("(8, 8)", "(16, 16)", "--probe")),
    "npz probe of nothing": (npz(probeGuess=PROBE * np.nan), ("probe", "not finite", "--probe")),
    "npz probe of zeros": (npz(probeGuess=PROBE * 0), ("probe", "zero everywhere", "--probe")),
    "npz probe beyond all": (npz(probeGuess=PROBE * 1e200), ("probe", "not finite", "--probe")),
    "npz probe too bright": (npz(probeGuess=PROBE * 1e20), ("probe", "e+20", "--probe")),
    "npz probe too faint": (npz(probeGuess=PROBE * 1e-20), ("probe", "e-20", "--probe")),
    "npz truth beyond all": (
        npz(objectGuess=CONTRACT["objectGuess"] * 1e200),
        ("truth", "not finite", "leave it out"),
    ),
    "npz mask shape": (npz(bad_pixels=np.zeros((8, 8), bool)), ("'bad_pixels'", "(8, 8)")),
    "npz mask type": (npz(bad_pixels=np.zeros((N, N))), ("'bad_pixels'", "float64", "True = bad")),
    "npz all masked": (
        npz(bad_pixels=np.ones((N, N), bool)),
        ("cover all frames", "True means BAD", "write the file's own mask again"),
    ),
    "npz units": (npz(frames_units=np.array("photons")), ("'frames_units'", "'photons'", "counts")),
    "npz nested steps": (
        npz(metadata=np.array('{"steps": [{"step": "a", "b": ' + nested(300) + "}]}")),
        ("steps", "more than 8 deep"),
    ),
    # files beside a scan
    "no probe in the probe file": (
        beside("probe", lambda path: save_named(path, picture=PROBE)),
        ("extra.npy", "no array 'probeGuess' or 'probe'", "it has: picture"),
    ),
    "pickled probe file": (beside("probe", save_objects), ("extra.npy", "cannot be read")),
    "pickled mask file": (beside("bad_pixels", save_objects), ("extra.npy", "cannot be read")),
    "huge mask file": (beside("bad_pixels", huge_npy), ("extra.npy", "cannot be read")),
    "mask file of another shape": (
        beside("bad_pixels", lambda path: np.save(path, np.zeros((8, 9), bool))),
        ("extra.npy", "(8, 9)", "(16, 16)"),
    ),
    # tike
    "tike probe": (
        lambda folder: Small(foreign.write_tike(folder / "a.npz", probe=np.ones(7)), {}),
        ("'probe'", "(7,)", "leave it out"),
    ),
    "tike one place less": (
        lambda folder: foreign.write_tike(folder / "a.npz", scan=foreign.PLACES[None, 1:]),
        ("'scan'", "(1, 14, 2)", "15 frames"),
    ),
    # HDF5 of any layout
    "hdf5 truncated": (cut("plain"), ("truncated", "copy it again")),
    "hdf5 start only": (content(b"\x89HDF\r\n\x1a\n", "scan.h5"), ("damaged", "copy")),
    "hdf5 left open": (left_open, ("open for writing", "h5clear")),
    "hdf5 no layout": (
        lambda folder: small.plain(folder).path,
        ("no known layout", "--format plain-hdf5 --data-path /entry/data"),
    ),
    "hdf5 external link": (
        h5("plain", links(h5py.ExternalLink("frames_0001.h5", "/data"))),
        ("'/entry/data'", "'/data' in the file 'frames_0001.h5'", "put it beside the file"),
    ),
    "hdf5 soft link": (
        h5("plain", links(h5py.SoftLink("/entry/gone"))),
        ("'/entry/data'", "'/entry/gone' in the same file"),
    ),
    "hdf5 cycle of links": (h5("plain", cycle), ("'/entry/data'", "'/entry/other'")),
    "hdf5 group of frames": (
        h5("plain", all_of(put("entry/data", None), put("entry/data/part", np.zeros(4)))),
        ("'/entry/data'", "is a group", "part (4,)"),
    ),
    "hdf5 data type of frames": (h5("plain", data_type), ("'/entry/data'", "is a data type")),
    "hdf5 no group": (
        h5("plain", all_of(put("entry", None), put("entry", np.zeros(3)))),
        ("no dataset '/entry/data'", "entry (3,)"),
    ),
    "hdf5 unknown filter": (h5("plain", unknown_filter), ("'/entry/data'", "filter 511")),
    "hdf5 words": (h5("plain", words), ("'/entry/data'", "holds text", "real numbers")),
    "hdf5 rows": (h5("plain", rows), ("'/entry/data'", "rows of different lengths")),
    "hdf5 table": (
        h5("plain", put("entry/data", np.zeros((15, 16, 16), [("a", "f4"), ("b", "i2")]))),
        ("'/entry/data'", "a table with the columns a, b"),
    ),
    "hdf5 complex frames": (
        h5("plain", put("entry/data", foreign.COUNTS + 1j)),
        ("'/entry/data'", "complex numbers", "real numbers"),
    ),
    "hdf5 0-d frames": (h5("plain", put("entry/data", 5.0)), ("'/entry/data'", "shape ()")),
    "hdf5 null frames": (
        h5("plain", put("entry/data", h5py.Empty("f4"))),
        ("'/entry/data'", "None"),
    ),
    "hdf5 5-d frames": (
        h5("plain", put("entry/data", foreign.COUNTS[None, None])),
        ("'/entry/data'", "(1, 1, 15, 16, 18)", "3 or 4 axes"),
    ),
    "hdf5 zero frames": (
        h5("plain", put("entry/data", foreign.COUNTS[:0])),
        ("'entry/data'", "(0, 16, 18)", "no frames"),
    ),
    "hdf5 raw file": (h5("plain", external_raw), ("'/entry/data'", "'frames.raw'", "not there")),
    "hdf5 virtual": (h5("plain", virtual), ("'/entry/data'", "'part_0001.h5'", "not there")),
    "hdf5 damaged chunk": (damaged_chunk, ("'entry/data'", "frame", "write the file again")),
    "hdf5 frames never written": (
        h5("plain", unwritten("entry/data", (10**12, 16, 18))),
        ("'entry/data'", "(1000000000000, 16, 18)", "more frames than any file holds"),
    ),
    "hdf5 positions never written": (
        h5("plain", unwritten("entry/pos", (10**8, 2), "f8")),
        ("'/entry/pos'", "(100000000, 2)", "too large"),
    ),
    "hdf5 nothing written": (
        h5("plain", unwritten("entry/data", (15, 16, 18))),
        ("15 frames", "dark"),
    ),
    "hdf5 strange names": (h5("plain", strange_names), ("no dataset '/entry/data'", "it has")),
    "hdf5 infinite": (
        h5("plain", put("entry/pos", np.where(np.eye(15, 2) > 0, np.inf, foreign.PLACES))),
        ("'/entry/pos'", "at [0, 0]", "finite"),
    ),
    "hdf5 one place less": (
        h5("plain", put("entry/pos", foreign.PLACES[1:])),
        ("'entry/pos'", "(14, 2)", "(15, 2)"),
    ),
    "hdf5 mask": (h5("plain", put("entry/mask", np.zeros((4, 4), "u1"))), ("(4, 4)", "(16, 18)")),
    "hdf5 probe": (h5("plain", put("entry/probe", "round")), ("'/entry/probe'", "holds text")),
}


def energy_is(value):
    """A product whose energy is needed, for it states no pixel."""
    no_pixel = attributes("object", pixel_width_m=None, pixel_height_m=None)
    return h5("ptychodus", all_of(attributes("/", photon_energy_eV=value), no_pixel))


def no_weights(file):
    for k in range(2):
        file[f"chunks/{k}/weights"][...] = 0


def references(file):
    del file["p/fmag"]
    file.create_dataset("p/fmag", (2, 1), h5py.ref_dtype)


def nothing(file):
    for name in list(file):
        del file[name]


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


def hspy(change):
    return h5("hspy", lambda file: change(file["Experiments/scan"]))


def no_raster(group):
    data = group["data"][0]
    del group["data"]
    group.create_dataset("data", data=data, chunks=True)
    del group["axis-0"]
    for k in range(3):
        group.move(f"axis-{k + 1}", f"axis-{k}")


def no_step(group):
    for k in range(2):
        group[f"axis-{k}"].attrs["units"] = "seconds"


BROKEN |= {
    # CXI
    "cxi truncated": (cut("cxi"), ("truncated", "copy it again")),
    "cxi no frames": (
        h5("cxi", put(E + "data_1/data", None)),
        ("no frames", "'/entry_1/data_1/data'", "--diffraction"),
    ),
    "cxi no places": (
        h5("cxi", put(E + "sample_1/geometry_1/translation", None)),
        ("no dataset '/entry_1/sample_1/geometry_1/translation'", "it has"),
    ),
    "cxi one place less": (
        h5("cxi", put(E + "sample_1/geometry_1/translation", np.zeros((10, 3)))),
        ("translation'", "(10, 3)", "11 frames"),
    ),
    "cxi energy": (
        h5("cxi", put(SOURCE + "energy", 8.0)),
        ("source_1/energy'", "is 8", "joule", "--energy-ev"),
    ),
    "cxi energy in words": (h5("cxi", put(SOURCE + "energy", "8 keV")), ("energy'", "holds text")),
    "cxi energy as a list": (
        h5("cxi", put(SOURCE + "energy", [1e-15, 2e-15])),
        ("energy'", "2 numbers", "one is required"),
    ),
    "cxi oblong pixels": (
        h5("cxi", put(DETECTOR + "y_pixel_size", 1e-3)),
        ("detector pixels", "square", "resample"),
    ),
    "cxi axes": (
        h5("cxi", put(DETECTOR + "basis_vectors", np.ones((2, 3)))),
        ("basis_vectors'", "two vectors (x, y, z) across the beam"),
    ),
    "cxi mask": (
        h5("cxi", put(DETECTOR + "mask", np.zeros((9, 9), "u4"))),
        ("mask'", "(9, 9)", "(11, 16, 16)"),
    ),
    "cxi probe of nothing": (
        h5("cxi", put(SOURCE + "illumination", np.full((2, 16, 16), np.nan + 0j))),
        ("illumination'", "not finite", "correct or remove it"),
    ),
    "cxi data is no group": (
        h5("cxi", all_of(put(E + "data_1", None), put(E + "data_1", np.zeros(3)))),
        ("no frames", "'/entry_1/data_1/data'"),
    ),
    "cxi of a newer pinn": (
        h5("cxi_of_ours", attributes(E + "pinn_scan", format_version=99)),
        ("newer pinn", "upgrade"),
    ),
    "cxi version in words": (
        h5("cxi_of_ours", attributes(E + "pinn_scan", format_version="abc")),
        ("newer pinn", "version None"),
    ),
    "cxi nested json": (
        h5("cxi_of_ours", put(E + "pinn_scan/steps", nested(100000))),
        ("pinn_scan/steps'", "no JSON list", "write the file again"),
    ),
    "cxi places of ours": (
        h5("cxi_of_ours", put(E + "pinn_scan/positions_px", np.zeros((12, 3)))),
        ("positions_px'", "(12, 3)", "(M, 2)"),
    ),
    "cxi origin in words": (
        h5("cxi_of_ours", attributes(E + "pinn_scan", truth_origin_px="left")),
        ("truth_origin_px", "left"),
    ),
    "cxi particle": (
        h5("cxi_of_ours", attributes(E + "pinn_scan", particle="neutron")),
        ("particle", "'neutron'", "photon or electron"),
    ),
    # NXcxi_ptycho
    "nxcxi unit": (
        h5("nxcxi", attributes(E + "sample_1/transformations/x", units="furlong")),
        ("'furlong'", "a unit of length", "correct it"),
    ),
    "nxcxi direction": (
        h5("nxcxi", attributes(E + "sample_1/transformations/x", vector=[0.0, 0, 0])),
        ("'vector'", "a direction (x, y, z)"),
    ),
    "nxcxi one place less": (
        h5("nxcxi", put(E + "sample_1/transformations/y", np.zeros(10), units="um")),
        ("transformations/y'", "(10,)", "11 frames"),
    ),
    "nxcxi beam outside": (
        h5("nxcxi", put(DETECTOR + "beam_center_x", 900.0, units="pixels")),
        ("pixel [8, 900]", "16 x 16", "--beam-centre"),
    ),
    "nxcxi energy": (
        h5("nxcxi", put(E + "instrument_1/beam_1/energy", 0.0, units="eV")),
        ENERGY_NEEDED,
    ),
    # ptychodus
    "ptychodus alone": (without("ptychodus"), ("holds no frames", "--diffraction")),
    "ptychodus truncated": (cut("ptychodus"), ("truncated",)),
    "ptychodus frames truncated": (cut("ptychodus", which=1), ("diffraction.h5", "truncated")),
    "ptychodus other numbers": (
        h5("ptychodus", put("indexes", np.arange(500, 511)), 1),
        ("no frame belongs to a position", "500 to 510"),
    ),
    "ptychodus one index less": (
        h5("ptychodus", put("indexes", np.arange(10)), 1),
        ("diffraction.h5", "10 entries", "11 patterns"),
    ),
    "ptychodus one x less": (
        h5("ptychodus", put("probe_position_x_m", np.zeros(10))),
        ("'probe_position_x_m' 10", "different lengths"),
    ),
    "ptychodus infinite": (
        h5("ptychodus", put("probe_position_y_m", np.full(11, -np.inf))),
        ("position 0", "-inf", "finite"),
    ),
    "ptychodus energy in words": (
        energy_is("abc"),
        ENERGY_NEEDED,
    ),
    "ptychodus energy of nothing": (
        energy_is(np.nan),
        ENERGY_NEEDED,
    ),
    "ptychodus energy below zero": (
        energy_is(-8e3),
        ENERGY_NEEDED,
    ),
    "ptychodus energies": (
        energy_is([1.0, 2.0]),
        ENERGY_NEEDED,
    ),
    "ptychodus energy beyond all": (
        h5("ptychodus", attributes("/", photon_energy_eV=1e300)),
        ("energy_ev", "1e+300", "--energy-ev"),
    ),
    "ptychodus pixel beyond all": (
        h5("ptychodus", attributes("object", pixel_width_m=1e-300, pixel_height_m=1e-300)),
        ("pixel_size_m", "1e-300"),
    ),
    "ptychodus pixel of a metre": (
        h5("ptychodus", attributes("object", pixel_width_m=1.0, pixel_height_m=1.0)),
        ("span only", "object pixels of 1 m", "--pixel-size-m"),
    ),
    "ptychodus patterns alone": (
        lambda folder: small.write_patterns(folder / "diffraction.h5"),
        ("without positions", "--diffraction diffraction.h5"),
    ),
    "ptychodus training one less": (
        h5("ptychodus_training", put("probe_position_x_px", np.zeros(10))),
        ("11 patterns", "10 'probe_position_x_px'"),
    ),
    # pairs
    "pair without positions": (fold_slice(drop=1), ("scan_para.hdf5 is not beside it",)),
    "pair without frames": (fold_slice(drop=0), ("scan_dp.hdf5 is not beside it", "--diffraction")),
    "pair one place less": (fold_slice(ppX=np.zeros(14)), ("'/ppX'", "(14,)", "15 frames")),
    "pair wavelength": (
        fold_slice(dx=None, **{"lambda": 0.0}),
        ("size of an object pixel is not known",),
    ),
    "pair cut": (cut("ptychovit", which=1), ("scan_para.hdf5", "truncated")),
    # ptypy
    "ptyd empty": (
        h5("ptyd", all_of(put("chunks/0", None), put("chunks/1", None))),
        ("'/chunks'", "is empty", "save='append'"),
    ),
    "ptyd part gone": (chunk_link, ("/chunks/1", "'part_1.ptyd'", "put it beside the file")),
    "ptyd other frames": (
        h5("ptyd", put("chunks/1/data", np.ones((7, 16, 20)))),
        ("'/chunks/1/data'", "(16, 20)", "(16, 18)"),
    ),
    "ptyd one place less": (
        h5("ptyd", put("chunks/0/positions", np.zeros((7, 2)))),
        ("'/chunks/0/positions'", "7 entries", "8 frames"),
    ),
    "ptyd no number": (
        h5("ptyd", put("chunks/0/positions", np.full((8, 2), np.nan))),
        ("'/chunks/0/positions'", "nan at [0, 0]"),
    ),
    "ptyd all masked": (
        h5(
            "ptyd",
            all_of(
                *(put(f"chunks/{k}/weights", np.zeros((n, 16, 18))) for k, n in ((0, 8), (1, 7)))
            ),
        ),
        ("cover all frames",),
    ),
    "ptyd oblong pixels": (
        h5("ptyd", put("meta/psize", [1e-5, 2e-5])),
        ("'/meta/psize'", "square"),
    ),
    # PtyLab, HXN
    "ptylab of Fourier": (
        h5("ptylab", all_of(put("zled", 0.07), put("zo", None))),
        ("Fourier ptychography", "only conventional"),
    ),
    "ptylab orientation": (
        h5("ptylab", put("orientation", 9)),
        ("'/orientation'", "is 9", "0 to 7"),
    ),
    "ptylab places": (
        h5("ptylab", put("encoder", np.zeros((14, 2)))),
        ("'/encoder'", "(14, 2)", "15 frames"),
    ),
    "ptylab wavelength": (
        h5("ptylab", put("wavelength", [0.0])),
        ENERGY_NEEDED,
    ),
    "hxn one place less": (
        h5("hxn", put("points", np.zeros((2, 14)))),
        ("'/points'", "(2, 14)", "(2, 15)"),
    ),
    "hxn wavelength": (h5("hxn", put("lambda_nm", 5e-324)), ("energy_ev", "above zero")),
    "hxn probe": (h5("hxn", put("prb", np.ones((2, 16, 18)))), ("'/prb'", "complex")),
    # MATLAB
    "mat truncated": (cut("mat_5"), ("damaged MATLAB file", "-v7.3")),
    "mat 7.3 truncated": (cut("mat_73"), ("truncated", "copy it again")),
    "mat unknown type": (mat_type, ("damaged MATLAB file", "unknown type 62")),
    "mat cells without end": (mat_cells, ("damaged MATLAB file", "arrays in")),
    "mat checksum": (mat_inflated, ("damaged MATLAB file", "incorrect data check")),
    "mat header only": (
        content(b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM", "scan.mat"),
        ("holds no frames", "--diffraction"),
    ),
    "mat no frames": (mat(p__fmag=None), ("no frames", "fmag", "--diffraction")),
    "mat frames in a struct": (mat(p__fmag={"data": foreign.COUNTS}), ("no frames", "p.fmag")),
    "mat frames in cells": (
        mat(p__fmag=np.array([foreign.COUNTS[0], "x"], object)),
        ("no frames", "p.fmag"),
    ),
    "mat one frame": (mat(p__fmag=foreign.COUNTS[0].astype(float)), ("'p.fmag'", "(16, 18)")),
    "mat no places": (mat(outputs={"a": 1.0}), ("no positions", "outputs.probe_positions")),
    "mat one place less": (
        mat(outputs={"probe_positions": np.zeros((14, 2))}),
        ("'outputs.probe_positions'", "(14, 2)", "15 frames"),
    ),
    "mat 7.3 one place less": (
        mat(73, outputs={"probe_positions": np.zeros((14, 2))}),
        ("'outputs.probe_positions'", "(14, 2)", "15 frames"),
    ),
    "mat 7.3 frames in cells": (
        h5(
            "mat_73",
            lambda file: (
                file.__delitem__("p/fmag"),
                file.create_dataset("p/fmag", (2, 1), h5py.ref_dtype),
            ),
        ),
        ("no frames", "p.fmag"),
    ),
    # 4D-STEM
    "hspy no raster": (hspy(no_raster), ("a raster of images", "(5, 16, 18)")),
    "hspy no step": (hspy(no_step), ("no step in a unit of length", "--step-m")),
    "hspy truncated": (cut("hspy"), ("truncated",)),
    "hspy cycle of links": (
        hspy(lambda group: group.__setitem__("metadata/again", h5py.SoftLink("/Experiments"))),
        ("'/Experiments/scan/metadata/again'", "leads back", "remove the link"),
    ),
    "hspy never written": (
        hspy(lambda group: group.create_dataset("metadata/big", (1 << 40,), "f8", chunks=True)),
        ("'/Experiments/scan/metadata/big'", "(1099511627776,)", "ever written"),
    ),
    "hspy no data": (hspy(lambda group: group.__delitem__("data")), ("RosettaSciIO cannot read",)),
    "emd no data": (
        h5("emd", lambda file: [file.__delitem__(k) for k in list(file)]),
        ("no data",),
    ),
    "merlin truncated": (cut("merlin"), ("scan.mib",)),
    "merlin start only": (content(b"HDR,000001,00384,", "scan.mib"), ("RosettaSciIO cannot read",)),
    "blockfile start only": (content(b"IMGBLO\x00\x00", "scan.blo"), ("RosettaSciIO cannot read",)),
    "gatan start only": (
        content(b"\x00\x00\x00\x03" + bytes(20), "scan.dm3"),
        ("RosettaSciIO cannot read",),
    ),
    "xml bomb": (entities, ("RosettaSciIO cannot read",)),
}
