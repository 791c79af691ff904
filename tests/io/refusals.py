"""Broken files of every format, each with words that its refusal must say.

`REFUSALS` has a maker and the words by a name; the sentence names the file in any case. The HDF5
formats are tables of changes to a valid file.
"""

import gzip

import foreign_files as foreign
import numpy as np
import small_scans as small
from breaking import (
    bad_checksum,
    bad_checksum_of_frames,
    beside,
    chunk_link,
    content,
    cut,
    damaged_chunk,
    entities,
    flat,
    fold_slice,
    folder_as_file,
    h5,
    head,
    header,
    huge_npy,
    in_directory,
    left_open,
    loop,
    mat,
    mat_cells,
    mat_inflated,
    mat_type,
    misplaced,
    nested,
    npz,
    objects,
    pickled_whole,
    pipe,
    png,
    save_named,
    save_objects,
    without,
)
from foreign_files import COUNTS, PLACES, H, W
from npz_files import M, N, contract
from refusals_hdf5 import CHANGES

CONTRACT = contract()
FRAMES, PROBE = CONTRACT["diff3d"], CONTRACT["probeGuess"]
X, Y = CONTRACT["xcoords"], CONTRACT["ycoords"]
BAD = np.zeros((N, N), bool)
NOT_FINITE, NO_NUMBER = (np.where(np.arange(M) == k, v, X) for k, v in ((7, np.inf), (3, np.nan)))
GZIP = gzip.compress(b"\x93NUMPY", mtime=0)  # no clock in the bytes, whose quoting depends on them
PICKLED = "pickled Python objects, which are never read"
UNREADABLE = ("cannot be read", "write the file again")
START_ONLY = "RosettaSciIO cannot read"

FILES = {
    "text": (content(b"x,y\n1,2\n"), "begins with b'x,y", "known are: tike NPZ"),
    "picture": (content(png()), "begins with b'\\x89PNG", "known are"),
    "gzip": (content(GZIP), "begins with b'\\x1f\\x8b", "known are"),
    "one array": (content(b"\x93NUMPY\x01\x00"), "begins with b'\\x93NUMPY", "known are"),
    "pickle": (pickled_whole, "begins with b'\\x80", "known are"),
    "empty": (content(b""), "is empty", "copy or write it again"),
    "folder": (folder_as_file, "is a folder", "name the scan file in it"),
    "pipe": (pipe, "is no ordinary file", "copy what it holds"),
    "link to itself": (loop, "cannot be read"),
    "zeros": (content(bytes(4096)), "begins with b'\\x00", "known are"),
    "missing": (lambda folder: folder / "scan.npz", "does not exist", "check the path"),
}
# Another array in an NPZ file of our contract.
NPZ = {
    "no frames": (dict(diff3d=None), "no frames", "'diff3d' or 'diffraction'", "it has:"),
    "no x": (dict(xcoords=None), "no positions", "'xcoords'", "it has: diff3d"),
    "no y": (dict(ycoords=None), "no positions", "'ycoords'"),
    "complex frames": (dict(diff3d=FRAMES + 1j), "'diff3d'", "complex64", "real numbers"),
    "text frames": (dict(diff3d=FRAMES.astype("U5")), "'diff3d'", "<U5", "real numbers"),
    "table": (dict(diff3d=np.zeros((M, N, N), [("a", "f4"), ("b", "f4")])), "real numbers"),
    "0-d frames": (dict(diff3d=np.float32(3)), "'diff3d'", "shape ()", "(M, N, N)"),
    "5-d frames": (dict(diff3d=FRAMES[None, None]), "'diff3d'", "(1, 1, 12, 16, 16)"),
    "4-d frames": (dict(diff3d=FRAMES.reshape(M, 2, 8, N)), "'diff3d'", "(12, 2, 8, 16)"),
    "no frames kept": (
        dict(diff3d=FRAMES[:0], xcoords=Y[:0], ycoords=Y[:0], scan_index=None),
        "'xcoords' is empty",
    ),
    "one frame less": (
        dict(diff3d=FRAMES[1:], scan_index=None),
        *("11 frames but 12 positions ('ycoords'", "--drop-frames unpaired"),
    ),
    "three frames more": (
        dict(xcoords=X[3:], ycoords=Y[3:], scan_index=None),
        *("12 frames but 9 positions", "(3, --drop-frames NUMBERS)"),
    ),
    "oblong frames, one more": (
        dict(diff3d=FRAMES[:, :, :14], xcoords=X[1:], ycoords=Y[1:], scan_index=None),
        *("(12, 16, 14)", "11 positions of 'xcoords'"),
    ),
    "one y less": (dict(ycoords=Y[1:]), "'ycoords'", "(11,)", "12 frames"),
    "one start less": (dict(xcoords_start=X, ycoords_start=Y[1:]), "'ycoords_start'", "(11,)"),
    "one index more": (dict(scan_index=np.zeros(M + 1)), "'scan_index'", "(13,)"),
    "two columns": (dict(xcoords=np.zeros((M, 2))), "'xcoords'", "(12, 2)"),
    "complex x": (dict(xcoords=X + 1j), "'xcoords'", "complex128", "real numbers"),
    "parts of an index": (dict(scan_index=np.full(M, 0.5)), "scan_index", "whole number"),
    "odd frames": (dict(diff3d=FRAMES[:, :15, :15]), "15 x 15", "even side", "--frame-size"),
    "oblong frames": (dict(diff3d=FRAMES[:, :, :14]), "'diff3d'", "16 x 14", "crop or pad"),
    "dark": (dict(diff3d=FRAMES * 0), "12 frames", "dark"),
    "frames of nothing": (dict(diff3d=FRAMES * np.nan), "12 frames", "dark"),
    "one place": (
        dict(xcoords=np.full(M, 3.0), ycoords=np.full(M, 4.0)),
        *("all 12 positions", "[4.0, 3.0]", "a scan moves"),
    ),
    "infinite": (dict(xcoords=NOT_FINITE), "1 positions", "number 7", "--drop-frames 7"),
    "no number": (dict(ycoords=NO_NUMBER), "number 3 with [nan", "--drop-frames 3"),
    "metres": (dict(xcoords=X * 1e-8, ycoords=Y * 1e-8), "like metres", "--positions-unit m"),
    "far away": (dict(xcoords=X + 1e15), "1e+15", "--positions-unit"),
    "beyond all": (dict(xcoords=X * 1e300), "from zero", "--positions-unit"),
    "probe rank": (dict(probeGuess=PROBE[None, None, None]), "'probeGuess'", "2 or 3 or 4 axes"),
    "probe size": (dict(probeGuess=PROBE[:8, :8]), "(8, 8)", "(16, 16)", "--probe"),
    "probe of nothing": (dict(probeGuess=PROBE * np.nan), "probe", "not finite", "--probe"),
    "probe of zeros": (dict(probeGuess=PROBE * 0), "probe", "zero everywhere", "--probe"),
    "probe beyond all": (dict(probeGuess=PROBE * 1e200), "probe", "not finite", "--probe"),
    "probe too bright": (dict(probeGuess=PROBE * 1e20), "probe", "e+20", "--probe"),
    "probe too faint": (dict(probeGuess=PROBE * 1e-20), "probe", "e-20", "--probe"),
    "object rank": (dict(objectGuess=np.ones((2, 9, 9))), "'objectGuess'", "(2, 9, 9)"),
    "truth beyond all": (
        dict(objectGuess=CONTRACT["objectGuess"] * 1e200),
        *("truth", "not finite", "leave it out"),
    ),
    "mask shape": (dict(bad_pixels=BAD[:8, :8]), "'bad_pixels'", "(8, 8)"),
    "mask type": (dict(bad_pixels=BAD * 1.0), "'bad_pixels'", "float64", "True = bad"),
    "all masked": (
        dict(bad_pixels=~BAD),
        *("cover all frames", "True means BAD", "write the file's own mask again"),
    ),
    "units": (dict(frames_units=np.array("photons")), "'frames_units'", "'photons'", "counts"),
    "units type": (dict(frames_units=np.array(3)), "'frames_units'", "one string is required"),
    "propagation in numbers": (
        dict(metadata=np.array('{"propagation": 3}')),
        *("propagation", "'3'", "name of a kind"),
    ),
    "nested steps": (
        dict(metadata=np.array('{"steps": [{"step": "a", "b": ' + nested(300) + "}]}")),
        *("steps", "more than 8 deep"),
    ),
}
# An NPZ file that is damaged, or would run or fill the memory if it were believed.
HARMFUL = {
    "truncated": (cut("npz"), "truncated", "copy it again"),
    "start only": (content(b"PK\x03\x04"), "truncated", "copy it again"),
    "checksum": (bad_checksum, "'xcoords'", "Bad CRC-32", "write the file again"),
    "checksum of frames": (bad_checksum_of_frames, "'diff3d'", "write the file again"),
    "encrypted": (in_directory(8, 1), "encrypted", "without a password"),
    "unknown compression": (in_directory(10, 97), "compression", "write the file again"),
    "not lzma": (in_directory(10, 14), *UNREADABLE),
    "misplaced member": (misplaced, "'diff3d'", *UNREADABLE),
    "other zip": (
        lambda folder: small.zip_up(folder / "scan.npz", {"word/document.xml": "<a/>"}),
        *("no frames", "it has: no arrays"),
    ),
    "pickled frames": (objects("diff3d", (M, N, N)), "'diff3d'", PICKLED, "numeric array"),
    "pickled positions": (objects("xcoords", (M,)), "'xcoords'", PICKLED, "numeric array"),
    "pickled probe": (objects("probeGuess", (N, N)), "'probeGuess'", PICKLED),
    "pickled mask": (objects("bad_pixels", (N, N)), "'bad_pixels'", PICKLED),
    "pickled frames of tike": (objects("data", (15, 16, 18), "tike"), "'data'", PICKLED),
    "pickled probe of tike": (objects("probe", (16, 18), "tike"), "'probe'", PICKLED),
    "pickled product": (objects("probe_position_x_m", (11,), "ptychodus_npz"), PICKLED),
    "pickled patterns": (objects("patterns", (11, 16, 16), "ptychodus_npz", 1), PICKLED),
    "header that is code": (
        header("__import__('os').mkdir('MARKER')"),
        *("'diff3d'", *UNREADABLE),
    ),
    "type that is code": (
        head((M, N, N), descr='__import__("os").mkdir("MARKER")'),
        *("'diff3d'", "cannot be read"),
    ),
    "open header": (header("{'descr': ("), "'diff3d'", "cannot be read"),
    "brackets": (header(nested(5000)), "'diff3d'", "cannot be read"),
    "10^15 numbers": (
        head((10**5, 10**5, 10**5)),
        *("'diff3d'", "(100000, 100000, 100000)", "holds 64 bytes", "damaged"),
    ),
    "negative shape": (head((-12, N, N)), "'diff3d'", "(-12, 16, 16)", "damaged"),
}
# A valid scan with a broken file named by an option.
BESIDE = {
    "no probe": (
        beside("probe", lambda path: save_named(path, picture=PROBE)),
        *("extra.npy", "no array 'probeGuess' or 'probe'", "it has: picture"),
    ),
    "no mask": (
        beside("bad_pixels", lambda path: save_named(path, mask=BAD)),
        "no array 'bad_pixels'",
    ),
    "gone": (beside("probe", lambda path: None), "extra.npy does not exist"),
    "words": (beside("probe", lambda path: path.write_text("a")), "is neither NPZ nor NPY"),
    "pickled probe": (beside("probe", save_objects), "extra.npy", "cannot be read"),
    "pickled mask": (beside("bad_pixels", save_objects), "extra.npy", "cannot be read"),
    "huge mask": (beside("bad_pixels", huge_npy), "extra.npy", "cannot be read"),
    "probe of another size": (
        beside("probe", lambda path: np.save(path, PROBE[:8, :8])),
        *("(8, 8)", "(16, 16)"),
    ),
    "mask of another shape": (
        beside("bad_pixels", lambda path: np.save(path, np.zeros((8, 9), bool))),
        *("extra.npy", "(8, 9)", "(16, 16)"),
    ),
}
CORNER = foreign.tike_arrays()["data"]
TIKE = {
    "no scan": (dict(scan=None), "no array 'scan'"),
    "no data": (dict(data=None), "no array 'data'", "it has: probe, scan"),
    "frames rank": (dict(data=CORNER[0, 0]), "'data'", "(16, 18)"),
    "no frames": (dict(data=CORNER[:, :0], scan=np.ones((1, 0, 2))), "'data'", "(1, 0, 16, 18)"),
    "complex": (dict(data=CORNER + 0j), "'data'", "complex128", "real numbers"),
    "one place less": (dict(scan=PLACES[None, 1:]), "'scan'", "(1, 14, 2)", "15 frames"),
    "text": (dict(scan=np.full((1, 15, 2), "a")), "'scan'", "<U1", "real numbers"),
    "probe rank": (dict(probe=np.ones(7)), "'probe'", "(7,)"),
    "empty probe": (dict(probe=np.ones((1, 0, H, W))), "'probe'", "(1, 0, 16, 18)"),
    "two scans in Fortran order": (
        dict(data=np.asfortranarray(np.concatenate([CORNER, CORNER]))),
        *("(2, 15, 16, 18) in Fortran order", "C-ordered copy"),
    ),
}
MATLAB = {
    "no frames": (dict(p__fmag=None), "no frames", "fmag", "--diffraction"),
    "frames in a struct": (dict(p__fmag={"data": COUNTS}), "no frames", "p.fmag"),
    "one frame": (dict(p__fmag=COUNTS[0].astype(float)), "'p.fmag'", "(16, 18)", "MATLAB's order"),
    "no places": (dict(outputs={"a": 1.0}), "no positions", "outputs.probe_positions"),
    "one place less": (
        dict(outputs__probe_positions=np.zeros((14, 2))),
        *("'outputs.probe_positions'", "(14, 2)", "15 frames"),
    ),
    "complex places": (dict(outputs__probe_positions=np.ones((15, 2)) * 1j), "probe_positions'"),
    "mask rank": (dict(p__fmask=np.ones((2, 2, 2, 2))), "fmask'", "(2, 2, 2, 2)"),
    "object rank": (dict(object=np.ones((2, 2, 2, 2))), "object'", "(2, 2, 2, 2)"),
}
OTHERS = {
    "mat truncated": (cut("mat_5"), "damaged MATLAB file", "-v7.3"),
    "mat 7.3 truncated": (cut("mat_73"), "truncated", "copy it again"),
    "mat unknown type": (mat_type, "damaged MATLAB file", "unknown type 62"),
    "mat cells without end": (mat_cells, "damaged MATLAB file", "arrays in"),
    "mat checksum": (mat_inflated, "damaged MATLAB file", "incorrect data check"),
    "mat header only": (
        content(b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM", "scan.mat"),
        *("holds no frames", "--diffraction"),
    ),
    "mat frames in cells": (
        mat(p__fmag=np.array([COUNTS[0], "x"], object)),
        *("no frames", "p.fmag"),
    ),
    "hdf5 truncated": (cut("plain"), "truncated", "copy it again"),
    "hdf5 start only": (content(b"\x89HDF\r\n\x1a\n", "scan.h5"), "damaged", "copy"),
    "hdf5 left open": (left_open, "open for writing", "h5clear"),
    "hdf5 no layout": (
        lambda folder: small.plain(folder).path,
        *("no known layout", "--format plain-hdf5 --data-path /entry/data"),
    ),
    "hdf5 damaged chunk": (damaged_chunk, "'entry/data'", "frame", "write the file again"),
    "cxi truncated": (cut("cxi"), "truncated", "copy it again"),
    "ptychodus alone": (without("ptychodus"), "holds no frames", "--diffraction"),
    "ptychodus truncated": (cut("ptychodus"), "truncated"),
    "ptychodus frames truncated": (cut("ptychodus", which=1), "diffraction.h5", "truncated"),
    "ptychodus patterns alone": (
        lambda folder: small.write_patterns(folder / "diffraction.h5"),
        *("without positions", "--diffraction diffraction.h5"),
    ),
    "pair without positions": (fold_slice(drop=1), "scan_para.hdf5 is not beside it"),
    "pair without frames": (fold_slice(drop=0), "scan_dp.hdf5 is not beside it", "--diffraction"),
    "pair cut": (cut("ptychovit", which=1), "scan_para.hdf5", "truncated"),
    "pair of three axes": (
        fold_slice(kind="fold_slice_0", probe_positions_0=np.ones((3, 15))),
        *("'/probe_positions_0'", "(3, 15)"),
    ),
    "ptyd part gone": (chunk_link, "/chunks/1", "'part_1.ptyd'", "put it beside the file"),
    "hspy truncated": (cut("hspy"), "truncated"),
    "merlin truncated": (cut("merlin"), "scan.mib"),
    "merlin start only": (content(b"MQ1,000001,00384,", "scan.mib"), START_ONLY),
    "blockfile start only": (content(b"IMGBLO\x00\x00", "scan.blo"), START_ONLY),
    "gatan start only": (content(b"\x00\x00\x00\x03" + bytes(20), "scan.dm3"), START_ONLY),
    "xml bomb": (entities, START_ONLY),
}


def _hdf5(key, change):
    """Of `maker@1` the second file is changed."""
    maker, _, which = key.partition("@")
    return h5(maker, change, int(which or 0))


REFUSALS = {
    **{f"file: {name}": row for name, row in FILES.items()},
    **{f"npz: {name}": (npz(**changes), *words) for name, (changes, *words) in NPZ.items()},
    **{f"npz: {name}": row for name, row in HARMFUL.items()},
    **{f"beside: {name}": row for name, row in BESIDE.items()},
    **{
        f"tike: {name}": (flat(foreign.write_tike, **changes), *words)
        for name, (changes, *words) in TIKE.items()
    },
    **{
        f"mat {version}: {name}": (mat(version, **changes), *words)
        for version in (5, 73)
        for name, (changes, *words) in MATLAB.items()
    },
    **OTHERS,
    **{
        f"{key}: {name}": (_hdf5(key, change), *words)
        for key, rows in CHANGES.items()
        for name, (change, *words) in rows.items()
    },
}
