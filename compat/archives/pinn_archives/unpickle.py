"""Pickles of old archives, read as plain data without running anything of theirs.

A pickle is a program: Python's own reader imports what the file names and calls it. Here the
instructions are taken one by one (`pickletools` of the standard library splits the bytes and runs
nothing) and done on lists and dictionaries of our own. A name in the file is looked up in a list
that the caller gives; what it stands for is a function of ours or a word. Nothing is imported,
no attribute is fetched, no object of a class from the file is made.

Limits: 2 million instructions, results nested 64 deep with 2 million parts, and a budget of bytes
for what is made from them. Keys of dictionaries are plain, since hashing something deeply nested
may take for ever, and whole numbers among them have 64 bits at most, since of larger ones any
number can be found that hash alike.
"""

from __future__ import annotations

import pickletools
import struct
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

from pinn.errors import ArchiveError

MOST_STEPS = 2_000_000
MOST_PARTS = 2_000_000
DEEPEST = 64
NEWEST_PROTOCOL = 5
MOST_BITS = 512  # of a whole number; the state of a random generator has 128
LARGE = "a large number"  # stands for larger ones, which not even Python writes as text
KEY_BITS = 64

Find = Callable[[str, str], Any]

_DAMAGE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)
_PLAIN = (str, bytes, int, float, bool, type(None))


class Draft:
    """Something that a pickle makes in steps: begun by a call, completed by a state.

    Subclasses are ours (arrays, data types); the reader knows these two doors only.
    """

    def complete(self, state: Any) -> None:
        """Take the state.

        Raises:
            ValueError: it does not fit, or there should be none.
        """
        raise ValueError("something has a state that takes none")

    def value(self) -> Any:
        """The finished value.

        Raises:
            ValueError: it was never completed, or is no value by itself.
        """
        raise ValueError("something stands where a value should")


def plain_data(
    data: bytes,
    where: str,
    find: Find,
    persistent: Callable[[Any], Any] | None = None,
    part: Callable[[Any], Any] | None = None,
) -> Any:
    """What a pickle describes: dictionaries, lists, tuples, sets, strings, numbers, arrays.

    Args:
        data: the pickle.
        where: what it is, for messages.
        find: module and name to a function of ours that stands for it (called with the arguments
            in the pickle) or to a word; KeyError when the name is not allowed.
        persistent: persistent identifier to what it stands for (PyTorch's storages).
        part: takes what is wanted out of the whole while drafts in it are still drafts; raises
            ArchiveError where it is not what is expected. The rest is never completed.

    Raises:
        ArchiveError: it names something that is not allowed, asks for something to be done with
            it, is too large or too deep, or is damaged. Nothing of it was run.
    """
    reader = _Reader(where, find, persistent)
    try:
        with warnings.catch_warnings():  # of texts in old spellings
            warnings.simplefilter("ignore")
            whole = reader.run(data)
            return _finished(part(whole) if part else whole, where, DEEPEST, [MOST_PARTS])
    except _DAMAGE as error:
        if isinstance(error, ArchiveError):
            raise
        reason = str(error).strip() or type(error).__name__
        raise ArchiveError(f"{where} is damaged ({reason[:200]}); get a whole copy") from None


def refuse(where: str, what: str) -> NoReturn:
    """Say that a file asks for something no archive needs.

    Raises:
        ArchiveError: always.
    """
    raise ArchiveError(
        f"{where} asks for {what}, and only plain data and arrays are read: nothing of it was run, "
        "but another program might run it, so find out where the file comes from"
    )


class _Reader:
    def __init__(self, where: str, find: Find, persistent: Callable[[Any], Any] | None) -> None:
        self.where, self.find, self.persistent = where, find, persistent
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # what lies under each mark
        self.memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        for steps, (code, argument, _) in enumerate(pickletools.genops(data)):
            if steps >= MOST_STEPS:
                raise ArchiveError(
                    f"{self.where} has more than {MOST_STEPS} instructions, so it is no part of "
                    "an archive; get another copy"
                )
            if code.name in _LITERALS:
                large = type(argument) is int and argument.bit_length() > MOST_BITS
                self.stack.append(LARGE if large else argument)
            elif code.name in _DONE:
                _DONE[code.name](self, argument)
            else:
                refuse(self.where, f"the instruction {code.name}")
        return self.stack.pop()

    # -- names and what is done with them ------------------------------------------------

    def name(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a name is no text")
        try:
            found = self.find(module, name)
        except KeyError:
            refuse(self.where, ascii(f"{module[:80]}.{name[:80]}")[1:-1])
        self.stack.append(found)

    def call(self, _: Any) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not callable(function) or not isinstance(arguments, tuple):
            refuse(self.where, f"a call of something that is a {type(function).__name__}")
        self.stack.append(function(*arguments))

    def complete(self, _: Any) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Draft):
            target.complete(state)
        # PyTorch notes versions of its layers beside a dictionary of weights.
        elif not (isinstance(target, dict) and isinstance(state, dict) and set(state) == _NOTES):
            refuse(self.where, f"a state for something that is a {type(target).__name__}")

    def known_outside(self, _: Any) -> None:
        key = self.stack.pop()
        if self.persistent is None:
            refuse(self.where, "something kept outside of it")
        self.stack.append(self.persistent(key))

    # -- containers ----------------------------------------------------------------------

    def marked(self) -> list[Any]:
        items, self.stack = self.stack, self.below.pop()
        return items

    def mark(self, _: Any) -> None:
        self.below.append(self.stack)
        self.stack = []

    def top(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            raise ValueError(f"a {kind.__name__} is filled that is none")
        return self.stack[-1]

    def append(self, _: Any) -> None:
        item = self.stack.pop()
        self.top(list).append(item)

    def append_all(self, _: Any) -> None:
        items = self.marked()
        self.top(list).extend(items)

    def add_all(self, _: Any) -> None:
        items = _keys(self.marked())
        self.top(set).update(items)

    def set_item(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.top(dict)[_keys([key])[0]] = value

    def set_items(self, _: Any) -> None:
        items = self.marked()
        self.top(dict).update(zip(_keys(items[::2]), items[1::2], strict=True))

    def tuple_of(self, count: int) -> None:
        if len(self.stack) < count:
            raise ValueError("a tuple of more than there is")
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def made(self, kind: Callable[[list[Any]], Any]) -> None:
        items = self.marked()  # this changes the stack, so it comes first
        self.stack.append(kind(items))

    def remember(self, number: int | str | None) -> None:
        number = len(self.memo) if number is None else int(number)
        if not 0 <= number < 1 << 32:
            raise ValueError("something is remembered under a number beyond all sense")
        self.memo[number] = self.stack[-1]

    def recall(self, number: int | str) -> None:
        self.stack.append(self.memo[int(number)])

    @staticmethod
    def push(make: Callable[[Any], Any]) -> Callable[[_Reader, Any], None]:
        return lambda reader, argument: reader.stack.append(make(argument))

    def protocol(self, number: int) -> None:
        if number > NEWEST_PROTOCOL:
            raise ValueError(f"pickle protocol {number}, known are up to {NEWEST_PROTOCOL}")


_NOTES = {"_metadata"}
_LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
}
_MADE: dict[str, Callable[[Any], Any]] = {
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "EMPTY_LIST": lambda _: [],
    "EMPTY_TUPLE": lambda _: (),
    "EMPTY_DICT": lambda _: {},
    "EMPTY_SET": lambda _: set(),
    "BYTEARRAY8": bytes,
}
# Whatever is not here (making objects of classes, extension codes, buffers kept elsewhere) is
# refused.
_DONE: dict[str, Callable[[_Reader, Any], Any]] = {
    "PROTO": _Reader.protocol,
    "FRAME": lambda reader, _: None,
    "STOP": lambda reader, _: None,
    "MARK": _Reader.mark,
    "POP": lambda reader, _: reader.stack.pop() if reader.stack else reader.marked(),
    "POP_MARK": lambda reader, _: reader.marked(),
    "DUP": lambda reader, _: reader.stack.append(reader.stack[-1]),
    "APPEND": _Reader.append,
    "APPENDS": _Reader.append_all,
    "ADDITEMS": _Reader.add_all,
    "SETITEM": _Reader.set_item,
    "SETITEMS": _Reader.set_items,
    "LIST": lambda reader, _: reader.made(list),
    "TUPLE": lambda reader, _: reader.made(tuple),
    "TUPLE1": lambda reader, _: reader.tuple_of(1),
    "TUPLE2": lambda reader, _: reader.tuple_of(2),
    "TUPLE3": lambda reader, _: reader.tuple_of(3),
    "DICT": lambda reader, _: reader.made(
        lambda items: dict(zip(_keys(items[::2]), items[1::2], strict=True))
    ),
    "FROZENSET": lambda reader, _: reader.made(lambda items: set(_keys(items))),
    "GLOBAL": lambda reader, words: reader.name(*words.split(" ", 1)),
    "STACK_GLOBAL": lambda reader, _: reader.name(*reversed([reader.stack.pop() for _ in "ab"])),
    "REDUCE": _Reader.call,
    "BUILD": _Reader.complete,
    "BINPERSID": _Reader.known_outside,
    **{name: _Reader.push(make) for name, make in _MADE.items()},
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Reader.recall),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _Reader.remember),
}


def _keys(keys: list[Any]) -> list[Any]:
    for key in keys:
        plain_key(key)
    return keys


def plain_key(key: Any) -> Any:
    """A key of a dictionary or a member of a set, if it may be one.

    Raises:
        ValueError: it is not plain, or a whole number of more than 64 bits.
    """
    if type(key) not in _PLAIN:
        raise ValueError(f"a {type(key).__name__} is used as a key")
    if type(key) is int and key.bit_length() > KEY_BITS:
        raise ValueError(f"a whole number of more than {KEY_BITS} bits is used as a key")
    return key


def _finished(value: Any, where: str, depth: int, parts: list[int]) -> Any:
    """The value with all drafts completed, counted as often as it can be met."""
    parts[0] -= 1
    if depth < 0 or parts[0] < 0:
        raise ArchiveError(
            f"{where} describes data nested more than {DEEPEST} deep or of more than {MOST_PARTS} "
            "parts, so it is no part of an archive; get another copy"
        )
    if isinstance(value, Draft):
        return value.value()
    if type(value) in (list, tuple, set):
        return type(value)(_finished(item, where, depth - 1, parts) for item in value)
    if type(value) is dict:
        return {key: _finished(item, where, depth - 1, parts) for key, item in value.items()}
    if callable(value):
        raise ValueError("a name stands where data should")
    return value
