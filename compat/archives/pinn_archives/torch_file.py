"""What `torch.save` wrote, read without PyTorch: a zip with a pickle and raw numbers beside it.

`NAME/data.pkl` describes dictionaries and tensors; a tensor names its numbers by a key, and
`NAME/data/KEY` holds them. The pickle is read as plain data (`pinn_archives.unpickle`). Numbers are
read last, when the whole is known to be what is wanted, and only those of the part that is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pinn.errors import ArchiveError
from pinn_archives.members import Members
from pinn_archives.names import Vocabulary
from pinn_archives.unpickle import Draft, plain_data

PICKLE_LIMIT = 64 << 20
NUMBERS_LIMIT = 4 << 30

_KINDS = {
    "Float": "f4",
    "Double": "f8",
    "Half": "f2",
    "BFloat16": "u2",  # the upper half of a float32
    "Long": "i8",
    "Int": "i4",
    "Short": "i2",
    "Char": "i1",
    "Byte": "u1",
    "Bool": "b1",
    "ComplexFloat": "c8",
    "ComplexDouble": "c16",
}
_DTYPES = (
    *("float16", "float32", "float64", "bfloat16", "int8", "int16", "int32", "int64", "uint8"),
    *("bool", "complex64", "complex128"),
)


def is_torch_file(members: Members) -> bool:
    """Whether the files in a zip are those that `torch.save` writes."""
    return any(name == "data.pkl" or name.endswith("/data.pkl") for name in members.names)


def read_torch(members: Members, part: Callable[[Any], Any] | None = None) -> Any:
    """What the file holds; tensors are NumPy arrays.

    Args:
        members: files in it.
        part: as of `plain_data`; numbers of the rest are not read.

    Raises:
        ArchiveError: damaged, malicious, or from a PyTorch before 1.6.
    """
    return _TorchFile(members).read(part)


class _TorchFile:
    def __init__(self, members: Members) -> None:
        self.members, self.where = members, members.where
        found = [n for n in members.names if n == "data.pkl" or n.endswith("/data.pkl")]
        if len(found) != 1:
            raise ArchiveError(
                f"{self.where} was not written by torch.save of PyTorch 1.6 or later (it holds "
                f"{len(found)} files data.pkl); load and save it again with such a version"
            )
        self.prefix = found[0].removesuffix("data.pkl")
        self.numbers: dict[tuple[str, str], np.ndarray] = {}
        self.vocabulary = Vocabulary()
        self.order = "<"
        if f"{self.prefix}byteorder" in members.names:
            self.order = {b"little": "<", b"big": ">"}.get(
                members.read(f"{self.prefix}byteorder", 16), "<"
            )

    def read(self, part: Callable[[Any], Any] | None) -> Any:
        data = self.members.read(f"{self.prefix}data.pkl", PICKLE_LIMIT)
        return plain_data(data, f"data.pkl of {self.where}", self.find, self.storage, part)

    def find(self, module: str, name: str) -> Any:
        if (module, name) in _KNOWN:
            return _KNOWN[module, name]
        if module == "torch" and (name in _DTYPES or name.removesuffix("Storage") in _KINDS):
            return f"torch.{name}"
        return self.vocabulary(module, name)

    def storage(self, key: Any) -> _Storage:
        """Numbers, not read yet, by ("storage", kind, key, device, length)."""
        if not isinstance(key, tuple) or len(key) != 5 or key[0] != "storage":
            raise ValueError("numbers are kept in an unknown way")
        _, kind, name, _, length = key
        word = str(kind).removeprefix("torch.").removesuffix("Storage")
        if word not in _KINDS or not isinstance(name, str) or not name.isalnum():
            raise ValueError(f"numbers are of the unknown kind {str(kind)[:40]!r}")
        size = self.members.size(f"{self.prefix}data/{name}")
        if type(length) is not int or length * np.dtype(_KINDS[word]).itemsize != size:
            raise ValueError(
                f"storage {name} states {str(length)[:40]} numbers, but has {size} bytes"
            )
        return _Storage(self, name, word, length)

    def load(self, name: str, word: str) -> np.ndarray:
        """Numbers of a storage, read once."""
        if (name, word) not in self.numbers:
            data = self.members.read(f"{self.prefix}data/{name}", NUMBERS_LIMIT)
            numbers = np.frombuffer(data, f"{self.order}{_KINDS[word]}")
            if word == "BFloat16":
                wide = np.zeros(numbers.size, "u4")
                wide[:] = numbers
                numbers = (wide << 16).view("f4")
            self.numbers[name, word] = numbers
        return self.numbers[name, word]


@dataclass
class _Storage(Draft):
    """Numbers in the file; only a tensor of them is a value."""

    file: _TorchFile
    name: str
    word: str
    length: int


@dataclass
class _Tensor(Draft):
    """An array whose shape fits its numbers; they are read when it is asked for."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def value(self) -> np.ndarray:
        numbers = self.storage.file.load(self.storage.name, self.storage.word)
        if 0 in self.size:
            return np.zeros(self.size, numbers.dtype)
        steps = [step * numbers.itemsize for step in self.stride]
        start = numbers[self.offset :]
        return np.lib.stride_tricks.as_strided(start, self.size, steps, writeable=False)


def _tensor(
    numbers: Any, offset: Any, size: Any, stride: Any, _grad: Any, _hooks: Any, notes: Any = None
) -> _Tensor:
    if not isinstance(numbers, _Storage) or notes:
        raise ValueError("a tensor is of an unknown kind")
    size, stride = _size(size), _size(stride)
    if len(size) != len(stride) or len(size) > 32 or type(offset) is not int or offset < 0:
        raise ValueError("a tensor has no shape")
    count = 1
    for n in size:
        count *= n
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    # A step of 0 would make an array of any size from a single number.
    if count > numbers.length or (count and last >= numbers.length):
        raise ValueError(f"a tensor of shape {size} reaches beyond its {numbers.length} numbers")
    return _Tensor(numbers, offset, size, stride)


def _parameter(tensor: Any, _grad: Any, _hooks: Any) -> Any:
    if not isinstance(tensor, _Tensor):
        raise ValueError("a parameter is no tensor")
    return tensor


def _size(numbers: Any = ()) -> tuple[int, ...]:
    if not isinstance(numbers, list | tuple) or not all(
        type(n) is int and 0 <= n < 1 << 48 for n in numbers
    ):
        raise ValueError("a shape is none")
    return tuple(numbers)


def _word(name: Any, *_number: Any) -> str:
    return str(name)[:80]


_KNOWN: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch", "Size"): _size,
    ("torch.serialization", "_get_layout"): _word,
    ("torch", "device"): _word,
}
