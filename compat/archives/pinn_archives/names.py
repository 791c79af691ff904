"""What the names in pickles of old archives stand for: functions of ours that make arrays.

Arrays come as raw numbers with a shape and a data type; each is checked against the other before
an array is made. Arrays of Python objects, records, dates and anything else is refused.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from pinn_archives.unpickle import Draft, plain_key

MOST_COPIED = 256 << 20  # bytes that texts and bytes made from others may take together

_DTYPE = re.compile(r"[<>=|]?(?:[biufc][1-9][0-9]?|[SU][1-9][0-9]{0,3})")


class DtypeDraft(Draft):
    """A NumPy data type: a letter and a size, completed by the order of its bytes."""

    def __init__(self, name: Any = None, *_flags: Any) -> None:
        if not isinstance(name, str) or not _DTYPE.fullmatch(name):
            raise ValueError(f"the data type {str(name)[:40]!r} is not one of numbers or text")
        self.dtype = np.dtype(name)

    def complete(self, state: Any) -> None:
        """State of `numpy.dtype`: version, byte order, and what only records have."""
        if not isinstance(state, tuple) or len(state) < 5 or any(x is not None for x in state[2:5]):
            raise ValueError("a data type is one of records")
        if state[1] not in ("<", ">", "=", "|"):
            raise ValueError("a data type has an unknown order of bytes")
        if state[1] in "<>":
            self.dtype = self.dtype.newbyteorder(state[1])

    def value(self) -> str:
        """The data type's name."""
        return str(self.dtype)


class ArrayDraft(Draft):
    """A NumPy array: empty, until its state brings shape, data type and numbers."""

    def __init__(self) -> None:
        self.array: np.ndarray | None = None

    def complete(self, state: Any) -> None:
        """State of `numpy.ndarray`: version, shape, data type, Fortran order, bytes."""
        if not isinstance(state, tuple) or len(state) != 5:
            raise ValueError("the state of an array has the wrong length")
        _, shape, dtype, fortran, data = state
        self.array = array_of(data, dtype, shape, "F" if fortran else "C")

    def value(self) -> np.ndarray:
        """The array."""
        if self.array is None:
            raise ValueError("an array is never filled")
        return self.array


def array_of(data: Any, dtype: Any, shape: Any, order: Any = "C") -> np.ndarray:
    """An array of raw numbers; it shares the memory of `data`, whatever its order of bytes is.

    Raises:
        ValueError: the parts do not fit each other.
    """
    if not isinstance(dtype, DtypeDraft) or not isinstance(data, bytes):
        raise ValueError("an array is one of Python objects, or its data type is none")
    if not isinstance(shape, tuple) or len(shape) > 32 or not all(_is_size(n) for n in shape):
        raise ValueError("an array has no shape")
    if order not in ("C", "F") or math.prod(shape) * dtype.dtype.itemsize != len(data):
        raise ValueError(
            f"an array of shape {shape} and {dtype.dtype} has {len(data)} bytes of numbers"
        )
    return np.frombuffer(data, dtype.dtype).reshape(shape, order=order)


class Vocabulary:
    """The names that are allowed, for `plain_data`; one for each file, since it keeps a budget."""

    def __init__(self) -> None:
        self._budget = MOST_COPIED
        self._known = self._names()

    def __call__(self, module: str, name: str) -> Any:
        """What a name stands for.

        Raises:
            KeyError: it is not allowed.
        """
        return self._known[module, name]

    def _names(self) -> dict[tuple[str, str], Any]:
        known: dict[tuple[str, str], Any] = {
            ("numpy", "ndarray"): "numpy.ndarray",
            ("numpy", "dtype"): DtypeDraft,
            ("dill._dill", "_create_array"): _dill_array,
            ("tensorflow.python.framework.ops", "convert_to_tensor"): _tensor,
            ("collections", "OrderedDict"): self._dictionary,
            ("_codecs", "encode"): self._encoded,
        }
        for package in ("numpy.core", "numpy._core"):
            known[f"{package}.multiarray", "_reconstruct"] = _empty_array
            known[f"{package}.multiarray", "scalar"] = _scalar
            known[f"{package}.numeric", "_frombuffer"] = array_of
        for builtins in ("builtins", "__builtin__"):
            known[builtins, "complex"] = _complex
            known[builtins, "bytes"] = _no_bytes
            known[builtins, "set"] = known[builtins, "frozenset"] = self._set
        for module in ("pathlib", "pathlib._local"):
            for kind in ("Path", "PurePath", "PosixPath", "WindowsPath"):
                known[module, kind] = self._path
            for kind in ("PurePosixPath", "PureWindowsPath"):
                known[module, kind] = self._path
        return known

    def _spend(self, size: int) -> None:
        self._budget -= size
        if self._budget < 0:
            raise ValueError("it grows far beyond its own size")

    def _dictionary(self, items: Any = ()) -> dict[Any, Any]:
        if not isinstance(items, list | tuple):
            raise ValueError("a dictionary is made of no pairs")
        self._spend(64 * len(items))
        pairs = [(plain_key(key), value) for key, value in items]
        return dict(pairs)

    def _set(self, items: Any = ()) -> set[Any]:
        if not isinstance(items, list | tuple):
            raise ValueError("a set is made of no list")
        self._spend(64 * len(items))
        return {plain_key(item) for item in items}

    def _encoded(self, text: Any, encoding: Any) -> bytes:
        # How bytes looked before pickles knew them.
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise ValueError("a text is encoded in another way than bytes are")
        self._spend(len(text))
        return text.encode("latin-1")

    def _path(self, *parts: Any) -> str:
        if not all(isinstance(part, str) for part in parts):
            raise ValueError("a path is made of no texts")
        self._spend(sum(map(len, parts)) + len(parts))
        return "/".join(parts).replace("//", "/")


def _is_size(number: Any) -> bool:
    return type(number) is int and number >= 0


def _empty_array(kind: Any, *_sizes: Any) -> ArrayDraft:
    if kind != "numpy.ndarray":
        raise ValueError("an array is of a class of its own")
    return ArrayDraft()


def _dill_array(make: Any, arguments: Any, state: Any, extra: Any = None) -> ArrayDraft:
    """As dill does it: the call, its arguments, the state, and attributes of the array."""
    if make is not _empty_array or not isinstance(arguments, tuple) or extra:
        raise ValueError("an array is made by something else than NumPy")
    draft = _empty_array(*arguments)
    draft.complete(state)
    return draft


def _tensor(array: Any, *_dtype: Any) -> Any:
    """A tensor of TensorFlow is the array it is made of."""
    if isinstance(array, ArrayDraft | np.ndarray | bool | int | float | complex):
        return array
    raise ValueError("a tensor is made of no array")


def _scalar(dtype: Any, data: Any) -> Any:
    value = array_of(data, dtype, ()).item()
    # NumPy has no number of Python's for its long ones.
    if isinstance(value, np.longdouble):
        return float(value)
    return complex(value) if isinstance(value, np.clongdouble) else value


def _complex(re: Any, im: Any) -> complex:
    if not all(isinstance(part, int | float) for part in (re, im)):
        raise ValueError("a complex number is made of no numbers")
    return complex(re, im)


def _no_bytes(*arguments: Any) -> bytes:
    if arguments:  # only none at all is written like this
        raise ValueError("bytes are made of something")
    return b""


def custom_names(module: str, name: str) -> str:
    """The list of the reference's own layers and losses: names only, as words.

    Raises:
        KeyError: a name from elsewhere.
    """
    if module.split(".")[0] != "ptycho" or "." in name:
        raise KeyError(name)
    return f"{module}.{name}"
