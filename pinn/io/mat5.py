"""A look through a MATLAB file of version 5 before SciPy reads it.

SciPy takes types and sizes in such a file at their word, and a damaged one can end the interpreter
(an unknown type is looked up beyond the end of a table). Here every tag is visited, and nothing is
converted: types must be known, parts must lie inside what contains them, and compressed parts must
agree with their checksums.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import IO, Protocol

_HEADER_BYTES = 128
_PIECE = 1 << 20
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 16, 17, 18}
_CELL, _STRUCT, _OBJECT, _FUNCTION, _OPAQUE, _LAST_CLASS = 1, 2, 3, 16, 17, 18
# Parts without nested arrays before those with: of a struct the names of its fields.
_PLAIN_PARTS = {_CELL: 0, _STRUCT: 2, _OBJECT: 3}
_DEEPEST = 32
_TAG = 8


class Mat5Error(ValueError):
    """The file is damaged; says where."""


class _Stream(Protocol):
    def read(self, size: int) -> bytes: ...


class _Inflated:
    """The bytes of a compressed part, without holding more than a piece of them."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._left = file, size
        self._inflate = zlib.decompressobj()

    def read(self, size: int) -> bytes:
        found = b""
        while len(found) < size and not self._inflate.eof:
            data = self._inflate.unconsumed_tail
            if not data:
                data = self._file.read(min(_PIECE, self._left))
                self._left -= len(data)
                if not data:
                    break
            found += self._inflate.decompress(data, size - len(found))
        return found

    def finish(self) -> None:
        """Go to the end, where the checksum is."""
        while self.read(_PIECE):
            pass
        if not self._inflate.eof:
            raise Mat5Error("a compressed part ends too early")
        self._file.seek(self._left, 1)


def check_mat5(path: Path) -> None:
    """Look at every tag of a file.

    Raises:
        Mat5Error: one of them is wrong.
        OSError, zlib.error: the file cannot be read.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        header = file.read(_HEADER_BYTES)
        order = {b"IM": "<", b"MI": ">"}.get(header[126:128])
        if order is None:
            raise Mat5Error("its header names no byte order")
        while (at := file.tell()) < size:
            kind, length, inside = _tag(file, order, f"at byte {at}")
            end = at + _TAG + length
            if inside is not None or end > size:
                raise Mat5Error(f"the variable at byte {at} is longer than the file")
            if kind == _COMPRESSED:
                part = _Inflated(file, length)
                kind, length, inside = _tag(part, order, f"in the part at byte {at}")
                _variable(part, order, kind, length, f"in the part at byte {at}")
                part.finish()
            else:
                _variable(file, order, kind, length, f"at byte {at}")
            file.seek(end)


def _variable(stream: _Stream, order: str, kind: int, length: int, where: str) -> None:
    if kind != _MATRIX:
        raise Mat5Error(f"there is no variable {where}")
    _matrix(stream, order, length, 0, where)


def _tag(stream: _Stream, order: str, where: str) -> tuple[int, int, bytes | None]:
    """Type and length of a part, and its bytes where they are kept in the tag."""
    data = _exactly(stream, _TAG, where)
    kind, length = struct.unpack(f"{order}II", data)
    if kind >> 16:
        kind, length = kind & 0xFFFF, kind >> 16
        if length > 4:
            raise Mat5Error(f"a short part of {length} bytes {where}")
        return kind, length, data[4:]
    return kind, length, None


def _matrix(stream: _Stream, order: str, length: int, depth: int, where: str) -> None:
    """Visit an array of `length` bytes."""
    if length == 0:
        return
    if depth > _DEEPEST:
        raise Mat5Error(f"arrays in arrays, more than {_DEEPEST} deep, {where}")
    left, number, kind_of_array, cells, fields = length, 0, 0, 1, 1
    while left > 0:
        kind, size, inside = _tag(stream, order, where)
        left -= _TAG
        padded = 0 if inside is not None else size + -size % 8
        if padded > left:
            # The last part may come without its padding.
            if size > left:
                raise Mat5Error(f"a part of {size} bytes in an array of {length} {where}")
            padded = left
        nested = kind_of_array in _PLAIN_PARTS and number >= 3 + _PLAIN_PARTS[kind_of_array]
        loose = kind_of_array in (_FUNCTION, _OPAQUE)
        if kind == _MATRIX and (nested or loose):
            _matrix(stream, order, size, depth + 1, where)
            _exactly(stream, padded - size, where)
        elif kind in _NUMBERS and not nested:
            small = number < 3 or (kind_of_array == _STRUCT and number == 3)
            data = _part(stream, size, padded, inside, small, where)
            if number == 0:
                kind_of_array = _first(data, order, where) & 0xFF
                if not 0 < kind_of_array <= _LAST_CLASS:
                    raise Mat5Error(f"an array of unknown class {kind_of_array} {where}")
            elif number == 1 and not loose:
                cells = _product(data, order)
            elif number == 3 and kind_of_array == _STRUCT:
                fields = max(1, _first(data, order, where))
            elif number == 4 and kind_of_array == _STRUCT:
                cells *= size // fields
        else:
            raise Mat5Error(f"a part of unknown type {kind} {where}")
        left -= padded
        number += 1
        # SciPy makes room for as many arrays before it reads them.
        if number == 3 + _PLAIN_PARTS.get(kind_of_array, -number) and cells * _TAG > left:
            raise Mat5Error(f"{cells} arrays in {left} bytes {where}")


def _part(
    stream: _Stream, size: int, padded: int, inside: bytes | None, keep: bool, where: str
) -> bytes:
    """Pass over a part; its bytes where they are wanted."""
    if inside is not None:
        return inside[:size]
    if keep and padded <= _PIECE:
        return _exactly(stream, padded, where)[:size]
    while padded:
        step = min(_PIECE, padded)
        _exactly(stream, step, where)
        padded -= step
    return b""


def _exactly(stream: _Stream, size: int, where: str) -> bytes:
    data = stream.read(size) if size > 0 else b""
    if len(data) < size:
        raise Mat5Error(f"the file ends inside a part {where}")
    return data


def _first(data: bytes, order: str, where: str) -> int:
    if len(data) < 4:
        raise Mat5Error(f"a part is too short {where}")
    found: int = struct.unpack(f"{order}I", data[:4])[0]
    return found


def _product(data: bytes, order: str) -> int:
    result = 1
    for (n,) in struct.iter_unpack(f"{order}I", data[: len(data) // 4 * 4]):
        result *= n
    return result
