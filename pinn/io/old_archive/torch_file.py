"""What `torch.save` wrote, read without PyTorch: a zip with a pickle and raw numbers beside it.

`NAME/data.pkl` describes dictionaries and tensors; a tensor names its numbers by a key, and
`NAME/data/KEY` holds them. The pickle is read as plain data (`pinn.io.unpickle`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pinn.errors import ArchiveError
from pinn.io.old_archive.members import Members
from pinn.io.unpickle import plain_data
from pinn.io.unpickle_names import Vocabulary

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


def read_torch(members: Members) -> Any:
    """What the file holds; tensors are NumPy arrays.

    Raises:
        ArchiveError: damaged, malicious, or from a PyTorch before 1.6.
    """
    return _TorchFile(members).read()


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
        self.storages: dict[str, np.ndarray] = {}
        self.vocabulary = Vocabulary()
        self.order = "<"
        if f"{self.prefix}byteorder" in members.names:
            self.order = {b"little": "<", b"big": ">"}.get(
                members.read(f"{self.prefix}byteorder", 16), "<"
            )

    def read(self) -> Any:
        data = self.members.read(f"{self.prefix}data.pkl", PICKLE_LIMIT)
        return plain_data(data, f"data.pkl of {self.where}", self.find, self.storage)

    def find(self, module: str, name: str) -> Any:
        known: dict[tuple[str, str], Any] = {
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch._utils", "_rebuild_parameter"): _parameter,
            ("torch", "Size"): _size,
            ("torch.serialization", "_get_layout"): _word,
            ("torch", "device"): _word,
        }
        if (module, name) in known:
            return known[module, name]
        if module == "torch" and (name in _DTYPES or name.removesuffix("Storage") in _KINDS):
            return f"torch.{name}"
        return self.vocabulary(module, name)

    def storage(self, key: Any) -> np.ndarray:
        """Numbers by their persistent identifier: ('storage', kind, key, device, length)."""
        if not isinstance(key, tuple) or len(key) != 5 or key[0] != "storage":
            raise ValueError("numbers are kept in an unknown way")
        _, kind, name, _, length = key
        word = str(kind).removeprefix("torch.").removesuffix("Storage")
        if word not in _KINDS or not isinstance(name, str) or not name.isalnum():
            raise ValueError(f"numbers are of the unknown kind {str(kind)[:40]!r}")
        if name not in self.storages:
            data = self.members.read(f"{self.prefix}data/{name}", NUMBERS_LIMIT)
            self.storages[name] = np.frombuffer(data, np.uint8)
        dtype = np.dtype(f"{self.order}{_KINDS[word]}")
        raw = self.storages[name]
        if not isinstance(length, int) or length * dtype.itemsize != raw.size:
            raise ValueError(f"storage {name} states {length} numbers, but has {raw.size} bytes")
        numbers = raw.view(dtype)
        if word == "BFloat16":
            wide = np.zeros(numbers.size, "u4")
            wide[:] = numbers
            numbers = (wide << 16).view("f4")
        return numbers


def _tensor(
    numbers: Any, offset: Any, size: Any, stride: Any, _grad: Any, _hooks: Any, notes: Any = None
) -> np.ndarray:
    if not isinstance(numbers, np.ndarray) or notes:
        raise ValueError("a tensor is of an unknown kind")
    size, stride = _size(size), _size(stride)
    if len(size) != len(stride) or len(size) > 32 or not isinstance(offset, int) or offset < 0:
        raise ValueError("a tensor has no shape")
    count = 1
    for n in size:
        count *= n
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    # A step of 0 would make an array of any size from a single number.
    if count > numbers.size or (count and last >= numbers.size):
        raise ValueError(f"a tensor of shape {size} reaches beyond its {numbers.size} numbers")
    if not count:
        return np.zeros(size, numbers.dtype)
    steps = [step * numbers.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(numbers[offset:], size, steps, writeable=False)


def _parameter(tensor: Any, _grad: Any, _hooks: Any) -> Any:
    if not isinstance(tensor, np.ndarray):
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
