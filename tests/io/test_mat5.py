"""MATLAB files of version 5: what SciPy writes is let pass, and what would mislead it is not."""

import struct

import numpy as np
import pytest
import scipy.sparse
from scipy.io import loadmat, savemat

from pinn.io.mat5 import Mat5Error, check_mat5

VARIABLES = {
    "numbers": np.arange(12.0).reshape(3, 4),
    "small": np.array([1, 2, 3], np.int8),
    "wide": np.array([[1 << 60]], np.uint64),
    "complex": np.array([[1 + 2j, 3]], np.complex64),
    "logical": np.array([True, False]),
    "none": np.zeros((0, 3)),
    "text": "hello",
    "texts": ["ab", "cde"],
    "greek": "µm",
    "cell": np.array([[1, "abc", np.zeros((2, 3))], [{"a": 1, "b": [1, 2]}, 2, ""]], object),
    "no_cells": np.empty((0, 0), object),
    "struct": {"one": {"two": {"three": np.eye(3)}}, "text": "x"},
    "structs": np.array([(1, "x"), (2, "y")], [("first", "O"), ("second", "O")]),
    "no_fields": {},
    "sparse": scipy.sparse.csc_matrix(np.eye(4)),
    "a_name_of_thirty_characters_xx": 1.0,
}


def write(path, compressed=False, **variables):
    savemat(path, variables or VARIABLES, do_compression=compressed)
    return path


@pytest.mark.parametrize("compressed", [False, True])
def test_what_scipy_writes_passes(tmp_path, compressed):
    path = write(tmp_path / "a.mat", compressed)
    check_mat5(path)
    for name in VARIABLES:
        check_mat5(write(tmp_path / "b.mat", compressed, **{name: VARIABLES[name]}))


def test_the_other_byte_order(tmp_path):
    def part(kind, data):
        return struct.pack(">II", kind, len(data)) + data + bytes(-len(data) % 8)

    inside = (
        part(6, struct.pack(">II", 6, 0))
        + part(5, struct.pack(">ii", 1, 2))
        + part(1, b"x")
        + part(9, struct.pack(">dd", 1.5, -2.0))
    )
    path = tmp_path / "a.mat"
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI"
    path.write_bytes(head + part(14, inside))
    check_mat5(path)
    assert loadmat(path)["x"].tolist() == [[1.5, -2.0]]
    path.write_bytes(head + part(14, inside[:-8]))
    with pytest.raises(Mat5Error, match="a part of 16 bytes in an array"):
        check_mat5(path)


def replaced(before, after):
    def change(data):
        assert before in data
        return data.replace(before, after, 1)

    return change


FAULTS = {
    "byte order": (lambda d: d[:126] + b"XX" + d[128:], "names no byte order"),
    "end": (lambda d: d[:-9], "longer than the file"),
    "no array": (lambda d: d[:128] + struct.pack("<I", 9) + d[132:], "no variable at byte 128"),
    "type": (replaced(struct.pack("<II", 9, 96), struct.pack("<II", 77, 96)), "unknown type 77"),
    "array for numbers": (
        replaced(struct.pack("<II", 9, 96), struct.pack("<II", 14, 96)),
        "unknown type 14",
    ),
    "longer than its array": (
        replaced(struct.pack("<II", 9, 96), struct.pack("<II", 9, 960)),
        "a part of 960 bytes in an array",
    ),
    "class": (replaced(struct.pack("<III", 6, 8, 6), struct.pack("<III", 6, 8, 0xFC)), "class 252"),
    "short part": (
        lambda d: d.replace(b"\x01\x00\x01\x00x", b"\x01\x00\x09\x00x"),
        "a short part of 9 bytes",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_wrong_is_said(tmp_path, name):
    change, said = FAULTS[name]
    path = write(tmp_path / "a.mat", x=np.arange(12.0).reshape(3, 4))
    check_mat5(path)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(Mat5Error, match=said):
        check_mat5(path)


def test_arrays_in_arrays_without_end(tmp_path):
    deep = np.array([1.0])
    for _ in range(40):
        held = np.empty((1, 1), object)
        held[0, 0] = deep
        deep = held
    with pytest.raises(Mat5Error, match="more than 32 deep"):
        check_mat5(write(tmp_path / "a.mat", x=deep))
