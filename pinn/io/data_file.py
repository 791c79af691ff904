"""The named arrays of an open file, of whatever kind it is; and those of an NPZ file.

A reader asks for what its layout names and gets a value, or one sentence that says what is wrong
with which array of which file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np

from pinn.data.frames import FrameSource, NpyInZipFrames
from pinn.data.zipped import Member, load_member, read_members
from pinn.errors import ScanError
from pinn.io.opened import opened

Ranks = int | tuple[int, ...] | None
KINDS = {
    "iuf": "real numbers",
    "iu": "whole numbers",
    "biu": "whole numbers or booleans",
    "biuf": "real numbers or booleans",
    "c": "complex numbers",
    "iufc": "numbers",
}


class DataFile(ABC):
    """Arrays and numbers by name.

    A number may be an attribute: `object@width` is that of the array `object`, `@width` that of
    the file. NPZ has no attributes and keeps them as `object_width` and `width`.

    Args:
        path: the file, for messages.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def has(self, name: str) -> bool:
        """Whether there is an array of this name (or a link that leads nowhere)."""

    @abstractmethod
    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of an array, without reading it.

        Raises:
            ScanError: it is missing, or no array of numbers.
        """

    @abstractmethod
    def array(self, name: str, ndim: Ranks = None, kind: str = "iuf") -> np.ndarray:
        """An array in its own type: for probes, masks and the like, never for frames.

        Args:
            name: of the array.
            ndim: numbers of axes that will do; None: any.
            kind: NumPy kinds that will do; `iuf` are real numbers.

        Raises:
            ScanError: it is missing, damaged, too large, or of another rank or kind.
        """

    @abstractmethod
    def frames(self, name: str) -> FrameSource:
        """An array of three axes as frames `(M, H, W)`, which stay in the file.

        Raises:
            ScanError: it is missing, damaged, or of another rank or kind.
        """

    @abstractmethod
    def listing(self) -> str:
        """Names of what there is, for messages."""

    @abstractmethod
    def text(self, name: str) -> str | None:
        """The text of an array or of an attribute; None if it holds none."""

    @abstractmethod
    def _number(self, name: str) -> float | None:
        """One finite number, or None."""

    def full(self, name: str) -> str:
        """A name as messages say it."""
        return name

    def first(self, *names: str) -> str | None:
        """The first of several names that the file has, or None."""
        return next((name for name in names if self.has(name)), None)

    def need(self, what: str, *names: str) -> str:
        """The first of several names that the file has.

        Raises:
            ScanError: it has none of them.
        """
        name = self.first(*names)
        if name is None:
            wanted = " or ".join(repr(self.full(one)) for one in names)
            raise ScanError(
                f"{self.path} has no {what}: there is no {wanted}; it has: {self.listing()}"
            )
        return name

    def number(self, *names: str) -> float | None:
        """The first of several numbers that is finite, or None.

        Raises:
            ScanError: an array of several different numbers.
        """
        values = (self._number(name) for name in names)
        return next((value for value in values if value is not None), None)

    def positive(self, *names: str) -> float | None:
        """As `number`, if it is above zero: files write 0 for what they do not know."""
        value = self.number(*names)
        return value if value is not None and value > 0 else None

    def missing(self, name: str) -> ScanError:
        """The error for an array that is not there."""
        return ScanError(f"{self.path} has no array {self.full(name)!r}; it has: {self.listing()}")

    def wrong(self, name: str, shape: tuple[int, ...], wanted: str) -> ScanError:
        """The error for an array of another shape than is required."""
        return ScanError(
            f"{self.full(name)!r} in {self.path} has shape {shape}, but {wanted} is required"
        )

    def check(
        self, name: str, shape: tuple[int, ...], dtype: np.dtype, ndim: Ranks, kind: str | None
    ) -> None:
        """Refuse an array of another rank or kind, see `array`; None: any will do.

        Raises:
            ScanError: it is another one.
        """
        ranks = (ndim,) if isinstance(ndim, int) else ndim
        if ranks is not None and len(shape) not in ranks:
            raise self.wrong(name, shape, f"an array of {' or '.join(map(str, ranks))} axes")
        if kind is not None and dtype.kind not in kind:
            wanted = KINDS.get(kind, f"one of the types {kind!r}")
            raise ScanError(
                f"{self.full(name)!r} in {self.path} has dtype {dtype}, but {wanted} are required"
            )


class NpzFile(DataFile):
    """Arrays of an NPZ file; pickled ones are never decoded.

    Args:
        path: the file.

    Raises:
        ScanError: it is missing, foreign or damaged.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.members = read_members(path)
        opened(path)

    def has(self, name: str) -> bool:
        """Whether there is an array of this name."""
        return name in self.members

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of an array, without reading it."""
        return self.member(name).shape

    def member(self, name: str, ndim: Ranks = None, kind: str | None = None) -> Member:
        """The header of an array. One of Python objects passes: reading it is refused."""
        if not self.has(name):
            raise self.missing(name)
        member = self.members[name]
        self.check(name, member.shape, member.dtype, ndim, None if member.objects else kind)
        return member

    def array(self, name: str, ndim: Ranks = None, kind: str = "iuf") -> np.ndarray:
        """An array in its own type."""
        return load_member(self.path, self.member(name, ndim, kind))

    def frames(self, name: str) -> FrameSource:
        """An array `(M, H, W)` as frames."""
        member = self.member(name, 3, "biuf")
        if 0 in member.shape:
            raise self.wrong(name, member.shape, "at least one frame")
        return NpyInZipFrames(self.path, member)

    def listing(self) -> str:
        """Names of the arrays."""
        return ", ".join(sorted(self.members)) or "no arrays"

    def text(self, name: str) -> str | None:
        """The text of an array of one string."""
        member = self.members.get(_flat(name))
        if member is None or member.dtype.kind not in "US" or member.shape not in ((), (1,)):
            return None
        value = load_member(self.path, member).reshape(-1)[0]
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

    def _number(self, name: str) -> float | None:
        member = self.members.get(_flat(name))
        if member is None or member.dtype.kind not in "biuf" or member.nbytes > 64:
            return None
        value = load_member(self.path, member).reshape(-1)
        return float(value[0]) if len(value) == 1 and np.isfinite(value[0]) else None


def _flat(name: str) -> str:
    """The name of an attribute as an NPZ file keeps it."""
    return name.replace("@", "_").lstrip("_") if "@" in name else name
