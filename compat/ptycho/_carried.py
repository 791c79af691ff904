"""Arrays that remember the groups they are of, so that stitching knows more than the arrays say.

Callers pass `container.X * scale` to `predict` and its result to `reassemble_position`, and look
at nothing in between. Scaling keeps the memory; anything else (a slice, a copy, a transpose) gives
a plain array, with which everything works as it did in the original.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Origin:
    """Where groups come from.

    Attributes:
        raw: the scan.
        members: int64 `(B, C)`, numbers of its frames.
    """

    raw: Any
    members: np.ndarray


class Carried(np.ndarray):
    """An array with an `origin`, or with None."""

    origin: Origin | None = None

    def __array_finalize__(self, other: Any) -> None:
        self.origin = None

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if (out := options.get("out")) is not None:
            options["out"] = tuple(_plain(array) for array in out)
        result = getattr(ufunc, method)(*(_plain(value) for value in inputs), **options)
        if out is not None:
            return out[0] if len(out) == 1 else out
        scaled = ufunc in (np.multiply, np.true_divide) and method == "__call__"
        if scaled and any(np.ndim(value) == 0 for value in inputs):
            return carried(result, self.origin)
        return result


def carried(array: np.ndarray, origin: Origin | None) -> Carried:
    """The same array, with its origin."""
    made = np.asarray(array).view(Carried)
    made.origin = origin
    return made


def origin_of(array: Any) -> Origin | None:
    """What an array remembers, if its groups are still all there."""
    origin = getattr(array, "origin", None)
    if isinstance(origin, Origin) and len(origin.members) == len(array):
        return origin
    return None


def _plain(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, Carried) else value
